"""Claims about pipeline.metrics: exact counts, bounded labels, valid expositions."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, get_args

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from pipeline.metrics import Metrics
from pipeline.records import Nuisance, Suppressed, WindowOutcome
from streamer.errors import LossKind
from streamer.notes import CameraState, Counters, DropReason, Ended, RingSpec
from tests.pipeline.factories import event, frame_note, lost, opened, prediction, ready, result

if TYPE_CHECKING:
    from tests.conftest import FakeClock

ALLOWED_LABELS = {
    *("camera", "model", "device", "worker", "stage", "reason", "outcome", "trigger", "event"),
    *("sink", "clock", "transport", "route", "method", "code", "phase", "le"),
    *("bresnet_source_state", "generation", "step"),
    # of the info families
    *("kind", "codec", "width", "height", "decoder", "version", "sha256", "backend", "precision"),
    *("mode", "commit", "python", "tensorflow"),
}
RING = RingSpec(path="/dev/shm/x", n_slots=64, size_px=256)


@pytest.fixture
def metrics(clock: FakeClock) -> Metrics:
    metrics = Metrics(clock, version="1.2.3")
    metrics.add_camera("door", "rtsp", RING)
    metrics.add_sink("log")
    return metrics


def read(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """All samples by name and labels, through the strict parser; none twice."""
    text, content_type = metrics.exposition(is_openmetrics=True)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    parsed = text_string_to_metric_families(text.decode())  # type: ignore[no-untyped-call] # upstream
    for family in parsed:
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found
            found[key] = sample.value
    return found


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return read(metrics)[name, frozenset(labels.items())]


def total(metrics: Metrics, name: str, **labels: str) -> float:
    wanted = labels.items()
    return sum(v for (n, ls), v in read(metrics).items() if n == name and wanted <= set(ls))


def exercise(metrics: Metrics) -> None:
    """Let everything happen once."""
    metrics.opened(opened())
    metrics.frame_note(frame_note(reset="start"))
    metrics.state("door", "running")
    metrics.gate("door", is_open=True, media_s=1.0)
    metrics.window("door", "submitted", 0.97)
    metrics.queue(1, 4, 0.02)
    metrics.degradation({"hop": 2, "fps": 1, "turns": 0})
    metrics.batch("timeout", 1)
    metrics.result(result())
    metrics.inference("ok")
    metrics.add_events(["fall"])
    metrics.prediction(prediction(is_trained=True))
    metrics.worker("ready")
    metrics.worker_restarted("crash")
    metrics.model(ready())
    metrics.event(event("start"))
    metrics.event(event("update"))
    metrics.delivery("log", "ok", event("start"), 1000.3)
    metrics.pending("log", 3)
    metrics.event(event("end"))
    metrics.add_nuisances(["tamper"])
    metrics.nuisance(Nuisance("door", "tamper", True, 0.9, ""))
    metrics.suppressed(Suppressed("door", "motion", "tamper"))
    metrics.ready(is_ready=True)
    metrics.loop_lag(0.01)
    metrics.http("/livez", "GET", 200, 0.001)
    metrics.lost(lost())
    metrics.ended(Ended(camera="door", reason="eof", is_error=False, counters=Counters()))


def test_every_series_exists_at_zero_before_anything_happens(metrics: Metrics) -> None:
    """A rate over a counter's first increment is right only if the counter was there at zero."""
    samples = read(metrics)
    for name, label, values in (
        ("bresnet_frames_dropped_total", "reason", get_args(DropReason)),
        ("bresnet_windows_total", "outcome", get_args(WindowOutcome)),
        ("bresnet_source_connects_total", "outcome", ("ok", *get_args(LossKind))),
    ):
        for one in values:
            assert samples[name, frozenset({("camera", "door"), (label, one)})] == 0
    for one in ("ok", "error", "expired", "rejected"):
        assert (
            value(metrics, "bresnet_inference_windows_total", model="untrained", outcome=one) == 0
        )


