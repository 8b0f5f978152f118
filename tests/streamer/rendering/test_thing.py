"""Animals, balls, birds, hands and shapes: points where they should be."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.rendering.thing import Flight, animal, ball, bird, blob, drone, hand
from tests.streamer.rendering.staging import TIMES, N, level_view, straight


def test_an_animal_swings_its_legs_only_while_it_walks() -> None:
    """Standing it is still."""
    rng = np.random.default_rng(0)
    assert np.ptp(animal(rng, straight(), "train").points, axis=0).max() == 0
    walking = animal(rng, straight((1.0, 0.0)), "train")
    legs = walking.points[:, walking.parts] - walking.points[:, walking.core].mean(axis=1)[:, None]
    assert np.ptp(legs[..., 0], axis=0).max() > 0.05


def test_a_ball_lies_on_the_ground() -> None:
    """Its middle is one radius up."""
    figure = ball(np.random.default_rng(0), straight((1.0, 0.0)), 0.2)
    assert figure.points[:, figure.core, 1] == pytest.approx(0.2)


def test_a_bird_flaps_around_its_body() -> None:
    """Wing tips go up and down, the body does not."""
    place = np.tile([0.0, 3.0, 5.0], (N, 1))
    figure = bird(np.random.default_rng(0), place, np.zeros(N), TIMES, 0.5)
    swing = np.ptp(figure.points[..., 1], axis=0)
    assert swing.max() > 0.3
    assert swing[figure.core].max() == 0
    assert not figure.is_grounded


@pytest.mark.parametrize("split", ["train", "holdout"])
def test_a_hand_is_where_its_tip_is_asked_for(split: str) -> None:
    """The palm projects to the tip, and the fingers are bent by the wiggle."""
    view = level_view(1.0, 0.6)
    tip = np.stack([np.linspace(0.2, 0.8, N), np.full(N, 0.5)], -1)
    flight = Flight(view, tip, np.ones(N))
    bent = np.sin(9 * TIMES)
    figure = hand(np.random.default_rng(0), flight, tip + np.array([0, 1.0]), bent, split)
    place, depth = view.project(figure.points[:, 1])
    assert place == pytest.approx(tip, abs=1e-6)
    assert depth == pytest.approx(1.0)
    fingers = figure.points[:, figure.parts] - figure.points[:, 1:2]
    assert np.ptp(fingers, axis=0).max() > 0.01


@pytest.mark.parametrize("split", ["train", "holdout"])
def test_a_shape_is_rigid_and_follows_its_middle(split: str) -> None:
    """Distances between its points never change."""
    view = level_view()
    middle = np.stack([np.linspace(0.2, 0.8, N), np.full(N, 0.5)], -1)
    flight = Flight(view, middle, np.full(N, 4.0))
    figure = blob(np.random.default_rng(0), flight, TIMES, 0.2, split)
    spans = np.linalg.norm(figure.points[:, 1:] - figure.points[:, :1], axis=-1)
    assert np.ptp(spans, axis=0).max() < 1e-9
    place, _ = view.project(figure.points.mean(axis=1))
    assert np.diff(place[:, 0]).mean() == pytest.approx(0.6 / (N - 1), rel=0.2)


def test_a_drone_is_rigid() -> None:
    """It flies, but nothing on it gestures."""
    place = np.stack([TIMES, np.full(N, 3.0), np.full(N, 5.0)], -1)
    figure = drone(np.random.default_rng(0), place, np.zeros(N), 0.6)
    assert np.ptp(figure.points - place[:, None], axis=0).max() < 1e-9
    assert not len(figure.parts)
