"""Claims about model.evaluation.curve: what a budget of false alarms buys."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.evaluation.curve import Point, Sweep, frontier, joined, shares, sweep_of
from model.evaluation.matching import Alarm, match
from model.evaluation.span import Span
from model.evaluation.truth import Course, Truth

HOUR = 3600.0
SWEEP = Sweep(
    settings=np.array([0.2, 0.5, 0.9]),
    told=np.array([[4.0, 4.0], [4.0, 3.0], [2.0, 0.0]]),
    false=np.array([[30.0, 10.0], [2.0, 0.0], [0.0, 0.0]]),
    events=np.array([4.0, 4.0]),
    empty_s=np.array([HOUR, HOUR]),
)


def test_points_are_of_all_videos_together() -> None:
    """40 false alarms in two hours; 7 of 8 events."""
    assert SWEEP.points() == [
        Point(0.2, 20.0, 1.0),
        Point(0.5, 1.0, 7 / 8),
        Point(0.9, 0.0, 0.25),
    ]


@pytest.mark.parametrize(("budget", "miss"), [(0.1, 0.75), (1.0, 1 / 8), (30.0, 0.0)])
def test_the_miss_rate_at_a_budget(budget: float, miss: float) -> None:
    """Of the settings within the budget the one that finds most."""
    found = SWEEP.miss_rate_at(budget, n_rounds=100)
    assert found.value == pytest.approx(miss)
    assert found.low <= found.value <= found.high


def test_false_alarms_at_a_recall() -> None:
    """The cheapest setting that finds as much; infinity where none does."""
    assert SWEEP.false_per_hour_at(0.8) == 1.0
    assert SWEEP.false_per_hour_at(7 / 8) == 1.0
    assert SWEEP.false_per_hour_at(0.9) == 20.0
    assert SWEEP.false_per_hour_at(1.1) == float("inf")


def test_a_budget_that_no_setting_keeps_misses_everything() -> None:
    """A miss rate of 1."""
    loud = Sweep(SWEEP.settings[:1], SWEEP.told[:1], SWEEP.false[:1], SWEEP.events, SWEEP.empty_s)
    assert loud.miss_rate_at(0.1, n_rounds=10).value == 1.0


def test_recall_of_one_set_goes_with_false_alarms_of_another() -> None:
    """Objects here, nuisances there."""
    quiet = Sweep(
        settings=SWEEP.settings,
        told=np.zeros((3, 1)),
        false=np.array([[8.0], [4.0], [2.0]]),
        events=np.zeros(1),
        empty_s=np.array([2 * HOUR]),
    )
    points = joined(SWEEP, quiet).points()
    assert [(p.false_per_hour, p.recall) for p in points] == [(4, 1.0), (2, 7 / 8), (1, 0.25)]


def test_videos_without_events_or_empty_time_have_no_points() -> None:
    """NaN."""
    nothing = Sweep(SWEEP.settings, SWEEP.told * 0, SWEEP.false, np.zeros(2), np.zeros(2))
    assert all(np.isnan([p.recall, p.false_per_hour]).all() for p in nothing.points())
    assert np.isnan(nothing.miss_rate_at(1.0, n_rounds=10).value)


def test_a_sweep_is_made_of_what_was_matched() -> None:
    """One alarm at the first setting, none at the second."""
    truth = Truth("v", 100.0, {})
    course = Course((Span(10, 14),), (Span(20, 100),))
    told = match([Alarm("left", Span(10, 14), 11)], course, truth)
    silent = match([], course, truth)
    found = sweep_of(np.array([0.1, 0.9]), [[told], [silent]])
    assert found.told.tolist() == [[1], [0]]
    assert found.events.tolist() == [1]
    assert found.empty_s.tolist() == [80]


POINTS = st.lists(st.builds(Point, st.just(0.0), st.integers(0, 9), st.integers(0, 9)), max_size=12)


@given(POINTS)
def test_no_point_beats_one_of_the_frontier(points: list[Point]) -> None:
    """Fewer false alarms and no less recall; and every point is beaten or equalled by it."""
    best = frontier(points)
    assert [p.recall for p in best] == sorted({p.recall for p in best})
    for point in points:
        assert any(
            b.recall >= point.recall and b.false_per_hour <= point.false_per_hour for b in best
        )


def test_thresholds_are_dense_at_both_ends() -> None:
    """Rising, inside 0 and 1, closest at the ends."""
    found = shares()
    steps = np.diff(found)
    assert 0 < found[0] < 0.01
    assert 0.99 < found[-1] < 1
    assert (steps > 0).all()
    assert max(steps[0], steps[-1]) < steps.max() / 10
