"""The trade between misses and false alarms: a point for each setting of a sweep.

In: for each setting and video, how many events were told and how many alarms were false. Out: the
curve, the miss rate that a budget of false alarms leaves, and its interval by video. Pure.
Invariant: a larger budget never leaves a higher miss rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.evaluation.interval import Interval, bootstrap
from model.evaluation.matching import Matched

HOUR_S = 3600.0
BUDGETS = (0.1, 1.0, 10.0)
"""False alarms an hour at which the miss rate is told."""
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Point:
    """One setting.

    Attributes:
        setting: what was swept.
        false_per_hour: false episodes an hour of time in which nothing moved.
        recall: share of events told.
    """

    setting: float
    false_per_hour: float
    recall: float


@dataclass(frozen=True, slots=True)
class Sweep:
    """What came of each setting in each video.

    Attributes:
        settings: float64 (P,).
        told: float64 (P, V), events told.
        false: float64 (P, V), false episodes.
        events: float64 (V,), events.
        empty_s: float64 (V,), seconds in which an alarm is false.
    """

    settings: FloatArray
    told: FloatArray
    false: FloatArray
    events: FloatArray
    empty_s: FloatArray

    def points(self) -> list[Point]:
        """Return the point of each setting; NaN where there is no event or no empty time."""
        recall, false = self._figures(np.arange(len(self.events), dtype=np.int64))
        columns = zip(self.settings.tolist(), false.tolist(), recall.tolist(), strict=True)
        return [Point(*values) for values in columns]

    def miss_rate_at(self, budget: float, *, n_rounds: int = 1000, seed: int = 0) -> Interval:
        """Return the lowest miss rate within a budget of false alarms an hour; 1 where none is."""

        def statistic(drawn: npt.NDArray[np.int64]) -> float:
            recall, false = self._figures(drawn)
            if np.isnan(recall).any() or np.isnan(false).any():
                return float("nan")
            return 1.0 - float(recall[false <= budget].max(initial=0.0))

        return bootstrap(len(self.events), statistic, n_rounds=n_rounds, seed=seed)

    def false_per_hour_at(self, recall: float) -> float:
        """Return the fewest false alarms an hour with at least that recall; infinity if never."""
        reached = [p.false_per_hour for p in self.points() if p.recall >= recall - 1e-9]
        return min(reached, default=float("inf"))

    def _figures(self, videos: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
        with np.errstate(invalid="ignore", divide="ignore"):
            recall = self.told[:, videos].sum(axis=1) / self.events[videos].sum()
            hours = self.empty_s[videos].sum() / HOUR_S
            false = self.false[:, videos].sum(axis=1) / hours if hours else recall * np.nan
        return recall, false


def sweep_of(settings: FloatArray, matched: Sequence[Sequence[Matched]]) -> Sweep:
    """Return the sweep of what was matched at each setting, one list of videos a setting."""

    def table(count: str) -> FloatArray:
        return np.array([[getattr(one, count) for one in row] for row in matched], np.float64)

    told = [[sum(event.is_told for event in one.events) for one in row] for row in matched]
    first = matched[0] if matched else []
    return Sweep(
        settings=settings,
        told=np.array(told, np.float64).reshape(len(settings), -1),
        false=table("n_false_episodes").reshape(len(settings), -1),
        events=np.array([len(one.events) for one in first], np.float64),
        empty_s=np.array([one.empty_s for one in first], np.float64),
    )


def joined(events: Sweep, empty: Sweep) -> Sweep:
    """Return recall on the videos of one sweep against false alarms on those of the other.

    Both must have swept the same settings.
    """
    n_events, n_empty = len(events.events), len(empty.events)
    rows = len(events.settings)
    return Sweep(
        settings=events.settings,
        told=np.hstack([events.told, np.zeros((rows, n_empty))]),
        false=np.hstack([np.zeros((rows, n_events)), empty.false]),
        events=np.concatenate([events.events, np.zeros(n_empty)]),
        empty_s=np.concatenate([np.zeros(n_events), empty.empty_s]),
    )


def frontier(points: Sequence[Point]) -> list[Point]:
    """Return the settings that no other beats in both figures, by false alarms."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.false_per_hour, -p.recall)):
        if np.isfinite(point.recall) and (not best or point.recall > best[-1].recall):
            best.append(point)
    return best


def shares(n: int = 41, low: float = -6.0, high: float = 8.0) -> FloatArray:
    """Return n thresholds between 0 and 1, even in log-odds, so that both ends are dense."""
    return np.asarray(1 / (1 + np.exp(-np.linspace(low, high, n))), np.float64)
