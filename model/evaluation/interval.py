"""How sure a figure is: bootstrap intervals that draw whole videos, not windows or events.

In: a figure as a function of the groups that were drawn. Out: the figure with the limits between
which it falls in 95 of 100 draws. Windows of one video resemble each other: drawing them one by one
would promise far more than is known.
Invariant: the same groups and seed give the same limits.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Indexes = npt.NDArray[np.int64]
ROUNDS = 1000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and its limits; NaN where there is nothing to compute it from.

    Attributes:
        value: from all groups.
        low: lower limit.
        high: upper limit.
    """

    value: float
    low: float
    high: float


def bootstrap(
    n_groups: int,
    statistic: Callable[[Indexes], float],
    *,
    n_rounds: int = ROUNDS,
    seed: int = 0,
) -> Interval:
    """Compute a figure with its interval.

    Args:
        n_groups: number of videos (or clips) the data come from.
        statistic: the figure of the groups with these indexes, int64 (n_groups,), some drawn
            several times, some never; may return NaN.
        n_rounds: draws.
        seed: of the draws.

    Returns:
        the figure of all groups and the 2.5 and 97.5 percentiles of the draws; NaN limits for
        fewer than two groups.
    """
    everything = np.arange(n_groups, dtype=np.int64)
    value = float(statistic(everything)) if n_groups else float("nan")
    if n_groups < 2:
        return Interval(value, float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    drawn = np.array(
        [statistic(rng.integers(0, n_groups, n_groups)) for _ in range(n_rounds)], np.float64
    )
    finite = drawn[np.isfinite(drawn)]
    if not len(finite):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high))


def rows_of(groups: npt.NDArray[np.int64], n_groups: int) -> list[Indexes]:
    """Return the rows of each group, so that a draw of groups becomes a draw of rows.

    Args:
        groups: int64 (N,), the group of each row, 0..n_groups-1.
        n_groups: number of groups.
    """
    order = np.argsort(groups, kind="stable").astype(np.int64)
    bounds = np.searchsorted(groups[order], np.arange(n_groups + 1))
    return [order[start:end] for start, end in itertools.pairwise(bounds)]
