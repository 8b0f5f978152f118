"""The still part of a rendered place: textured rectangles in space, drawn with a depth buffer.

In: rectangles in metres with a texture and two colours. Out: the picture of the place and, for each
pixel, how near the thing is that could hide an object.
Invariant: a pixel shows the nearest rectangle; the ground hides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from streamer.frame import Picture
from streamer.rendering.texture import SIDE_PX, Texture
from streamer.rendering.view import NEAR_M, Points, View

Rng = np.random.Generator
Nearness = npt.NDArray[np.float32]

LATTICE = np.linspace(0, 1, 5)


@dataclass(frozen=True)
class Surface:
    """A rectangle in space.

    Attributes:
        corner: float64 (3,), metres.
        u: float64 (3,), from the corner along the texture's x.
        v: float64 (3,), from the corner along the texture's y.
        texture: uint8 (256, 256), tiled.
        dark: float64 (3,), RGB where the texture is 0.
        bright: float64 (3,), RGB where it is 255.
        tile_m: metres that a tile covers; 0 stretches one tile over the whole.
        can_hide: False for the ground.
        cutout: 0 for a solid one, else the share of the texture's range that is transparent.
    """

    corner: Points
    u: Points
    v: Points
    texture: Texture
    dark: Points
    bright: Points
    tile_m: float = 1.0
    can_hide: bool = True
    cutout: float = 0.0


@dataclass
class Stage:
    """The canvas of a place.

    Attributes:
        view: the camera.
        size_px: side of the square picture that is seen.
        margin_px: border around it that a moving camera may show.
        kind: of place.
        picture: uint8 (C, C, 3) with C = size + 2 margins.
        nearness: float32 (C, C), 1 / metres of what is drawn.
        hiding: the same without the ground.
    """

    view: View
    size_px: int
    margin_px: int
    kind: str = ""
    picture: Picture = field(init=False)
    nearness: Nearness = field(init=False)
    hiding: Nearness = field(init=False)

    def __post_init__(self) -> None:
        side = self.side_px
        self.picture = np.zeros((side, side, 3), np.uint8)
        self.nearness = np.zeros((side, side), np.float32)
        self.hiding = np.zeros((side, side), np.float32)

    @property
    def side_px(self) -> int:
        """Side of the canvas."""
        return self.size_px + 2 * self.margin_px

    @property
    def px(self) -> Points:
        """Pixels a picture height covers along x and y, float64 (2,): the picture is squashed."""
        return np.array([self.size_px / self.view.aspect, self.size_px])

    def pixels(self, place: Points) -> Points:
        """Return canvas pixels (..., 2) of places (..., 2) in picture heights."""
        return place * self.px + self.margin_px

    def places(self, pixels: Points) -> Points:
        """Return places in picture heights of canvas pixels; the inverse of `pixels`."""
        return (pixels - self.margin_px) / self.px

    def is_open(self, place: Points, depth_m: Points) -> npt.NDArray[np.bool_]:
        """Say which points are in the picture and not hidden.

        Args:
            place: float64 (..., 2), picture heights.
            depth_m: float64 (...,).
        """
        spots = self.pixels(place)
        inner = spots - self.margin_px
        is_inside = ((inner >= 0) & (inner < self.size_px)).all(axis=-1)
        x, y = np.moveaxis(np.clip(spots, 0, self.side_px - 1).astype(int), -1, 0)
        is_free = self.hiding[y, x] < 1 / np.maximum(depth_m, NEAR_M)
        return np.asarray(is_inside & is_free & (depth_m > NEAR_M))

    def draw(self, surface: Surface) -> None:
        """Draw a rectangle where nothing nearer has been drawn."""
        box = self._box(surface)
        if box is None:
            return
        rows, columns = box
        y, x = np.mgrid[rows, columns].astype(np.float64) + 0.5
        ray = self._rays(x, y)
        at, inverse_depth = _plane_places(self.view, surface, ray)
        u_m, v_m = (float(np.linalg.norm(axis)) for axis in (surface.u, surface.v))
        is_seen = (inverse_depth > self.nearness[rows, columns]) & (inverse_depth < 1 / NEAR_M)
        is_seen &= (at >= 0).all(axis=-1) & (at <= 1).all(axis=-1)
        scale = SIDE_PX / surface.tile_m if surface.tile_m else 0.0
        spread = np.array([u_m, v_m]) * scale if scale else np.full(2, SIDE_PX - 1.0)
        map_xy = np.clip(at, -60, 60) * spread % (2 * SIDE_PX)
        grey = _looked_up(surface.texture, map_xy.astype(np.float32))
        if surface.cutout:
            is_seen &= grey > surface.cutout * 255
        self.picture[rows, columns][is_seen] = _coloured(grey, surface)[is_seen]
        self.nearness[rows, columns][is_seen] = inverse_depth[is_seen]
        if surface.can_hide:
            self.hiding[rows, columns][is_seen] = inverse_depth[is_seen]

    def _rays(self, x: Points, y: Points) -> Points:
        """Return directions in the camera's own axes, float64 (h, w, 3), depth 1."""
        place = self.places(np.stack([x, y], -1))
        flat = (place - np.array([self.view.aspect / 2, 0.5])) / self.view.focal
        return np.concatenate([flat, np.ones_like(flat[..., :1])], -1)

    def _box(self, surface: Surface) -> tuple[slice, slice] | None:
        """Return which part of the canvas the rectangle can cover."""
        s, t = np.meshgrid((0.0, 1.0), (0.0, 1.0))
        corners = surface.corner + s[..., None] * surface.u + t[..., None] * surface.v
        place, depth = self.view.project(corners.reshape(-1, 3))
        side = self.side_px
        if (depth <= NEAR_M).all():
            return None
        if (depth <= NEAR_M).any():
            return slice(0, side), slice(0, side)
        spots = self.pixels(place)
        low = np.clip(np.floor(spots.min(axis=0)) - 1, 0, side).astype(int)
        high = np.clip(np.ceil(spots.max(axis=0)) + 1, 0, side).astype(int)
        if (high <= low).any():
            return None
        return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


