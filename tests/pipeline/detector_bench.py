"""A detector for tests, with what every call needs; it keeps all events."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from pipeline.config import DetectorConfig
from pipeline.detector import Detector
from pipeline.records import EndReason, Event, Prediction, Timeline, Window

WALL = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
LINE = Timeline(1.0, 2.0, 3.0)
EXACT = DetectorConfig(smoothing_s=0, min_duration_s=0.3, quiet_s=1.5, update_s=5.0)


class Bench:
    """A detector with what every call needs; keeps all events."""

    def __init__(self, config: DetectorConfig = EXACT) -> None:
        ids = itertools.count()
        self.detector = Detector("door", config, lambda: f"e{next(ids)}")
        self.events: list[Event] = []

    def motion(self, media_s: float, score: float, is_warm: bool = True) -> list[Event]:
        wall = WALL + timedelta(seconds=media_s)
        return self._keep(self.detector.observe_motion(media_s, score, is_warm, wall, LINE))

    def motions(self, start_s: float, end_s: float, score: float, step_s: float = 0.1) -> None:
        for index in range(round((end_s - start_s) / step_s)):
            self.motion(start_s + index * step_s, score)

    def scores(
        self, media_s: float, run: int = 0, is_trained: bool = True, **scores: float
    ) -> list[Event]:
        return self._keep(
            self.detector.observe_prediction(
                prediction(media_s, scores, run, is_trained), WALL + timedelta(seconds=media_s)
            )
        )

    def end_all(self, media_s: float, reason: EndReason) -> list[Event]:
        return self._keep(self.detector.end_all(media_s, reason, WALL, LINE))

    def phases(self) -> list[str]:
        return [event.phase for event in self.events]

    def _keep(self, events: list[Event]) -> list[Event]:
        self.events += events
        return events


def prediction(media_s: float, scores: dict[str, float], run: int, is_trained: bool) -> Prediction:
    window = Window(
        window_id=0,
        camera="door",
        run=run,
        first_seq=0,
        last_seq=31,
        media_start_s=media_s - 3.1,
        media_end_s=media_s,
        coverage=1.0,
        motion=1.0,
        is_degraded=False,
        timeline=LINE,
    )
    return Prediction(
        window=window,
        labels=tuple(scores),
        scores=tuple(scores.values()),
        model="test",
        is_trained=is_trained,
        batch_size=1,
        timeline=LINE,
    )
