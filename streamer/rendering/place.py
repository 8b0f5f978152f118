"""Places: rooms, corridors, streets, roads from above, gardens, and pictures of no place.

In: chance and a split. Out: a `Stage` with the still picture drawn.
Invariant: everything that could hide an object is in the stage's depth.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from streamer.frame import Picture
from streamer.rendering.build import Rng, log_uniform, paint, surface_paint
from streamer.rendering.surface import Stage, Surface, box
from streamer.rendering.texture import Texture, cloud, n_textures, texture
from streamer.rendering.view import Points, View

ASPECTS = (16 / 9, 16 / 9, 4 / 3, 4 / 3, 1.0, 9 / 16)


class Maker:
    """Draws surfaces with textures and colours chosen at random.

    Args:
        rng: chance.
        split: whose textures.
        stage: where to.
    """

    def __init__(self, rng: Rng, split: str, stage: Stage) -> None:
        self.rng = rng
        self.split = split
        self.stage = stage

    def look(self, contrast: float = 0.5) -> tuple[Texture, Points, Points]:
        """Return a texture and two colours of the same hue or, seldom, of two."""
        found = texture(self.split, int(self.rng.integers(n_textures(self.split))))
        bright = surface_paint(self.rng)
        other = surface_paint(self.rng) if self.rng.random() < 0.25 else bright * self.rng.uniform(0.3, 1)
        share = contrast * self.rng.random()
        return found, bright + share * (other - bright), bright

    def plane(
        self, corner: Points, u: Points, v: Points, tile_m: float = 0.0, *, hides: bool = True
    ) -> None:
        """Draw a rectangle with a new look."""
        dull, dark, bright = self.look(float(self.rng.choice([0.15, 0.5, 1.0])))
        tile = tile_m or log_uniform(self.rng, 0.6, 5.0)
        self.stage.draw(Surface(corner, u, v, dull, dark, bright, tile, hides))

    def floor(self, far_m: float = 60.0) -> None:
        """Draw the ground."""
        wide = 2.5 * far_m
        self.plane(_v(-wide / 2, 0, -5), _v(wide, 0, 0), _v(0, 0, far_m + 5), hides=False)

    def strip(self, heading: float, offset_m: float, width_m: float, rise_m: float = 0.004) -> None:
        """Draw a path, a road or a line over the ground."""
        along, across = (
            _v(np.cos(heading), 0, np.sin(heading)),
            _v(-np.sin(heading), 0, np.cos(heading)),
        )
        corner = -80 * along + (offset_m - width_m / 2) * across + _v(0, rise_m, 8)
        self.plane(corner, 160 * along, width_m * across, hides=False)

    def box(self, spot: Points, size: Points, tile_m: float = 0.0) -> None:
        """Draw a box that stands at a spot."""
        yaw = float(self.rng.choice([0, self.rng.uniform(0, 1.5)]))
        for face in box(spot, size, yaw, self.look(), tile_m or log_uniform(self.rng, 0.4, 2.0)):
            self.stage.draw(face)

    def post(self, spot: Points, width_m: float, height_m: float) -> None:
        """Draw a pole or a trunk."""
        self.plane(spot - _v(width_m / 2, 0, 0), _v(width_m, 0, 0), _v(0, height_m, 0), 0.5)

    def foliage(self, spot: Points, width_m: float, height_m: float, base_m: float) -> None:
        """Draw a bush or the crown of a tree: blots of leaves with gaps."""
        green = np.array(
            [self.rng.uniform(20, 110), self.rng.uniform(50, 150), self.rng.uniform(10, 70)]
        )
        for _ in range(3):
            shift = self.rng.normal(0, 0.25, 3) * [width_m, 0.5 * height_m, 0.3]
            corner = spot + shift + _v(-width_m / 2, base_m, 0)
            leaves = cloud(self.split, int(self.rng.integers(24)))
            gap = float(self.rng.uniform(0.35, 0.55))
            dark, bright = green * 0.15, green * self.rng.uniform(0.9, 1.6)
            self.stage.draw(
                Surface(
                    corner,
                    _v(width_m, 0, 0),
                    _v(0, height_m, 0),
                    leaves,
                    dark,
                    bright,
                    0.0,
                    True,
                    gap,
                )
            )


def place(rng: Rng, split: str, size_px: int, margin_px: int, kind: str | None = None) -> Stage:
    """Draw a place.

    Args:
        rng: chance.
        split: "train" or "holdout".
        size_px: side of the picture.
        margin_px: border that a moving camera needs.
        kind: one of `KINDS`; None chooses.
    """
    names = list(KINDS)
    shares = np.array([KINDS[name][1] for name in names])
    name = kind or names[int(rng.choice(len(names), p=shares / shares.sum()))]
    view = _view(rng, name)
    stage = Stage(view, size_px, margin_px)
    _sky(rng, split, stage)
    KINDS[name][0](Maker(rng, split, stage))
    stage.picture = _shaded(rng, split, stage.picture)
    return stage


def _view(rng: Rng, name: str) -> View:
    aspect = float(rng.choice(ASPECTS))
    heights = {
        "room": (0.9, 3.0),
        "corridor": (1.4, 3.0),
        "street": (1.2, 8.0),
        "above": (3.0, 14.0),
        "garden": (0.8, 6.0),
        "table": (0.5, 1.5),
        "flat": (0.8, 6.0),
    }
    tilts = {
        "room": (0.0, 0.7),
        "corridor": (0.05, 0.5),
        "street": (0.0, 0.6),
        "above": (0.7, 1.5),
        "garden": (0.0, 0.6),
        "table": (0.4, 1.5),
        "flat": (0.0, 1.2),
    }
    height = log_uniform(rng, *heights[name])
    return View(
        height,
        float(rng.uniform(*tilts[name])),
        float(rng.normal(0, 0.025)),
        log_uniform(rng, 0.6, 1.9),
        aspect,
    )


def _sky(rng: Rng, split: str, stage: Stage) -> None:
    """Fill the canvas with a gradient and clouds."""
    blue = np.array([rng.uniform(90, 200), rng.uniform(140, 215), rng.uniform(190, 250)])
    grey = np.full(3, rng.uniform(120, 250)) + rng.normal(0, 6, 3)
    top = blue if rng.random() < 0.5 else grey
    bottom = np.clip(grey + rng.uniform(-10, 60), 0, 255)
    side = stage.side_px
    share = np.linspace(0, 1, side)[:, None, None] ** rng.uniform(0.6, 2)
    clouds = cloud(split, int(rng.integers(24)))[:side, :side, None] / 255 - 0.5
    if clouds.shape[0] < side:
        clouds = np.asarray(cv2.resize(clouds, (side, side)))[..., None]
    field = top + share * (bottom - top) + clouds * rng.uniform(0, 120)
    stage.picture[:] = np.clip(field, 0, 255).astype(np.uint8)


def _shaded(rng: Rng, split: str, picture: Picture) -> Picture:
    """Give the picture uneven light, a slight blur or grain, and its own brightness."""
    side = picture.shape[0]
    soft = cloud(split, int(rng.integers(24))).astype(np.float32) / 255 - 0.5
    soft = cv2.resize(cv2.GaussianBlur(soft, (0, 0), 20), (side, side)) * rng.uniform(0, 1.6)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    slope = rng.normal(0, 0.18) * x + rng.normal(0, 0.18) * y
    glow = rng.uniform(0, 0.7) * np.exp(
        -((x - rng.normal(0, 0.6)) ** 2 + (y - rng.normal(0, 0.6)) ** 2) * rng.uniform(1, 8)
    )
    light = np.clip(1 + soft + slope + glow, 0.1, 2.5)[..., None]
    lit = picture * light
    lit *= float(np.clip(rng.normal(112, 36), 40, 205)) / max(float(lit.mean()), 20.0)
    if rng.random() < 0.6:
        lit = cv2.GaussianBlur(lit, (0, 0), float(rng.uniform(0.3, 0.9)))
    return np.clip(lit, 0, 255).astype(np.uint8)


def _room(make: Maker) -> None:
    rng = make.rng
    far, left, right, tall = (
        log_uniform(rng, 3, 12),
        rng.uniform(1, 5),
        rng.uniform(1, 5),
        rng.uniform(2.4, 3.5),
    )
    make.floor(far)
    make.plane(_v(-left - 2, tall, far), _v(left + right + 4, 0, 0), _v(0, -tall, 0))
    if rng.random() < 0.7:
        make.plane(_v(-left, tall, -2), _v(0, 0, far + 2), _v(0, -tall, 0))
    if rng.random() < 0.7:
        make.plane(_v(right, tall, -2), _v(0, 0, far + 2), _v(0, -tall, 0))
    make.plane(_v(-9, tall, -2), _v(18, 0, 0), _v(0, 0, far + 2))
    for _ in range(int(rng.integers(0, 6))):
        _wall_piece(make, far, left, right, tall)
    for _ in range(int(rng.integers(0, 6))):
        spot = _v(rng.uniform(-left, right), 0, far * rng.uniform(0.35, 1.0))
        make.box(spot, rng.uniform((0.3, 0.3, 0.3), (1.8, 1.9, 0.9)))
    if rng.random() < 0.4:
        _table(make, _v(rng.uniform(-left, right), 0, far * rng.uniform(0.4, 0.9)))
    if rng.random() < 0.25:
        side, z = rng.choice([-1, 1]), rng.uniform(0.6, 1.5)
        make.box(
            _v(side * rng.uniform(0.4, 1.0), 0, z),
            _v(rng.uniform(0.1, 0.8), rng.uniform(0.5, 2.5), 0.2),
        )


def _wall_piece(make: Maker, far: float, left: float, right: float, tall: float) -> None:
    """Hang a picture, a window, a door, a shelf or a screen on the back wall."""
    rng = make.rng
    wide, high = rng.uniform(0.3, 2.0), rng.uniform(0.3, 1.6)
    top = tall * rng.uniform(0.55, 0.95)
    if rng.random() < 0.3:
        wide, high, top = 0.95, 2.05, 2.05
    corner = _v(rng.uniform(-left, right), top, far - 0.03)
    make.plane(corner, _v(wide, 0, 0), _v(0, -high, 0), 0.7)


def _table(make: Maker, spot: Points) -> None:
    rng = make.rng
    wide, deep, high = rng.uniform(0.6, 1.8), rng.uniform(0.5, 0.9), rng.uniform(0.5, 1.0)
    make.box(spot + _v(0, high, 0), _v(wide, 0.05, deep))
    for x in (-0.45, 0.45):
        make.post(spot + _v(x * wide, 0, 0), 0.06, high)
    if rng.random() < 0.6:
        make.box(spot + _v(rng.uniform(-0.3, 0.3) * wide, high + 0.05, 0), rng.uniform(0.1, 0.4, 3))


def _corridor(make: Maker) -> None:
    rng = make.rng
    far, half, tall = log_uniform(rng, 6, 25), rng.uniform(0.9, 2.0), rng.uniform(2.3, 3.2)
    make.floor(far)
    for side in (-half, half):
        make.plane(_v(side, tall, -2), _v(0, 0, far + 2), _v(0, -tall, 0))
    make.plane(_v(-half, tall, -2), _v(2 * half, 0, 0), _v(0, 0, far + 2))
    make.plane(_v(-half, tall, far), _v(2 * half, 0, 0), _v(0, -tall, 0))
    for _ in range(int(rng.integers(2, 7))):
        side, z = rng.choice([-1, 1]), rng.uniform(1.5, far)
        make.plane(_v(side * (half - 0.03), 2.05, z), _v(0, 0, 0.95), _v(0, -2.05, 0), 1.0)


def _street(make: Maker) -> None:
    rng = make.rng
    make.floor()
    turn = float(rng.choice([0.0, np.pi / 2])) + rng.normal(0, 0.15)
    offset = rng.uniform(-3, 8)
    make.strip(turn, offset, rng.uniform(4, 10))
    for _ in range(int(rng.integers(0, 4))):
        make.strip(turn, offset + rng.uniform(-6, 6), rng.uniform(0.1, 2.0), 0.008)
    for _ in range(int(rng.integers(1, 6))):
        spot = _v(rng.normal(0, 14), 0, rng.uniform(12, 50))
        make.box(spot, rng.uniform((4, 3, 3), (18, 16, 8)), log_uniform(rng, 3, 10))
    _greenery(make, int(rng.integers(0, 4)))
    for _ in range(int(rng.integers(0, 3))):
        make.post(
            _v(rng.normal(0, 4), 0, rng.uniform(2.5, 15)),
            rng.uniform(0.06, 0.35),
            rng.uniform(2, 7),
        )
    for _ in range(int(rng.integers(0, 3))):
        make.box(
            _v(rng.normal(0, 4), 0, rng.uniform(4, 20)), rng.uniform((0.4, 0.4, 0.4), (2.2, 1.6, 4))
        )


def _above(make: Maker) -> None:
    rng = make.rng
    make.floor()
    turn = float(rng.choice([0.0, np.pi / 2])) + rng.normal(0, 0.2)
    if rng.random() < 0.7:
        make.strip(turn, rng.uniform(-2, 4), rng.uniform(2, 8))
    for _ in range(int(rng.integers(0, 5))):
        make.strip(
            turn + rng.choice([0, np.pi / 2], p=[0.8, 0.2]),
            rng.uniform(-5, 7),
            rng.uniform(0.08, 0.5),
            0.008,
        )
    for _ in range(int(rng.integers(0, 4))):
        make.box(
            _v(rng.normal(0, 4), 0, rng.uniform(0, 9)), rng.uniform((0.3, 0.1, 0.3), (2.5, 1.2, 3))
        )
    _greenery(make, int(rng.integers(0, 3)))


def _garden(make: Maker) -> None:
    rng = make.rng
    make.floor()
    if rng.random() < 0.7:
        make.strip(rng.uniform(0, np.pi), rng.uniform(-2, 5), rng.uniform(0.8, 3))
    if rng.random() < 0.6:
        far = rng.uniform(8, 30)
        make.plane(_v(-40, rng.uniform(1, 6), far), _v(80, 0, 0), _v(0, -8, 0), rng.uniform(1, 5))
    _greenery(make, int(rng.integers(2, 7)))
    for _ in range(int(rng.integers(0, 3))):
        make.box(
            _v(rng.normal(0, 4), 0, rng.uniform(4, 20)), rng.uniform((0.4, 0.4, 0.4), (3, 2.5, 2))
        )


def _greenery(make: Maker, n: int) -> None:
    rng = make.rng
    for _ in range(n):
        spot = _v(rng.normal(0, 6), 0, rng.uniform(3, 30))
        if rng.random() < 0.5:
            make.post(spot, rng.uniform(0.1, 0.5), 3.0)
            make.foliage(spot, rng.uniform(2, 6), rng.uniform(2, 5), 2.0)
        else:
            make.foliage(spot, rng.uniform(0.8, 4), rng.uniform(0.6, 2), 0.0)


def _table_top(make: Maker) -> None:
    rng = make.rng
    make.floor(6.0)
    for _ in range(int(rng.integers(1, 8))):
        spot = _v(rng.normal(0, 0.5), 0, rng.uniform(0.2, 1.6))
        make.box(spot, rng.uniform((0.04, 0.02, 0.04), (0.5, 0.35, 0.4)), 0.3)


def _flat(make: Maker) -> None:
    """Fill the picture with a texture and pieces of others: no place at all."""
    rng, stage = make.rng, make.stage
    side = stage.side_px
    grey, dark, bright = make.look(1.0)
    turn = cv2.getRotationMatrix2D((128, 128), rng.uniform(0, 360), log_uniform(rng, 0.5, 3))
    base = cv2.warpAffine(grey, turn, (side, side), borderMode=cv2.BORDER_WRAP)[..., None] / 255
    canvas = np.ascontiguousarray(np.clip(dark + base * (bright - dark), 0, 255).astype(np.uint8))
    for _ in range(int(rng.integers(0, 25))):
        middle = rng.uniform(0, side, 2)
        corners = middle + rng.normal(
            0, side * rng.uniform(0.02, 0.2), (int(rng.integers(3, 7)), 2)
        )
        colour = tuple(paint(rng).tolist())
        if rng.random() < 0.7:
            cv2.fillPoly(canvas, [corners.astype(np.int32)], colour, cv2.LINE_AA)
        else:
            cv2.polylines(
                canvas,
                [corners.astype(np.int32)],
                False,
                colour,
                int(rng.integers(1, 5)),
                cv2.LINE_AA,
            )
    stage.picture[:] = canvas


def _v(x: float, y: float, z: float) -> Points:
    return np.array([x, y, z], np.float64)


KINDS: dict[str, tuple[Callable[[Maker], None], float]] = {
    "room": (_room, 0.3),
    "corridor": (_corridor, 0.06),
    "street": (_street, 0.2),
    "above": (_above, 0.14),
    "garden": (_garden, 0.12),
    "table": (_table_top, 0.04),
    "flat": (_flat, 0.14),
}
