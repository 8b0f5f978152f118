"""Things that move in rendered scenes: people and cars drawn from lines, ellipses and polygons.

In: a random generator that chooses the looks. Out: sprites, tight around what they show, and
`paste`, which puts one into a picture at a fraction of a pixel. Invariant: the same generator state
draws the same sprite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, radians, sin

import cv2
import numpy as np
import numpy.typing as npt

from streamer.frame import Picture

N_PHASES = 12
"""Pictures of a gait cycle; at 2 steps a second each is shown for 80 ms."""
WALKER_PX = 240
CAR_PX = 160
"""Height of a drawn sprite; it is scaled when pasted."""

Canvas = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Sprite:
    """A picture with transparency.

    Attributes:
        levels: uint8 (h, w, 4) RGB times alpha, and alpha; each level half as large as the one
            before, so that a
            small sprite is averaged, not sampled.
        aspect: width / height.
    """

    levels: tuple[Canvas, ...]
    aspect: float

    def mirrored(self) -> Sprite:
        """Return the same thing facing the other way."""
        flipped = tuple(np.ascontiguousarray(level[:, ::-1]) for level in self.levels)
        return Sprite(flipped, self.aspect)


def sprite_of(canvas: Canvas) -> Sprite:
    """Make a sprite of a drawing.

    Args:
        canvas: uint8 (h, w, 4), RGB and alpha, not multiplied yet.
    """
    x, y, width, height = cv2.boundingRect(canvas[..., 3])
    cut = canvas[y : y + height, x : x + width].astype(np.float32)
    cut[..., :3] *= cut[..., 3:] / 255
    levels = [np.round(cut).astype(np.uint8)]
    while min(levels[-1].shape[:2]) >= 16:
        levels.append(np.asarray(cv2.pyrDown(levels[-1]), np.uint8))
    return Sprite(tuple(levels), width / height)


def paste(
    picture: Picture,
    sprite: Sprite,
    foot: tuple[float, float],
    height_px: float,
    clip: slice = slice(None),
) -> None:
    """Draw a sprite into a picture.

    Args:
        picture: uint8 (H, W, 3) RGB; modified in place.
        sprite: what to draw.
        foot: x of its middle and y of its lower edge, pixels, fractions allowed; may lie outside.
        height_px: its height in the picture.
        clip: columns in which it is visible; elsewhere something hides it.
    """
    view = picture[:, clip]
    left = foot[0] - (clip.start or 0) - height_px * sprite.aspect / 2
    top = foot[1] - height_px
    x0, y0 = max(0, int(left) - 1), max(0, int(top) - 1)
    x1 = min(view.shape[1], int(left + height_px * sprite.aspect) + 2)
    y1 = min(view.shape[0], int(foot[1]) + 2)
    if x1 <= x0 or y1 <= y0:
        return
    full = sprite.levels[0].shape[0]
    index = int(np.clip(np.log2(full / height_px), 0, len(sprite.levels) - 1))
    level = sprite.levels[index]
    scale = height_px / level.shape[0]
    place = np.array([[scale, 0, left - x0], [0, scale, top - y0]], np.float32)
    drawn = cv2.warpAffine(level, place, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
    through = cv2.cvtColor(255 - drawn[..., 3], cv2.COLOR_GRAY2RGB)
    region = view[y0:y1, x0:x1]
    region[...] = cv2.add(cv2.multiply(region, through, scale=1 / 255), drawn[..., :3].copy())


def walker_gait(rng: np.random.Generator, *, is_frontal: bool = False) -> tuple[Sprite, ...]:
    """Draw one person in `N_PHASES` phases of walking, to the right or towards the camera."""
    colours = rng.integers(20, 236, (3, 3))
    skin = np.array([200, 160, 130]) * rng.uniform(0.4, 1.1)
    look = [tuple(int(c) for c in np.clip(colour, 0, 255)) for colour in (*colours, skin)]
    cloth = _cloth(rng)
    angles = [2 * pi * phase / N_PHASES for phase in range(N_PHASES)]
    return tuple(sprite_of(_walker(look, cloth, angle, is_frontal)) for angle in angles)


def car(rng: np.random.Generator) -> Sprite:
    """Draw one car, seen from the side, heading right."""
    canvas = np.zeros((CAR_PX, 2 * CAR_PX + 80, 4), np.uint8)
    paint = tuple(int(c) for c in rng.integers(30, 250, 3))
    roof = rng.integers(40, 60)
    body = [
        (20, 125),
        (25, 85),
        (90, 78),
        (130, roof),
        (235, roof),
        (290, 78),
        (365, 88),
        (372, 125),
    ]
    glass = [(105, 78), (136, roof + 8), (180, roof + 8), (180, 78)]
    cv2.ellipse(canvas, (196, 146), (185, 9), 0, 0, 360, (0, 0, 0, 120), -1)
    cv2.fillPoly(canvas, [np.array(body, np.int32)], (*paint, 255), cv2.LINE_AA)
    for window in (glass, [(188, 78), (188, roof + 8), (230, roof + 8), (272, 78)]):
        cv2.fillPoly(canvas, [np.array(window, np.int32)], (40, 50, 60, 255), cv2.LINE_AA)
    for x in (90, 305):
        cv2.circle(canvas, (x, 124), 25, (25, 25, 25, 255), -1, cv2.LINE_AA)
        cv2.circle(canvas, (x, 124), 12, (150, 150, 155, 255), -1, cv2.LINE_AA)
    cv2.circle(canvas, (362, 98), 7, (255, 250, 210, 255), -1, cv2.LINE_AA)
    cv2.line(canvas, (30, 104), (368, 104), (*(c // 2 for c in paint), 255), 2, cv2.LINE_AA)
    return sprite_of(canvas)


def leaf_cluster(rng: np.random.Generator, size_px: int = 128) -> Sprite:
    """Draw a bunch of leaves on nothing."""
    canvas = np.zeros((size_px, size_px, 4), np.uint8)
    for _ in range(90):
        angle, radius = rng.uniform(0, 2 * pi), size_px * 0.42 * rng.random() ** 0.6
        middle = (int(size_px / 2 + radius * cos(angle)), int(size_px / 2 + radius * sin(angle)))
        green = (int(rng.integers(20, 110)), int(rng.integers(70, 190)), int(rng.integers(10, 70)))
        axes = (int(size_px * 0.07), int(size_px * 0.03))
        cv2.ellipse(canvas, middle, axes, rng.uniform(0, 180), 0, 360, (*green, 255), -1)
    return sprite_of(canvas)


def _cloth(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return a pattern of folds that brightens and darkens clothes, (WALKER_PX, WALKER_PX, 1)."""
    coarse = rng.uniform(0.75, 1.25, (24, 12)).astype(np.float32)
    folds = cv2.resize(coarse, (WALKER_PX, WALKER_PX), interpolation=cv2.INTER_CUBIC)
    return np.asarray(folds[..., None], np.float32)


