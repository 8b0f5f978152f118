"""What a destination of events is, and the one shape in which events leave this program.

In: `Event`. Out: a mapping of JSON types, the same for every sink. Invariant: the keys below stay
once they are released; `schema` grows when a meaning changes.
"""

from __future__ import annotations

import dataclasses
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

from pipeline.latency import onset_at
from pipeline.records import Event

SCHEMA = 1
"""Version of the mapping."""


@runtime_checkable
class Sink(Protocol):
    """A destination, used by one task: enter, deliver in order, leave.

    Entering takes files and connections and raises ConfigError when the operator has to act.
    """

    name: str
    """Label of the sink in metrics and logs."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    async def deliver(self, event: Event) -> None:
        """Take one event; return when it is safe with the destination.

        Raises:
            SinkError: it was not taken, and nothing of it was; it may be delivered again.
        """
        ...


class ReadySink:
    """Base of sinks that have nothing to take and nothing to give back."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


def event_record(event: Event) -> dict[str, Any]:
    """Return an event as a mapping of JSON types.

    Returns:
        schema, event_id, phase, camera, label; onset_s, detected_s, ended_s on the stream's time
        line; ended_by; onset_wall; score, peak; region (None, or box in shares of the picture,
        start_s, end_s and the overlay's file name); latency (seconds, None where unknown); timeline
        (monotonic seconds of this machine, None where a stage was not passed).
    """
    return {
        "schema": SCHEMA,
        "event_id": event.event_id,
        "phase": event.phase,
        "camera": event.camera,
        "label": event.label,
        "onset_s": event.onset_s,
        "detected_s": event.detected_s,
        "ended_s": event.ended_s,
        "ended_by": event.ended_by,
        "onset_wall": event.onset_wall,
        "score": event.score,
        "peak": event.peak,
        "region": None if event.region is None else dataclasses.asdict(event.region),
        "latency": _latency(event),
        "timeline": {name: at or None for name, at in dataclasses.asdict(event.timeline).items()},
    }


def _latency(event: Event) -> dict[str, float | None]:
    """Return what people ask for first: how long after the world moved did we know."""
    line = event.timeline
    is_known = bool(line.captured_at and line.decided_at)
    capture_s = line.decided_at - line.captured_at if is_known else None
    score_s = line.scored_at - line.captured_at if line.captured_at and line.scored_at else None
    onset_s = line.decided_at - onset_at(event) if is_known else None
    return {
        "capture_to_score_s": score_s,
        "capture_to_decision_s": capture_s,
        "onset_to_decision_s": onset_s,
    }
