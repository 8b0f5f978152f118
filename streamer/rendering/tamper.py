"""Somebody tampers with the camera: covers, sprays, defocuses or turns it, or it freezes.

In: chance and times. Out: changed pictures and the truth: 1 while it happens and for 2 s after,
undecided as long as the picture stays useless.
Invariant: before it begins, the picture is handed through untouched.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from streamer.frame import Picture
from streamer.rendering.build import Rng, log_uniform, paint
from streamer.rendering.texture import cloud, n_textures, texture
from streamer.truth import Series

AFTER_S = 2.0
DONE = 0.02

Effect = Callable[[Picture, float, int], Picture]


class Tamper:
    """What is done to the camera.

    Args:
        effect: picture, how far it is done 0..1, and frame -> picture.
        done: float64 (n,), 0..1.
        times_s: float64 (n,).
    """

    def __init__(self, effect: Effect, done: Series, times_s: Series) -> None:
        self._effect = effect
        self._done = done
        self.states = _states(done, times_s)

    def apply(self, picture: Picture, frame: int) -> Picture:
        """Return the picture as tampered with at a frame."""
        done = float(self._done[frame])
        return self._effect(picture, done, frame) if done > 0 else picture


def tamper(rng: Rng, times_s: Series, split: str, size_px: int) -> Tamper:
    """Choose what is done."""
    kinds = _KINDS[split]
    make, (fastest_s, slowest_s) = kinds[int(rng.integers(len(kinds)))]
    start = times_s[-1] * rng.uniform(0.05, 0.85)
    takes = log_uniform(rng, fastest_s, slowest_s)
    done = np.clip((times_s - start) / takes, 0, 1)
    if rng.random() < 0.4:
        back = start + takes + rng.uniform(0.5, 4)
        done = np.minimum(done, np.clip(1 - (times_s - back) / takes, 0, 1))
    return Tamper(make(rng, split, size_px), done, times_s)


def _states(done: Series, times_s: Series) -> Series:
    changes = np.abs(np.diff(done, prepend=done[0])) > 1e-9
    states = np.where(done > DONE, 0.5, 0.0)
    for index in np.flatnonzero(changes):
        recent = (times_s >= times_s[index]) & (times_s <= times_s[index] + AFTER_S)
        states[recent & (done > DONE)] = 1.0
        states[index] = 1.0
    return states


def _cover(rng: Rng, split: str, size_px: int) -> Effect:
    """Something close and out of focus slides over the lens."""
    grey = texture(split, int(rng.integers(n_textures(split))))
    tone = paint(rng, float(rng.uniform(0.1, 0.9)))
    fabric = cv2.resize(grey, (size_px, size_px))[..., None] / 255
    fabric = cv2.GaussianBlur(tone * (0.7 + 0.5 * fabric), (0, 0), float(rng.uniform(0.5, 8)))
    cloth = np.clip(fabric, 0, 255).astype(np.uint8)
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-0.5 : 0.5 : size_px * 1j, -0.5 : 0.5 : size_px * 1j]
    wavy = (
        0.12 * rng.random() * np.sin(rng.uniform(3, 20) * (y * np.cos(angle) - x * np.sin(angle)))
    )
    along = x * np.cos(angle) + y * np.sin(angle) + wavy
    soft = rng.uniform(4, 40)
    low, high = float(along.min()) - 3 / soft, float(along.max()) + 3 / soft

    def effect(picture: Picture, done: float, frame: int) -> Picture:
        front = low + done * (high - low)
        share = (255 / (1 + np.exp(np.clip((along - front) * soft, -30, 30)))).astype(np.uint8)
        return mixed(picture, cloth, share)

    return effect


def _spray(rng: Rng, split: str, size_px: int) -> Effect:
    """Drops of paint grow over the lens."""
    ink = np.broadcast_to(paint(rng).astype(np.uint8), (size_px, size_px, 3)).copy()
    field = cv2.resize(cloud(split, int(rng.integers(24))), (size_px, size_px)).astype(np.float32)
    field = np.argsort(np.argsort(field.ravel())).reshape(field.shape) / field.size
    sharp = rng.uniform(600, 3000)

    def effect(picture: Picture, done: float, frame: int) -> Picture:
        share = np.clip((1.1 * done - field) * sharp, 0, 255).astype(np.uint8)
        return mixed(picture, ink, share)

    return effect


def _defocus(rng: Rng, split: str, size_px: int) -> Effect:
    most = rng.uniform(0.03, 0.1) * size_px

    def effect(picture: Picture, done: float, frame: int) -> Picture:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), max(0.2, done * most)), np.uint8)

    return effect


def _turn_away(rng: Rng, split: str, size_px: int) -> Effect:
    """The picture slides out, and a wall or the sky, out of focus, comes in."""
    grey = cv2.resize(cloud(split, int(rng.integers(24))), (size_px, size_px))[..., None] / 255
    other = np.clip(paint(rng) * (0.6 + 0.5 * grey), 0, 255).astype(np.uint8)
    is_across, sign = rng.random() < 0.5, int(rng.choice([-1, 1]))

    def effect(picture: Picture, done: float, frame: int) -> Picture:
        axis, shift = (1 if is_across else 0), round(done * size_px)
        pair = (picture, other) if sign > 0 else (other, picture)
        wide = np.concatenate(pair, axis=axis)
        start = shift if sign > 0 else size_px - shift
        cut = slice(start, start + size_px)
        return np.ascontiguousarray(wide[:, cut] if is_across else wide[cut])

    return effect


def _black_out(rng: Rng, split: str, size_px: int) -> Effect:
    """The picture stands still, then goes black, blue or grey."""
    tone = np.array(
        [(0, 0, 0), (0, 0, 0), (20, 30, 160), (110, 110, 110)][int(rng.integers(4))], np.uint8
    )
    frozen: list[Picture] = []

    def effect(picture: Picture, done: float, frame: int) -> Picture:
        if done < 1:
            frozen.append(picture.copy())
            return frozen[0]
        return np.broadcast_to(tone, picture.shape).copy()

    return effect


def _smear(rng: Rng, split: str, size_px: int) -> Effect:
    """Grease on the lens: blur and haze in a spreading blot."""
    field = cv2.resize(cloud(split, int(rng.integers(24))), (size_px, size_px)).astype(np.float32)
    field = np.argsort(np.argsort(field.ravel())).reshape(field.shape) / field.size
    haze = rng.uniform(0.2, 0.7)
    tone = np.full((size_px, size_px, 3), rng.uniform(90, 200), np.uint8)

    def effect(picture: Picture, done: float, frame: int) -> Picture:
        soft = cv2.GaussianBlur(picture, (0, 0), 0.06 * size_px)
        hazy = np.asarray(cv2.addWeighted(soft, 1 - haze, tone, haze, 0), np.uint8)
        return mixed(picture, hazy, np.clip((1.3 * done - field) * 700, 0, 255).astype(np.uint8))

    return effect


def _iris(rng: Rng, split: str, size_px: int) -> Effect:
    """A cap closes from the rim."""
    y, x = np.mgrid[-1 : 1 : size_px * 1j, -1 : 1 : size_px * 1j]
    away = np.hypot(x + rng.normal(0, 0.3), y + rng.normal(0, 0.3)) / 1.9
    dark = np.full((size_px, size_px, 3), rng.uniform(0, 40), np.uint8)

    def effect(picture: Picture, done: float, frame: int) -> Picture:
        return mixed(
            picture, dark, np.clip((away - 1 + 1.15 * done) * 2500, 0, 255).astype(np.uint8)
        )

    return effect


def mixed(picture: Picture, other: Picture, share: npt.NDArray[np.uint8]) -> Picture:
    """Return the picture with another one over it, by a share of 0..255 per pixel."""
    weight = cv2.merge([share, share, share])
    kept = cv2.multiply(picture, 255 - weight, scale=1 / 255)
    return np.asarray(cv2.add(kept, cv2.multiply(other, weight, scale=1 / 255)), np.uint8)


_KINDS: dict[str, tuple[tuple[Callable[[Rng, str, int], Effect], tuple[float, float]], ...]] = {
    "train": (
        (_cover, (0.15, 3.0)),
        (_cover, (0.15, 3.0)),
        (_spray, (0.3, 3.0)),
        (_defocus, (0.3, 3.0)),
        (_turn_away, (0.3, 2.5)),
        (_black_out, (0.5, 2.5)),
    ),
    "holdout": (
        (_cover, (0.2, 3.0)),
        (_smear, (0.3, 2.5)),
        (_iris, (0.2, 2.0)),
        (_defocus, (0.3, 3.0)),
    ),
}