def _walker(
    look: Sequence[tuple[int, ...]], cloth: npt.NDArray[np.float32], angle: float, is_frontal: bool
) -> Canvas:
    """Draw one phase; shirt, trousers, shoes and skin are look[0..3]."""
    canvas = np.zeros((WALKER_PX, WALKER_PX, 4), np.uint8)
    shirt, trousers, shoes, skin = look
    middle = WALKER_PX // 2
    hip, shoulder = (middle, 120), (middle, 58)
    cv2.ellipse(canvas, (middle, 230), (46, 6), 0, 0, 360, (0, 0, 0, 110), -1)
    for side in (1, -1):
        swing = side * sin(angle)
        bend = max(0.0, side * cos(angle))
        spread = 13 * side if is_frontal else 0
        reach = 0.0 if is_frontal else 30 * swing
        lift = 12 * bend if is_frontal else 0.0
        knee = _joint((hip[0] + spread, hip[1]), 54 - lift, reach)
        foot = _joint(knee, 50 - lift / 2, reach - (0 if is_frontal else 38 * bend))
        _limb(canvas, [(hip[0] + spread, hip[1]), knee, foot], trousers, 19)
        _limb(canvas, [foot, (foot[0] + (0 if is_frontal else 12), foot[1] + 3)], shoes, 11)
        elbow = _joint((shoulder[0] + 2 * spread, shoulder[1] + 4), 34, -0.8 * reach + side * 4)
        hand = _joint(elbow, 30, -0.8 * reach + (0 if is_frontal else 14))
        _limb(canvas, [(shoulder[0] + 2 * spread, shoulder[1] + 4), elbow], shirt, 14)
        _limb(canvas, [elbow, hand], skin, 10)
    _limb(canvas, [shoulder, hip], shirt, 46 if is_frontal else 34)
    cv2.circle(canvas, (middle, 26), 18, (*skin, 255), -1, cv2.LINE_AA)
    cv2.ellipse(canvas, (middle, 20), (19, 14), 0, 180, 360, (*shoes, 255), -1, cv2.LINE_AA)
    canvas[..., :3] = np.clip(canvas[..., :3] * cloth, 0, 255).astype(np.uint8)
    return canvas


def _joint(start: tuple[int, int], length: float, angle_deg: float) -> tuple[int, int]:
    """Return the end of a bone that hangs from `start`, turned forward by an angle."""
    angle = radians(angle_deg)
    return (round(start[0] + length * sin(angle)), round(start[1] + length * cos(angle)))


def _limb(
    canvas: Canvas, points: Sequence[tuple[int, int]], colour: tuple[int, ...], width_px: int
) -> None:
    chain = np.array(points, np.int32)
    cv2.polylines(canvas, [chain], False, (*colour, 255), width_px, cv2.LINE_AA)
