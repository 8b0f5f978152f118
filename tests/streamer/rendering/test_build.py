"""Building figures: own axes become the world's."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.rendering.build import Builder, log_uniform, paint, surface_paint
from tests.streamer.rendering.staging import straight


def test_forward_left_and_up_turn_with_the_heading() -> None:
    """Facing away from the camera, forward is +Z, left is -X."""
    course = straight((0.0, 1.0), start=(2.0, 3.0))
    make = Builder(course.place, course.heading)
    make.add(np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]]))
    make.capsule(0, 1, 0.1, 0.1, np.zeros(3))
    points = make.figure("axes", core=np.array([0])).points
    assert points[0] == pytest.approx(np.array([[2, 0, 4], [1, 0, 3], [2, 1, 3]]))


def test_numbers_of_points_go_on() -> None:
    """The second lot begins after the first."""
    course = straight()
    make = Builder(course.place, course.heading)
    assert make.add(np.zeros((2, 3))).tolist() == [0, 1]
    assert make.add(np.zeros((1, 3))).tolist() == [2]


def test_colours_and_sizes_stay_in_range() -> None:
    """0..255, and between the bounds."""
    rng = np.random.default_rng(0)
    colours = np.array([paint(rng) for _ in range(200)] + [surface_paint(rng) for _ in range(200)])
    assert colours.min() >= 0
    assert colours.max() <= 255
    assert colours.std(axis=0).min() > 30
    sizes = [log_uniform(rng, 0.1, 10) for _ in range(300)]
    assert min(sizes) >= 0.1
    assert max(sizes) <= 10
    assert 0.3 < np.median(sizes) < 3
