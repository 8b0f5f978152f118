"""Claims about model.evaluation.interval: limits by drawing whole videos."""

from __future__ import annotations

import numpy as np
import pytest

from model.evaluation.interval import Indexes, bootstrap, rows_of


def test_the_limits_of_a_mean_are_about_two_standard_errors_away() -> None:
    """400 values with standard deviation 1: 0.05 a standard error."""
    values = np.random.default_rng(1).standard_normal(400)
    found = bootstrap(400, lambda drawn: float(values[drawn].mean()))
    assert found.value == pytest.approx(values.mean())
    assert found.value - found.low == pytest.approx(1.96 * 0.05, rel=0.2)
    assert found.high - found.value == pytest.approx(1.96 * 0.05, rel=0.2)


def test_the_same_seed_gives_the_same_limits() -> None:
    """Another one gives others."""
    values = np.arange(20.0)

    def mean(drawn: Indexes) -> float:
        return float(values[drawn].mean())

    assert bootstrap(20, mean, seed=3) == bootstrap(20, mean, seed=3)
    assert bootstrap(20, mean, seed=3) != bootstrap(20, mean, seed=4)


def test_one_video_has_no_limits_and_none_has_no_figure() -> None:
    """Nothing is known of how much another video would differ."""
    one = bootstrap(1, lambda drawn: 0.5)
    assert one.value == 0.5
    assert np.isnan([one.low, one.high]).all()
    assert np.isnan(bootstrap(0, lambda drawn: 0.5).value)


def test_draws_without_a_figure_are_left_out() -> None:
    """A draw without any event says nothing; where none says anything there are no limits."""
    found = bootstrap(2, lambda drawn: 1.0 if 0 in drawn else float("nan"))
    assert (found.low, found.high) == (1.0, 1.0)
    assert np.isnan(bootstrap(2, lambda drawn: float("nan")).low)


def test_rows_are_sorted_by_group() -> None:
    """Groups without rows are there, empty."""
    rows = rows_of(np.array([2, 0, 2], np.int64), 4)
    assert [own.tolist() for own in rows] == [[1], [], [0, 2], []]
