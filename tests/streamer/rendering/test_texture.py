"""Textures: the same always, varied, and of disjoint families."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.rendering import texture as textures


@pytest.mark.parametrize("split", ["train", "holdout"])
def test_each_texture_has_contrast_and_differs_from_the_others(split: str) -> None:
    """No flat and no doubled texture."""
    made = [textures.texture(split, k) for k in range(0, textures.n_textures(split), 2)]
    assert all(each.shape == (256, 256) and each.dtype == np.uint8 for each in made)
    assert all(each.std() > 10 for each in made)
    assert len({each.tobytes() for each in made}) == len(made)


def test_a_texture_is_the_same_in_every_process() -> None:
    """Made anew it is equal."""
    first = textures.texture("train", 5).copy()
    textures.texture.cache_clear()
    assert np.array_equal(first, textures.texture("train", 5))


def test_the_splits_share_no_family() -> None:
    """What the holdout is made of was never seen in training."""
    families = textures._FAMILIES
    assert not set(families["train"]) & set(families["holdout"])


def test_smooth_noise_is_smoother_with_a_steeper_spectrum() -> None:
    """Neighbours differ less."""
    rough, smooth = (textures.spectrum(np.random.default_rng(0), beta) for beta in (0.3, 1.5))
    steps = [np.abs(np.diff(field / field.std(), axis=1)).mean() for field in (rough, smooth)]
    assert steps[1] < 0.3 * steps[0]
    assert textures.cloud("train", 1).std() > 10
