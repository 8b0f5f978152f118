"""Light: labels where the factor changes, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.rendering.light import Light, exposure, light

TIMES = np.arange(40) / 10


def even(gain: np.ndarray) -> Light:
    return Light(
        np.broadcast_to(gain[:, None, None, None], (40, 1, 1, 3)).astype(np.float32), TIMES
    )


def test_a_step_is_told_when_it_happens_and_not_after() -> None:
    """A lamp that stays on is no event."""
    gain = np.where(TIMES < 2, 1.0, 1.5)
    states = even(gain).states
    assert states[19:21].max() == 1
    assert states[:18].max() == 0
    assert states[23:].max() == 0


def test_a_slow_drift_is_undecided_and_a_slower_one_nothing() -> None:
    """Per second: 8 % is open, 1 % is nothing."""
    assert set(even(np.exp(0.08 * TIMES)).states) == {0.5}
    assert set(even(np.exp(0.01 * TIMES)).states) == {0.0}


def test_the_picture_gets_brighter_by_the_factor() -> None:
    """And is handed through where the factor is 1."""
    picture = np.full((64, 64, 3), 80, np.uint8)
    lamp = even(np.where(TIMES < 2, 1.0, 1.5))
    assert lamp.apply(picture, 0) is picture
    assert lamp.apply(picture, 30).mean() == pytest.approx(120, abs=1)


def test_every_course_is_told_at_some_time_and_stays_in_range() -> None:
    """Over 40 seeds nearly all have a positive frame."""
    told = []
    for seed in range(40):
        course = light(np.random.default_rng(seed), TIMES)
        assert np.isin(course.states, (0, 0.5, 1)).all()
        told.append((course.states == 1).any())
    assert np.mean(told) > 0.85


def test_exposure_falls_when_something_bright_comes_and_recovers() -> None:
    """With a delay."""
    added = np.where((TIMES > 1) & (TIMES < 2), 0.3, 0.0)
    course = exposure(added, TIMES, 3.0, 0.3)
    grey = np.full((32, 32, 3), 100, np.uint8)
    means = [course.apply(grey, k).mean() for k in (5, 19, 39)]
    assert means[1] < 0.7 * means[0]
    assert means[2] > 0.95 * means[0]
    assert (course.states == 1).any()
