"""Sprites: what is drawn, and where it is put."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.sprite import N_PHASES, Sprite, car, leaf_cluster, paste, sprite_of, walker_gait


def block() -> Sprite:
    """An opaque white sprite twice as wide as high."""
    return sprite_of(np.full((32, 64, 4), 255, np.uint8))


def grey() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((100, 200, 3), 90, np.uint8)


def test_a_sprite_is_tight_around_its_drawing() -> None:
    """Empty margins do not count, so that edges in the ground truth are edges in the picture."""
    canvas = np.zeros((50, 80, 4), np.uint8)
    canvas[10:30, 20:60] = 255
    assert sprite_of(canvas).levels[0].shape == (20, 40, 4)


def test_paste_puts_the_lower_middle_at_the_foot() -> None:
    """A block of 20 x 40 pixels with its foot at (100, 60) fills rows 40-60 and columns 80-120."""
    picture = grey()
    paste(picture, block(), (100, 60), 20)
    rows, columns = np.nonzero(picture[..., 0] > 200)
    assert (rows.min(), rows.max()) == pytest.approx((40, 59), abs=1)
    assert (columns.min(), columns.max()) == pytest.approx((80, 119), abs=1)
    assert (picture[:38] == 90).all()


def test_a_step_of_half_a_pixel_changes_the_edge() -> None:
    """Slow objects move smoothly."""
    first, second = grey(), grey()
    paste(first, block(), (100.0, 60), 20)
    paste(second, block(), (100.5, 60), 20)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("foot", [(-41.0, 50.0), (241.0, 50.0), (100.0, -1.5), (100.0, 121.5)])
def test_nothing_is_drawn_outside(foot: tuple[float, float]) -> None:
    """A sprite beyond an edge leaves the picture as it is."""
    picture = grey()
    paste(picture, block(), foot, 20)
    assert (picture == 90).all()


@pytest.mark.parametrize("foot", [(0.0, 50.0), (200.0, 50.0), (100.0, 5.0), (100.0, 115.0)])
def test_a_sprite_over_an_edge_is_cut(foot: tuple[float, float]) -> None:
    """Half a sprite is drawn, nothing raises."""
    picture = grey()
    paste(picture, block(), foot, 20)
    assert 0 < np.count_nonzero(picture[..., 0] > 200) < 20 * 40


def test_a_clip_hides_what_is_behind_it() -> None:
    """Columns outside the clip stay as they are."""
    picture = grey()
    paste(picture, block(), (100, 60), 20, slice(0, 100))
    assert (picture[:, 100:] == 90).all()
    assert np.count_nonzero(picture[:, :100, 0] > 200) > 300


def test_transparency_lets_the_picture_through() -> None:
    """Half transparent black halves the light."""
    canvas = np.zeros((40, 40, 4), np.uint8)
    canvas[..., 3] = 128
    picture = grey()
    paste(picture, sprite_of(canvas), (100, 60), 20)
    assert picture[50, 100].tolist() == pytest.approx([45, 45, 45], abs=1)


def test_a_mirrored_sprite_faces_the_other_way() -> None:
    """Twice mirrored is the same again."""
    sprite = car(np.random.default_rng(0))
    mirrored = sprite.mirrored()
    assert not np.array_equal(sprite.levels[0], mirrored.levels[0])
    assert np.array_equal(sprite.levels[0], mirrored.mirrored().levels[0])


@pytest.mark.parametrize("is_frontal", [False, True])
def test_a_gait_moves(is_frontal: bool) -> None:
    """All phases differ from the one before and have people's proportions."""
    gait = walker_gait(np.random.default_rng(1), is_frontal=is_frontal)
    assert len(gait) == N_PHASES
    assert all(0.2 < sprite.aspect < 0.8 for sprite in gait)
    shapes = [(s.levels[0].shape, s.levels[0].tobytes()) for s in gait]
    assert all(shapes[i] != shapes[i - 1] for i in range(N_PHASES))


def test_the_same_generator_draws_the_same_things() -> None:
    """Looks come from the generator alone."""
    for draw in (car, leaf_cluster):
        first, second, other = (draw(np.random.default_rng(seed)) for seed in (3, 3, 4))
        assert np.array_equal(first.levels[0], second.levels[0])
        assert not np.array_equal(first.levels[0], other.levels[0])
