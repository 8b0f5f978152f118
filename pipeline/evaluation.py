"""Figures of events over replayed videos: what `bresnet evaluate` says of them.

In: `Video`s and the limits of each label. Out: plain values for JSON and Markdown, and curves for
the pictures: of the bundle, and of the motion gate alone beside it.
Invariant: recall and false alarms of any kind are those of the labels that raise events; nuisances
are judged on their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.evaluation.curve import BUDGETS, Sweep, joined, shares, sweep_of
from model.evaluation.detection import direction_figures, figures_of
from model.evaluation.matching import Alarm, Directions, Matched, directions, match
from model.evaluation.truth import ANY, Vocabulary
from pipeline.cases import Video
from pipeline.sweep import LimitsOf, shifted

SHIFTS = np.linspace(-6.0, 8.0, 29)
"""Log-odds by which the limits of alerting labels are moved for the curve of a bundle."""
RECALLS = (0.5, 0.7, 0.8, 0.9, 0.95)
"""Recalls at which bundle and motion gate are compared, beside that of the bundle's own limits."""


def match_any(videos: Sequence[Video], alarms: Callable[[Video], list[Alarm]]) -> list[Matched]:
    """Compare alarms of any kind with motion of any kind."""
    return [
        match(alarms(video), video.truth.course(ANY), video.truth, video.recording.watched_from_s)
        for video in videos
    ]


@dataclass(frozen=True, slots=True)
class Sweeps:
    """Curves of a group of videos.

    Attributes:
        model: the limits of all alerting labels moved together.
        gate: the threshold of the motion gate alone.
    """

    model: Sweep
    gate: Sweep


def sweeps_of(videos: Sequence[Video], limits: LimitsOf, words: Vocabulary) -> Sweeps:
    """Run every setting of both sweeps over a group of videos.

    Nuisances keep their limits: moved along, they would silence everything at the lenient end.
    """

    def model(by: float) -> list[Matched]:
        moved = {label: shifted(limits[label], by) for label in words.alerting}
        return match_any(videos, lambda video: video.tracks.alarms({**limits, **moved}))

    def gate(on: float) -> list[Matched]:
        return match_any(videos, lambda video: video.tracks.motion(on))

    thresholds = shares()
    return Sweeps(
        sweep_of(SHIFTS, [model(by) for by in SHIFTS.tolist()]),
        sweep_of(thresholds, [gate(on) for on in thresholds.tolist()]),
    )


def events_report(
    videos: Sequence[Video], limits: LimitsOf, words: Vocabulary, sweeps: Sweeps
) -> dict[str, Any]:
    """Return the figures of a group of videos.

    Args:
        videos: at least one.
        limits: of every label.
        words: labels of the bundle.
        sweeps: of these videos.
    """
    alarms = {id(video): video.tracks.alarms(limits) for video in videos}
    found = match_any(videos, lambda video: alarms[id(video)])

    def of_label(video: Video, label: str) -> list[Alarm]:
        if label in words.alerting:
            return [alarm for alarm in alarms[id(video)] if alarm.label == label]
        return video.tracks.label(label, limits[label])

    labels = {
        label: figures_of(
            [match(of_label(v, label), v.truth.course(label), v.truth, _from(v)) for v in videos]
        ).as_json()
        for label in words.labels
    }
    courses = [directions(alarms[id(video)], video.truth, _from(video)) for video in videos]
    gate = match_any(videos, lambda video: video.tracks.motion())
    return {
        "any": figures_of(found).as_json(),
        "directions": direction_figures(courses),
        "labels": labels,
        "motion_gate": figures_of(gate).as_json(),
        "miss_rate_at": _miss_rates(sweeps.model),
        "motion_gate_miss_rate_at": _miss_rates(sweeps.gate),
        "curve": _points(sweeps.model),
        "motion_gate_curve": _points(sweeps.gate),
        "videos": [
            _video(video, one, alarms[id(video)], course)
            for video, one, course in zip(videos, found, courses, strict=True)
        ],
    }


