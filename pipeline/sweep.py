"""One recording, many settings: what a detector with other limits would have told.

In: recordings and limits by label. Out: alarms, from the production detector itself. Scores are
recorded once; only the detector runs again, a label at a time, on the moments that matter to it.
Invariant: with the same limits for all labels the alarms are those of one detector over the whole
recording.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from model.evaluation.matching import Alarm
from pipeline.config import DetectorConfig
from pipeline.detector import MOTION, Detector
from pipeline.records import MotionSample, Prediction, RunEnded
from pipeline.replay import Item, Recording, alarms_of, decide

_LULL_S = 1.0
"""A pause between windows in which frames matter: they end events whose label is unseen."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When the score of a label is an event.

    Attributes:
        on: smoothed score that begins one.
        off: score below which it may end.
        min_duration_s: seconds it must stay above `on`.
        smoothing_s: time constant.
    """

    on: float
    off: float
    min_duration_s: float
    smoothing_s: float

    def shifted(self, by: float) -> Limits:
        """Return limits that are stricter by so much log-odds (more lenient where negative)."""
        return replace(self, on=_moved(self.on, by), off=_moved(self.off, by))


def limits_of(config: DetectorConfig) -> Limits:
    """Return what the configuration says for every label."""
    return Limits(config.score_on, config.score_off, config.min_duration_s, config.smoothing_s)


def _moved(share: float, by: float) -> float:
    inside = min(max(share, 1e-6), 1 - 1e-6)
    return 1 / (1 + math.exp(-(math.log(inside / (1 - inside)) + by)))


class Tracks:
    """One recording, prepared label by label.

    Args:
        recording: of a video.
        config: of the detector; limits replace its thresholds, minimum duration and smoothing.
    """

    def __init__(self, recording: Recording, config: DetectorConfig) -> None:
        self.recording = recording
        self._config = config
        self._items = {label: tuple(_only(recording, label)) for label in recording.labels}
        self._motion = tuple(i for i in recording.items if not isinstance(i, Prediction))

    def alarms(self, limits: Mapping[str, Limits]) -> list[Alarm]:
        """Return the alarms of these labels, in the order they were told."""
        told = [alarm for label, limit in limits.items() for alarm in self.label(label, limit)]
        return sorted(told, key=lambda alarm: (alarm.detected_s, alarm.label))

    def label(self, label: str, limit: Limits) -> list[Alarm]:
        """Return the alarms of one label."""
        config = self._config.model_copy(
            update={
                "score_on": limit.on,
                "score_off": limit.off,
                "min_duration_s": limit.min_duration_s,
                "smoothing_s": limit.smoothing_s,
            }
        )
        return self._run(self._items[label], config, label)

    def motion(self, on: float | None = None) -> list[Alarm]:
        """Return the alarms of the motion gate alone, with another threshold where one is given.

        The lower threshold keeps its proportion.
        """
        config = self._config
        if on is not None:
            off = on * config.motion_off / config.motion_on
            config = config.model_copy(update={"motion_on": on, "motion_off": off})
        return self._run(self._motion, config, MOTION)

    def _run(self, items: Sequence[Item], config: DetectorConfig, label: str) -> list[Alarm]:
        numbers = itertools.count()
        detector = Detector("replay", config, lambda: str(next(numbers)))
        events = [event for event in decide(items, detector) if event.label == label]
        return alarms_of(events, self.recording.began_s)


def _only(recording: Recording, label: str) -> Iterable[Item]:
    """Yield what matters to one label: its scores, the end of runs, the last frame of a lull."""
    index = recording.labels.index(label)
    frame: MotionSample | None = None
    since_s = -math.inf
    for item in recording.items:
        if isinstance(item, MotionSample):
            frame = item
            continue
        if frame is not None and frame.media_s - since_s > _LULL_S:
            yield frame
        if isinstance(item, RunEnded):
            frame, since_s = None, -math.inf
            yield item
        else:
            since_s = item.window.media_end_s
            yield replace(item, labels=(label,), scores=(item.scores[index],))
