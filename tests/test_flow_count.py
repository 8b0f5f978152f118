"""Claims about tests.flow_count: it sees which way things go."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from tests.flow_count import Moving, Picture, count_moving, seconds_with


def squares(*speeds: int) -> Iterator[tuple[float, Picture]]:
    """Textured squares, one below the other, that move so many pixels a picture, at 10 fps."""
    rng = np.random.default_rng(0)
    ground = cv2.GaussianBlur(rng.integers(0, 255, (240, 320, 3), np.uint8), (0, 0), 3)
    things = [
        cv2.GaussianBlur(rng.integers(0, 255, (40, 40, 3), np.uint8), (0, 0), 2) for _ in speeds
    ]
    for index in range(6):
        picture = ground.copy()
        for row, (speed, thing) in enumerate(zip(speeds, things, strict=True)):
            top, left = 30 + 90 * row, 140 + speed * index
            picture[top : top + 40, left : left + 40] = thing
        yield index / 10, np.asarray(picture, np.uint8)


@pytest.mark.parametrize(
    ("speeds", "left", "right"), [((), 0, 0), ((4,), 0, 1), ((-4,), 1, 0), ((4, -4), 1, 1)]
)
def test_what_moves_is_counted_on_its_side(speeds: tuple[int, ...], left: int, right: int) -> None:
    """Nothing, one, and two that go apart."""
    found = list(count_moving(squares(*speeds)))[1:]
    assert [(one.n_left, one.n_right) for one in found] == [(left, right)] * len(found)


def test_counts_are_averaged_over_seconds() -> None:
    """Two pictures in the first second, one in the second; the rest is cut off."""
    moving = [Moving(0.0, 1, 0), Moving(0.5, 3, 2), Moving(1.2, 0, 4), Moving(2.1, 9, 9)]
    assert seconds_with(moving, 2.4).tolist() == [[2, 1], [0, 4]]
