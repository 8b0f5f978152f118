"""Puts figures together: points in an object's own axes become points in the world.

In: points as forward, left and up of an object. Out: a `Figure`. Here are also the colours of
things and small helpers of chance.
Invariant: point numbers are handed out once and in order.
"""

from __future__ import annotations

import colorsys

import numpy as np
import numpy.typing as npt

from streamer.rendering.figure import Figure
from streamer.rendering.view import Points
from streamer.truth import Series

Rng = np.random.Generator
Spots = npt.NDArray[np.int64]


def paint(rng: Rng, brightest: float = 1.0) -> Points:
    """Return a colour as things have it, mostly dull: float64 (3,) RGB 0..255."""
    value = brightest * (0.05 + 0.95 * rng.random() ** 0.8)
    saturation = float(rng.beta(0.8, 2.2))
    return np.array(colorsys.hsv_to_rgb(rng.random(), saturation, value)) * 255


def surface_paint(rng: Rng) -> Points:
    """Return a colour as walls, floors and furniture have it: white, grey, wood, seldom bright."""
    manner = rng.random()
    if manner < 0.5:
        hue, saturation, value = rng.uniform(0.03, 0.7), 0.14 * rng.random(), rng.uniform(0.25, 1.0)
    elif manner < 0.75:
        hue, saturation, value = (
            rng.uniform(0.02, 0.12),
            rng.uniform(0.2, 0.7),
            rng.uniform(0.2, 0.8),
        )
    elif manner < 0.93:
        hue, saturation, value = (
            rng.uniform(0.2, 0.65),
            rng.uniform(0.1, 0.5),
            rng.uniform(0.25, 0.9),
        )
    else:
        return paint(rng)
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value)) * 255


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """Return a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


class Builder:
    """Collects points, capsules and faces of one object.

    Args:
        place: float64 (n, 3), metres.
        heading: float64 (n,), radians; 0 faces +X.
    """

    def __init__(self, place: Points, heading: Series) -> None:
        self._place = place
        cos, sin, none = np.cos(heading), np.sin(heading), np.zeros_like(heading)
        one = np.ones_like(heading)
        forward, left = np.stack([cos, none, sin], -1), np.stack([-sin, none, cos], -1)
        self._axes = np.stack([forward, left, np.stack([none, one, none], -1)], axis=1)
        self._points: list[Points] = []
        self._n_points = 0
        self._capsules: list[tuple[int, int]] = []
        self._radii: list[tuple[float, float]] = []
        self._capsule_rgb: list[Points] = []
        self._faces: list[Spots] = []
        self._face_rgb: list[Points] = []

    def add(self, points: Points) -> Spots:
        """Add points (n, p, 3) or, (p, 3) if they keep still in it; return their numbers."""
        own = (
            points
            if points.ndim == 3
            else np.broadcast_to(points, (len(self._place), *points.shape))
        )
        return self.add_world(np.einsum("npk,nkd->npd", own, self._axes) + self._place[:, None])

    def add_world(self, points: Points) -> Spots:
        """Add points (n, p, 3) that are in the world's axes already; return their numbers."""
        self._points.append(points)
        first, self._n_points = self._n_points, self._n_points + points.shape[1]
        return np.arange(first, self._n_points)

    def capsule(self, start: int, end: int, r_start: float, r_end: float, rgb: Points) -> None:
        """Join two points; the same point twice makes a ball."""
        self._capsules.append((int(start), int(end)))
        self._radii.append((r_start, r_end))
        self._capsule_rgb.append(rgb)

    def face(self, spots: Spots, rgb: Points) -> None:
        """Span a face over four points in order."""
        self._faces.append(spots)
        self._face_rgb.append(rgb)

    def figure(
        self, name: str, core: Spots, parts: Spots | None = None, *, is_grounded: bool = True
    ) -> Figure:
        """Return what has been put together.

        Args:
            name: person, car, ...
            core: points of the body.
            parts: points that gesture.
            is_grounded: whether it casts a shadow where it stands.
        """
        none = np.zeros(0, np.int64)
        return Figure(
            points=np.concatenate(self._points, axis=1),
            capsules=np.array(self._capsules, np.int64).reshape(-1, 2),
            radii=np.array(self._radii, np.float64).reshape(-1, 2),
            capsule_rgb=np.array(self._capsule_rgb, np.float64).reshape(-1, 3),
            faces=np.array(self._faces, np.int64).reshape(-1, 4),
            face_rgb=np.array(self._face_rgb, np.float64).reshape(-1, 3),
            core=core,
            parts=none if parts is None else parts,
            is_grounded=is_grounded,
            name=name,
        )
