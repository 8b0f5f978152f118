"""Textures from which places and clothes are made: noise, brick, planks, grass, facades, text.

In: a split and a number. Out: grey pictures that tile, made once per process from fixed seeds.
Invariant: the families of the two splits are disjoint, and texture k of a split is always the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

SIDE_PX: Final = 256
N_VARIANTS: Final = 4

Texture = npt.NDArray[np.uint8]
Field = npt.NDArray[np.float32]
Rng = np.random.Generator


def n_textures(split: str) -> int:
    """Return how many textures a split has."""
    return len(_FAMILIES[split]) * N_VARIANTS


@lru_cache(maxsize=256)
def texture(split: str, index: int) -> Texture:
    """Return a texture, uint8 (256, 256), full range; not to be modified.

    Args:
        split: "train" or "holdout".
        index: 0..n_textures(split) - 1.
    """
    family, variant = divmod(index, N_VARIANTS)
    name = 0 if split == "train" else 1
    rng = np.random.default_rng((name, family, variant, 77))
    return _stretched(_FAMILIES[split][family](rng))


@lru_cache(maxsize=64)
def cloud(split: str, index: int) -> Texture:
    """Return smooth noise of a 1/f spectrum, uint8 (256, 256), for shading, smoke, sky."""
    rng = np.random.default_rng((split == "train", index, 78))
    return _stretched(spectrum(rng, 1.2 + 0.2 * (index % 5)))


def spectrum(rng: Rng, beta: float, stretch: float = 1.0, side_px: int = SIDE_PX) -> Field:
    """Return noise whose amplitude falls with frequency to the power beta, float32, tiling."""
    fy = np.fft.fftfreq(side_px)[:, None] * stretch
    fx = np.fft.rfftfreq(side_px)[None, :] / stretch
    weight = np.maximum(np.hypot(fx, fy), 1 / side_px) ** -beta
    weight[0, 0] = 0
    phase = rng.uniform(0, 2 * np.pi, weight.shape)
    return np.asarray(np.fft.irfft2(weight * np.exp(1j * phase), (side_px,) * 2), np.float32)


def _stretched(field: npt.NDArray[np.floating]) -> Texture:
    low, high = np.percentile(field, (0.5, 99.5))
    level = np.clip((field - low) * (255 / max(high - low, 1e-6)), 0, 255)
    return np.asarray(level, np.uint8)


def _cells(rng: Rng, rows: int, columns: int, shift: float, joint_px: int, spread: float) -> Field:
    """Return rows of blocks with joints: brick, tiles, planks."""
    height, width = SIDE_PX // rows, SIDE_PX // columns
    out = np.empty((SIDE_PX, SIDE_PX), np.float32)
    out[:] = rng.uniform(-1, 1)
    for row in range(rows):
        offset = int(shift * width * row)
        for column in range(columns):
            value = 0.5 + spread * rng.normal()
            x = (np.arange(column * width, (column + 1) * width - joint_px) + offset) % SIDE_PX
            out[row * height : (row + 1) * height - joint_px, x] = value
    return out + 0.15 * _unit(spectrum(rng, 0.8))


def _unit(field: Field) -> Field:
    return np.asarray(field / max(float(field.std()), 1e-6), np.float32)


def _wave(rng: Rng, low: int, high: int, along: str = "x") -> Field:
    turns = int(rng.integers(low, high))
    line = np.sin(np.arange(SIDE_PX, dtype=np.float32) * 2 * np.pi * turns / SIDE_PX)
    return np.broadcast_to(line[None, :] if along == "x" else line[:, None], (SIDE_PX, SIDE_PX))


def _marks(rng: Rng, n: int, draw: Callable[[Field, Rng], None]) -> Field:
    canvas = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    for _ in range(n):
        draw(canvas, rng)
    return canvas


def _spot(rng: Rng) -> tuple[int, int]:
    return int(rng.integers(SIDE_PX)), int(rng.integers(SIDE_PX))


def _fractal(rng: Rng) -> Field:
    return spectrum(rng, float(rng.uniform(0.7, 1.6)))


def _grain(rng: Rng) -> Field:
    return spectrum(rng, float(rng.uniform(0.1, 0.5)))


def _brick(rng: Rng) -> Field:
    return _cells(rng, int(rng.integers(10, 20)), int(rng.integers(4, 8)), 0.5, 2, 0.15)


def _tiles(rng: Rng) -> Field:
    n = int(rng.integers(3, 9))
    return _cells(rng, n, n, 0.0, int(rng.integers(1, 4)), float(rng.uniform(0, 0.1)))


def _planks(rng: Rng) -> Field:
    wood = _unit(spectrum(rng, 0.9, 4.0))
    return _cells(rng, int(rng.integers(6, 14)), 2, 0.37, 1, 0.25) + 0.2 * wood


def _carpet(rng: Rng) -> Field:
    grid = _wave(rng, 3, 9) * _wave(rng, 3, 9, "y") + 0.5 * _wave(rng, 8, 20)
    return np.asarray(np.sign(grid) * rng.uniform(0.3, 1) + _unit(spectrum(rng, 0.3)), np.float32)


def _grass(rng: Rng) -> Field:
    return _unit(spectrum(rng, 0.45, 0.6)) + 0.7 * _unit(spectrum(rng, 1.3))


def _asphalt(rng: Rng) -> Field:
    cracks = np.abs(_unit(spectrum(rng, 1.4))) < 0.03
    return np.asarray(_unit(spectrum(rng, 0.25)) + _unit(spectrum(rng, 1.5)) - 2 * cracks, "f4")


def _marble(rng: Rng) -> Field:
    warp = _unit(spectrum(rng, 1.4))
    return np.asarray(np.sin(6 * _wave(rng, 1, 3, "y") + 2.5 * warp), np.float32)


def _stripes(rng: Rng) -> Field:
    bands = np.sign(_wave(rng, 4, 24, str(rng.choice(["x", "y"]))) + rng.uniform(-0.7, 0.7))
    return np.asarray(bands + 0.2 * _unit(spectrum(rng, 1.0)), np.float32)


def _foliage(rng: Rng) -> Field:
    def leaf(canvas: Field, rng: Rng) -> None:
        axes = (int(rng.integers(4, 14)), int(rng.integers(2, 6)))
        angle, shade = float(rng.uniform(0, 180)), float(rng.random())
        cv2.ellipse(canvas, _spot(rng), axes, angle, 0, 360, shade, -1)

    return _marks(rng, 700, leaf)


def _gravel(rng: Rng) -> Field:
    def stone(canvas: Field, rng: Rng) -> None:
        radius, shade = int(rng.integers(3, 12)), float(rng.uniform(0.3, 1))
        cv2.circle(canvas, _spot(rng), radius, shade, -1)

    return _marks(rng, 500, stone) + 0.1 * _unit(spectrum(rng, 0.3))


def _facade(rng: Rng) -> Field:
    rows, columns = int(rng.integers(3, 7)), int(rng.integers(3, 8))
    out = 0.7 + 0.05 * _unit(spectrum(rng, 0.8))
    height, width = SIDE_PX // rows, SIDE_PX // columns
    for row in range(rows):
        for column in range(columns):
            y, x = row * height + height // 4, column * width + width // 4
            out[y : y + height // 2, x : x + width // 2] = rng.uniform(0, 0.35)
            out[y + height // 2 : y + height // 2 + 2, x - 1 : x + width // 2 + 1] = 1
    return np.asarray(out, np.float32)


def _books(rng: Rng) -> Field:
    out = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    for top in range(0, SIDE_PX, 64):
        x = 0
        while x < SIDE_PX:
            width, tall = int(rng.integers(5, 16)), int(rng.integers(36, 58))
            out[top + 60 - tall : top + 60, x : x + width - 1] = rng.uniform(0.2, 1)
            x += width
    return out


def _text(rng: Rng) -> Field:
    out = np.full((SIDE_PX, SIDE_PX), 255, np.uint8)
    for y in range(14, SIDE_PX, int(rng.integers(14, 30))):
        letters = "".join(chr(int(c)) for c in rng.integers(48, 90, 24))
        tone = int(rng.integers(256))
        cv2.putText(out, letters, (-5, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, tone, 1)
    return out.astype(np.float32)


def _camouflage(rng: Rng) -> Field:
    field = _unit(spectrum(rng, 1.5))
    return np.asarray(np.digitize(field, np.sort(rng.normal(0, 0.9, 4))), np.float32)


def _weave(rng: Rng) -> Field:
    return np.asarray(_wave(rng, 20, 60) * _wave(rng, 20, 60, "y") + _wave(rng, 2, 6), np.float32)


def _polygons(rng: Rng) -> Field:
    def piece(canvas: Field, rng: Rng) -> None:
        middle = rng.uniform(0, SIDE_PX, 2)
        corners = middle + rng.normal(0, rng.uniform(6, 50), (int(rng.integers(3, 7)), 2))
        cv2.fillPoly(canvas, [corners.astype(np.int32)], float(rng.random()))

    return _marks(rng, 60, piece)


def _hexagons(rng: Rng) -> Field:
    n = int(rng.integers(4, 10))
    a = _wave(rng, n, n + 1, "x") + np.roll(_wave(rng, n, n + 1, "y"), 7, 0)
    return np.asarray(np.abs(a + _wave(rng, 2 * n, 2 * n + 1)) > 0.5, np.float32) + 0.1 * _grain(
        rng
    )


def _rings(rng: Rng) -> Field:
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX].astype(np.float32)
    middle = rng.uniform(-60, SIDE_PX + 60, 2)
    away = np.hypot(x - middle[0], 0.4 * (y - middle[1])) + 6 * _unit(spectrum(rng, 1.5))
    return np.asarray(np.sin(away / rng.uniform(2, 5)) + 0.3 * _unit(spectrum(rng, 0.4)), "f4")


def _dots(rng: Rng) -> Field:
    n = int(rng.integers(6, 20))
    grid = _wave(rng, n, n + 1) * _wave(rng, n, n + 1, "y")
    return np.asarray((grid > rng.uniform(0.2, 0.8)) + 0.1 * _unit(spectrum(rng, 0.9)), np.float32)


def _folds(rng: Rng) -> Field:
    warp = 8 * _unit(spectrum(rng, 1.6, 0.3))
    x = np.arange(SIDE_PX, dtype=np.float32)[None, :] + warp
    return np.asarray(np.sin(x * 2 * np.pi * int(rng.integers(5, 12)) / SIDE_PX), np.float32)


def _terrazzo(rng: Rng) -> Field:
    def chip(canvas: Field, rng: Rng) -> None:
        corners = rng.uniform(0, SIDE_PX, 2) + rng.normal(0, 5, (4, 2))
        cv2.fillConvexPoly(canvas, cv2.convexHull(corners.astype(np.int32)), float(rng.random()))

    return 0.5 + _marks(rng, 350, chip) + 0.1 * _unit(spectrum(rng, 0.4))


def _stones(rng: Rng) -> Field:
    points = rng.uniform(0, SIDE_PX, (70, 2)).astype(np.float32)
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX].astype(np.float32)
    away = np.hypot(x[..., None] - points[:, 0], y[..., None] - points[:, 1])
    nearest = np.partition(away, 1, axis=-1)[..., :2]
    shade = rng.uniform(0.4, 1, 70)[np.argmin(away, axis=-1)]
    return np.asarray(shade * (nearest[..., 1] - nearest[..., 0] > 3), np.float32)


def _chevrons(rng: Rng) -> Field:
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX].astype(np.float32)
    period = SIDE_PX / int(rng.integers(3, 8))
    zigzag = np.abs((x % period) - period / 2)
    return np.asarray(np.sin((y + zigzag) * 2 * np.pi * 12 / SIDE_PX), np.float32)


def _strands(rng: Rng) -> Field:
    def strand(canvas: Field, rng: Rng) -> None:
        start = _spot(rng)
        end = (start[0] + int(rng.integers(-20, 20)), start[1] - int(rng.integers(10, 50)))
        cv2.line(canvas, start, end, float(rng.random()), int(rng.integers(1, 3)))

    return _marks(rng, 900, strand)


_FAMILIES: Final[dict[str, tuple[Callable[[Rng], Field], ...]]] = {
    "train": (
        _fractal, _grain, _brick, _tiles, _planks, _carpet, _grass, _asphalt, _marble, _stripes,
        _foliage, _gravel, _facade, _books, _text, _camouflage, _weave, _polygons,
    ),
    "holdout": (_hexagons, _rings, _dots, _folds, _terrazzo, _stones, _chevrons, _strands),
}  # fmt: skip
