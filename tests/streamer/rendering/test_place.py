"""Places: every kind is drawn, varied, and hides by depth."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.rendering.place import KINDS, place


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("split", ["train", "holdout"])
def test_each_kind_of_place_has_a_picture_with_texture(kind: str, split: str) -> None:
    """Neither black nor white nor flat, whatever chance says."""
    for seed in range(4):
        stage = place(np.random.default_rng(seed), split, 64, 8, kind)
        assert stage.picture.shape == (80, 80, 3)
        assert 15 < stage.picture.mean() < 240
        assert stage.picture.std() > 3
        assert stage.kind == kind


def test_the_same_seed_draws_the_same_place_and_another_another() -> None:
    """Pixels and depth."""
    first, again, other = (place(np.random.default_rng(seed), "train", 64, 0) for seed in (5, 5, 6))
    assert np.array_equal(first.picture, again.picture)
    assert np.array_equal(first.hiding, again.hiding)
    assert not np.array_equal(first.picture, other.picture)


def test_a_room_has_walls_that_hide() -> None:
    """What is behind its back wall is not seen."""
    hiding = [place(np.random.default_rng(s), "train", 64, 0, "room").hiding for s in range(8)]
    assert np.mean([(each > 0).mean() for each in hiding]) > 0.2
    assert all((each[each > 0] > 1 / 80).all() for each in hiding)