def nuisance_report(
    objects: Sequence[Video], nuisances: Sequence[Video], limits: LimitsOf, sweeps: Sweeps
) -> dict[str, Any]:
    """Compare bundle and motion gate: false alarms on nuisances at the same recall on objects.

    Args:
        objects: videos in which something moves.
        nuisances: videos in which nothing moves, but much changes.
        limits: of every label.
        sweeps: recall of the former against false alarms of the latter.
    """
    own = figures_of(match_any(objects, lambda v: v.tracks.alarms(limits)), n_rounds=0)
    quiet = figures_of(match_any(nuisances, lambda v: v.tracks.alarms(limits)))
    compared = [
        {
            "recall": recall,
            "model_false_per_hour": sweeps.model.false_per_hour_at(recall),
            "motion_gate_false_per_hour": sweeps.gate.false_per_hour_at(recall),
        }
        for recall in (own.recall.value, *RECALLS)
    ]
    kinds: dict[str, list[Video]] = {}
    for video in nuisances:
        kinds.setdefault(video.recording.name.rpartition("-")[0], []).append(video)
    return {
        "hours": sum(video.recording.duration_s for video in nuisances) / 3600,
        "recall": own.recall.value,
        "false_per_hour": asdict(quiet.false_per_hour),
        "at_equal_recall": compared,
        "by_kind": {kind: _false_of(some, limits) for kind, some in sorted(kinds.items())},
        "miss_rate_at": _miss_rates(sweeps.model),
        "motion_gate_miss_rate_at": _miss_rates(sweeps.gate),
        "curve": _points(sweeps.model),
        "motion_gate_curve": _points(sweeps.gate),
    }


def crossed(objects: Sweeps, nuisances: Sweeps) -> Sweeps:
    """Return recall on the one group against false alarms on the other."""
    return Sweeps(joined(objects.model, nuisances.model), joined(objects.gate, nuisances.gate))


def delays_of(videos: Sequence[Video], limits: LimitsOf) -> npt.NDArray[np.float64]:
    """Return the seconds from start to first alarm of every event that was told in time."""
    found = match_any(videos, lambda video: video.tracks.alarms(limits))
    return np.array([e.delay_s for one in found for e in one.events if e.delay_s is not None])


def _false_of(videos: Sequence[Video], limits: LimitsOf) -> dict[str, Any]:
    model = figures_of(match_any(videos, lambda v: v.tracks.alarms(limits)))
    gate = figures_of(match_any(videos, lambda v: v.tracks.motion()))
    return {
        "model_false_per_hour": asdict(model.false_per_hour),
        "motion_gate_false_per_hour": asdict(gate.false_per_hour),
    }


def _from(video: Video) -> float:
    return video.recording.watched_from_s


def _miss_rates(sweep: Sweep) -> dict[str, dict[str, float]]:
    return {f"{budget:g}": asdict(sweep.miss_rate_at(budget)) for budget in BUDGETS}


def _points(sweep: Sweep) -> list[dict[str, float]]:
    return [asdict(point) for point in sweep.points()]


def _video(
    video: Video, found: Matched, alarms: Sequence[Alarm], course: Directions
) -> dict[str, Any]:
    return {
        "name": video.recording.name,
        "duration_s": video.recording.duration_s,
        "n_windows": video.recording.n_windows,
        "n_events": len(found.events),
        "n_told": sum(event.is_told for event in found.events),
        "n_false": found.n_false,
        "n_directed": course.n,
        "n_direction_right": course.n_right,
        "n_raised_in_empty": found.n_raised_in_empty,
        "n_reaching_into_empty": found.n_reaching_into_empty,
        "events": [asdict(event) for event in found.events],
        "alarms": [asdict(alarm) for alarm in alarms],
    }
