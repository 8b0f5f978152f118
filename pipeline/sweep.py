"""One recording, many settings: what a detector with other limits would have told.

In: recordings and limits by label. Out: alarms, from the production detector itself. Scores are
recorded once; only the detector runs again.
Invariant: with the bundle's own limits the alarms are those that `bresnet run` would have told.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from model.evaluation.matching import Alarm
from model.manifest import Manifest, Threshold
from pipeline.config import DetectorConfig
from pipeline.detector import MOTION, Detector
from pipeline.limits import rules_of
from pipeline.records import MotionSample, Prediction, RunEnded
from pipeline.replay import Item, Recording, alarms_of, decide

LimitsOf = Mapping[str, Threshold]
"""Limits by label."""

_LULL_S = 1.0
"""A pause between windows in which frames matter: they end events whose label is unseen."""
_EDGE = 1e-6


def bundle_limits(manifest: Manifest, config: DetectorConfig) -> dict[str, Threshold]:
    """Return the limits of each label: the operator's, else the bundle's, else the defaults."""
    rules = rules_of(config, manifest)
    names = tuple(Threshold.model_fields)
    return {
        label: Threshold(**{name: getattr(rules.limits(label), name) for name in names})
        for label in manifest.labels
    }


def shifted(limits: Threshold, by: float) -> Threshold:
    """Return limits that are stricter by so much log-odds (more lenient where negative)."""
    on, off = _moved(limits.on, by), _moved(limits.off, by)
    return limits.model_copy(update={"on": on, "off": min(on, off)})


def _moved(share: float, by: float) -> float:
    inside = min(max(share, _EDGE), 1 - _EDGE)
    return 1 / (1 + math.exp(-(math.log(inside / (1 - inside)) + by)))


class Tracks:
    """One recording, prepared for detectors.

    Args:
        recording: of a video.
        config: of the detector; limits are given with each question.
        manifest: of the bundle: labels and what they are for.
    """

    def __init__(self, recording: Recording, config: DetectorConfig, manifest: Manifest) -> None:
        self.recording = recording
        self._manifest = manifest
        unset = dict.fromkeys(("score_on", "score_off", "min_duration_s", "smoothing_s"))
        self._config = config
        self._open = config.model_copy(update=unset)
        self._items: dict[tuple[str, ...], tuple[Item, ...]] = {}
        self._motion = tuple(i for i in recording.items if not isinstance(i, Prediction))

    def alarms(self, limits: LimitsOf) -> list[Alarm]:
        """Return every alarm that would have been told with these limits.

        Args:
            limits: of all labels; nuisances with theirs silence others as they do live.
        """
        manifest = self._manifest.model_copy(update={"thresholds": dict(limits)})
        return self._run(self.recording.items, self._open, manifest)

    def among(self, label: str, limits: LimitsOf) -> list[Alarm]:
        """Return the alarms of a label with none but the labels of `limits` around; quicker.

        Args:
            label: one that raises events.
            limits: of it and of the nuisances that may silence it.
        """
        kinds = {name: self._manifest.kind(name) for name in limits}
        facts = {"labels": tuple(limits), "kinds": kinds, "thresholds": dict(limits)}
        manifest = self._manifest.model_copy(update=facts)
        found = self._run(self._chosen(tuple(limits)), self._open, manifest)
        return [alarm for alarm in found if alarm.label == label]

    def label(self, label: str, limit: Threshold) -> list[Alarm]:
        """Return when the score of a label was an event, whatever the label is for."""
        kinds = {label: "motion"}
        facts = {"labels": (label,), "kinds": kinds, "thresholds": {label: limit}}
        manifest = self._manifest.model_copy(update=facts)
        found = self._run(self._chosen((label,)), self._open, manifest)
        return [alarm for alarm in found if alarm.label == label]

    def motion(self, on: float | None = None) -> list[Alarm]:
        """Return the alarms of the motion gate alone, with another threshold where one is given.

        The lower threshold keeps its proportion.
        """
        changes: dict[str, object] = {"motion_events": "always"}
        if on is not None:
            off = on * self._config.motion_off / self._config.motion_on
            changes |= {"motion_on": on, "motion_off": off}
        found = self._run(self._motion, self._config.model_copy(update=changes), None)
        return [alarm for alarm in found if alarm.label == MOTION]

    def _run(
        self, items: Sequence[Item], config: DetectorConfig, manifest: Manifest | None
    ) -> list[Alarm]:
        numbers = itertools.count()
        detector = Detector("replay", config, lambda: str(next(numbers)), manifest)
        return alarms_of(decide(items, detector), self.recording.began_s)

    def _chosen(self, labels: tuple[str, ...]) -> tuple[Item, ...]:
        if labels not in self._items:
            self._items[labels] = tuple(_only(self.recording, labels))
        return self._items[labels]


def _only(recording: Recording, labels: tuple[str, ...]) -> Iterable[Item]:
    """Yield what matters to some labels: their scores, ends of runs, the last frame of a lull."""
    indexes = [recording.labels.index(label) for label in labels]
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
            yield replace(item, labels=labels, scores=tuple(item.scores[i] for i in indexes))
