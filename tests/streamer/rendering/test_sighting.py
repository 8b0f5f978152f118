"""What is seen of an object: not what is hidden, nor what moves beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamer.rendering.actor import Actor
from streamer.rendering.clip import _act
from streamer.rendering.thing import ball
from streamer.truth import LABELS, frame_labels
from tests.streamer.rendering import staging
from tests.streamer.rendering.staging import SIDE, TIMES, N, acted, moving, plain_stage, straight


def test_pixels_that_change_beside_an_object_are_not_its_own() -> None:
    """The corners of a ball's box: something else moves there."""
    figure = ball(np.random.default_rng(0), straight((0.0, 0.0), (0.0, 2.5)), 0.5)
    actor, _ = acted(replace(figure, capsule_rgb=np.full_like(figure.capsule_rgb, 250.0)))
    x0, y0, x1, y1 = (actor.sighting.boxes[5] * SIDE).tolist()
    assert x1 - x0 > 20
    change = np.zeros((N, SIDE, SIDE), bool)
    change[:, int(y0) : int(y0 + 2), int(x0) : int(x0 + 2)] = True
    beside = actor.track(change).stirred
    change[:, int((y0 + y1) / 2)] = True
    through = actor.track(change).stirred
    assert beside is not None
    assert through is not None
    assert beside[5] == 0
    assert through[5] == pytest.approx((x1 - x0 + 4) / SIDE**2, rel=0.1)


def test_what_motion_smears_changes_its_pixels_all_the_same() -> None:
    """A streak four times as long as the object covers no pixel by half."""
    figure = moving((12.0, 0.0), (-12.0, 4.0), 0.5)
    stage = plain_stage()
    actor = Actor(figure, stage, TIMES, staging.weather(shutter=0.7), None)
    frame = N // 2
    actor.draw(stage.picture.copy(), frame)
    stirred = actor.track(np.ones((N, SIDE, SIDE), bool)).stirred
    assert stirred is not None
    assert stirred[frame] > actor.track().area[frame] > 0.01


def test_what_a_nearer_object_hides_is_not_seen() -> None:
    """A box passes behind one that stands; while it is behind, nobody can tell what it does."""
    stage = plain_stage()
    behind = Actor(moving((2.0, 0.0), (-2.0, 6.0)), stage, TIMES, staging.weather(), None)
    before = Actor(moving((0.0, 0.0), (0.0, 3.0), 2.0), stage, TIMES, staging.weather(), None)
    alone = Actor(moving((2.0, 0.0), (-2.0, 6.0)), stage, TIMES, staging.weather(), None)
    for frame in range(N):
        canvas = stage.picture.copy()
        _act([before, behind], canvas, frame)
        alone.draw(stage.picture.copy(), frame)
    visible = behind.track().visible
    hidden = int(np.argmin(np.abs(behind.flat.centre[:, 0] - before.flat.centre[:, 0])))
    assert visible[hidden] == 0
    assert behind.track().area[hidden] == 0
    assert np.isnan(behind.sighting.boxes[hidden]).all()
    assert visible[0] == pytest.approx(alone.track().visible[0])
    assert (visible <= alone.track().visible + 1e-9).all()
    assert ((visible > 0.2) & (visible < 0.8)).any()
    everything = np.ones((N, SIDE, SIDE), bool)
    assert behind.track(everything).stirred[hidden] == 0
    labels = frame_labels([behind.track()], np.zeros((N, 4)), TIMES)
    assert not labels[hidden].any()
    assert frame_labels([alone.track()], np.zeros((N, 4)), TIMES)[hidden, LABELS.index("right")]
    assert np.ptp(before.track().visible) == 0


def test_a_box_is_where_the_camera_shows_the_object() -> None:
    """Looking at the right half alone, the box is twice as wide and has moved to the left."""
    plain, _ = acted(moving((0, 0), (0.6, 4.0)))
    turned = Actor(moving((0, 0), (0.6, 4.0)), plain_stage(), TIMES, staging.weather(), None)
    turned.sighting.sight[:] = SIDE / 2, SIDE / 4, SIDE, 3 * SIDE / 4
    turned.draw(plain_stage().picture.copy(), 5)
    box, moved = plain.sighting.boxes[5], turned.sighting.boxes[5]
    np.testing.assert_allclose(moved[::2], (box[::2] - 0.5) * 2, atol=0.02)
    np.testing.assert_allclose(moved[1::2], np.clip((box[1::2] - 0.25) * 2, 0, 1), atol=0.02)
    turned.sighting.sight[:] = 0, 0, 8, 8
    turned.draw(plain_stage().picture.copy(), 6)
    assert np.isnan(turned.sighting.boxes[6]).all()
