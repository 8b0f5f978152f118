"""Backdrops: textured, seeded, and the same place at every size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from streamer.backdrop import Backdrop, corridor, garden, room, street

ALL = [street, corridor, garden, room]


@pytest.mark.parametrize("draw", ALL)
def test_the_same_generator_draws_the_same_place(draw: Backdrop) -> None:
    """Looks come from the generator alone, and differ between generators."""
    first, second, other = (draw(np.random.default_rng(seed), 320, 180) for seed in (3, 3, 4))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
    assert first.shape == (180, 320, 3)
    assert first.dtype == np.uint8


@pytest.mark.parametrize("draw", ALL)
def test_every_size_shows_the_same_place(draw: Backdrop) -> None:
    """Twice the pixels, seen from afar, is the same picture but for its grain."""
    small = draw(np.random.default_rng(3), 320, 180).astype(np.float32)
    large = draw(np.random.default_rng(3), 640, 360)
    shrunk = cv2.resize(large, (320, 180), interpolation=cv2.INTER_AREA).astype(np.float32)
    assert np.corrcoef(small.ravel(), shrunk.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("draw", ALL)
def test_surfaces_have_texture(draw: Backdrop) -> None:
    """No 16 x 16 patch is flat: a flat one hides motion from every method there is."""
    picture = draw(np.random.default_rng(0), 320, 176).astype(np.float32).mean(axis=2)
    patches = picture.reshape(11, 16, 20, 16).transpose(0, 2, 1, 3).reshape(-1, 256)
    assert patches.std(axis=1).min() > 0.5
