"""Claims about pipeline.observer: metrics and status are told the same and agree on every total."""

from __future__ import annotations

import dataclasses
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, get_args

import pytest

from pipeline.metrics import Metrics
from pipeline.observer import Observer
from pipeline.records import InferenceOutcome, Nuisance, Suppressed, WindowOutcome
from pipeline.status import CameraStatus, StatusBoard
from streamer.errors import LossKind
from streamer.notes import CameraState, Counters, DropReason, Ended, Heartbeat, StateNote
from tests.pipeline.factories import event, frame_note, lost, opened, prediction, ready, result
from tests.product import parse

if TYPE_CHECKING:
    from tests.conftest import FakeClock

CAMERAS = ("door", "yard")
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Books:
    """Both books behind one observer.

    Attributes:
        resolved: windows the cameras were told about.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.metrics = Metrics(clock)
        self.status = StatusBoard(clock)
        self.resolved: list[tuple[str, int]] = []
        self.observer = Observer(
            self.metrics, self.status, lambda *window: self.resolved.append(window), 0.02
        )
        for camera in CAMERAS:
            self.metrics.add_camera(camera, "rtsp")
            self.status.add_camera(camera, "rtsp://door/x")
        self.metrics.add_sink("log")

    def read(self) -> Samples:
        """Return every sample of the metrics."""
        return parse(self.metrics.exposition(is_openmetrics=False)[0].decode())

    def samples(self, family: str, label: str) -> dict[str, float]:
        """Return the samples of a family that are not 0, by one of their labels."""
        return select(self.read(), family, label)

    def assert_they_agree(self) -> None:
        """Compare every total that both keep."""
        read = self.read()
        for family, field in (
            ("bresnet_source_frames_total", "decoded"),
            ("bresnet_source_frames_used_total", "used"),
            ("bresnet_source_bytes_total", "bytes"),
            ("bresnet_buffer_held_frames_total", "held"),
        ):
            totals = {name: getattr(c.tally.total, field) for name, c in self.cameras.items()}
            assert select(read, family, "camera") == _not_zero(totals), family
        for name, camera in self.cameras.items():
            dropped = select(read, "bresnet_frames_dropped_total", "reason", camera=name)
            assert dropped == _not_zero(camera.tally.total.dropped)
            windows = select(read, "bresnet_windows_total", "outcome", camera=name)
            assert windows == _not_zero(camera.windows)
            events = select(read, "bresnet_events_total", "event", camera=name, phase="start")
            assert events == _not_zero(camera.events)
            active = select(read, "bresnet_events_active", "camera", camera=name)
            assert active == _not_zero({name: len(camera.report().active_events)})
            assert select(read, "bresnet_source_state", "bresnet_source_state", camera=name) == {
                camera.state: 1.0
            }
            connects = select(read, "bresnet_source_connects_total", "outcome", camera=name)
            assert connects.get("ok", 0) == camera.n_reconnects + (camera._facts is not None)
        inferred: Counter[str] = Counter()
        for camera in self.cameras.values():
            inferred.update(camera.inferred)
        assert select(read, "bresnet_inference_windows_total", "outcome") == _not_zero(inferred)

    @property
    def cameras(self) -> dict[str, CameraStatus]:
        """The status of each camera."""
        return self.status.cameras


def select(read: Samples, family: str, label: str, **others: str) -> dict[str, float]:
    """Return the samples of a family that are not 0, by one label, where the others match."""
    found: dict[str, float] = {}
    for (name, labels), value in read.items():
        named = dict(labels)
        if name == family and value and others.items() <= named.items():
            found[named[label]] = found.get(named[label], 0.0) + value
    return found


def _not_zero(counts: Mapping[str, float]) -> dict[str, float]:
    return {name: count for name, count in counts.items() if count}


class Life:
    """A random but possible life of one camera, told to the observer.

    Args:
        books: what is told.
        camera: its id.
        rng: decides.
    """

    def __init__(self, books: Books, camera: str, rng: random.Random) -> None:
        self._books = books
        self._observer = books.observer
        self._camera = camera
        self._rng = rng
        self._counters = Counters()
        self._active: list[str] = []
        self._n = 0

    def go_on(self) -> None:
        """Tell the next fact."""
        facts: tuple[Callable[[], None], ...] = (
            self._frame,
            self._beat,
            self._state,
            self._open,
            self._lose,
            self._window,
            self._window,
            self._event,
        )
        self._rng.choice(facts)()

    def end(self) -> None:
        """Tell the end."""
        self._observer.note(
            Ended(camera=self._camera, reason="eof", is_error=False, counters=self._counters)
        )
        self._observer.note(StateNote(camera=self._camera, state="ended", detail="eof"))

    def _count(self) -> Counters:
        before, used, dropped = self._counters, self._rng.randrange(5), self._rng.randrange(3)
        reason = self._rng.choice(get_args(DropReason))
        reasons = before.dropped | {reason: before.dropped.get(reason, 0) + dropped}
        self._counters = Counters(
            decoded=before.decoded + used + dropped,
            used=before.used + used,
            dropped=reasons,
            held=before.held + self._rng.randrange(2),
            bytes=before.bytes + self._rng.randrange(1000),
        )
        return self._counters

    def _frame(self) -> None:
        self._observer.note(frame_note(self._camera, counters=self._count()))

    def _beat(self) -> None:
        counters = {self._camera: self._count()}
        self._observer.note(Heartbeat(sent_at=0.0, cpu_s=0.0, counters=counters))

    def _state(self) -> None:
        state = self._rng.choice(get_args(CameraState))
        self._observer.note(StateNote(camera=self._camera, state=state))

    def _open(self) -> None:
        self._observer.note(opened(self._camera))

    def _lose(self) -> None:
        is_process_lost = self._rng.random() < 0.5
        self._observer.note(
            lost(
                self._camera,
                kind=self._rng.choice(get_args(LossKind)),
                was_open=self._rng.random() < 0.5,
                counters=self._count(),
                is_process_lost=is_process_lost,
            )
        )
        if is_process_lost:
            self._counters = Counters()

    def _window(self) -> None:
        self._n += 1
        fate = self._rng.choice(get_args(WindowOutcome))
        self._observer.possible_window(self._camera, fate, 1.0)
        if fate == "submitted":
            scored = prediction(self._camera)
            window = dataclasses.replace(scored.window, window_id=self._n)
            self._observer.inferred(window, self._rng.choice(get_args(InferenceOutcome)))

    def _event(self) -> None:
        self._n += 1
        if self._active and self._rng.random() < 0.5:
            self._tell("end", self._active.pop())
        else:
            self._active.append(f"{self._camera}{self._n}")
            self._tell("start", self._active[-1])

    def _tell(self, phase: str, event_id: str) -> None:
        self._observer.event(event(phase, camera=self._camera, event_id=event_id))


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_both_books_agree(seed: int, clock: FakeClock) -> None:
    """Frames, drops, windows, their fates, events and connections, after every single fact."""
    rng = random.Random(seed)
    books = Books(clock)
    lives = [Life(books, camera, rng) for camera in CAMERAS]
    for step in range(200):
        rng.choice(lives).go_on()
        clock.tick(rng.random())
        if step % 20 == 0:
            books.assert_they_agree()
    for life in lives:
        life.end()
    books.assert_they_agree()
    n_submitted = sum(c.windows["submitted"] for c in books.cameras.values())
    assert n_submitted == len(books.resolved) > 0


def test_every_resolved_window_is_told_to_its_camera(clock: FakeClock) -> None:
    """A `fast` source waits for it."""
    books = Books(clock)
    window = prediction("yard").window
    for window_id, outcome in enumerate(get_args(InferenceOutcome)):
        books.observer.inferred(dataclasses.replace(window, window_id=window_id), outcome)
    assert books.resolved == [("yard", n) for n in range(4)]


def test_a_lost_process_is_told_to_both_so_that_new_counts_add_up(clock: FakeClock) -> None:
    """The next process counts from zero, also when it counts as far as the old one."""
    books = Books(clock)
    books.observer.note(frame_note("door"))
    counters = frame_note("door").counters
    books.observer.note(lost("door", counters=counters, is_process_lost=True))
    books.observer.note(frame_note("door"))
    assert books.samples("bresnet_source_frames_total", "camera") == {"door": 20.0}
    assert books.cameras["door"].tally.total.decoded == 20


def test_the_worker_is_ready_in_both_books_and_its_losses_are_counted(clock: FakeClock) -> None:
    """Readiness and the gauge say the same; the facts of the model are in both."""
    books = Books(clock)
    for reason in ("crash", "hang", "crash"):
        books.observer.model(ready())
        books.observer.worker("ready", "")
        assert books.samples("bresnet_inference_worker_up", "worker") == {"local": 1.0}
        assert books.status.worker.state == "ready"
        books.observer.worker_restarted(reason)
        books.observer.worker("restarting", "it is gone")
        assert books.samples("bresnet_inference_worker_up", "worker") == {}
        assert any("worker" in why for why in books.status.not_ready())
    restarts = books.samples("bresnet_inference_worker_restarts_total", "reason")
    assert restarts == {"crash": 2.0, "hang": 1.0}
    assert books.status.worker.n_restarts == 3
    report = books.status.worker.report()
    facts = books.samples("bresnet_model_info", "precision")
    assert facts == {report.precision: 1.0}


def test_predictions_reach_the_listeners_and_both_books(clock: FakeClock) -> None:
    """In the order they were made."""
    books = Books(clock)
    heard: list[object] = []
    books.observer.listen(heard.append)
    scored = [prediction("door"), prediction("yard"), prediction("door")]
    for one in scored:
        books.observer.prediction(one)
    assert heard == scored
    counts = books.samples("bresnet_result_latency_seconds_count", "camera")
    assert counts == {"door": 2.0, "yard": 1.0}
    assert books.cameras["door"].report().top_scores[0].label == "fall"


def test_batches_queues_and_deliveries_are_booked(clock: FakeClock) -> None:
    """What only the metrics keep."""
    books = Books(clock)
    books.observer.batch("full", 4)
    books.observer.result(result())
    books.observer.queue(3, 4)
    books.observer.gate("door", is_open=True, media_s=1.0)
    for outcome in ("retry", "ok"):
        books.observer.delivery("log", outcome, event(), 1000.0)
    books.observer.pending("log", 2)
    assert books.samples("bresnet_inference_batches_total", "trigger") == {"full": 1.0}
    assert books.samples("bresnet_inference_queue_depth", "model") == {"untrained": 3.0}
    assert books.samples("bresnet_inference_batch_wait_limit_seconds", "model") == {
        "untrained": 0.02
    }
    assert books.samples("bresnet_gate_open", "camera") == {"door": 1.0}
    deliveries = books.samples("bresnet_sink_deliveries_total", "outcome")
    assert deliveries == {"retry": 1.0, "ok": 1.0}
    assert books.samples("bresnet_sink_pending", "sink") == {"log": 2.0}


def test_what_disturbs_a_camera_is_booked_twice_and_a_covered_one_is_a_warning(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A lamp is not worth a line."""
    caplog.set_level(logging.WARNING, logger="pipeline.observer")
    books = Books(clock)
    books.metrics.add_nuisances(["lighting", "tamper"])
    for label in ("lighting", "tamper"):
        books.observer.nuisance(Nuisance("door", label, True, 0.9, ""))
        books.observer.suppressed(Suppressed("door", "motion", label))
    active = {n.label: 1.0 for n in books.cameras["door"].report().nuisances}
    assert books.samples("bresnet_nuisance_active", "event") == active
    counted = books.samples("bresnet_events_suppressed_total", "reason")
    assert counted == books.cameras["door"].report().suppressed == {"lighting": 1, "tamper": 1}
    assert [record.getMessage() for record in caplog.records] == ["camera door: tamper (0.90)"]


def test_whoever_watches_the_load_hears_of_windows_batches_and_workers(clock: FakeClock) -> None:
    """In the order in which they happened."""
    books, window, told = Books(clock), prediction().window, []

    class Watch:
        def resolved(self, window: object, outcome: str) -> None:
            told.append(outcome)

        def served(self, windows: object, seconds: float) -> None:
            told.append(seconds)

        def model(self, note: object) -> None:
            told.append(note)

    books.observer.served([window], 9.0)
    books.observer.watch_load(Watch())
    note = ready()
    books.observer.model(note)
    books.observer.served([window], 0.25)
    books.observer.inferred(window, "ok")
    assert told == [note, 0.25, "ok"]
