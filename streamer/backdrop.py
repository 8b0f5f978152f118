"""Where rendered scenes take place: still pictures with texture, drawn once.

In: a random generator that chooses the looks, and a size. Out: uint8 (H, W, 3) RGB. Coordinates are
shares of width and height, so that every size shows the same place. Invariant: the same generator
state draws the same picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from streamer.frame import Picture

Backdrop = Callable[[np.random.Generator, int, int], Picture]
Point = tuple[float, float]
Colour = tuple[int, int, int]

HORIZON = 0.36
"""Height of the horizon outdoors, share of the picture from the top."""
HALLWAY_HORIZON = 0.25
"""Height of the eye line in the corridor, share of the picture from the top."""
FAR_WALL = 0.08
"""Distance of the corridor's far corners from the middle, share of the width."""


class _Canvas:
    """A picture that is drawn on in shares of its size."""

    def __init__(self, rng: np.random.Generator, width: int, height: int) -> None:
        self.picture: Picture = np.zeros((height, width, 3), np.uint8)
        self._rng = rng

    def area(self, points: Sequence[Point], colour: Colour) -> None:
        height, width = self.picture.shape[:2]
        corners = np.array([(x * width, y * height) for x, y in points]).round().astype(np.int32)
        cv2.fillPoly(self.picture, [corners], colour, cv2.LINE_AA)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        self.area([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)

    def shade(self, strength: float) -> Picture:
        """Add the unevenness of real surfaces at four scales; return the finished picture."""
        height, width = self.picture.shape[:2]
        grain = np.zeros((height, width, 1), np.float32)
        for size_px in (64, 16, 4, 1):
            shape = (height // size_px + 2, width // size_px + 2)
            coarse = self._rng.normal(0, strength, shape).astype(np.float32)
            fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
            grain += fine[..., None]
        shaded = self.picture.astype(np.float32) * np.exp(grain)
        return np.clip(shaded, 0, 255).astype(np.uint8)


def street(rng: np.random.Generator, width: int, height: int) -> Picture:
    """Draw houses, a pavement and a road that runs across the picture."""
    canvas = _Canvas(rng, width, height)
    canvas.box(0, 0, 1, HORIZON, (150, 180, 210))
    edge = 0.0
    while edge < 1:
        right = edge + rng.uniform(0.12, 0.26)
        _house(canvas, rng, edge, right)
        edge = right
    canvas.box(0, 0.5, 1, 0.62, (135, 130, 125))
    canvas.box(0, 0.615, 1, 0.625, (90, 88, 86))
    canvas.box(0, 0.625, 1, 1, (85, 85, 88))
    for x in np.arange(0, 1, 0.12):
        canvas.area(
            [(x, 0.785), (x + 0.06, 0.785), (x + 0.055, 0.8), (x - 0.008, 0.8)], (200, 200, 195)
        )
    return canvas.shade(0.035)


def corridor(rng: np.random.Generator, width: int, height: int) -> Picture:
    """Draw a hallway that is looked along, with a doorway on the right at its far end."""
    canvas = _Canvas(rng, width, height)
    wall = _around(rng, (190, 185, 170))
    left, right = 0.5 - FAR_WALL, 0.5 + FAR_WALL
    far = [(left, 0.2), (right, 0.2), (right, 0.52), (left, 0.52)]
    canvas.area([(0, -0.05), (1, -0.05), far[1], far[0]], (225, 225, 220))
    canvas.area([(0, 1.95), (1, 1.95), far[2], far[3]], _around(rng, (120, 100, 80)))
    canvas.area([(0, -0.05), far[0], far[3], (0, 1.95)], wall)
    canvas.area([(1, -0.05), far[1], far[2], (1, 1.95)], wall)
    canvas.area(far, _around(rng, (150, 160, 165)))
    for near in (1.7, 2.6, 4.4):
        # A door in the left wall: near and far post as multiples of the far wall's distance from
        # the middle.
        posts = [(0.5 - FAR_WALL * k, 0.25 + 0.02 * k, 0.25 + 0.27 * k) for k in (near, near * 1.3)]
        (x0, top0, foot0), (x1, top1, foot1) = posts
        colour = _around(rng, (110, 80, 60))
        canvas.area([(x0, top0), (x1, top1), (x1, foot1), (x0, foot0)], colour)
    return canvas.shade(0.025)


def garden(rng: np.random.Generator, width: int, height: int) -> Picture:
    """Draw a lawn with a path, a hedge and sky."""
    canvas = _Canvas(rng, width, height)
    canvas.box(0, 0, 1, HORIZON, (170, 195, 220))
    canvas.box(0, 0.28, 1, 0.5, (50, 85, 40))
    canvas.box(0, 0.48, 1, 1, (90, 130, 60))
    canvas.area([(0, 0.72), (1, 0.66), (1, 0.8), (0, 0.88)], _around(rng, (175, 160, 135)))
    return canvas.shade(0.06)


def room(rng: np.random.Generator, width: int, height: int) -> Picture:
    """Draw a room with a window, a shelf, a table and two lamps."""
    canvas = _Canvas(rng, width, height)
    canvas.box(0, 0, 1, 0.62, _around(rng, (190, 180, 165)))
    canvas.box(0, 0.62, 1, 1, _around(rng, (130, 95, 65)))
    canvas.box(0.08, 0.12, 0.26, 0.42, (90, 120, 150))
    canvas.box(0.165, 0.12, 0.172, 0.42, (220, 220, 215))
    canvas.box(0.66, 0.3, 0.92, 0.7, (105, 75, 50))
    for x in np.arange(0.67, 0.9, 0.024):
        top = rng.uniform(0.34, 0.4)
        canvas.box(x, top, x + 0.018, 0.48, _around(rng, (120, 110, 100), 80))
    canvas.area([(0.33, 0.66), (0.6, 0.66), (0.66, 0.76), (0.28, 0.76)], (150, 110, 70))
    for x in (0.3, 0.8):
        canvas.area(
            [(x - 0.03, 0.22), (x + 0.03, 0.22), (x + 0.045, 0.3), (x - 0.045, 0.3)],
            (235, 225, 195),
        )
    return canvas.shade(0.025)


def _house(canvas: _Canvas, rng: np.random.Generator, left: float, right: float) -> None:
    roof = rng.uniform(0.02, 0.16)
    canvas.box(left, roof, right, 0.5, _around(rng, (160, 140, 125), 40))
    for row in np.arange(roof + 0.05, 0.4, 0.13):
        for x in np.arange(left + 0.02, right - 0.035, 0.05):
            canvas.box(x, row, x + 0.025, row + 0.075, _around(rng, (60, 70, 85), 20))


def _around(rng: np.random.Generator, colour: Colour, spread: int = 20) -> Colour:
    red, green, blue = np.clip(colour + rng.integers(-spread, spread + 1, 3), 0, 255)
    return int(red), int(green), int(blue)
