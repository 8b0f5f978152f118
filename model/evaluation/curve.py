"""The trade between misses and false alarms: a point for each threshold, and what lies between.

In: false alarms an hour and recall at each setting of a sweep. Out: the best recall that a budget
of false alarms allows. Pure.
Invariant: a budget never buys less recall than a smaller one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BUDGETS = (0.1, 1.0, 10.0)
"""False alarms an hour at which the miss rate is told."""


@dataclass(frozen=True, slots=True)
class Point:
    """One setting.

    Attributes:
        threshold: what was swept.
        false_per_hour: false alarms an hour.
        recall: share of events told.
        delay_p50_s: median time to detect; NaN where nothing was told.
    """

    threshold: float
    false_per_hour: float
    recall: float
    delay_p50_s: float = float("nan")


def miss_rate_at(points: Sequence[Point], budget: float) -> float:
    """Return the lowest miss rate among the settings within a budget; 1 where none is."""
    within = [p.recall for p in points if p.false_per_hour <= budget and np.isfinite(p.recall)]
    return 1.0 - max(within, default=0.0)


def false_per_hour_at(points: Sequence[Point], recall: float) -> float:
    """Return the fewest false alarms an hour at which a recall is reached; infinity if never."""
    reached = [p.false_per_hour for p in points if p.recall >= recall - 1e-9]
    return min(reached, default=float("inf"))


def frontier(points: Sequence[Point]) -> list[Point]:
    """Return the settings that no other beats in both figures, by false alarms."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.false_per_hour, -p.recall)):
        if np.isfinite(point.recall) and (not best or point.recall > best[-1].recall):
            best.append(point)
    return best


def thresholds(n: int = 41, low: float = -8.0, high: float = 8.0) -> npt.NDArray[np.float64]:
    """Return n thresholds between 0 and 1, even in log-odds, so that both ends are dense."""
    return np.asarray(1 / (1 + np.exp(-np.linspace(low, high, n))), np.float64)
