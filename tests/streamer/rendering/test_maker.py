"""The maker: things are drawn where they are said to be."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.rendering.maker import Maker, at
from tests.streamer.rendering.staging import SIDE, level_view, plain_stage


def maker(seed: int = 0) -> Maker:
    return Maker(np.random.default_rng(seed), "train", plain_stage(level_view(1.5, 0.2)))


def test_a_floor_covers_the_ground_and_hides_nothing() -> None:
    """The sky stays."""
    make = maker()
    make.floor()
    changed = (make.stage.picture != 110).any(axis=2)
    assert changed[-4:].mean() > 0.95
    assert not changed[:8].any()
    assert not make.stage.hiding.any()


def test_lines_and_decals_lie_on_the_ground() -> None:
    """They hide nothing either."""
    make = maker(3)
    make.floor()
    make.strip(0.0, 4.0, 1.0)
    make.decals(5.0, 4)
    assert not make.stage.hiding.any()


def test_boxes_posts_and_leaves_hide() -> None:
    """At their distance."""
    for draw in (
        lambda make: make.box(at(0, 0, 5), np.ones(3)),
        lambda make: make.post(at(0, 0, 5), 0.5, 2.0),
        lambda make: make.foliage(at(0, 0, 5), 2.0, 2.0, 0.0),
    ):
        make = maker(1)
        draw(make)
        hiding = make.stage.hiding[make.stage.hiding > 0]
        assert len(hiding) > 20
        assert 1 / np.median(hiding) == pytest.approx(5.0, rel=0.25)
        assert make.stage.picture.shape == (SIDE, SIDE, 3)


def test_a_look_is_a_texture_and_two_colours() -> None:
    """In range."""
    grey, dark, bright = maker().look(1.0)
    assert grey.shape == (256, 256)
    assert min(dark.min(), bright.min()) >= 0
    assert max(dark.max(), bright.max()) <= 255