def box(
    base: Points, size: Points, yaw: float, look: tuple[Texture, Points, Points], tile_m: float
) -> list[Surface]:
    """Return the faces of a box that a camera above its bottom can see.

    Args:
        base: float64 (3,), middle of its bottom, metres.
        size: float64 (3,), width, height, depth.
        yaw: radians around the vertical.
        look: texture, dark and bright colour.
        tile_m: as in `Surface`.
    """
    texture, dark, bright = look
    across = np.array([np.cos(yaw), 0, np.sin(yaw)]) * size[0]
    along = np.array([-np.sin(yaw), 0, np.cos(yaw)]) * size[2]
    up = np.array([0, size[1], 0])
    corner = base - across / 2 - along / 2
    faces = [
        (corner + up, across, along, 1.08),
        (corner + up, across, -up, 0.92),
        (corner + up + along, across, -up, 0.8),
        (corner + up, along, -up, 0.7),
        (corner + up + across, along, -up, 0.75),
    ]
    return [
        Surface(at, u, v, texture, dark * shade, np.minimum(bright * shade, 255), tile_m)
        for at, u, v, shade in faces
    ]


def _plane_places(view: View, surface: Surface, ray: Points) -> tuple[Points, Nearness]:
    """Return where rays meet the plane, as shares of u and v, and 1 / depth there."""
    origin = view.seen(surface.corner)
    u, v = view.rotation @ surface.u, view.rotation @ surface.v
    normal = np.cross(u, v)
    reach = float(normal @ origin)
    away = reach if abs(reach) > 1e-6 else 1e-6
    inverse_depth = (ray @ normal) / away
    # Solve depth * ray = origin + s u + t v for s and t, with rows of the inverse matrix.
    solver = np.linalg.pinv(np.stack([u, v], axis=1))
    depth = 1 / np.where(np.abs(inverse_depth) < 1e-6, 1e-6, inverse_depth)
    at = (ray * depth[..., None] - origin) @ solver.T
    return at, inverse_depth.astype(np.float32)


def _looked_up(texture: Texture, map_xy: npt.NDArray[np.float32]) -> Texture:
    x, y = cv2.split(map_xy)
    found = cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(found, np.uint8)


def _coloured(grey: Texture, surface: Surface) -> Picture:
    share = np.arange(256)[:, None] / 255
    table = np.clip(surface.dark + share * (surface.bright - surface.dark), 0, 255)
    return np.asarray(table.astype(np.uint8)[grey], np.uint8)
