"""The background: what moves is told, what changes no pixel is not."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.rendering.stir import _KINDS, Stir, stir
from streamer.rendering.tamper import Kit
from tests.streamer.rendering.staging import plain_stage

TIMES = np.arange(40) / 10


def textured(seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(40, 220, (16, 16, 3)).astype(np.uint8)
    return coarse.repeat(4, 0).repeat(4, 1)


@pytest.mark.parametrize("split", ["train", "holdout"])
def test_every_effect_moves_pixels_and_leaves_its_input_alone(split: str) -> None:
    """Between two moments something differs."""
    for index, make in enumerate(_KINDS):
        still = textured()
        effect = make(Kit(np.random.default_rng(index), split, 64, still))
        first, second = effect(still, 1.0, 0.3), effect(still, 1.0, 1.7)
        assert np.array_equal(still, textured())
        assert first.shape == still.shape
        assert (first != second).any()


def test_full_strength_is_told_and_rest_is_not() -> None:
    """Between them it is open."""
    strength = np.repeat([0.0, 0.2, 1.0, 0.0], 10)

    def blink(picture: np.ndarray, strength: float, t_s: float) -> np.ndarray:
        return picture + np.uint8(50 * (round(10 * t_s) % 2))

    bright = Stir(blink, strength, TIMES)
    for frame in range(40):
        bright.apply(np.full((32, 32, 3), 100, np.uint8), frame)
    assert bright.states.reshape(4, 10)[:, 5].tolist() == [0, 0.5, 1, 0]


def test_an_effect_that_stays_as_it_is_is_nothing() -> None:
    """A picture that is brighter all the time does not move."""
    still = Stir(lambda picture, strength, t: picture + np.uint8(50), np.ones(40), TIMES)
    for frame in range(40):
        still.apply(np.full((32, 32, 3), 100, np.uint8), frame)
    assert still.states.max() == 0


def test_what_counts_is_what_this_camera_shows() -> None:
    """A change of 20 grey levels is clear to an ordinary camera and lost in a bad one."""

    def blink(picture: np.ndarray, strength: float, t_s: float) -> np.ndarray:
        return picture + np.uint8(20 * (round(10 * t_s) % 2))

    for clear, state in ((8.0, 1.0), (25.0, 0.0)):
        effect = Stir(blink, np.ones(40), TIMES, clear)
        for frame in range(40):
            effect.apply(np.full((32, 32, 3), 100, np.uint8), frame)
        assert effect.states.max() == state


def test_what_counts_may_differ_from_frame_to_frame() -> None:
    """In the dark the same leaves are not seen."""

    def blink(picture: np.ndarray, strength: float, t_s: float) -> np.ndarray:
        return picture + np.uint8(20 * (round(10 * t_s) % 2))

    effect = Stir(blink, np.ones(40), TIMES, np.where(TIMES < 2, 8.0, 25.0))
    for frame in range(40):
        effect.apply(np.full((32, 32, 3), 100, np.uint8), frame)
    assert effect.states[:20].min() == 1
    assert effect.states[25:].max() == 0


def test_an_effect_that_changes_nothing_is_nothing() -> None:
    """Water without texture cannot be seen to move."""
    calm = Stir(lambda picture, strength, t: picture, np.ones(40), TIMES)
    for frame in range(40):
        calm.apply(np.full((32, 32, 3), 100, np.uint8), frame)
    assert calm.states.max() == 0


@pytest.mark.parametrize("split", ["train", "holdout"])
def test_a_choice_is_mostly_told(split: str) -> None:
    """On a place with texture."""
    told = []
    for seed in range(25):
        stage = plain_stage()
        stage.picture[:] = textured(seed)
        made = stir(np.random.default_rng(seed), TIMES, split, stage)
        for frame in range(len(TIMES)):
            made.apply(stage.picture, frame)
        told.append((made.states == 1).any())
    assert np.mean(told) > 0.7