def test_nuisances_and_what_they_silence_are_there_at_zero_and_counted(metrics: Metrics) -> None:
    """Each reason an event can have, for cameras known before the bundle and after it."""
    metrics.add_events(["left"])
    metrics.add_nuisances(["lighting", "camera", "fog"])
    metrics.add_camera("yard", "rtsp", RING)
    name, active = "bresnet_events_suppressed_total", "bresnet_nuisance_active"
    for camera in ("door", "yard"):
        for reason in ("lighting", "camera", "unconfirmed", "other"):
            assert value(metrics, name, camera=camera, event="motion", reason=reason) == 0
        assert value(metrics, name, camera=camera, event="left", reason="camera") == 0
        assert value(metrics, active, camera=camera, event="fog") == 0
    assert total(metrics, name, event="left", reason="lighting") == 0
    metrics.suppressed(Suppressed("yard", "motion", "fog"))
    metrics.suppressed(Suppressed("nobody", "motion", "camera"))
    metrics.nuisance(Nuisance("yard", "camera", True, 0.9, ""))
    metrics.nuisance(Nuisance("nobody", "camera", True, 0.9, ""))
    assert total(metrics, name) == 1
    assert value(metrics, name, camera="yard", event="motion", reason="other") == 1
    assert value(metrics, active, camera="yard", event="camera") == 1
    metrics.nuisance(Nuisance("yard", "camera", False, 0.1, ""))
    assert total(metrics, active) == 0
    metrics.remove_camera("yard")
    assert total(metrics, name) == 0


def test_both_formats_parse_and_name_their_content_type(metrics: Metrics) -> None:
    """The strict OpenMetrics parser and the plain one accept everything at once."""
    exercise(metrics)
    names = {name for name, _ in read(metrics)}
    text, content_type = metrics.exposition(is_openmetrics=False)
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    plain = {s.name for family in parse_plain(text.decode()) for s in family.samples}
    assert {n for n in names if n.startswith("bresnet")} == {
        n for n in plain if n.startswith("bresnet")
    }
    assert not any(name.endswith("_created") for name in names)
    assert "process_resident_memory_bytes" in names


def test_decoded_is_used_plus_dropped_also_when_the_capture_process_is_replaced(
    metrics: Metrics,
) -> None:
    """The exported counters conserve exactly, whatever starts again at zero."""
    for counters in (
        Counters(decoded=10, used=4, dropped={"rate_limit": 6}),
        Counters(decoded=25, used=10, dropped={"rate_limit": 13, "corrupt": 2}),
    ):
        metrics.counters("door", counters)
    metrics.capture_restarted("door")
    metrics.counters("door", Counters(decoded=30, used=20, dropped={"rate_limit": 10}))
    decoded = value(metrics, "bresnet_source_frames_total", camera="door")
    used = value(metrics, "bresnet_source_frames_used_total", camera="door")
    assert (decoded, used) == (55, 30)
    assert decoded == used + total(metrics, "bresnet_frames_dropped_total", camera="door")


def test_submitted_windows_are_those_inferred_plus_those_in_flight(metrics: Metrics) -> None:
    """Both sides of the equation are exported."""
    for _ in range(5):
        metrics.window("door", "submitted", 1.0)
    for outcome in ("ok", "expired", "error", "rejected"):
        metrics.inference(outcome)
    metrics.queue(depth=1, capacity=1, wait_limit_s=0.02)
    submitted = value(metrics, "bresnet_windows_total", camera="door", outcome="submitted")
    in_flight = value(metrics, "bresnet_inference_queue_depth", model="untrained")
    assert submitted == total(metrics, "bresnet_inference_windows_total") + in_flight == 5


def test_only_labels_with_bounded_values_are_used(metrics: Metrics) -> None:
    """No URL, address, process id, file name, event id or exception text is a label."""
    exercise(metrics)
    for _, labels in read(metrics):
        assert {name for name, _ in labels if not name.startswith("process")} - {
            "implementation", "major", "minor", "patchlevel"
        } <= ALLOWED_LABELS  # fmt: skip


def test_the_degradation_level_is_the_sum_of_its_steps(metrics: Metrics) -> None:
    """At zero from the start; each kind of step has its own series."""
    assert total(metrics, "bresnet_degradation_level") == 0
    assert total(metrics, "bresnet_degradation_steps", step="hop") == 0
    metrics.degradation({"hop": 2, "fps": 1, "turns": 0})
    assert total(metrics, "bresnet_degradation_level") == 3
    assert total(metrics, "bresnet_degradation_steps", step="hop") == 2
    assert total(metrics, "bresnet_degradation_steps", step="fps") == 1


def test_a_value_from_outside_its_set_becomes_other(metrics: Metrics) -> None:
    """What a child process or client makes up cannot grow the number of series."""
    n_before = len(read(metrics))
    counters = Counters(decoded=200, dropped={f"made-up-{n}": 1 for n in range(200)})
    metrics.counters("door", counters)
    metrics.worker_restarted("rtsp://user:password@host")
    metrics.http("/livez", "EVIL", 200, 0.0)
    metrics.http("/livez", "EVIL2", 200, 0.0)
    text, _ = metrics.exposition(is_openmetrics=True)
    assert b"made-up" not in text
    assert b"password" not in text
    assert b"EVIL" not in text
    dropped = total(metrics, "bresnet_frames_dropped_total", camera="door", reason="other")
    assert dropped == 200
    assert len(read(metrics)) <= n_before + 1 + 11


