"""Somebody tampers with the camera: covers, sprays, defocuses or turns it, or it freezes.

In: chance and times. Out: changed pictures and the truth: 1 while it happens and for 1 s after,
undecided as long as the picture stays useless, or stands still: so does an empty room.
Invariant: before it begins, the picture is handed through untouched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamer.frame import Picture
from streamer.rendering.build import Rng, log_uniform, paint
from streamer.rendering.texture import Texture, cloud, n_textures, texture
from streamer.truth import Series

AFTER_S = 1.0
SEEN = 4.0
"""Grey levels by which the picture of a good camera must differ on average from what it would
be."""
DONE = 0.02

Effect = Callable[[Picture, float], Picture]


@dataclass(frozen=True)
class Kit:
    """What effects are made with: chance, whose textures, and the side of the picture."""

    rng: Rng
    split: str
    side_px: int
    still: Picture | None = None

    def texture(self) -> Texture:
        """Return any texture of the split."""
        return texture(self.split, int(self.rng.integers(n_textures(self.split))))

    def cloud(self) -> Texture:
        """Return any smooth noise."""
        return cloud(self.split, int(self.rng.integers(24)))

    def detail(self, region: tuple[slice, slice, object]) -> float:
        """Return how much of the place's texture is in a region."""
        if self.still is None:
            return 0.0
        grey = self.still[region[0], region[1], 1]
        return float(cv2.mean(cv2.absdiff(grey, cv2.blur(grey, (5, 5))))[0])


class Tamper:
    """What is done to the camera.

    Args:
        effect: picture and how far it is done 0..1 -> picture.
        done: float64 (n,), 0..1.
        times_s: float64 (n,).
        seen: grey levels by which the picture must differ on average from what it would be.
        is_turn: whether the camera is turned, which moves it as well.
        is_freeze: whether the picture stands still until it is done.

    Attributes:
        turns: bool (n,), whether it is being turned, or has just been.
    """

    def __init__(
        self,
        effect: Effect,
        done: Series,
        times_s: Series,
        seen: float = SEEN,
        *,
        is_turn: bool = False,
        is_freeze: bool = False,
    ) -> None:
        self._seen = seen
        self._effect = effect
        self._done = done
        self._told = _frozen_states(done, times_s) if is_freeze else _states(done, times_s)
        self._changes = np.zeros(len(times_s))
        self.turns = is_turn & (self._told == 1)

    @property
    def states(self) -> Series:
        """What was done, after the last frame was drawn: 0, 1, or 0.5 where hardly to be seen."""
        is_hidden = self._changes < self._seen
        return np.where(is_hidden, np.minimum(self._told, 0.5), self._told)

    def apply(self, picture: Picture, frame: int) -> Picture:
        """Return the picture as tampered with at a frame."""
        done = float(self._done[frame])
        if done <= 0:
            return picture
        out = self._effect(picture, done)
        self._changes[frame] = cv2.mean(cv2.absdiff(out, picture))[1]
        return out


def tamper(
    rng: Rng, times_s: Series, split: str, size_px: int, faintest: float = 2 * SEEN
) -> Tamper:
    """Choose what is done.

    Args:
        rng: chance.
        times_s: float64 (n,).
        split: whose textures.
        size_px: side of the picture.
        faintest: grey levels that the camera does not show clearly.
    """
    make, (fastest_s, slowest_s) = _KINDS[int(rng.integers(len(_KINDS)))]
    start = times_s[-1] * rng.uniform(0.05, 0.85)
    takes = log_uniform(rng, fastest_s, slowest_s)
    done = np.clip((times_s - start) / takes, 0, 1)
    if rng.random() < 0.4:
        back = start + takes + rng.uniform(0.5, 4)
        done = np.minimum(done, np.clip(1 - (times_s - back) / takes, 0, 1))
    seen = max(SEEN, faintest / 2)
    effect = make(Kit(rng, split, size_px))
    is_turn, is_freeze = make is _turn_away, make is _black_out
    return Tamper(effect, done, times_s, seen, is_turn=is_turn, is_freeze=is_freeze)


