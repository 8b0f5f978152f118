"""Predictions and motion become events, and every event goes to every sink.

In: motion samples, run ends, predictions and places of events (one mailbox). Through: one
`Detector` a camera. Out: events into the mailbox of each sink; a slow sink loses its own oldest
events (counted), it never delays inference or another sink. Invariant: every event that started has
ended when the stage returns.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Protocol

from pipeline.detector import Detector
from pipeline.errors import SinkError
from pipeline.mailbox import Mailbox
from pipeline.records import (
    Event,
    Located,
    MotionSample,
    Nuisance,
    Prediction,
    RunEnded,
    Suppressed,
    Timeline,
    Window,
)
from pipeline.sinks.base import Sink
from streamer.clock import Clock

log = logging.getLogger(__name__)

Item = MotionSample | RunEnded | Prediction | Located
"""What decisions are made from."""

_TRIES = 3
_RETRY_S = 0.2


class FanoutObserver(Protocol):
    """Is told what was decided and delivered; metrics and status."""

    def prediction(self, prediction: Prediction) -> None:
        """Scores arrived."""
        ...

    def event(self, event: Event) -> None:
        """An event phase was decided."""
        ...

    def suppressed(self, suppressed: Suppressed) -> None:
        """An event would have started."""
        ...

    def nuisance(self, nuisance: Nuisance) -> None:
        """A nuisance begins or ends."""
        ...

    def delivery(self, sink: str, outcome: str, event: Event, enqueued_at: float) -> None:
        """A sink took (ok), will take again (retry), or lost (failed, expired) an event."""
        ...

    def pending(self, sink: str, n: int) -> None:
        """So many events wait for the sink."""
        ...


class Fanout:
    """The deciding stage.

    Args:
        inbox: samples, run ends and predictions.
        detectors: one a camera.
        outboxes: by the name of the sink.
        clock: time.
        observer: is told everything.
        ask_where: has the place of an event looked for in the window that decided; the answer comes
            into the inbox, or never.
    """

    def __init__(
        self,
        inbox: Mailbox[Item],
        detectors: Mapping[str, Detector],
        outboxes: Mapping[str, Mailbox[Event]],
        clock: Clock,
        observer: FanoutObserver,
        ask_where: Callable[[Event, Window], None] | None = None,
    ) -> None:
        self._inbox = inbox
        self._detectors = detectors
        self._outboxes = outboxes
        self._clock = clock
        self._observer = observer
        self._ask_where = ask_where
        self._last_s: dict[str, float] = dict.fromkeys(detectors, 0.0)

    async def run(self) -> None:
        """Decide until the inbox has ended; then end what is still going on."""
        for outbox in self._outboxes.values():
            outbox.__enter__()
        try:
            async for item in self._inbox:
                self._tell(
                    item.window.camera if isinstance(item, Prediction) else item.camera, item
                )
        finally:
            self._end_everything()
            for outbox in self._outboxes.values():
                outbox.__exit__(None, None, None)

    def _tell(self, camera: str, item: Item) -> None:
        detector = self._detectors[camera]
        for event in self._decide(detector, item):
            self._publish(event)
            if isinstance(item, Prediction) and event.phase == "start" and self._ask_where:
                self._ask_where(event, item.window)
        self._tell_asides(detector)

    def _tell_asides(self, detector: Detector) -> None:
        for aside in detector.asides():
            if isinstance(aside, Suppressed):
                self._observer.suppressed(aside)
            else:
                self._observer.nuisance(aside)

    def _decide(self, detector: Detector, item: Item) -> list[Event]:
        wall = self._clock.wall()
        if isinstance(item, MotionSample | Prediction):
            # The wall time of the capture, not of this decision.
            wall -= timedelta(seconds=max(0.0, self._clock.now() - item.timeline.captured_at))
        match item:
            case MotionSample():
                self._last_s[item.camera] = item.media_s
                return detector.observe_motion(
                    item.media_s,
                    item.score,
                    is_warm=item.is_warm,
                    wall=wall,
                    timeline=item.timeline,
                )
            case RunEnded():
                return detector.end_all(item.media_s, item.reason, wall=wall, timeline=_nowhere())
            case Prediction():
                self._observer.prediction(item)
                return detector.observe_prediction(item, wall=wall)
            case Located():
                return detector.locate(item.event_id, item.region, wall=wall)

    def _publish(self, event: Event) -> None:
        timeline = dataclasses.replace(event.timeline, decided_at=self._clock.now())
        event = dataclasses.replace(event, timeline=timeline)
        self._observer.event(event)
        for sink, outbox in self._outboxes.items():
            outbox.put(event)
            self._observer.pending(sink, outbox.statistics().depth)

    def _end_everything(self) -> None:
        for camera, detector in self._detectors.items():
            wall = self._clock.wall()
            for event in detector.end_all(
                self._last_s[camera], "shutdown", wall=wall, timeline=_nowhere()
            ):
                self._publish(event)
            self._tell_asides(detector)


def _nowhere() -> Timeline:
    """Return the time line of a decision that no frame caused."""
    return Timeline(0.0, 0.0, 0.0)


class Delivery:
    """The stage of one sink: takes events from its mailbox and delivers them in order.

    Args:
        sink: the destination, already entered.
        inbox: its events.
        clock: time.
        observer: is told the outcome of each delivery.
    """

    def __init__(
        self, sink: Sink, inbox: Mailbox[Event], clock: Clock, observer: FanoutObserver
    ) -> None:
        self._sink = sink
        self._inbox = inbox
        self._clock = clock
        self._observer = observer

    async def run(self) -> None:
        """Deliver until the mailbox has ended."""
        async for event in self._inbox:
            await self._deliver(event)
            self._observer.pending(self._sink.name, self._inbox.statistics().depth)

    async def _deliver(self, event: Event) -> None:
        enqueued_at = event.timeline.decided_at
        for attempt in range(1, _TRIES + 1):
            try:
                await self._sink.deliver(event)
            except SinkError as err:
                is_last = attempt == _TRIES
                log.warning("sink %s: %s", self._sink.name, err)
                outcome = "failed" if is_last else "retry"
                self._observer.delivery(self._sink.name, outcome, event, enqueued_at)
                if not is_last:
                    await self._clock.sleep(_RETRY_S * attempt)
            else:
                self._observer.delivery(self._sink.name, "ok", event, enqueued_at)
                return