def test_the_number_of_series_stays_within_its_budget(clock: FakeClock) -> None:
    """One camera, one event class: at most 551 series; a further camera: at most 146."""
    metrics = Metrics(clock)
    metrics.add_sink("log")
    metrics.add_camera("one", "rtsp", RING)
    first = len(read(metrics))
    metrics.add_camera("two", "rtsp", RING)
    second = len(read(metrics))
    assert first <= 551
    assert second - first <= 146


def test_a_removed_camera_leaves_no_series_and_is_not_resurrected(metrics: Metrics) -> None:
    """500 cameras come and go: what is left is what was there before, late notes included."""
    n_before = len(read(metrics))
    for number in range(500):
        camera = f"cam{number}"
        metrics.add_camera(camera, "rtsp", RING)
        metrics.opened(opened(camera))
        metrics.state(camera, "running")
        metrics.remove_camera(camera)
        metrics.frame_note(frame_note(camera))
        metrics.state(camera, "backoff")
        metrics.lost(lost(camera))
        metrics.window(camera, "submitted", 1.0)
        metrics.event(event(camera=camera))
    text, _ = metrics.exposition(is_openmetrics=True)
    assert b'"cam' not in text
    # The stage histogram and such are not a camera's and were there from the start.
    assert len(read(metrics)) == n_before


def test_exactly_one_state_is_one_and_up_follows_it(metrics: Metrics) -> None:
    """The state set names all thirteen states; only warming and running are up."""
    for state in get_args(CameraState):
        metrics.state("door", state)
        ones = [ls for (n, ls), v in read(metrics).items() if n == "bresnet_source_state" and v]
        assert [dict(labels)["bresnet_source_state"] for labels in ones] == [state]
        is_up = value(metrics, "bresnet_source_up", camera="door")
        assert is_up == (state in {"warming", "running"})


def test_seconds_down_and_seconds_open_grow_between_two_scrapes(
    metrics: Metrics, clock: FakeClock
) -> None:
    """Time counts up to the scrape, not only to the next change; an ended camera is not down."""
    metrics.state("door", "backoff")
    clock.tick(10)
    assert value(metrics, "bresnet_source_down_seconds_total", camera="door") == 10
    metrics.state("door", "running")
    metrics.gate("door", is_open=True, media_s=0.0)
    clock.tick(5)
    assert value(metrics, "bresnet_gate_open_seconds_total", camera="door") == 5
    metrics.gate("door", is_open=False, media_s=0.0)
    metrics.state("door", "ended")
    clock.tick(100)
    assert value(metrics, "bresnet_gate_open_seconds_total", camera="door") == 5
    assert value(metrics, "bresnet_source_down_seconds_total", camera="door") == 10


def test_connects_and_disconnects_are_told_apart(metrics: Metrics) -> None:
    """A failed open is an attempt by its outcome; a loss of an open source has a reason."""
    metrics.lost(lost(kind="auth", was_open=False))
    metrics.opened(opened())
    metrics.lost(lost(kind="timeout", was_open=True))
    metrics.opened(opened())
    metrics.capture_restarted("door")
    metrics.opened(opened())
    metrics.ended(Ended(camera="door", reason="eof", is_error=False, counters=Counters()))
    connects = "bresnet_source_connects_total"
    assert value(metrics, connects, camera="door", outcome="auth") == 1
    assert value(metrics, connects, camera="door", outcome="ok") == 3
    for reason in ("timeout", "stalled", "eof"):
        assert value(metrics, "bresnet_source_disconnects_total", camera="door", reason=reason) == 1


def test_the_age_of_the_last_frame_is_in_wall_time(metrics: Metrics, clock: FakeClock) -> None:
    """time() - x is the staleness; no value at all before the first frame."""
    name = "bresnet_source_last_frame_timestamp_seconds"
    assert total(metrics, name, camera="door") == 0
    clock.tick(5)
    metrics.frame_note(frame_note(arrived_at=clock.now() - 3))
    assert clock.wall().timestamp() - value(metrics, name, camera="door") == pytest.approx(3)


