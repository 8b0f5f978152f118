"""Claims about pipeline.fanout: signals become events, sinks are independent."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field

from model.manifest import Manifest
from pipeline.config import DetectorConfig
from pipeline.detector import Detector
from pipeline.errors import SinkError
from pipeline.fanout import Delivery, Fanout, Item
from pipeline.mailbox import Mailbox
from pipeline.records import (
    Event,
    Located,
    MotionSample,
    Nuisance,
    Prediction,
    Region,
    RunEnded,
    Suppressed,
    Timeline,
)
from pipeline.sinks.base import ReadySink
from tests.conftest import FakeClock, settle
from tests.records import event, prediction, window

TRAINED = {
    "name": "m",
    "is_trained": True,
    "labels": ("left", "lighting"),
    "analysis_fps": 10,
    "hop": 4,
}


@dataclass
class Ear:
    """Remembers what was decided and delivered."""

    events: list[Event] = field(default_factory=list)
    outcomes: list[tuple[str, str]] = field(default_factory=list)
    asides: list[Suppressed | Nuisance] = field(default_factory=list)

    def prediction(self, prediction: Prediction) -> None:
        """Not of interest here."""

    def event(self, event: Event) -> None:
        self.events.append(event)

    def suppressed(self, suppressed: Suppressed) -> None:
        self.asides.append(suppressed)

    def nuisance(self, nuisance: Nuisance) -> None:
        self.asides.append(nuisance)

    def delivery(self, sink: str, outcome: str, event: Event, enqueued_at: float) -> None:
        self.outcomes.append((sink, outcome))

    def pending(self, sink: str, n: int) -> None:
        """Not of interest here."""


class Sink(ReadySink):
    """Takes events after failing n times, or never answers."""

    def __init__(self, name: str, n_failures: int = 0, *, is_hung: bool = False) -> None:
        self.name, self.left, self.is_hung = name, n_failures, is_hung
        self.taken: list[Event] = []

    async def deliver(self, event: Event) -> None:
        if self.is_hung:
            await asyncio.Event().wait()
        if self.left:
            self.left -= 1
            raise SinkError("disk full")
        self.taken.append(event)


def sample(media_s: float, score: float, clock: FakeClock) -> MotionSample:
    return MotionSample("door", media_s, score, True, Timeline(clock.now() - 0.5, 0, 0))


class Bench:
    """A fan-out with one camera and two outboxes."""

    def __init__(self, clock: FakeClock, manifest: Manifest | None = None) -> None:
        self.ear = Ear()
        self.inbox: Mailbox[Item] = Mailbox(1000)
        self.outboxes: dict[str, Mailbox[Event]] = {"a": Mailbox(100), "b": Mailbox(2)}
        ids = itertools.count()
        new_id = lambda: f"e{next(ids)}"  # noqa: E731
        self.detectors = {"door": Detector("door", DetectorConfig(), new_id, manifest)}
        self.stage = Fanout(self.inbox, self.detectors, self.outboxes, clock, self.ear)


async def test_motion_becomes_a_start_and_an_end_in_every_outbox(clock: FakeClock) -> None:
    """Both outboxes hold both phases, with the instant of the decision."""
    bench = Bench(clock)
    with bench.inbox:
        for index in range(80):
            bench.inbox.put(sample(index / 10, 0.9 if 10 <= index < 30 else 0.0, clock))
    await bench.stage.run()
    assert [e.phase for e in bench.ear.events] == ["start", "end"]
    assert [e.ended_by for e in bench.ear.events] == [None, "quiet"]
    assert all(e.timeline.decided_at == clock.now() for e in bench.ear.events)
    assert [box.statistics().depth for box in bench.outboxes.values()] == [2, 2]
    assert all(box.is_ended is False for box in bench.outboxes.values()), "items still wait in them"


async def test_the_wall_time_of_an_event_is_that_of_the_capture(clock: FakeClock) -> None:
    """Half a second between capture and decision is taken off."""
    bench = Bench(clock)
    with bench.inbox:
        for index in range(10):
            bench.inbox.put(sample(index / 10, 0.9, clock))
    await bench.stage.run()
    start = bench.ear.events[0]
    assert start.onset_wall == "2025-12-31T23:59:59.500+00:00"


async def test_what_still_goes_on_at_the_end_is_ended_by_shutdown(clock: FakeClock) -> None:
    """No event is left open when the stage returns."""
    bench = Bench(clock)
    with bench.inbox:
        for index in range(20):
            bench.inbox.put(sample(index / 10, 0.9, clock))
    await bench.stage.run()
    assert [(e.phase, e.ended_by) for e in bench.ear.events][-1] == ("end", "shutdown")


async def test_a_lost_source_ends_its_events_at_once(clock: FakeClock) -> None:
    """ended_by tells why."""
    bench = Bench(clock)
    with bench.inbox:
        for index in range(20):
            bench.inbox.put(sample(index / 10, 0.9, clock))
        bench.inbox.put(RunEnded("door", 1.9, "source_lost"))
    await bench.stage.run()
    assert [e.ended_by for e in bench.ear.events if e.phase == "end"] == ["source_lost"]


async def test_untrained_scores_raise_no_event(clock: FakeClock) -> None:
    """The built-in bundle streams noise until it is trained."""
    bench = Bench(clock)
    with bench.inbox:
        for _ in range(5):
            bench.inbox.put(prediction({"left": 0.99}, is_trained=False))
    await bench.stage.run()
    assert bench.ear.events == []


async def test_the_place_of_an_event_is_asked_for_once_and_told_when_it_comes(
    clock: FakeClock,
) -> None:
    """For starts that scores decided; the answer is an update of that event."""
    bench = Bench(clock)
    asked: list[tuple[str, int]] = []
    bench.stage = Fanout(
        bench.inbox,
        bench.detectors,
        bench.outboxes,
        clock,
        bench.ear,
        lambda event, window: asked.append((event.event_id, window.window_id)),
    )
    region = Region(0.1, 0.2, 0.3, 0.4, 1.0, 2.0)
    with bench.inbox:
        for index in range(12):
            bench.inbox.put(sample(index / 10, 0.9, clock))
        for index in range(4):
            bench.inbox.put(prediction({"left": 0.99}, window=window(media_end_s=float(index))))
        bench.inbox.put(Located("door", "e1", region))
        bench.inbox.put(Located("door", "e7", region))
    await bench.stage.run()
    assert [event_id for event_id, _ in asked] == ["e1"]
    told = [(e.event_id, e.phase) for e in bench.ear.events if e.region == region]
    assert told == [("e1", "update"), ("e1", "end")]


async def test_nuisances_and_suppressed_events_are_told_to_the_observer(clock: FakeClock) -> None:
    """Also those that are settled when the stage ends."""
    bench = Bench(clock, Manifest(**TRAINED))
    with bench.inbox:
        for index in range(12):
            bench.inbox.put(sample(index / 10, 0.9, clock))
        for index in range(4):
            scores = {"left": 0.1, "lighting": 0.9}
            bench.inbox.put(prediction(scores, window=window(media_end_s=0.4 * index)))
    await bench.stage.run()
    assert bench.ear.events == []
    asides = [Suppressed("door", "motion", "lighting")]
    assert [a for a in bench.ear.asides if isinstance(a, Suppressed)] == asides
    assert [a.is_active for a in bench.ear.asides if isinstance(a, Nuisance)] == [True, False]


async def test_a_hung_sink_does_not_delay_the_others(clock: FakeClock) -> None:
    """One sink never answers; the other has everything."""
    ear, good, hung = Ear(), Sink("good"), Sink("hung", is_hung=True)
    boxes: list[Mailbox[Event]] = [Mailbox(10), Mailbox(10)]
    tasks = [
        asyncio.ensure_future(Delivery(sink, box, clock, ear).run())
        for sink, box in zip((good, hung), boxes, strict=True)
    ]
    for box in boxes:
        with box:
            for index in range(5):
                box.put(event(event_id=f"e{index}"))
    await settle()
    assert [e.event_id for e in good.taken] == [f"e{i}" for i in range(5)]
    assert tasks[0].done()
    assert not tasks[1].done()
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_sink_that_fails_is_asked_again_and_then_given_up(clock: FakeClock) -> None:
    """Two retries, then the event is failed and the next one is tried."""
    ear, sink = Ear(), Sink("disk", n_failures=3)
    box: Mailbox[Event] = Mailbox(10)
    with box:
        box.put(event(event_id="lost"))
        box.put(event(event_id="kept"))
    task = asyncio.ensure_future(Delivery(sink, box, clock, ear).run())
    await clock.advance(5)
    await asyncio.wait_for(task, 1)
    assert ear.outcomes == [("disk", o) for o in ("retry", "retry", "failed", "ok")]
    assert [e.event_id for e in sink.taken] == ["kept"]
