"""Where in the picture something moves: the truth of the network's own cells.

In: a box an object and frame, and what each object does. Out: for each time position and each cell
of the network's second block (8 x 8 pixels) what moves there. The objects follow the pictures
through cropping, mirroring and reversal.
Invariant: a cell says 1 only where an object's box holds the cell's middle, or the cell holds the
box's middle; what only touches a cell leaves it undecided.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from model.data.batch import Floats
from model.data.target import MOMENT_FRAMES
from model.labels import LABELS, MOTION

CELL_PX: Final = 8
"""Side of a cell: what stem, pooling and the second block leave of the picture, 1 / 8."""
TOUCH: Final = 0.75
"""So many cells from a box's edge a cell's middle may lie and be touched: shadows, blur, and what
the convolutions see of it."""
_CAMERA: Final = LABELS.index("camera")
_TAMPER: Final = LABELS.index("tamper")

_REVERSED: Final = np.array([-1, -1, -1, 1], np.float32)
_MIRRORED: Final = np.array([-1, 1, 1, 1], np.float32)
_UPENDED: Final = np.array([1, -1, 1, 1], np.float32)
"""Signs of the rates in a clip that runs backwards, or whose sides are exchanged."""

Flags = npt.NDArray[np.bool_]


class Objects(NamedTuple):
    """What moves in a clip.

    Attributes:
        boxes: float32 (objects, n, 4): x0, y0, x1, y1 as shares of the picture; NaN unseen.
        motions: float32 (objects, n, 7) in order of `labels.MOTION`: 1, 0 or NaN (undecided).
        rates: float32 (objects, n, 4) in order of `truth.RATES`, NaN unseen; empty where nobody
            knows.
    """

    boxes: Floats
    motions: Floats
    rates: Floats = np.empty((0, 0, 4), np.float32)

    def during(self, frames: slice) -> Objects:
        """Return them in some of the frames."""
        return Objects(self.boxes[:, frames], self.motions[:, frames], self.rates[:, frames])

    def reversed(self, order: Sequence[int]) -> Objects:
        """Return them backwards in time; `order` says which label each one was before."""
        motions, rates = self.motions[:, ::-1], self.rates[:, ::-1]
        return Objects(self.boxes[:, ::-1], motions[..., list(order)], rates * _REVERSED)

    def mirrored(self, order: Sequence[int]) -> Objects:
        """Return them with left and right exchanged."""
        boxes = self.boxes[..., [2, 1, 0, 3]].copy()
        boxes[..., ::2] = 1 - boxes[..., ::2]
        return Objects(boxes, self.motions[..., list(order)], self.rates * _MIRRORED)

    def upended(self, order: Sequence[int]) -> Objects:
        """Return them with top and bottom exchanged."""
        boxes = self.boxes[..., [0, 3, 2, 1]].copy()
        boxes[..., 1::2] = 1 - boxes[..., 1::2]
        return Objects(boxes, self.motions[..., list(order)], self.rates * _UPENDED)

    def cut_out(self, corner: tuple[float, float], size: tuple[float, float]) -> Objects:
        """Return them in a part of the picture; boxes may reach out of it.

        Args:
            corner: top and left of the part, shares of the picture.
            size: its height and width.
        """
        first, side = np.array(corner[::-1] * 2), np.array(size[::-1] * 2)
        boxes = ((self.boxes - first) / side).astype(np.float32)
        # A share of the size stays what it is; the rest is told in heights and widths of the part.
        rates = self.rates / np.array([size[1], size[0], 1, size[0]])
        return Objects(boxes, self.motions, rates.astype(np.float32))


NO_OBJECTS: Final = Objects(np.empty((0, 0, 4), np.float32), np.empty((0, 0, 7), np.float32))


def place_targets(objects: Objects, truth: Floats, size_px: int) -> Floats:
    """Return what is true of each cell of the network's second block.

    Args:
        objects: of the window.
        truth: float32 (n, K) in order of `labels.LABELS`, what its frames show.
        size_px: side of the pictures.

    Returns:
        float32 (n // 4, G, G, 7), G = size_px / 8 rounded up: rows from the top, columns from the
        left. 1 where an object that does it covers the cell in half of the position's 4 frames or
        more; NaN where one touches it, where its truth is undecided, and while camera or lens are
        disturbed; else 0.
    """
    n_moments, side = len(truth) // MOMENT_FRAMES, -(-size_px // CELL_PX)
    n_frames = n_moments * MOMENT_FRAMES
    found = np.zeros((n_moments, side * side, len(MOTION)), np.float32)
    if len(objects.boxes):
        boxes = objects.boxes[:, :n_frames] * (size_px / CELL_PX)
        covers, touches = cells_in(boxes, side), cells_in(boxes, side, TOUCH)
        motions = objects.motions[:, :n_frames]
        is_on = _counts(covers, motions == 1).max(axis=0) * 2 >= MOMENT_FRAMES
        is_off = _counts(touches, motions != 0).max(axis=0) == 0
        found = np.where(is_on, 1.0, np.where(is_off, 0.0, np.nan)).astype(np.float32)
    found[blind(truth)] = np.nan
    return found.reshape(n_moments, side, side, len(MOTION))


def blind(truth: Floats) -> Flags:
    """Say in which positions camera or lens are disturbed, bool (n // 4,)."""
    seen = truth[: len(truth) // MOMENT_FRAMES * MOMENT_FRAMES]
    # What lies behind an undecided tampering cannot be seen; an undecided tremble hides nothing.
    is_blind = (seen[:, _CAMERA] == 1) | (seen[:, _TAMPER] != 0)
    return np.asarray(is_blind.reshape(-1, MOMENT_FRAMES).any(axis=1))


def cells_in(boxes: Floats, side: int, reach: float = 0.0) -> Flags:
    """Say which cells' middles lie in boxes that are widened, bool (objects, n, G * G).

    Args:
        boxes: float32 (objects, n, 4), in cells.
        side: G.
        reach: by so many cells; the cell that holds the box's middle always belongs to it.
    """
    low, high = boxes[..., None, :2], boxes[..., None, 2:]
    middle = (low + high) / 2
    cells = np.arange(side, dtype=np.float32)[:, None]
    # Comparisons with NaN are false: what is not seen is in no cell.
    is_in = (cells + 0.5 >= low - reach) & (cells + 0.5 <= high + reach)
    is_in |= (cells <= middle) & (middle < cells + 1)
    both = is_in[..., :, None, 1] & is_in[..., None, :, 0]
    return both.reshape(*both.shape[:-2], side * side)


def _counts(cells: Flags, does: Flags) -> Floats:
    """Return in how many frames of each position it is so, float32 (objects, P, G * G, 7)."""
    cut = (len(cells), -1, MOMENT_FRAMES)
    per_cell = cells.reshape(*cut, cells.shape[-1]).astype(np.float32)
    per_label = does.reshape(*cut, does.shape[-1]).astype(np.float32)
    return np.asarray(per_cell.swapaxes(2, 3) @ per_label)
