"""Furniture of rendered rooms: tables, chairs, beds, shelves, plants, lamps.

In: a maker and a spot of the floor. Out: the piece, drawn on the maker's stage.
Invariant: a piece stands on the floor at its spot.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from streamer.rendering.maker import Maker, at
from streamer.rendering.surface import Surface
from streamer.rendering.texture import texture
from streamer.rendering.view import Points


def furnish(make: Maker, spot: Points) -> None:
    """Put any piece of furniture down."""
    _FURNITURE[int(make.rng.integers(len(_FURNITURE)))](make, spot)


def _table(make: Maker, spot: Points) -> None:
    rng = make.rng
    wide, deep, high = rng.uniform(0.6, 1.8), rng.uniform(0.5, 0.9), rng.uniform(0.5, 1.0)
    make.box(spot + at(0, high, 0), at(wide, 0.05, deep))
    for x in (-0.45, 0.45):
        make.post(spot + at(x * wide, 0, 0), 0.06, high)
    if rng.random() < 0.6:
        make.box(spot + at(rng.uniform(-0.3, 0.3) * wide, high + 0.05, 0), rng.uniform(0.1, 0.4, 3))


def _chair(make: Maker, spot: Points) -> None:
    """Put down a chair, a stool or a bench."""
    rng = make.rng
    wide, high = rng.uniform(0.35, 1.4), rng.uniform(0.35, 0.5)
    make.box(spot + at(0, high, 0), at(wide, 0.06, 0.42))
    for x in (-0.45, 0.45):
        for z in (-0.2, 0.2):
            make.post(spot + at(x * wide, 0, z), 0.05, high)
    if rng.random() < 0.8:
        make.plane(spot + at(-wide / 2, high + 0.5, 0.2), at(wide, 0, 0), at(0, -0.5, 0), 0.4)


def _bed(make: Maker, spot: Points) -> None:
    """Put down a bed or a sofa."""
    rng = make.rng
    wide, deep, high = rng.uniform(1.2, 2.2), rng.uniform(0.8, 1.8), rng.uniform(0.3, 0.55)
    make.box(spot, at(wide, high, deep))
    make.plane(spot + at(-wide / 2, high + 0.4, deep / 2), at(wide, 0, 0), at(0, -0.45, 0), 0.5)
    for x in (-0.25, 0.25):
        make.box(spot + at(x * wide, high, 0.3 * deep), at(0.35 * wide, 0.15, 0.3))


def _shelf(make: Maker, spot: Points) -> None:
    """Put down a shelf with things on its boards."""
    rng = make.rng
    wide, tall = rng.uniform(0.6, 2.0), rng.uniform(1.0, 2.2)
    make.box(spot, at(wide, tall, 0.35))
    for level in np.arange(0.1, tall - 0.2, 0.4):
        corner = spot + at(-0.47 * wide, level + 0.34, -0.19)
        make.plane(corner, at(0.94 * wide, 0, 0), at(0, -0.33, 0), rng.uniform(0.3, 0.9))


def _plant(make: Maker, spot: Points) -> None:
    rng = make.rng
    make.box(spot, at(0.3, 0.3, 0.3))
    make.foliage(spot, rng.uniform(0.4, 1.0), rng.uniform(0.5, 1.3), 0.3)


def _lamp(make: Maker, spot: Points) -> None:
    """Put down a lamp on a pole; its shade is bright."""
    rng = make.rng
    tall, shade = rng.uniform(1.2, 1.8), texture(make.split, 0)
    make.post(spot, 0.05, tall)
    white = np.array([255.0, 250, 225]) * rng.uniform(0.7, 1)
    corner = spot + at(-0.2, tall + 0.3, 0)
    make.stage.draw(Surface(corner, at(0.4, 0, 0), at(0, -0.3, 0), shade, white * 0.9, white))


_FURNITURE: tuple[Callable[[Maker, Points], None], ...] = (
    _table, _table, _chair, _chair, _chair, _bed, _shelf, _plant, _lamp,
)  # fmt: skip
