"""Actors: what is drawn moves as the track says, and what is hidden is not counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamer.rendering.actor import Actor, weather
from streamer.rendering.body import random_build, rest
from streamer.rendering.thing import ball
from streamer.rendering.vehicle import crate
from streamer.truth import LABELS, LEAST_VISIBLE, frame_labels
from tests.streamer.rendering import staging
from tests.streamer.rendering.staging import (
    SIDE,
    TIMES,
    N,
    acted,
    mass_centres,
    plain_stage,
    straight,
)


def moving(velocity: tuple[float, float], start: tuple[float, float], size_m: float = 1.0):
    """A white box on its way."""
    figure = crate(np.random.default_rng(3), straight(velocity, start), size_m)
    return replace(figure, face_rgb=np.full_like(figure.face_rgb, 250.0))


@pytest.mark.parametrize(
    ("velocity", "start", "expected"),
    [
        ((1.0, 0.0), (-1.0, 5.0), "right"),
        ((-1.0, 0.0), (1.0, 5.0), "left"),
        ((0.0, -1.5), (0.0, 6.0), "approach"),
        ((0.0, 1.5), (0.0, 3.0), "recede"),
    ],
)
def test_pixels_move_as_the_labels_say(
    velocity: tuple[float, float], start: tuple[float, float], expected: str
) -> None:
    """Measured by difference images: the changed pixels go that way, or become more or fewer."""
    stage = plain_stage()
    actor, pictures = acted(moving(velocity, start), stage)
    labels = frame_labels([actor.track()], np.zeros((N, 4)), TIMES)
    assert labels[N // 2, LABELS.index(expected)] == 1
    centres = mass_centres(pictures, stage.picture)
    changed = (np.abs(pictures.astype(int) - stage.picture).max(axis=3) > 12).sum(axis=(1, 2))
    seen = {
        "right": centres[-3, 0] - centres[3, 0],
        "left": centres[3, 0] - centres[-3, 0],
        "approach": np.log(changed[-3] / changed[3]),
        "recede": np.log(changed[3] / changed[-3]),
    }
    assert seen[expected] > 0.1


def test_the_track_measures_the_area_that_is_drawn() -> None:
    """Against the share of pixels that differ."""
    stage = plain_stage()
    actor, pictures = acted(moving((0, 0), (0.0, 4.0)), stage)
    changed = (np.abs(pictures[5].astype(int) - stage.picture).max(axis=2) > 3).mean()
    track = actor.track()
    assert track.area[5] == pytest.approx(changed, rel=0.25)
    assert track.visible[5] == pytest.approx(1.0, abs=0.1)
    box = actor.sighting.boxes[5]
    assert (box[2] - box[0]) * (box[3] - box[1]) >= 0.6 * track.area[5]


def test_a_track_knows_in_how_much_of_the_picture_pixels_change() -> None:
    """Those where it is seen, as a share of all; elsewhere others change them."""
    actor, pictures = acted(moving((1.0, 0.0), (-1.0, 5.0)))
    nothing = actor.track(np.zeros((N, SIDE, SIDE), bool)).stirred
    everything = actor.track(np.ones((N, SIDE, SIDE), bool)).stirred
    assert nothing is not None
    assert everything is not None
    assert nothing.max() == 0
    assert (everything[2:-2] >= actor.track().area[2:-2]).all()
    assert everything.max() < 0.3
    change = np.zeros((N, SIDE, SIDE), bool)
    change[1:] = np.abs(np.diff(pictures.astype(int), axis=0)).max(axis=3) > 12
    own = actor.track(change).stirred
    assert own is not None
    assert change[5].mean() / 2 < own[5] <= change[5].mean()
    assert actor.track().stirred is None


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


def test_what_a_nearer_object_hides_is_not_seen() -> None:
    """A box passes behind one that stands; while it is behind, nobody can tell what it does."""
    stage = plain_stage()
    behind = Actor(moving((2.0, 0.0), (-2.0, 6.0)), stage, TIMES, staging.weather(), None)
    before = Actor(moving((0.0, 0.0), (0.0, 3.0), 2.0), stage, TIMES, staging.weather(), None)
    alone = Actor(moving((2.0, 0.0), (-2.0, 6.0)), stage, TIMES, staging.weather(), None)
    for frame in range(N):
        canvas = stage.picture.copy()
        nearer = np.zeros(canvas.shape[:2], np.uint8)
        alone.draw(stage.picture.copy(), frame)
        behind.draw(canvas, frame)
        before.draw(canvas, frame)
        before.hide(nearer, frame)
        behind.hide(nearer, frame)
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


def test_what_leaves_the_picture_is_less_and_less_visible() -> None:
    """Half out: about half; gone: nothing, and no box."""
    actor, _ = acted(moving((2.0, 0.0), (1.0, 4.0)))
    visible = actor.track().visible
    assert visible[0] > 0.9
    assert (np.diff(visible) < 0.02).all()
    assert visible[-1] == 0
    assert np.isnan(actor.sighting.boxes[-1]).all()


def test_what_stands_behind_a_wall_is_neither_drawn_nor_counted() -> None:
    """The depth of the place decides."""
    stage = plain_stage()
    stage.hiding[:] = 1 / 2.0
    actor, pictures = acted(moving((1.0, 0.0), (-1.0, 5.0)), stage)
    assert np.array_equal(pictures[5], stage.picture)
    assert actor.track().area.max() == 0
    assert actor.n_seen() == 0


def test_what_does_not_stand_out_is_not_clearly_seen() -> None:
    """A grey box before grey is nothing an observer could swear to."""
    figure = ball(np.random.default_rng(0), straight((1.0, 0.0), (-1.0, 5.0)), 0.5)
    actor, _ = acted(replace(figure, capsule_rgb=np.full_like(figure.capsule_rgb, 112.0)))
    assert actor.track().area[N // 2] > 0.01
    assert actor.track().visible[4:-4].max() < LEAST_VISIBLE


def test_a_shadow_darkens_the_ground_beside_the_object() -> None:
    """With light from the side; without shadows nothing outside the object changes."""
    stage = plain_stage(staging.level_view(3.0, 0.4))
    figure = moving((0, 0), (0.0, 5.0))
    for darkness in (0.0, 0.6):
        sun = np.array([0.7, 0.7, 0.0])
        light = type(staging.weather())(sun, darkness, np.ones(3), 0.0, 0.0)
        actor = Actor(figure, stage, TIMES, light, None)
        picture = stage.picture.copy()
        actor.draw(picture, 0)
        left = int(actor.flat.low[0, 0]) - 2
        assert (picture[:, :left] < 100).any() == bool(darkness)


def test_fast_objects_are_blurred_along_their_way() -> None:
    """An open shutter widens the edge."""
    stage = plain_stage()
    figure = moving((6.0, 0.0), (-3.0, 5.0))
    widths = []
    for shutter in (0.0, 0.8):
        actor = Actor(figure, stage, TIMES, staging.weather(shutter=shutter), None)
        picture = stage.picture.copy()
        actor.draw(picture, 6)
        widths.append(int((np.abs(picture.astype(int) - 110).max(axis=(0, 2)) > 4).sum()))
    assert widths[1] > widths[0] + 2


def test_an_imprinted_object_hides_what_walks_behind_it() -> None:
    """It became part of the place."""
    stage = plain_stage()
    Actor(moving((0, 0), (0.0, 3.0)), stage, TIMES, staging.weather(), None).imprint()
    assert (stage.picture != 110).any()
    before = stage.picture.copy()
    figure = moving((0, 0), (0.0, 6.0), 0.5)
    actor, pictures = acted(figure, stage)
    assert actor.track().visible[0] < 0.2
    assert np.array_equal(stage.picture, before)
    assert pictures.shape == (N, SIDE, SIDE, 3)


def test_weather_goes_with_the_place() -> None:
    """Objects of a dark place are dark."""
    levels = [
        weather(np.random.default_rng(1), np.full(3, tone)).ambient.mean() for tone in (40.0, 140.0)
    ]
    assert levels[0] < levels[1]
    assert rest(3).lean.tolist() == [0, 0, 0]
    assert random_build(np.random.default_rng(0), "train").height_m > 1


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