def test_latencies_follow_the_timeline(metrics: Metrics) -> None:
    """Each stage gets its own share; the whole is a family of its own."""
    metrics.frame_note(frame_note())
    metrics.result(result())
    metrics.prediction(prediction())
    name = "bresnet_stage_duration_seconds_sum"
    for stage, seconds in {
        "receive": 0.05, "decode": 0.004, "window": 0.01, "batch_wait": 0.02, "queue": 0.01,
        "transfer": 0.01, "infer": 0.15, "postprocess": 0.04,
    }.items():  # fmt: skip
        assert value(metrics, name, stage=stage) == pytest.approx(seconds)
    labels = {"camera": "door", "clock": "host"}
    assert value(metrics, "bresnet_result_latency_seconds_sum", **labels) == pytest.approx(0.3)
    assert value(metrics, "bresnet_frame_age_seconds_sum", camera="door") == pytest.approx(0.1)


def test_an_alert_counts_from_the_onset_to_the_first_sink(
    metrics: Metrics, clock: FakeClock
) -> None:
    """Onset half a second before the deciding frame; only the first acknowledgement counts."""
    metrics.add_sink("jsonl")
    metrics.event(event("start"))
    clock.tick(0.5)
    metrics.delivery("log", "ok", event("start"), 1000.31)
    clock.tick(5)
    metrics.delivery("jsonl", "ok", event("start"), 1000.31)
    labels = {"camera": "door", "clock": "host"}
    assert value(metrics, "bresnet_alert_latency_seconds_count", **labels) == 1
    assert value(metrics, "bresnet_alert_latency_seconds_sum", **labels) == pytest.approx(1.0)
    delay = value(metrics, "bresnet_alert_decision_delay_seconds_sum", event="motion")
    assert delay == pytest.approx(0.81)
    text, _ = metrics.exposition(is_openmetrics=True)
    assert b'# {event_id="e1"}' in text


def test_active_events_and_durations_are_counted(metrics: Metrics) -> None:
    """start raises, end lowers, update changes nothing."""
    labels = {"camera": "door", "event": "motion"}
    metrics.event(event("start"))
    metrics.event(event("update"))
    metrics.event(event("start", event_id="e2"))
    assert value(metrics, "bresnet_events_active", **labels) == 2
    metrics.event(event("end"))
    assert value(metrics, "bresnet_events_active", **labels) == 1
    assert value(metrics, "bresnet_events_total", phase="start", **labels) == 2
    assert value(metrics, "bresnet_events_total", phase="end", **labels) == 1
    assert value(metrics, "bresnet_event_duration_seconds_sum", event="motion") == 4.0


def test_a_failing_sink_is_down_until_it_takes_an_event(metrics: Metrics) -> None:
    """Outcomes are counted one by one."""
    metrics.delivery("log", "retry", event(), 1000.0)
    metrics.delivery("log", "failed", event(), 1000.0)
    assert value(metrics, "bresnet_sink_up", sink="log") == 0
    metrics.delivery("log", "ok", event(), 1000.0)
    assert value(metrics, "bresnet_sink_up", sink="log") == 1
    for outcome in ("retry", "failed", "ok"):
        assert value(metrics, "bresnet_sink_deliveries_total", sink="log", outcome=outcome) == 1


def test_names_follow_the_scheme(metrics: Metrics) -> None:
    """One prefix, base units, no averages and rates ready-made."""
    exercise(metrics)
    names = {name for name, _ in read(metrics) if not name.startswith(("process_", "python_"))}
    assert all(re.fullmatch(r"bresnet_[a-z_]+", name) for name in names)
    assert not [n for n in names if re.search(r"_(ms|fps|avg|mean|percent|kb|mb)(_|$)", n)]


def test_a_scrape_of_64_cameras_takes_milliseconds(clock: FakeClock) -> None:
    """The loop is held meanwhile; the bound is ten times what was measured."""
    metrics = Metrics(clock)
    metrics.add_events(["fall", "wave"])
    for number in range(64):
        metrics.add_camera(f"cam{number}", "rtsp", RING)
    started = time.perf_counter()
    text, _ = metrics.exposition(is_openmetrics=True)
    assert time.perf_counter() - started < 1.0
    assert len(text) < 2_000_000


async def test_a_scrape_does_not_hold_the_event_loop(clock: FakeClock) -> None:
    """Other tasks run while a large exposition is rendered; it equals the one made in the loop."""
    metrics = Metrics(clock)
    for number in range(64):
        metrics.add_camera(f"cam{number}", "rtsp", RING)
    scraping = asyncio.ensure_future(metrics.scrape(is_openmetrics=True))
    n_turns = 0
    while not scraping.done():
        await asyncio.sleep(0)
        n_turns += 1
    assert n_turns > 10

    def ours(text: bytes) -> list[bytes]:
        return [line for line in text.splitlines() if line.startswith(b"bresnet")]

    text, _ = metrics.exposition(is_openmetrics=True)
    assert ours((await scraping)[0]) == ours(text)
