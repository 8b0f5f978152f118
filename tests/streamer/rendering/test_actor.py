"""Actors: what is drawn moves as the track says, and what is hidden is not counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamer.rendering.actor import Actor, weather
from streamer.rendering.body import random_build, rest
from streamer.rendering.thing import ball
from streamer.truth import LABELS, LEAST_VISIBLE, frame_labels
from tests.streamer.rendering import staging
from tests.streamer.rendering.staging import (
    SIDE,
    TIMES,
    N,
    acted,
    mass_centres,
    moving,
    plain_stage,
    straight,
)


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
