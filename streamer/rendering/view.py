"""The camera of a rendered clip: where a point of the world is in the picture.

In: points in metres, X right, Y up, Z forward, the camera above the origin. Out: places in the
picture in picture heights (aspect-true), depths in metres, and back again.
Invariant: drawing and truth use the same projection.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]

NEAR_M = 0.2
"""What is nearer than this is not drawn."""


@dataclass(frozen=True)
class View:
    """A pinhole camera.

    Attributes:
        height_m: above the ground.
        tilt: radians down from level.
        roll: radians.
        focal: in picture heights.
        aspect: width / height of the picture before it is squashed to a square.
    """

    height_m: float
    tilt: float
    roll: float
    focal: float
    aspect: float

    @cached_property
    def rotation(self) -> Points:
        """Rows: right, down and forward of the camera, float64 (3, 3)."""
        sin_t, cos_t = np.sin(self.tilt), np.cos(self.tilt)
        level = np.array([[1, 0, 0], [0, -cos_t, -sin_t], [0, -sin_t, cos_t]])
        sin_r, cos_r = np.sin(self.roll), np.cos(self.roll)
        rolled = np.array([[cos_r, sin_r, 0], [-sin_r, cos_r, 0], [0, 0, 1]])
        return np.asarray(rolled @ level)

    def seen(self, points: Points) -> Points:
        """Return points (..., 3) in the camera's own axes: right, down, forward."""
        return np.asarray((points - np.array([0, self.height_m, 0])) @ self.rotation.T)

    def project(self, points: Points) -> tuple[Points, Points]:
        """Return places (..., 2) in picture heights and depths (...,) in metres.

        Depths below `NEAR_M` are set to it for the division, never in the result.
        """
        seen = self.seen(points)
        depth = seen[..., 2]
        place = seen[..., :2] * (self.focal / np.maximum(depth, NEAR_M))[..., None]
        return np.asarray(place + np.array([self.aspect / 2, 0.5])), depth

    def ray(self, place: Points) -> Points:
        """Return the world directions (..., 3) of places (..., 2), of depth 1 along the axis."""
        flat = (place - np.array([self.aspect / 2, 0.5])) / self.focal
        return np.asarray(np.concatenate([flat, np.ones_like(flat[..., :1])], -1) @ self.rotation)

    def at_depth(self, place: Points, depth_m: Points | float) -> Points:
        """Return world points (..., 3) of places (..., 2) at depths (...,) along the axis."""
        depth = np.asarray(depth_m, np.float64)
        return np.asarray(self.ray(place) * depth[..., None] + np.array([0, self.height_m, 0]))

    def ground(self, place: Points, level_m: float = 0.0) -> Points:
        """Return where rays of places (..., 2) meet the plane Y = level; else far away."""
        ray = self.ray(place)
        fall = np.maximum(-ray[..., 1], 1e-3)
        reach = (self.height_m - level_m) / fall
        return np.asarray(ray * reach[..., None] + np.array([0, self.height_m, 0]))
