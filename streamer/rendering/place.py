"""Places: rooms, corridors, streets, roads from above, gardens, and pictures of no place.

In: chance and a split. Out: a `Stage` with the still picture drawn.
Invariant: everything that could hide an object is in the stage's depth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from streamer.frame import Picture
from streamer.rendering.build import Rng, log_uniform, paint
from streamer.rendering.furniture import furnish
from streamer.rendering.maker import Maker, at
from streamer.rendering.surface import Stage
from streamer.rendering.texture import Texture, cloud
from streamer.rendering.view import Points, View

ASPECTS = (16 / 9, 16 / 9, 4 / 3, 4 / 3, 1.0, 9 / 16)


def place(
    rng: Rng,
    split: str,
    size_px: int,
    margin_px: int,
    kind: str | None = None,
    aspect: float | None = None,
) -> Stage:
    """Draw a place.

    Args:
        rng: chance.
        split: "train" or "holdout".
        size_px: side of the picture.
        margin_px: border that a moving camera needs.
        kind: one of `KINDS`; None chooses.
        aspect: width / height before squashing; None chooses.
    """
    names = list(KINDS)
    shares = np.array([KINDS[name][1] for name in names])
    name = kind or names[int(rng.choice(len(names), p=shares / shares.sum()))]
    view = _view(rng, name)
    if aspect is not None:
        view = replace(view, aspect=aspect)
    stage = Stage(view, size_px, margin_px, name)
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
    clouds = _fitted(cloud(split, int(rng.integers(24))), side)
    field = top + share * (bottom - top) + clouds * rng.uniform(0, 120)
    stage.picture[:] = np.clip(field, 0, 255).astype(np.uint8)


def _shaded(rng: Rng, split: str, picture: Picture) -> Picture:
    """Give the picture uneven light, a slight blur or grain, and its own brightness."""
    side = picture.shape[0]
    coarse = cv2.resize(cloud(split, int(rng.integers(24))), (6, 6), interpolation=cv2.INTER_AREA)
    soft = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    slope = rng.normal(0, 0.18) * x + rng.normal(0, 0.18) * y
    glow = rng.uniform(0, 0.7) * np.exp(
        -((x - rng.normal(0, 0.6)) ** 2 + (y - rng.normal(0, 0.6)) ** 2) * rng.uniform(1, 8)
    )
    light = 1 + _fitted(np.asarray(soft, np.uint8), side) * rng.uniform(0, 1.6)
    light = np.clip(light + (slope + glow)[..., None], 0.1, 2.5)
    light *= 1 + rng.uniform(0, 0.35) * _fitted(cloud(split, 5 * int(rng.integers(4))), side)
    lit = picture * light
    lit *= float(np.clip(rng.normal(112, 36), 40, 205)) / max(float(lit.mean()), 20.0)
    shown = np.asarray(np.clip(lit, 0, 255), np.uint8)
    if rng.random() < 0.6:
        cv2.GaussianBlur(shown, (5, 5), float(rng.uniform(0.3, 0.9)), dst=shown)
    return shown


def _fitted(field: Texture, side: int) -> Points:
    """Return smooth noise for a picture of that side, float64 (side, side, 1), -0.5..0.5."""
    if side > field.shape[0]:
        field = np.asarray(cv2.resize(field, (side, side)), np.uint8)
    return field[:side, :side, None] / 255 - 0.5


def _room(make: Maker) -> None:
    rng = make.rng
    far, left, right, tall = (
        log_uniform(rng, 3, 12),
        rng.uniform(1, 5),
        rng.uniform(1, 5),
        rng.uniform(2.4, 3.5),
    )
    make.floor(far)
    make.decals(far, int(rng.integers(0, 4)))
    make.plane(at(-left - 2, tall, far), at(left + right + 4, 0, 0), at(0, -tall, 0))
    if rng.random() < 0.7:
        make.plane(at(-left, tall, -2), at(0, 0, far + 2), at(0, -tall, 0))
    if rng.random() < 0.7:
        make.plane(at(right, tall, -2), at(0, 0, far + 2), at(0, -tall, 0))
    make.plane(at(-9, tall, -2), at(18, 0, 0), at(0, 0, far + 2))
    for _ in range(int(rng.integers(0, 8))):
        _wall_piece(make, far, left, right, tall)
    for _ in range(int(rng.integers(0, 4))):
        spot = at(rng.uniform(-left, right), 0, far * rng.uniform(0.35, 1.0))
        make.box(spot, rng.uniform((0.3, 0.3, 0.3), (1.8, 1.9, 0.9)))
    for _ in range(int(rng.integers(0, 6))):
        spot = at(rng.uniform(-left, right), 0, far * rng.uniform(0.3, 0.97))
        furnish(make, spot)
    if rng.random() < 0.25:
        side, z = rng.choice([-1, 1]), rng.uniform(0.6, 1.5)
        make.box(
            at(side * rng.uniform(0.4, 1.0), 0, z),
            at(rng.uniform(0.1, 0.8), rng.uniform(0.5, 2.5), 0.2),
        )


def _wall_piece(make: Maker, far: float, left: float, right: float, tall: float) -> None:
    """Hang a picture, a window, a door, a shelf or a screen on the back wall."""
    rng = make.rng
    wide, high = rng.uniform(0.3, 2.0), rng.uniform(0.3, 1.6)
    top = tall * rng.uniform(0.55, 0.95)
    if rng.random() < 0.3:
        wide, high, top = 0.95, 2.05, 2.05
    corner = at(rng.uniform(-left, right), top, far - 0.03)
    make.plane(corner, at(wide, 0, 0), at(0, -high, 0), 0.7)


def _corridor(make: Maker) -> None:
    rng = make.rng
    far, half, tall = log_uniform(rng, 6, 25), rng.uniform(0.9, 2.0), rng.uniform(2.3, 3.2)
    make.floor(far)
    for side in (-half, half):
        make.plane(at(side, tall, -2), at(0, 0, far + 2), at(0, -tall, 0))
    make.plane(at(-half, tall, -2), at(2 * half, 0, 0), at(0, 0, far + 2))
    make.plane(at(-half, tall, far), at(2 * half, 0, 0), at(0, -tall, 0))
    for _ in range(int(rng.integers(2, 7))):
        side, z = rng.choice([-1, 1]), rng.uniform(1.5, far)
        make.plane(at(side * (half - 0.03), 2.05, z), at(0, 0, 0.95), at(0, -2.05, 0), 1.0)


def _street(make: Maker) -> None:
    rng = make.rng
    make.floor()
    make.decals(12, int(rng.integers(0, 4)))
    turn = float(rng.choice([0.0, np.pi / 2])) + rng.normal(0, 0.15)
    offset = rng.uniform(-3, 8)
    make.strip(turn, offset, rng.uniform(4, 10))
    for _ in range(int(rng.integers(0, 4))):
        make.strip(turn, offset + rng.uniform(-6, 6), rng.uniform(0.1, 2.0), 0.008)
    for _ in range(int(rng.integers(1, 6))):
        spot = at(rng.normal(0, 14), 0, rng.uniform(12, 50))
        make.box(spot, rng.uniform((4, 3, 3), (18, 16, 8)), log_uniform(rng, 3, 10))
    _greenery(make, int(rng.integers(0, 4)))
    for _ in range(int(rng.integers(0, 3))):
        make.post(
            at(rng.normal(0, 4), 0, rng.uniform(2.5, 15)),
            rng.uniform(0.06, 0.35),
            rng.uniform(2, 7),
        )
    for _ in range(int(rng.integers(0, 3))):
        make.box(
            at(rng.normal(0, 4), 0, rng.uniform(4, 20)), rng.uniform((0.4, 0.4, 0.4), (2.2, 1.6, 4))
        )


def _above(make: Maker) -> None:
    rng = make.rng
    make.floor()
    make.decals(8, int(rng.integers(0, 7)))
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
            at(rng.normal(0, 4), 0, rng.uniform(0, 9)), rng.uniform((0.3, 0.1, 0.3), (2.5, 1.2, 3))
        )
    _greenery(make, int(rng.integers(0, 3)))


def _garden(make: Maker) -> None:
    rng = make.rng
    make.floor()
    make.decals(10, int(rng.integers(0, 4)))
    if rng.random() < 0.7:
        make.strip(rng.uniform(0, np.pi), rng.uniform(-2, 5), rng.uniform(0.8, 3))
    if rng.random() < 0.6:
        far = rng.uniform(8, 30)
        make.plane(at(-40, rng.uniform(1, 6), far), at(80, 0, 0), at(0, -8, 0), rng.uniform(1, 5))
    _greenery(make, int(rng.integers(2, 7)))
    for _ in range(int(rng.integers(0, 3))):
        make.box(
            at(rng.normal(0, 4), 0, rng.uniform(4, 20)), rng.uniform((0.4, 0.4, 0.4), (3, 2.5, 2))
        )


def _greenery(make: Maker, n: int) -> None:
    rng = make.rng
    for _ in range(n):
        spot = at(rng.normal(0, 6), 0, rng.uniform(3, 30))
        if rng.random() < 0.5:
            make.post(spot, rng.uniform(0.1, 0.5), 3.0)
            make.foliage(spot, rng.uniform(2, 6), rng.uniform(2, 5), 2.0)
        else:
            make.foliage(spot, rng.uniform(0.8, 4), rng.uniform(0.6, 2), 0.0)


def _table_top(make: Maker) -> None:
    rng = make.rng
    make.floor(6.0)
    make.decals(1.2, int(rng.integers(1, 6)))
    for _ in range(int(rng.integers(1, 8))):
        spot = at(rng.normal(0, 0.5), 0, rng.uniform(0.2, 1.6))
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


KINDS: dict[str, tuple[Callable[[Maker], None], float]] = {
    "room": (_room, 0.3),
    "corridor": (_corridor, 0.06),
    "street": (_street, 0.2),
    "above": (_above, 0.14),
    "garden": (_garden, 0.12),
    "table": (_table_top, 0.04),
    "flat": (_flat, 0.14),
}
