"""Seconds between the instants of a timeline, and their percentiles over a run.

In: the `Timeline` of every scored window and decided event. Out: p50, p95 and p99 by stage.
Invariant: memory is bounded; the percentiles are those of the last 4096 samples of each stage.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise

from pipeline.records import Event, Timeline
from pipeline.report import StageSummary

STAGES = ("receive", "ring", "window", "batch_wait", "queue", "infer")
"""Between two neighbouring instants of a `Timeline` each, from captured_at to scored_at."""

_SAMPLES = 4096


def percentile(ordered: list[float], share: float) -> float | None:
    """Return the nearest-rank percentile of ascending values, or None without values."""
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def stage_times(timeline: Timeline) -> dict[str, float]:
    """Return seconds spent in each stage of `STAGES` that was passed, and `total` once scored."""
    instants = (
        timeline.captured_at,
        timeline.arrived_at,
        timeline.placed_at,
        timeline.ready_at,
        timeline.dispatched_at,
        timeline.started_at,
        timeline.scored_at,
    )
    times = {
        stage: max(0.0, after - before)
        for stage, (before, after) in zip(STAGES, pairwise(instants), strict=True)
        if before and after
    }
    if timeline.captured_at and timeline.scored_at:
        times["total"] = max(0.0, timeline.scored_at - timeline.captured_at)
    return times


def onset_at(event: Event) -> float:
    """Return the instant of an onset: as long before the deciding frame as on the stream's time."""
    return event.timeline.captured_at - (event.detected_s - event.onset_s)


class StageTimes:
    """Bounded reservoirs of stage durations, shared by all cameras."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[float]] = {}

    def add(self, timeline: Timeline) -> float | None:
        """Keep the stage times of a scored window; return captured -> scored seconds."""
        times = stage_times(timeline)
        for stage, seconds in times.items():
            self._samples.setdefault(stage, deque(maxlen=_SAMPLES)).append(seconds)
        return times.get("total")

    def decided(self, timeline: Timeline) -> None:
        """Keep captured -> decided seconds of an event."""
        if timeline.captured_at and timeline.decided_at:
            seconds = max(0.0, timeline.decided_at - timeline.captured_at)
            self._samples.setdefault("decision", deque(maxlen=_SAMPLES)).append(seconds)

    def report(self) -> list[StageSummary]:
        """Return the stages that have samples, in the order of the data."""
        rows = []
        for stage in (*STAGES, "total", "decision"):
            ordered = sorted(self._samples.get(stage, ()))
            p50, p95, p99 = (percentile(ordered, share) for share in (0.5, 0.95, 0.99))
            if p50 is not None and p95 is not None and p99 is not None:
                rows.append(
                    StageSummary(stage=stage, n=len(ordered), p50_s=p50, p95_s=p95, p99_s=p99)
                )
        return rows
