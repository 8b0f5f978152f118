"""The camera: projection and its inverses agree."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.rendering.view import View
from tests.streamer.rendering.staging import level_view


@pytest.mark.parametrize("tilt", [0.0, 0.4, 1.3])
def test_a_point_of_the_ground_comes_back_from_its_place_in_the_picture(tilt: float) -> None:
    """Projecting and asking where the ray meets the ground returns the point."""
    view = View(3.0, tilt, 0.05, 1.2, 16 / 9)
    points = np.array([[0.5, 0, 4.0], [-1.0, 0, 3.0], [0.2, 0, 1.5]])
    place, depth = view.project(points)
    assert (depth > 0).all()
    assert view.ground(place) == pytest.approx(points, abs=1e-6)
    assert view.at_depth(place, depth) == pytest.approx(points, abs=1e-6)


def test_farther_is_smaller_and_right_is_right() -> None:
    """A metre at twice the distance covers half as much; +X is to the right, +Y up."""
    view = level_view()
    near, _ = view.project(np.array([[0, 1.5, 4.0], [1, 1.5, 4.0], [0, 2.5, 4.0]]))
    far, _ = view.project(np.array([[0, 1.5, 8.0], [1, 1.5, 8.0]]))
    assert near[1, 0] - near[0, 0] == pytest.approx(2 * (far[1, 0] - far[0, 0]))
    assert near[2, 1] < near[0, 1]


def test_rays_that_rise_meet_the_ground_far_away() -> None:
    """Above the horizon there is no ground: the answer is far, never behind the camera."""
    spot = level_view().ground(np.array([0.5, 0.1]))
    assert spot[2] > 100
