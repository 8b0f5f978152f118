"""Surfaces: the nearest is seen, and the ground hides nothing."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.rendering.surface import Surface, box
from tests.streamer.rendering.staging import SIDE, plain_stage

WHITE = np.full((256, 256), 255, np.uint8)


def wall(depth_m: float, tone: float, **given: object) -> Surface:
    """A wall of 2 m x 2 m in front of the camera."""
    corner, u, v = np.array([-1, 2.5, depth_m]), np.array([2.0, 0, 0]), np.array([0, -2.0, 0])
    return Surface(corner, u, v, WHITE, np.zeros(3), np.full(3, tone), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("depths", [(4.0, 8.0), (8.0, 4.0)])
def test_the_nearer_wall_is_seen_in_whatever_order_they_are_drawn(
    depths: tuple[float, float],
) -> None:
    """The depth buffer decides, and knows the distance."""
    stage = plain_stage()
    for depth in depths:
        stage.draw(wall(depth, 10 * depth))
    middle = SIDE // 2
    assert stage.picture[middle, middle, 0] == 40
    assert 1 / stage.hiding[middle, middle] == pytest.approx(4.0, rel=1e-3)


def test_a_wall_covers_what_its_size_and_distance_say() -> None:
    """2 m at 4 m with a focal length of one height are half the picture each way."""
    stage = plain_stage()
    stage.draw(wall(4.0, 200))
    assert (stage.picture[..., 0] == 200).mean() == pytest.approx(0.25, abs=0.03)


def test_the_ground_hides_nothing() -> None:
    """It is drawn, but nothing stands behind it."""
    stage = plain_stage()
    ground = Surface(
        np.array([-50.0, 0, 0]), np.array([100.0, 0, 0]), np.array([0, 0, 80.0]), WHITE,
        np.zeros(3), np.full(3, 90.0), 1.0, can_hide=False,
    )  # fmt: skip
    stage.draw(ground)
    assert (stage.picture[SIDE - 4] == 90).all()
    assert (stage.picture[4] == 110).all()
    assert not stage.hiding.any()


def test_what_lies_behind_the_camera_is_not_drawn() -> None:
    """No mirror image of it appears."""
    stage = plain_stage()
    stage.draw(wall(-4.0, 200))
    assert (stage.picture == 110).all()


def test_a_cutout_lets_the_picture_through_where_the_texture_is_dark() -> None:
    """Leaves have gaps."""
    stage = plain_stage()
    half = np.zeros((256, 256), np.uint8)
    half[:, 128:] = 255
    leaf = wall(4.0, 200)
    stage.draw(Surface(leaf.corner, leaf.u, leaf.v, half, leaf.dark, leaf.bright, 0.0, True, 0.5))
    assert (stage.picture[SIDE // 2, : SIDE // 2 - 2] == 110).all()
    assert stage.picture[SIDE // 2, SIDE // 2 + 4, 0] == 200


def test_points_behind_a_wall_or_outside_are_not_open() -> None:
    """What the truth counts as seen."""
    stage = plain_stage()
    stage.draw(wall(4.0, 200))
    place = np.array([[0.5, 0.5], [0.5, 0.5], [0.5, 1.2]])
    assert stage.is_open(place, np.array([3.0, 6.0, 3.0])).tolist() == [True, False, False]


def test_places_and_pixels_are_inverse() -> None:
    """Also with a margin."""
    stage = plain_stage(margin_px=7)
    spots = np.array([[0.1, 0.9], [0.5, 0.5]])
    assert stage.places(stage.pixels(spots)) == pytest.approx(spots)


def test_a_box_shows_its_top_from_above() -> None:
    """All faces lie on the box."""
    faces = box(
        np.array([0.0, 0, 5]),
        np.array([1.0, 2.0, 1.0]),
        0.0,
        (WHITE, np.zeros(3), np.full(3, 200.0)),
        1.0,
    )
    corners = np.array(
        [f.corner + a * f.u + b * f.v for f in faces for a in (0, 1) for b in (0, 1)]
    )
    assert corners.min(axis=0) == pytest.approx([-0.5, 0, 4.5])
    assert corners.max(axis=0) == pytest.approx([0.5, 2.0, 5.5])
