"""People: they stand still, walk, bend and fall as told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamer.rendering.body import person, random_build, rest
from streamer.rendering.figure import Figure
from tests.streamer.rendering.staging import TIMES, N, straight


def someone(velocity: tuple[float, float] = (0.0, 0.0), **pose: object) -> Figure:
    rng = np.random.default_rng(1)
    build = replace(random_build(rng, "train"), height_m=1.8)
    return person(rng, straight(velocity), replace(rest(N), **pose), build)  # type: ignore[arg-type]


def test_somebody_who_just_stands_does_not_move_at_all() -> None:
    """Not a point of it: a standing person must be nothing."""
    points = someone().points
    assert np.ptp(points, axis=0).max() == 0


def test_a_person_stands_on_the_ground_and_is_as_tall_as_said() -> None:
    """Feet near 0, head near 1.8 m."""
    points = someone((1.0, 0.0)).points
    assert -0.01 < points[..., 1].min() < 0.08
    assert 1.6 < points[..., 1].max() < 1.85


def test_walking_swings_the_limbs_and_carries_the_body() -> None:
    """The body goes 1 m/s; feet go faster and slower than that."""
    figure = someone((1.0, 0.0))
    body = figure.points[:, figure.core].mean(axis=1)
    assert np.gradient(body[:, 0], TIMES).mean() == pytest.approx(1.0, abs=0.1)
    swing = figure.points[:, figure.parts] - body[:, None]
    assert np.ptp(swing[..., 0], axis=0).max() > 0.3


def test_a_fall_brings_the_head_to_the_ground() -> None:
    """Whether forwards or sideways."""
    angle = np.linspace(0, 1.5, N)
    for sideways in (0.0, 1.0):
        points = someone(fall=angle, fall_sideways=sideways).points
        assert points[0, :, 1].max() > 1.6
        assert points[-1, :, 1].max() < 0.6


def test_squatting_lowers_the_body() -> None:
    """By more than a fifth of its height."""
    figure = someone(crouch=np.linspace(0, 1, N))
    heights = figure.points[:, figure.core, 1].mean(axis=1)
    assert heights[0] - heights[-1] > 0.36


def test_the_holdout_has_other_people() -> None:
    """Bags and hair that training never has."""
    rng = np.random.default_rng(0)
    bags = {
        split: {random_build(rng, split).bag for _ in range(80)} for split in ("train", "holdout")
    }
    assert bags["train"] & bags["holdout"] == {0}
