"""Particles: they move, they are seen, and any moment can be drawn alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from streamer.rendering.particle import Effect, insects, petals, rain, rain_alone, snow
from streamer.rendering.tamper import Kit


def grey() -> np.ndarray:
    return np.full((64, 64, 3), 100, np.uint8)


@pytest.mark.parametrize("make", [rain, snow, insects, petals])
def test_particles_are_elsewhere_at_another_time(make: Callable[[Kit], Effect]) -> None:
    """And the same again at the same time."""
    effect = make(Kit(np.random.default_rng(0), "train", 64))
    first, second = effect(grey(), 1.0, 0.5), effect(grey(), 1.0, 1.5)
    assert (first != second).any()
    assert np.array_equal(first, effect(grey(), 1.0, 0.5))
    assert 0 < (first != 100).any(axis=2).mean() < 0.7


@pytest.mark.parametrize("make", [rain, snow, insects, petals])
def test_without_strength_the_air_is_clear(make: Callable[[Kit], Effect]) -> None:
    """Not a pixel differs."""
    effect = make(Kit(np.random.default_rng(1), "train", 64))
    assert np.array_equal(effect(grey(), 0.0, 0.5), grey())


def test_snow_sinks() -> None:
    """Between two near moments the flakes are shifted down."""
    effect = snow(Kit(np.random.default_rng(2), "train", 64))
    first, later = (effect(grey(), 1.0, t)[..., 0].astype(float) for t in (0.5, 0.6))
    score = [
        np.corrcoef(first[:48].ravel(), np.roll(later, -shift, 0)[:48].ravel())[0, 1]
        for shift in range(-12, 13)
    ]
    assert int(np.argmax(score)) - 12 > 0


def test_rain_for_a_scene_needs_no_split() -> None:
    """A seed and a size."""
    assert (rain_alone(np.random.default_rng(0), 64)(grey(), 1.0, 0.2) != 100).any()
