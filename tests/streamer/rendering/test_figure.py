"""Figures: polygons lie where the points project to, and the track is theirs."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.rendering.build import Builder
from streamer.rendering.figure import drawn, flattened
from tests.streamer.rendering.staging import SIDE, TIMES, N, plain_stage, straight

SUN = np.array([0.0, 1.0, 0.0])


def bar(velocity: tuple[float, float] = (0.0, 0.0)):
    """An upright bar of 1 m, 0.2 m thick, white, 5 m away."""
    course = straight(velocity)
    make = Builder(course.place, course.heading)
    spots = make.add(np.array([[0.0, 0, 1.0], [0.0, 0, 2.0]]))
    make.capsule(spots[0], spots[1], 0.1, 0.1, np.full(3, 255.0))
    return make.figure("bar", core=spots)


def test_a_capsule_is_as_large_as_perspective_says() -> None:
    """1.2 m x 0.2 m at 5 m, focal length one height: 0.24 x 0.04 heights."""
    flat = flattened(bar(), plain_stage(), TIMES, SUN)
    size = (flat.high - flat.low)[0] / SIDE
    assert size == pytest.approx([0.04, 0.24], abs=0.005)
    assert flat.centre[0] == pytest.approx([0.5, 0.5])
    assert flat.scale[0] == pytest.approx(0.2)


def test_what_is_drawn_lies_inside_the_bounds() -> None:
    """And is opaque in its middle."""
    flat = flattened(bar(), plain_stage(), TIMES, SUN)
    layer = drawn(flat, 0, (0, 0), (SIDE, SIDE))
    rows, columns = np.nonzero(layer[..., 3])
    assert rows.min() >= flat.low[0, 1] - 2
    assert rows.max() <= flat.high[0, 1] + 2
    assert columns.min() >= flat.low[0, 0] - 2
    assert columns.max() <= flat.high[0, 0] + 2
    assert layer[SIDE // 2, SIDE // 2].tolist() == [255, 255, 255, 255]


def test_near_parts_are_drawn_over_far_ones() -> None:
    """Order follows depth, frame by frame."""
    course = straight()
    make = Builder(course.place, np.zeros(N))
    far, near = make.add(np.array([[0.0, 1.0, 1.5], [0.0, -1.0, 1.5]]))
    make.capsule(near, near, 0.3, 0.3, np.array([0.0, 255, 0]))
    make.capsule(far, far, 0.3, 0.3, np.array([255.0, 0, 0]))
    flat = flattened(make.figure("pair", core=np.array([0, 1])), plain_stage(), TIMES, SUN)
    assert drawn(flat, 0, (0, 0), (SIDE, SIDE))[SIDE // 2, SIDE // 2].tolist() == [0, 255, 0, 255]


def test_parts_are_measured_against_the_body_and_only_where_seen() -> None:
    """A hand that swings has speed; behind a wall it has none that is seen."""
    course = straight()
    make = Builder(course.place, course.heading)
    body = make.add(np.array([[0.0, 0, 1.5]]))
    swing = np.zeros((N, 1, 3))
    swing[:, 0, 2] = 1.5 + 0.3 * np.sin(2 * np.pi * TIMES)
    hand = make.add(swing)
    make.capsule(body[0], hand[0], 0.1, 0.1, np.full(3, 255.0))
    figure = make.figure("waver", core=body, parts=hand)
    stage = plain_stage()
    seen = flattened(figure, stage, TIMES, SUN)
    assert seen.part_speed.min() > 0.05
    assert seen.hidden_speed.max() == 0
    stage.hiding[:] = 1.0
    hidden = flattened(figure, stage, TIMES, SUN)
    assert hidden.part_speed.max() == 0
    assert np.array_equal(hidden.hidden_speed, seen.part_speed)


def test_a_figure_behind_the_camera_is_not_drawn() -> None:
    """It would be a mirror image."""
    course = straight(start=(0.0, -5.0))
    make = Builder(course.place, course.heading)
    spots = make.add(np.array([[0.0, 0, 1.0], [0.0, 0, 2.0]]))
    make.capsule(spots[0], spots[1], 0.1, 0.1, np.full(3, 255.0))
    flat = flattened(make.figure("bar", core=spots), plain_stage(), TIMES, SUN)
    assert not flat.is_drawn.any()