def _states(done: Series, times_s: Series) -> Series:
    changes = np.abs(np.diff(done, prepend=done[0])) > 1e-9
    states = np.where(done > DONE, 0.5, 0.0)
    for index in np.flatnonzero(changes):
        recent = (times_s >= times_s[index]) & (times_s <= times_s[index] + AFTER_S)
        states[recent & (done > DONE)] = 1.0
        states[index] = 1.0
    return states


def _frozen_states(done: Series, times_s: Series) -> Series:
    """Return the states of a picture that stands still until all is done, and again after it."""
    standing = np.where((done > 0) & (done < 1), 0.5, 0.0)
    return np.maximum(standing, _states(np.floor(done), times_s))


def _cover(of: Kit) -> Effect:
    """Something close and out of focus slides over the lens."""
    rng, size_px = of.rng, of.side_px
    grey = of.texture()
    tone = paint(rng, float(rng.uniform(0.1, 0.9)))
    fabric = cv2.resize(grey, (size_px, size_px))[..., None] / 255
    soft_cloth = cv2.GaussianBlur(tone * (0.7 + 0.5 * fabric), (0, 0), float(rng.uniform(0.5, 8)))
    cloth = np.clip(soft_cloth, 0, 255).astype(np.uint8)
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-0.5 : 0.5 : size_px * 1j, -0.5 : 0.5 : size_px * 1j]
    wavy = (
        0.12 * rng.random() * np.sin(rng.uniform(3, 20) * (y * np.cos(angle) - x * np.sin(angle)))
    )
    along = x * np.cos(angle) + y * np.sin(angle) + wavy
    soft = rng.uniform(4, 40)
    low, high = float(along.min()) - 3 / soft, float(along.max()) + 3 / soft

    def effect(picture: Picture, done: float) -> Picture:
        front = low + done * (high - low)
        share = (255 / (1 + np.exp(np.clip((along - front) * soft, -30, 30)))).astype(np.uint8)
        return mixed(picture, cloth, share)

    return effect


def cover(rng: Rng, side_px: int) -> Effect:
    """Return a cloth over the lens alone, for a scene."""
    return _cover(Kit(rng, "train", side_px))


def _spray(of: Kit) -> Effect:
    """Drops of paint grow over the lens."""
    rng, size_px = of.rng, of.side_px
    ink = np.broadcast_to(paint(rng).astype(np.uint8), (size_px, size_px, 3)).copy()
    field = _ranked(of)
    sharp = rng.uniform(600, 3000)

    def effect(picture: Picture, done: float) -> Picture:
        share = np.clip((1.1 * done - field) * sharp, 0, 255).astype(np.uint8)
        return mixed(picture, ink, share)

    return effect


def _defocus(of: Kit) -> Effect:
    rng, size_px = of.rng, of.side_px
    most = rng.uniform(0.03, 0.1) * size_px

    def effect(picture: Picture, done: float) -> Picture:
        return softened(picture, max(0.2, done * most))

    return effect


def _turn_away(of: Kit) -> Effect:
    """The picture slides out, and a wall or the sky, out of focus, comes in."""
    rng, size_px = of.rng, of.side_px
    grey = cv2.resize(of.cloud(), (size_px, size_px))[..., None] / 255
    other = np.clip(paint(rng) * (0.6 + 0.5 * grey), 0, 255).astype(np.uint8)
    is_across, sign = rng.random() < 0.5, int(rng.choice([-1, 1]))

    def effect(picture: Picture, done: float) -> Picture:
        axis, shift = (1 if is_across else 0), round(done * size_px)
        pair = (picture, other) if sign > 0 else (other, picture)
        wide = np.concatenate(pair, axis=axis)
        start = shift if sign > 0 else size_px - shift
        cut = slice(start, start + size_px)
        return np.ascontiguousarray(wide[:, cut] if is_across else wide[cut])

    return effect


def _black_out(of: Kit) -> Effect:
    """The picture stands still, then goes black, blue or grey."""
    tones = ((0, 0, 0), (0, 0, 0), (20, 30, 160), (110, 110, 110))
    tone = np.array(tones[int(of.rng.integers(4))], np.uint8)
    frozen: list[Picture] = []

    def effect(picture: Picture, done: float) -> Picture:
        if done < 1:
            frozen.append(picture.copy())
            return frozen[0]
        return np.broadcast_to(tone, picture.shape).copy()

    return effect


