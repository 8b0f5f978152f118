"""An object of a rendered clip as points in space with capsules and faces between them.

In: points per frame in metres. Out: polygons per frame in pixels, far ones first, drawn into a
small transparent canvas; and the object's track for the truth.
Invariant: what is drawn and the track come from the same projected points.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamer.frame import Picture
from streamer.rendering.surface import Stage
from streamer.rendering.view import NEAR_M, Points
from streamer.truth import Series, rate

SHIFT = 4
"""Polygon corners are given in 1/16 pixel."""
_END = np.radians(np.array([-90, -45, 0, 45, 90]))
_LARGEST = 4000.0


@dataclass(frozen=True)
class Figure:
    """An object and its course.

    Attributes:
        points: float64 (n, P, 3), metres.
        capsules: int (M, 2), the points at both ends; the same twice makes a ball.
        radii: float64 (M, 2), metres.
        capsule_rgb: float64 (M, 3).
        faces: int (F, 4), corners of convex faces, in order.
        face_rgb: float64 (F, 3).
        core: points that stand for its body.
        parts: points whose motion against the body is its gesture; may be empty.
        is_grounded: whether it stands on the ground and has a shadow there.
        name: person, car, ...
    """

    points: Points
    capsules: npt.NDArray[np.int64]
    radii: Points
    capsule_rgb: Points
    faces: npt.NDArray[np.int64]
    face_rgb: Points
    core: npt.NDArray[np.int64]
    parts: npt.NDArray[np.int64]
    is_grounded: bool
    name: str


@dataclass(frozen=True)
class Flat:
    """A figure as seen by the camera, ready to be drawn.

    Attributes:
        polygons: per frame int32 (M + F, 10, 2) in 1/16 pixels; faces repeat corners.
        order: int (n, M + F), far ones first.
        rgb: float64 (n, M + F, 3).
        low: float64 (n, 2), upper left corner of what it covers, canvas pixels.
        high: float64 (n, 2), lower right corner.
        depth: float64 (n,), of its middle, metres.
        is_drawn: bool (n,), False where it is behind or too near the camera.
        centre: float64 (n, 2), of the body, picture heights.
        scale: float64 (n,), picture heights a metre covers.
        part_speed: float64 (n,), of what is seen, heights a second.
        hidden_speed: float64 (n,), of what is hidden or outside of the picture.
        foot: float64 (n, 2), canvas pixels under its middle.
    """

    polygons: npt.NDArray[np.int32]
    order: npt.NDArray[np.int64]
    rgb: Points
    low: Points
    high: Points
    depth: Series
    is_drawn: npt.NDArray[np.bool_]
    centre: Points
    scale: Series
    part_speed: Series
    hidden_speed: Series
    foot: Points


def flattened(figure: Figure, stage: Stage, times_s: Series, light: Points) -> Flat:
    """Project a figure.

    Args:
        figure: what.
        stage: where.
        times_s: float64 (n,), when its points are.
        light: float64 (3,), direction to the light, for the shade of faces.
    """
    place, depth = stage.view.project(figure.points)
    polygons = [_capsules(figure, stage, place, depth)]
    shades = [np.broadcast_to(figure.capsule_rgb, (len(place), *figure.capsule_rgb.shape))]
    depths = [depth[:, figure.capsules].mean(axis=2)]
    if len(figure.faces):
        corners = stage.pixels(place[:, figure.faces])
        polygons.append(np.repeat(corners, (3, 2, 3, 2), axis=2))
        shades.append(figure.face_rgb * _lambert(figure, light)[..., None])
        depths.append(depth[:, figure.faces].mean(axis=2))
    corners = np.clip(np.concatenate(polygons, axis=1), -_LARGEST, _LARGEST)
    middle = depth[:, figure.core].mean(axis=1)
    scale = stage.view.focal / np.maximum(middle, NEAR_M)
    centre = place[:, figure.core].mean(axis=1)
    under = figure.points[:, figure.core].mean(axis=1) * np.array([1, 0, 1])
    seen_speed, hidden_speed = _part_speeds(figure, stage, place, depth, times_s)
    return Flat(
        # OpenCV counts from the middle of the first pixel, a place in the picture from its edge.
        polygons=np.round((corners - 0.5) * (1 << SHIFT)).astype(np.int32),
        order=np.argsort(-np.concatenate(depths, axis=1), axis=1),
        rgb=np.clip(np.concatenate(shades, axis=1), 0, 255),
        low=corners.min(axis=(1, 2)),
        high=corners.max(axis=(1, 2)),
        depth=middle,
        is_drawn=depth.min(axis=1) > NEAR_M,
        centre=centre,
        scale=scale,
        part_speed=seen_speed,
        hidden_speed=hidden_speed,
        foot=stage.pixels(stage.view.project(under)[0]),
    )


def drawn(flat: Flat, frame: int, corner: tuple[int, int], size: tuple[int, int]) -> Picture:
    """Draw one frame of a figure on nothing.

    Args:
        flat: the figure.
        frame: index.
        corner: x, y of the canvas that the result begins at.
        size: width, height of the result.

    Returns:
        uint8 (h, w, 4), RGB times alpha, and alpha. New array.
    """
    canvas = np.zeros((size[1], size[0], 4), np.uint8)
    polygons = flat.polygons[frame] - np.array(corner, np.int32) * (1 << SHIFT)
    colours = flat.rgb[frame].tolist()
    for index in flat.order[frame].tolist():
        red, green, blue = colours[index]
        colour = (red, green, blue, 255)
        cv2.fillConvexPoly(canvas, polygons[index], colour, cv2.LINE_AA, SHIFT)
    return canvas


def _capsules(figure: Figure, stage: Stage, place: Points, depth: Series) -> Points:
    """Return outlines of capsules, canvas pixels, float64 (n, M, 10, 2)."""
    ends = place[:, figure.capsules]
    near = np.maximum(depth[:, figure.capsules], NEAR_M)
    radius = figure.radii * stage.view.focal / near
    along = ends[:, :, 1] - ends[:, :, 0]
    length = np.hypot(along[..., 0], along[..., 1])[..., None]
    along = np.where(length > 1e-9, along / np.maximum(length, 1e-9), np.array([0.0, 1.0]))
    across = np.stack([-along[..., 1], along[..., 0]], -1)
    cos, sin = np.cos(_END)[:, None], np.sin(_END)[:, None]
    outline = []
    for end, sign in ((0, -1.0), (1, 1.0)):
        fan = sign * (along[:, :, None] * cos + across[:, :, None] * sin)
        outline.append(ends[:, :, end, None] + fan * radius[:, :, end, None, None])
    return stage.pixels(np.concatenate(outline, axis=2))


def _lambert(figure: Figure, light: Points) -> Points:
    """Return how bright faces are, float64 (n, F)."""
    corners = figure.points[:, figure.faces]
    normal = np.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    return np.asarray(0.72 + 0.33 * np.abs(normal @ light))


def _part_speeds(
    figure: Figure, stage: Stage, place: Points, depth: Series, times_s: Series
) -> tuple[Series, Series]:
    """Return how fast parts move against the body, over half a second.

    Returns:
        float64 (n,) twice: the fastest part that is seen, and the fastest of the others.
    """
    parts = figure.parts
    if not len(parts):
        return np.zeros(len(place)), np.zeros(len(place))
    offset = place[:, parts] - place[:, figure.core].mean(axis=1)[:, None]
    velocity = rate(offset.reshape(len(place), -1), times_s, 1).reshape(offset.shape)
    speed = np.hypot(velocity[..., 0], velocity[..., 1])
    is_open = stage.is_open(place[:, parts], depth[:, parts])
    return _fastest(speed * is_open), _fastest(speed * ~is_open)


def _fastest(speed: Points) -> Series:
    """Return the most of any part, float64 (n,), each over half a second."""
    padded = np.pad(speed, ((2, 2), (0, 0)), "edge")
    smooth = sum(padded[shift : shift + len(speed)] for shift in range(5)) / 5
    return np.asarray(np.max(smooth, axis=1))
