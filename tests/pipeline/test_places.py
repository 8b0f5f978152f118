"""Questions to the worker: bounded, and answered into the fan-out."""

from __future__ import annotations

from pathlib import Path

from pipeline.config import OverlayConfig
from pipeline.places import MAX_PENDING, Places
from pipeline.records import Located, Region, Window
from streamer.notes import RingSpec
from streamer.worker_notes import Locate, Placed, WindowRef
from tests.pipeline.factories import event, prediction

WINDOW = prediction().window
RING = RingSpec(path="/dev/shm/x", n_slots=64, size_px=256)


class Bench:
    """Places whose worker takes everything, or nothing."""

    def __init__(self, overlays: OverlayConfig | None = None, *, has_worker: bool = True) -> None:
        self.asked: list[Locate] = []
        self.told: list[Located] = []
        self.has_worker = has_worker
        self.places = Places(self.send, self.reference, self.told.append, overlays)

    def send(self, note: Locate) -> bool:
        self.asked.append(note)
        return self.has_worker

    def reference(self, window: Window) -> WindowRef:
        return WindowRef(window_id=window.window_id, ring=RING, first_seq=window.first_seq)


def test_shares_of_the_window_become_times() -> None:
    """0.25 to 0.75 of a window from 0.0 to 3.1 s."""
    bench = Bench()
    bench.places.ask(event("start", label="left"), WINDOW)
    assert (bench.asked[0].event_id, bench.asked[0].label) == ("e1", "left")
    assert (bench.asked[0].window.window_id, bench.asked[0].overlay) == (1, "")
    bench.places.placed(Placed(event_id="e1", box=(0.1, 0.2, 0.3, 0.4), span=(0.25, 0.75)))
    assert bench.told == [Located("door", "e1", Region(0.1, 0.2, 0.3, 0.4, 0.775, 2.325))]


def test_a_picture_is_named_after_camera_and_event() -> None:
    """In the folder of the configuration."""
    bench = Bench(OverlayConfig(folder=Path("/pictures"), keep=7))
    bench.places.ask(event("start"), WINDOW)
    assert (bench.asked[0].overlay, bench.asked[0].n_overlays) == ("/pictures/door-e1.png", 7)


def test_an_answer_without_a_place_or_to_no_question_tells_nothing() -> None:
    """Overwritten windows, and answers of a worker that was given up."""
    bench = Bench()
    bench.places.ask(event("start"), WINDOW)
    bench.places.placed(Placed(event_id="e1"))
    bench.places.placed(Placed(event_id="e2", box=(0, 0, 1, 1), span=(0, 1)))
    assert bench.told == []


def test_a_storm_of_events_is_not_a_storm_of_questions() -> None:
    """So many are open at most; answers, and the loss of the worker, make room."""
    bench = Bench()
    for index in range(2 * MAX_PENDING):
        bench.places.ask(event("start", event_id=f"e{index}"), WINDOW)
    assert len(bench.asked) == MAX_PENDING
    bench.places.placed(Placed(event_id="e0"))
    bench.places.ask(event("start", event_id="next"), WINDOW)
    assert len(bench.asked) == MAX_PENDING + 1
    bench.places.forget()
    bench.places.ask(event("start", event_id="later"), WINDOW)
    assert len(bench.asked) == MAX_PENDING + 2


def test_without_a_worker_nothing_is_pending() -> None:
    """A question that was not sent is not waited for."""
    bench = Bench(has_worker=False)
    for index in range(2 * MAX_PENDING):
        bench.places.ask(event("start", event_id=f"e{index}"), WINDOW)
    assert len(bench.asked) == 2 * MAX_PENDING
