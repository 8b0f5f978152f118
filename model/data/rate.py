"""How fast what is in each of the network's cells moves: a truth with more in it than yes and no.

In: a box and rates an object and frame. Out: for each time position and cell what `place_targets`
judges, as numbers. A slow approach and a fast one are the same 1 there, and what is too slow to
count is undecided; here each teaches how far it went.
Invariant: a cell has a number only where one object alone covers it, or nothing touches it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from model.data.batch import Floats
from model.data.place import CELL_PX, TOUCH, Objects, blind, cells_in
from model.data.target import MOMENT_FRAMES
from streamer.truth import RATES

SCALES: Final = np.array([0.06, 0.06, 0.12, 0.06], np.float32)
"""Of each rate: up to here targets are proportional, then logarithmic. Near
the limits of motion, growth and gestures in `streamer.truth`."""


def rate_targets(objects: Objects, truth: Floats, size_px: int) -> Floats:
    """Return how fast what is in each cell of the network's second block moves.

    Args:
        objects: of the window.
        truth: float32 (n, K) in order of `labels.LABELS`, what its frames show.
        size_px: side of the pictures.

    Returns:
        float32 (n // 4, G, G, 4) in order of `truth.RATES`, the inverse hyperbolic sine of each
        rate by its scale: 0 where nothing touches a cell; NaN where more than one object does, or
        one only at its edge, where the object's rates are unknown, and while camera or lens are
        disturbed.
    """
    n_moments, side = len(truth) // MOMENT_FRAMES, -(-size_px // CELL_PX)
    n_frames = n_moments * MOMENT_FRAMES
    found = np.zeros((n_moments, side * side, len(RATES)), np.float32)
    if len(objects.boxes):
        cut = (len(objects.boxes), n_moments, MOMENT_FRAMES)
        boxes = objects.boxes[:, :n_frames] * (size_px / CELL_PX)
        n_covered = cells_in(boxes, side).reshape(*cut, -1).sum(axis=2)
        touches = np.asarray(cells_in(boxes, side, TOUCH).reshape(*cut, -1).any(axis=2))
        found[touches.any(axis=0)] = np.nan
        if len(objects.rates):
            is_alone = touches.sum(axis=0) == 1
            for own, means in zip(n_covered, _means(objects.rates[:, :n_frames]), strict=True):
                is_own = is_alone & (own * 2 >= MOMENT_FRAMES)
                found[is_own] = np.broadcast_to(means[:, None], found.shape)[is_own]
    found[blind(truth)] = np.nan
    return found.reshape(n_moments, side, side, len(RATES))


def _means(rates: Floats) -> Floats:
    """Return the rates of each position, float32 (objects, P, 4): NaN where most are unknown."""
    parts = rates.reshape(len(rates), -1, MOMENT_FRAMES, len(RATES))
    is_known = np.isfinite(parts)
    n_known = is_known.sum(axis=2)
    sums = np.where(is_known, parts, 0).sum(axis=2)
    means = np.where(n_known * 2 >= MOMENT_FRAMES, sums / np.maximum(n_known, 1), np.nan)
    return np.arcsinh(means / SCALES).astype(np.float32)
