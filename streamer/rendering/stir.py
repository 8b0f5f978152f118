"""What moves in the background although nothing goes anywhere: leaves, rain, water, screens, fire.

In: chance and times. Out: changed pictures and the truth.
Invariant: each effect keeps to its region; where it is off, the picture is handed through.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from streamer.frame import Picture
from streamer.rendering.build import Rng, log_uniform, paint
from streamer.rendering.particle import Effect, insects, petals, rain, snow
from streamer.rendering.surface import Stage
from streamer.rendering.tamper import Kit, mixed
from streamer.truth import Series, graded

SHOWN = (0.1, 0.35)
"""Share of its full strength up to which an effect is nothing, and from which it is one."""

CLEAR = 8.0
"""Grey levels by which a pixel changes clearly in front of an ordinary camera."""
CHANGED = (0.0015, 0.006)
"""Share of pixels that change clearly from one picture to the next: up to the first an effect is
none, from the second it is."""

Field = npt.NDArray[np.float32]


class Stir:
    """One effect with its ups and downs.

    Args:
        effect: picture, strength 0..1 and time -> picture.
        strength: float64 (n,).
        times_s: float64 (n,).
        clear: float64 (n,) or one number, grey levels by which a pixel changes clearly.

    Attributes:
        clear: float64 (n,), that limit for each frame.
    """

    def __init__(
        self, effect: Effect, strength: Series, times_s: Series, clear: Series | float = CLEAR
    ) -> None:
        self._effect = effect
        self._strength = strength
        self._times_s = times_s
        self.clear = np.broadcast_to(clear, times_s.shape)
        self._n_changed = np.zeros(len(times_s))
        self._added: npt.NDArray[np.int16] | None = None

    @property
    def states(self) -> Series:
        """What it has been, after the last frame was drawn; what moves no pixel is nothing."""
        padded = np.pad(self._n_changed, 4, "edge")
        near = np.max([padded[shift : shift + len(self._n_changed)] for shift in range(9)], axis=0)
        return np.minimum(graded(self._strength, *SHOWN), graded(near, *CHANGED))

    def apply(self, picture: Picture, frame: int) -> Picture:
        """Return the picture with the effect of a frame."""
        out = self._effect(picture, float(self._strength[frame]), float(self._times_s[frame]))
        added = np.asarray(cv2.subtract(out[..., 1], picture[..., 1], dtype=cv2.CV_16S), np.int16)
        if self._added is not None:
            change = cv2.absdiff(added, self._added)
            self._n_changed[frame] = np.count_nonzero(change > self.clear[frame]) / change.size
        self._added = added
        return out


def stir(
    rng: Rng, times_s: Series, split: str, stage: Stage, clear: Series | float = CLEAR
) -> Stir:
    """Choose an effect and its course: all the time, in gusts, or for a while.

    Args:
        rng: chance.
        times_s: float64 (n,).
        split: whose textures.
        stage: the place.
        clear: float64 (n,) or one number, grey levels by which a pixel changes clearly.
    """
    make = _KINDS[int(rng.integers(len(_KINDS)))]
    effect = make(Kit(rng, split, stage.side_px, stage.picture))
    manner = rng.random()
    if manner < 0.4:
        strength = np.full_like(times_s, rng.uniform(0.5, 1))
    elif manner < 0.7:
        period = rng.uniform(3, 9)
        strength = np.clip(
            0.5 + 0.8 * np.sin(2 * np.pi * times_s / period + rng.uniform(0, 6)), 0, 1
        )
    else:
        start, length = times_s[-1] * rng.uniform(-0.2, 0.7), rng.uniform(1.5, 6)
        ramp = rng.uniform(0.2, 1)
        strength = np.clip((times_s - start) / ramp, 0, 1) * np.clip(
            (start + length - times_s) / ramp, 0, 1
        )
    return Stir(effect, strength, times_s, clear)


def _region(of: Kit, largest: float = 0.9) -> tuple[slice, slice, Field]:
    """Return a part of the picture and how much each pixel of it takes part, 0..1."""
    rng, side = of.rng, of.side_px
    wide, high = (int(side * log_uniform(rng, 0.2, largest)) for _ in range(2))
    left, top = int(rng.integers(0, side - wide + 1)), int(rng.integers(0, side - high + 1))
    y, x = np.mgrid[-1 : 1 : high * 1j, -1 : 1 : wide * 1j]
    rough = cv2.resize(of.cloud(), (wide, high)) / 255 - 0.5
    if rng.random() < 0.7:
        share = np.clip((1 - np.hypot(x, y) + rng.uniform(0, 1.2) * rough) * 5, 0, 1)
    else:
        share = np.clip((1 - np.maximum(abs(x), abs(y))) * 12, 0, 1)
    return slice(top, top + high), slice(left, left + wide), share.astype(np.float32)


def _warped(of: Kit, hz: tuple[float, float], size: float, waves: float) -> Effect:
    """Return an effect that pushes the texture of a region to and fro."""
    rng, side = of.rng, of.side_px
    rows, columns, share = max((_region(of) for _ in range(4)), key=of.detail)
    high, wide = share.shape
    y, x = np.mgrid[0:high, 0:wide].astype(np.float32)
    push = []
    for _ in range(2):
        field = of.cloud().astype(np.float32)
        cut = cv2.resize(field[: int(256 * waves), : int(256 * waves)], (wide, high)) / 255
        push.append((cut * 4 * np.pi * waves, rng.uniform(0, 2 * np.pi), rng.uniform(*hz)))
    reach = share * size * side

    def effect(picture: Picture, strength: float, t_s: float) -> Picture:
        if strength < 0.02:
            return picture
        dx, dy = np.zeros_like(x), np.zeros_like(y)
        for phase, angle, rate_hz in push:
            wave = np.sin(phase + np.float32(2 * np.pi * rate_hz * t_s)) * (
                reach * np.float32(strength)
            )
            dx += wave * np.float32(np.cos(angle))
            dy += wave * np.float32(np.sin(angle) * 0.6)
        region = picture[rows, columns]
        moved = cv2.remap(
            region, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        out = picture.copy()
        out[rows, columns] = moved
        return out

    return effect


def _leaves(of: Kit) -> Effect:
    """Leaves of their own, near the camera, that sway."""
    rng, side = of.rng, of.side_px
    rows, columns, share = _region(of)
    high, wide = share.shape
    green = np.array([rng.uniform(20, 130), rng.uniform(50, 160), rng.uniform(10, 80)])
    grey = cv2.resize(of.texture(), (wide, high))
    leaves = np.clip(green * (grey[..., None] / 150 + 0.1), 0, 255).astype(np.uint8)
    gaps = cv2.resize(of.cloud(), (wide, high)).astype(np.float32) / 255
    alpha = (np.clip((gaps - rng.uniform(0.3, 0.5)) * 8, 0, 1) * share * 255).astype(np.uint8)
    y, x = np.mgrid[0:high, 0:wide].astype(np.float32)
    phase = cv2.resize(of.cloud(), (wide, high)).astype(np.float32) / 40
    slow, fast, reach = (
        rng.uniform(0.2, 0.8),
        rng.uniform(0.8, 2.2),
        rng.uniform(0.01, 0.035) * side,
    )

    def effect(picture: Picture, strength: float, t_s: float) -> Picture:
        sway = np.sin(2 * np.pi * slow * t_s + 0.3 * phase) + 0.5 * np.sin(
            2 * np.pi * fast * t_s + phase
        )
        shift = sway * np.float32(reach * strength)
        at_x, at_y = x + shift, y + 0.4 * shift
        cut = cv2.remap(leaves, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        veil = cv2.remap(alpha, at_x, at_y, cv2.INTER_LINEAR)
        out = picture.copy()
        out[rows, columns] = mixed(
            picture[rows, columns], np.asarray(cut, np.uint8), np.asarray(veil, np.uint8)
        )
        return out

    return effect


def _sway(of: Kit) -> Effect:
    rng = of.rng
    return _warped(of, (0.2, 1.6), rng.uniform(0.01, 0.035), rng.uniform(0.1, 0.5))


def _water(of: Kit) -> Effect:
    rng = of.rng
    return _warped(of, (0.5, 3.0), rng.uniform(0.006, 0.02), rng.uniform(0.6, 1.0))


def _flag(of: Kit) -> Effect:
    """A cloth with waves that run through it."""
    rng, side = of.rng, of.side_px
    rows, columns, share = _region(of, 0.45)
    high, wide = share.shape
    y, x = np.mgrid[0:high, 0:wide].astype(np.float32)
    grey = cv2.resize(of.texture(), (wide, high))[..., None]
    cloth = np.clip(paint(rng) + (grey / 255.0) * (paint(rng) - 100), 0, 255).astype(np.uint8)
    pace, length = rng.uniform(0.5, 2.5), rng.uniform(0.15, 0.5) * side
    reach = rng.uniform(0.01, 0.03) * side

    def effect(picture: Picture, strength: float, t_s: float) -> Picture:
        phase = 2 * np.pi * (x / np.float32(length) - np.float32(pace * t_s))
        wave = np.sin(phase + 0.02 * y).astype(np.float32) * np.float32(strength)
        moved = cv2.remap(
            cloth,
            x,
            y + wave * np.float32(reach),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        lit = np.clip(moved * (1 + 0.25 * wave[..., None]), 0, 255).astype(np.uint8)
        out = picture.copy()
        out[rows, columns] = lit
        return out

    return effect


def _screen(of: Kit) -> Effect:
    """A screen that shows one picture after another."""
    rng = of.rng
    rows, columns, share = _region(of, 0.4)
    shape = (share.shape[1], share.shape[0])
    shown = []
    for _ in range(6):
        grey = cv2.resize(of.texture(), shape)[..., None] / 255
        shown.append(np.clip(paint(rng) + grey * (paint(rng) - 80), 0, 255).astype(np.uint8))
    cut_hz = log_uniform(rng, 0.5, 8)
    offset = int(rng.integers(100))

    def effect(picture: Picture, strength: float, t_s: float) -> Picture:
        count = int(t_s * cut_hz) * (strength > 0.1) + offset
        out = picture.copy()
        out[rows, columns] = shown[count * 7 % len(shown)]
        return out

    return effect


def _smoke(of: Kit) -> Effect:
    """Smoke or steam that rises and thins."""
    rng = of.rng
    rows, columns, share = _region(of)
    tone = np.full((*share.shape, 3), rng.uniform(60, 230), np.uint8)
    field = of.cloud().astype(np.float32) / 255
    up, aside = rng.uniform(15, 80), rng.normal(0, 20)
    high, wide = share.shape

    def effect(picture: Picture, strength: float, t_s: float) -> Picture:
        y, x = int(up * t_s) % 256, int(aside * t_s) % 256
        rolled = np.roll(field, (-y, -x), (0, 1))[:128, :128]
        veil = cv2.resize(rolled, (wide, high)) * share * np.float32(255 * strength)
        out = picture.copy()
        out[rows, columns] = mixed(
            picture[rows, columns], tone, np.clip(veil, 0, 230).astype(np.uint8)
        )
        return out

    return effect


def _fire(of: Kit) -> Effect:
    """A flicker of warm light around a spot."""
    rng, side = of.rng, of.side_px
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    middle, spread = rng.uniform(0.1, 0.9, 2), rng.uniform(0.05, 0.2)
    away = ((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / (2 * spread**2)
    glow = (np.exp(-away)[..., None] * np.array([200, 110, 30])).astype(np.uint8)
    seed = int(rng.integers(1 << 20))

    def effect(picture: Picture, strength: float, t_s: float) -> Picture:
        beat = np.random.default_rng((seed, round(t_s * 1000))).uniform(0.2, 1)
        return np.asarray(cv2.scaleAdd(glow, strength * beat + 0.2, picture), np.uint8)

    return effect


def _fan(of: Kit) -> Effect:
    """Blades that turn."""
    rng, side = of.rng, of.side_px
    middle = rng.uniform(0.15, 0.85, 2) * side
    radius, n_blades = rng.uniform(0.06, 0.2) * side, int(rng.integers(2, 6))
    colour, turns_hz = tuple(paint(rng).tolist()), rng.uniform(0.2, 4)
    squash = rng.uniform(0.3, 1)

    def effect(picture: Picture, strength: float, t_s: float) -> Picture:
        out = picture.copy()
        angle = 2 * np.pi * turns_hz * t_s * (strength > 0.1)
        for blade in range(n_blades):
            turn = angle + 2 * np.pi * blade / n_blades + np.array([-0.25, 0, 0.25])
            tips = middle + radius * np.stack([np.cos(turn), squash * np.sin(turn)], -1)
            corners = np.concatenate([middle[None], tips]) * 16
            cv2.fillConvexPoly(out, corners.astype(np.int32), colour, cv2.LINE_AA, 4)
        return out

    return effect


def _rings(of: Kit) -> Effect:
    """Rings that spread, as on a pond."""
    rng, side = of.rng, of.side_px
    rows, columns, share = max((_region(of) for _ in range(4)), key=of.detail)
    high, wide = share.shape
    y, x = np.mgrid[0:high, 0:wide].astype(np.float32)
    middle = rng.uniform(0.2, 0.8, 2) * (wide, high)
    dx, dy = x - np.float32(middle[0]), y - np.float32(middle[1])
    away = np.hypot(dx, dy) + 1
    length, pace = rng.uniform(0.05, 0.2) * side, rng.uniform(0.4, 2)
    reach = share * np.float32(rng.uniform(0.008, 0.025) * side)

    def effect(picture: Picture, strength: float, t_s: float) -> Picture:
        wave = np.sin(2 * np.pi * (away / length - pace * t_s)).astype(np.float32)
        push = wave * reach * np.float32(strength) / away
        region, out = picture[rows, columns], picture.copy()
        out[rows, columns] = cv2.remap(
            region,
            x + dx * push,
            y + dy * push,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        return out

    return effect


_KINDS: tuple[Callable[[Kit], Effect], ...] = (
    *(_leaves, _leaves, _sway, _sway, rain, snow, _water, _screen, _smoke, insects),
    *(_flag, _flag, _fire, _fan, _rings, petals),
)