def _smear(of: Kit) -> Effect:
    """Grease on the lens: blur and haze in a spreading blot."""
    rng, size_px = of.rng, of.side_px
    field = _ranked(of)
    haze = rng.uniform(0.2, 0.7)
    tone = np.full((size_px, size_px, 3), rng.uniform(90, 200), np.uint8)

    def effect(picture: Picture, done: float) -> Picture:
        soft = softened(picture, 0.06 * size_px)
        hazy = np.asarray(cv2.addWeighted(soft, 1 - haze, tone, haze, 0), np.uint8)
        return mixed(picture, hazy, np.clip((1.5 * done - field) * 700, 0, 255).astype(np.uint8))

    return effect


def _iris(of: Kit) -> Effect:
    """A cap closes from the rim."""
    rng, size_px = of.rng, of.side_px
    y, x = np.mgrid[-1 : 1 : size_px * 1j, -1 : 1 : size_px * 1j]
    away = np.hypot(x + rng.normal(0, 0.3), y + rng.normal(0, 0.3)) / 1.9
    dark = np.full((size_px, size_px, 3), rng.uniform(0, 40), np.uint8)

    def effect(picture: Picture, done: float) -> Picture:
        return mixed(
            picture, dark, np.clip((away - 1 + 1.15 * done) * 2500, 0, 255).astype(np.uint8)
        )

    return effect


def _blinds(of: Kit) -> Effect:
    """Strips of tape, one beside the other."""
    rng, size_px = of.rng, of.side_px
    n, slope = int(rng.integers(2, 7)), rng.normal(0, 0.3)
    y, x = np.mgrid[0 : 1 : size_px * 1j, 0 : 1 : size_px * 1j]
    inside = (n * (y + slope * x)) % 1
    grey = cv2.resize(of.texture(), (size_px, size_px))[..., None] / 255
    tape = np.clip(paint(rng) * (0.7 + 0.3 * grey), 0, 255).astype(np.uint8)

    def effect(picture: Picture, done: float) -> Picture:
        return mixed(picture, tape, np.clip((1.05 * done - inside) * 4000, 0, 255).astype(np.uint8))

    return effect


def _ranked(of: Kit) -> npt.NDArray[np.float64]:
    """Return smooth noise of which each share of the picture lies below that value, (S, S)."""
    field = np.asarray(cv2.resize(of.cloud(), (of.side_px, of.side_px)))
    return np.asarray(np.argsort(np.argsort(field.ravel())).reshape(field.shape) / field.size)


def softened(picture: Picture, sigma_px: float) -> Picture:
    """Return the picture out of focus; a wide blur is made small, where it costs a tenth."""
    side = picture.shape[0]
    small = max(4, round(side / max(1.0, sigma_px / 2)))
    shrunk = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(shrunk, (0, 0), sigma_px * small / side)
    grown = cv2.resize(soft, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(grown, np.uint8)


def mixed(picture: Picture, other: Picture, share: npt.NDArray[np.uint8]) -> Picture:
    """Return the picture with another one over it, by a share of 0..255 per pixel."""
    weight = cv2.merge([share, share, share])
    kept = cv2.multiply(picture, 255 - weight, scale=1 / 255)
    return np.asarray(cv2.add(kept, cv2.multiply(other, weight, scale=1 / 255)), np.uint8)


_KINDS: tuple[tuple[Callable[[Kit], Effect], tuple[float, float]], ...] = (
    (_cover, (0.15, 3.0)),
    (_cover, (0.15, 3.0)),
    (_spray, (0.3, 3.0)),
    (_defocus, (0.3, 3.0)),
    (_turn_away, (0.3, 2.5)),
    (_black_out, (0.5, 2.5)),
    (_smear, (0.3, 2.5)),
    (_iris, (0.2, 2.0)),
    (_blinds, (0.3, 2.5)),
)
