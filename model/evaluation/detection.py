"""Figures of events over many videos: recall, false alarms an hour, time to detect, with intervals.

In: what `match` found in each video. Out: an `EventFigures`; intervals by drawing whole videos.
Invariant: precision and recall are of counts over all videos, never means of the videos' figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.evaluation.interval import Interval, bootstrap
from model.evaluation.matching import Directions, Matched

HOUR_S = 3600.0
Sums = npt.NDArray[np.float64]

_COUNTS = (
    "n_events",
    "n_told",
    "n_covered",
    "n_hits",
    "n_false",
    "n_overstaying",
    "n_false_episodes",
    "n_raised_in_empty",
    "n_reaching_into_empty",
    "n_repeats",
    "n_fragmented",
    "empty_s",
    "watched_s",
)


@dataclass(frozen=True, slots=True)
class EventFigures:
    """How well events were told.

    Attributes:
        counts: what the figures are made of.
        recall: share of events told inside.
        recall_covered: share of events with an alarm going on.
        precision: share of hits among hits and false alarms.
        f1: of precision and recall.
        false_per_hour: false episodes an hour of time in which nothing moved.
        delay_p50_s: median time from the start of an event to its first alarm, of told events.
        delay_p90_s: 90th percentile of it.
        repeats: further alarms of the same label an event told.
        fragmented: share of covered events whose alarms have a gap.
    """

    counts: dict[str, float]
    recall: Interval
    recall_covered: Interval
    precision: Interval
    f1: Interval
    false_per_hour: Interval
    delay_p50_s: Interval
    delay_p90_s: Interval
    repeats: Interval
    fragmented: Interval

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def figures_of(matched: Sequence[Matched], *, n_rounds: int = 1000, seed: int = 0) -> EventFigures:
    """Compute the figures of one label over all videos.

    Args:
        matched: one a video.
        n_rounds: draws of the bootstrap; 0 computes no intervals, which is quick.
        seed: of the draws.
    """
    table = np.array([_row(one) for one in matched], np.float64).reshape(-1, len(_COUNTS))
    delays = [[e.delay_s for e in one.events if e.delay_s is not None] for one in matched]

    def interval(figure: Callable[[Sums], float]) -> Interval:
        return _interval(len(matched), lambda drawn: figure(table[drawn].sum(axis=0)))

    def _interval(n: int, statistic: Callable[[npt.NDArray[np.int64]], float]) -> Interval:
        if n_rounds == 0:
            value = statistic(np.arange(n, dtype=np.int64))
            return Interval(value, float("nan"), float("nan"))
        return bootstrap(n, statistic, n_rounds=n_rounds, seed=seed)

    def delay(share: float) -> Interval:
        def statistic(drawn: npt.NDArray[np.int64]) -> float:
            chosen = [delay for video in drawn for delay in delays[video]]
            return float(np.quantile(chosen, share)) if chosen else float("nan")

        return _interval(len(matched), statistic)

    totals = table.sum(axis=0)
    return EventFigures(
        counts=dict(zip(_COUNTS, totals.tolist(), strict=True)),
        recall=interval(lambda s: _ratio(s, "n_told", "n_events")),
        recall_covered=interval(lambda s: _ratio(s, "n_covered", "n_events")),
        precision=interval(_precision),
        f1=interval(_f1),
        false_per_hour=interval(lambda s: HOUR_S * _ratio(s, "n_false_episodes", "empty_s")),
        delay_p50_s=delay(0.5),
        delay_p90_s=delay(0.9),
        repeats=interval(lambda s: _ratio(s, "n_repeats", "n_told")),
        fragmented=interval(lambda s: _ratio(s, "n_fragmented", "n_covered")),
    )


def direction_figures(found: Sequence[Directions], *, seed: int = 0) -> dict[str, Any]:
    """Return the share of right directions with its interval, and the counts."""
    table = np.array([(one.n_right, one.n_told, one.n) for one in found], np.float64)
    table = table.reshape(-1, 3)

    def share(drawn: npt.NDArray[np.int64]) -> float:
        right, _, n = table[drawn].sum(axis=0)
        return float(right / n) if n else float("nan")

    n_right, n_told, n = (int(value) for value in table.sum(axis=0))
    accuracy = asdict(bootstrap(len(found), share, seed=seed))
    return {"n_right": n_right, "n_told": n_told, "n": n, "accuracy": accuracy}


def _row(one: Matched) -> tuple[float, ...]:
    events = one.events
    return (
        len(events),
        sum(event.is_told for event in events),
        sum(event.is_covered for event in events),
        one.n_hits,
        one.n_false,
        one.n_overstaying,
        one.n_false_episodes,
        one.n_raised_in_empty,
        one.n_reaching_into_empty,
        sum(event.n_repeats for event in events),
        sum(event.n_pieces > 1 for event in events),
        one.empty_s,
        one.watched_s,
    )


def _of(sums: Sums, name: str) -> float:
    return float(sums[_COUNTS.index(name)])


def _ratio(sums: Sums, above: str, below: str) -> float:
    divisor = _of(sums, below)
    return _of(sums, above) / divisor if divisor else float("nan")


def _precision(sums: Sums) -> float:
    hits, false = _of(sums, "n_hits"), _of(sums, "n_false")
    return hits / (hits + false) if hits + false else float("nan")


def _f1(sums: Sums) -> float:
    precision, recall = _precision(sums), _ratio(sums, "n_told", "n_events")
    if not precision + recall > 0:
        return float("nan") if np.isnan(precision + recall) else 0.0
    return 2 * precision * recall / (precision + recall)
