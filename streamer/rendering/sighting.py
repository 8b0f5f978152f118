"""What is seen of an object: how much of it, in which box, and which pixels change there.

In: what was drawn of each frame, and what nearer objects cover. Out: shares and boxes a frame.
Invariant: what a nearer object hides is not counted as seen, nor is what moves beside an object.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from streamer.frame import Picture
from streamer.rendering.figure import Flat
from streamer.rendering.sensor import Changed
from streamer.rendering.view import Points
from streamer.truth import LEAST_VISIBLE, Series

PAD_PX = 2
"""Blur and antialiasing reach so far beyond an outline."""
LEAST_COVER = 25
"""A tenth: as much as what is 3 px wide covers of a pixel when motion smears it over 24."""


class Shown(NamedTuple):
    """What was drawn of a frame.

    Attributes:
        alpha: uint8 (h, w), how much of each pixel it covers.
        window: x0, y0, x1, y1 of the canvas, px.
        total: mean of alpha, 0..255, before the place hid a part.
    """

    alpha: Picture
    window: tuple[int, int, int, int]
    total: float


class Pixels(NamedTuple):
    """Which pixels of the picture show an object or are 2 px beside it: bool (h, w) at x, y."""

    x: int
    y: int
    mask: npt.NDArray[np.bool_]


class Sighting:
    """What is seen of an object.

    Args:
        flat: the object in the picture.
        size_px: side of the picture.
        margin_px: border of the canvas around it.

    Attributes:
        area: float64 (n,), share of the picture in which it is seen.
        visible: float64 (n,), share of it that is seen.
        boxes: float32 (n, 4): x0, y0, x1, y1 as shares of the picture; NaN where it is not seen.
        sight: float64 (n, 4): x0, y0, x1, y1 of the canvas that the camera sees, px.
    """

    def __init__(self, flat: Flat, size_px: int, margin_px: int) -> None:
        n = len(flat.depth)
        self._flat, self._size_px = flat, size_px
        self._pixels: list[Pixels | None] = [None] * n
        self.area, self.visible = np.zeros(n), np.zeros(n)
        self.boxes = np.full((n, 4), np.nan, np.float32)
        first, last = margin_px, margin_px + size_px
        self.sight = np.tile(np.array([first, first, last, last], np.float64), (n, 1))

    def measure(self, shown: Shown, frame: int) -> None:
        """Note how much of the object is in the picture proper, and where.

        Args:
            shown: what was drawn of the frame.
            frame: index.
        """
        (x0, y0, x1, y1), total = shown.window, shown.total
        sight = self.sight[frame]
        first_x, first_y, last_x, last_y = (round(edge) for edge in sight.tolist())
        left, top = max(x0, first_x), max(y0, first_y)
        right, bottom = min(x1, last_x), min(y1, last_y)
        if right <= left or bottom <= top or total <= 0:
            return
        seen = shown.alpha[top - y0 : bottom - y0, left - x0 : right - x0]
        sums = cv2.sumElems(seen)[0] / 255
        low, high = self._flat.low[frame], self._flat.high[frame]
        whole = max((high - low).prod(), 1e-6)
        wide = max(0.0, min(high[0], x1) - max(low[0], x0))
        tall = max(0.0, min(high[1], y1) - max(low[1], y0))
        inside = min(1.0, wide * tall / whole)
        drawn_px = total / 255 * (x1 - x0) * (y1 - y0)
        self.area[frame] = sums / (sight[2:] - sight[:2]).prod()
        self.visible[frame] = inside * sums / max(drawn_px, 1e-6)
        if sums > 0.5:
            edges = np.array(
                [max(low[0], left), max(low[1], top), min(high[0], right), min(high[1], bottom)]
            )
            shares = (edges.reshape(2, 2) - sight[:2]) / (sight[2:] - sight[:2])
            self.boxes[frame] = np.clip(shares, 0, 1).reshape(4)
            corner = np.array([left, top]) - sight[:2]
            self._pixels[frame] = _pixels(seen, corner, self._size_px / (sight[2:] - sight[:2]))

    def hide(self, shown: Shown, nearer: Picture, frame: int) -> None:
        """Measure again what nearer objects leave of it, and join them.

        Args:
            shown: what was drawn of the frame.
            nearer: uint8 (H, W) of the canvas, how much of each pixel they cover, 0..255; the
                object is added in place.
            frame: index.
        """
        x0, y0, x1, y1 = shown.window
        region = nearer[y0:y1, x0:x1]
        if region.any():
            visible = self.visible[frame]
            self.area[frame] = self.visible[frame] = 0.0
            self.boxes[frame], self._pixels[frame] = np.nan, None
            left = np.asarray(cv2.multiply(shown.alpha, 255 - region, scale=1 / 255), np.uint8)
            self.measure(shown._replace(alpha=left), frame)
            self.visible[frame] = min(self.visible[frame], visible)
        np.maximum(region, shown.alpha, out=region)

    def doubt(self, frame: int) -> None:
        """Take back a frame in which it does not stand out from what is behind it."""
        self.visible[frame] = min(self.visible[frame], 0.5 * LEAST_VISIBLE)

    def stirred(self, changed: Changed) -> Series:
        """Return the share of the picture that changes where it is seen, float64 (n,).

        Args:
            changed: bool (n, S, S), pixels that change clearly around each frame.
        """
        side, shares = changed.shape[1], np.zeros(len(changed))
        for frame, pixels in enumerate(self._pixels):
            if pixels is None:
                continue
            x, y, mask = pixels
            region = changed[frame, y : y + mask.shape[0], x : x + mask.shape[1]]
            inside = mask[: region.shape[0], : region.shape[1]]
            shares[frame] = np.count_nonzero(region & inside) / side**2
        return shares


def _pixels(alpha: Picture, corner: Points, zoom: Points) -> Pixels:
    """Return the pixels that an object covers by a tenth, and those around it.

    Args:
        alpha: uint8 (h, w).
        corner: float64 (2,), x, y of its upper left in what the camera sees, canvas pixels.
        zoom: float64 (2,), picture pixels a canvas pixel.
    """
    padded = cv2.copyMakeBorder(alpha, *(PAD_PX,) * 4, cv2.BORDER_CONSTANT, value=0)
    size = np.maximum(np.round(np.array(padded.shape[::-1]) * zoom), 1).astype(int)
    if not np.array_equal(size, padded.shape[::-1]):
        padded = cv2.resize(padded, size.tolist(), interpolation=cv2.INTER_AREA)
    mask = cv2.dilate(padded, np.ones((2 * PAD_PX + 1,) * 2, np.uint8)) > LEAST_COVER
    x, y = np.round((corner - PAD_PX) * zoom).astype(int).tolist()
    return Pixels(max(x, 0), max(y, 0), mask[max(-y, 0) :, max(-x, 0) :])
