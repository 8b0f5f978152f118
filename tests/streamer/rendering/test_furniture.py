"""Furniture: every piece stands at its spot."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.rendering import furniture
from streamer.rendering.maker import Maker, at
from tests.streamer.rendering.staging import level_view, plain_stage


@pytest.mark.parametrize("index", range(len(furniture._FURNITURE)))
def test_a_piece_is_drawn_around_its_spot_and_hides(index: int) -> None:
    """Within 2 m of it."""
    make = Maker(np.random.default_rng(index), "train", plain_stage(level_view(1.5, 0.2)))
    furniture._FURNITURE[index](make, at(0, 0, 6))
    hiding = make.stage.hiding[make.stage.hiding > 0]
    assert len(hiding) > 5
    assert 4 < 1 / hiding.max() <= 1 / hiding.min() < 8


def test_furnishing_puts_something_down() -> None:
    """Any of them."""
    make = Maker(np.random.default_rng(0), "holdout", plain_stage(level_view(1.5, 0.2)))
    furniture.furnish(make, at(0, 0, 4))
    assert (make.stage.picture != 110).any()
