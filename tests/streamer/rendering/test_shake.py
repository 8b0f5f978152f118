"""A moving camera: shifts as told, labels measured from the shifts."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.rendering.shake import Shake, shake, tremble

TIMES = np.arange(40) / 10
SIZE, MARGIN = 64, 12


def canvas() -> np.ndarray:
    side = SIZE + 2 * MARGIN
    x = np.arange(side, dtype=np.uint8) * 2
    return np.broadcast_to(x[None, :, None], (side, side, 3)).copy()


def course(right: np.ndarray) -> Shake:
    none = np.zeros_like(right)
    return Shake(np.stack([right, none, none, none], -1), TIMES, SIZE, MARGIN)


def test_a_still_camera_sees_the_middle_of_the_canvas() -> None:
    """Pixel for pixel."""
    seen = course(np.zeros(40)).apply(canvas(), 3)
    assert np.array_equal(seen, canvas()[MARGIN:-MARGIN, MARGIN:-MARGIN])


def test_a_pan_to_the_right_shows_what_lies_right() -> None:
    """By the shift in picture heights."""
    moved = course(np.full(40, 5 / SIZE)).apply(canvas(), 3)
    assert moved[10, 10, 0] == pytest.approx(canvas()[10, MARGIN + 15, 0], abs=2)


def test_motion_of_the_camera_is_told_and_rest_is_not() -> None:
    """A pan of 0.05 heights a second counts; a place reached counts no more."""
    pan = course(np.clip(TIMES - 1, 0, 1) * 0.1)
    assert pan.states[15] == 1
    assert pan.states[:7].max() == 0
    assert pan.states[24:].max() == 0


def test_a_view_that_goes_far_may_be_turned_away() -> None:
    """A quarter of the picture within 1.5 s, and until 1.5 s later; slower or less is not."""
    far = course(np.clip(TIMES - 1, 0, 1) * 0.5)
    assert far.turns.nonzero()[0].tolist() == list(range(15, 31))
    assert not course(np.clip(TIMES - 1, 0, 1) * 0.24).turns.any()
    assert not course(0.1 * TIMES).turns.any()


def test_a_tremble_is_nothing() -> None:
    """Cameras are never quite still."""
    states = tremble(np.random.default_rng(0), TIMES, SIZE, MARGIN).states
    assert (states < 1).all()
    assert (states == 0).mean() > 0.8


def test_every_course_of_the_camera_is_told_at_some_time() -> None:
    """And its pictures have the right size."""
    told = []
    for seed in range(30):
        made = shake(np.random.default_rng(seed), TIMES, SIZE, MARGIN)
        assert made.apply(canvas(), 20).shape == (SIZE, SIZE, 3)
        told.append((made.states == 1).any())
    assert np.mean(told) > 0.85


def test_the_sight_is_the_part_of_the_canvas_that_is_shown() -> None:
    """Where the camera is panned and zoomed, the picture's corner pixels lie in its corners."""
    none = np.zeros(40)
    way = np.stack([none + 4 / SIZE, none, none + np.log(2), none], -1)
    zoomed = Shake(way, TIMES, SIZE, MARGIN)
    left, top, right, bottom = zoomed.sight[7].tolist()
    assert (left, right) == (MARGIN + 4 + SIZE / 4, MARGIN + 4 + 3 * SIZE / 4)
    assert (top, bottom) == (MARGIN + SIZE / 4, MARGIN + 3 * SIZE / 4)
    seen = zoomed.apply(canvas(), 7)
    wanted = canvas()[0, :, 0].astype(int)
    assert int(seen[0, 0, 0]) == pytest.approx(wanted[int(left)], abs=2)
    assert int(seen[0, -1, 0]) == pytest.approx(wanted[int(right) - 1], abs=2)
