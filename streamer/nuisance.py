"""What changes a rendered scene although no object moves: leaves, light, vibration, noise.

In: a picture and a time. Out: the picture with the nuisance applied, and its ground truth as
events. As with visits, cycles are planned one by one, so that any moment can be rendered without
the ones before it.
Invariant: `apply` and `events` of one nuisance are functions of seed and time alone and agree with
each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import ceil

import cv2
import numpy as np
import numpy.typing as npt

from streamer.frame import Picture
from streamer.sprite import Sprite, paste
from streamer.visit import SceneEvent

FACTOR_ONE = 128
"""Value of an 8-bit light map that leaves a pixel as it is; 255 doubles it."""


class Leaves:
    """Bunches of leaves that sway in gusts; they never quite stand still."""

    def __init__(self, rng: np.random.Generator, sprites: Sequence[Sprite], n: int = 14) -> None:
        self._sprites = sprites
        self._places = rng.uniform((-0.02, 0.2, 0.2), (1.02, 0.5, 0.32), (n, 3))
        self._phases = rng.uniform(0, 2 * np.pi, (n, 2))

    def apply(self, picture: Picture, t_s: float) -> Picture:
        """Draw every bunch where the wind has it."""
        height, width = picture.shape[:2]
        gust = 0.004 + 0.014 * max(0.0, np.sin(t_s / 3.1) * np.sin(t_s / 7.7 + 1))
        for index, (x, y, size) in enumerate(self._places):
            slow, fast = self._phases[index]
            sway = gust * (np.sin(2.1 * t_s + slow) + 0.5 * np.sin(5.3 * t_s + fast))
            foot = ((x + sway) * width, (y + 0.4 * sway) * height)
            paste(picture, self._sprites[index % len(self._sprites)], foot, size * height)
        return picture

    def events(self, duration_s: float) -> Iterator[SceneEvent]:
        """Yield one event over all."""
        yield SceneEvent("background", "leaves", 0.0, duration_s)


class Headlights:
    """The light of a car that is not seen sweeps over a dark place."""

    SWEEP_S = 2.5

    def __init__(
        self, seed: int, width: int, height: int, ambient: float = 0.22, period_s: float = 13.0
    ) -> None:
        self._seed = seed
        self._period_s = period_s
        self._size = (width, height)
        beam = ambient + _glow(3 * width, height, (0.5, 0.6), 0.09, 1.0)
        self._beam = _as_factor(beam)
        self._dark = _as_factor(np.full((height, width), ambient, np.float32))

    def apply(self, picture: Picture, t_s: float) -> Picture:
        """Darken the picture but for where the beam is."""
        width, _ = self._size
        cycle = int(t_s // self._period_s)
        event = self._sweep(cycle)
        if not event.start_s <= t_s <= event.end_s:
            return _lit(picture, self._dark)
        done = (t_s - event.start_s) / self.SWEEP_S
        shift = int(2 * width * (done if cycle % 2 else 1 - done))
        return _lit(picture, self._beam[:, shift : shift + width])

    def events(self, duration_s: float) -> Iterator[SceneEvent]:
        """Yield one event a sweep."""
        for cycle in range(ceil(duration_s / self._period_s)):
            yield self._sweep(cycle)

    def _sweep(self, cycle: int) -> SceneEvent:
        late_s = np.random.default_rng((self._seed, cycle)).uniform(
            5.0, self._period_s - self.SWEEP_S - 1
        )
        start_s = cycle * self._period_s + float(late_s)
        return SceneEvent("lighting", "headlights", start_s, start_s + self.SWEEP_S)


class Lamps:
    """Two lamps of a room that are switched in turn."""

    RAMP_S = 0.15

    def __init__(self, seed: int, width: int, height: int, period_s: float = 8.0) -> None:
        self._seed = seed
        self._period_s = period_s
        places = ((0.3, 0.26), (0.8, 0.26))
        self._glows = [_glow(width, height, place, 0.35, 0.75) for place in places]
        self._light = lru_cache(maxsize=2)(self._mixed)

    def apply(self, picture: Picture, t_s: float) -> Picture:
        """Light the picture as the lamps are at `t_s`."""
        cycle = int(t_s // self._period_s)
        done = float(np.clip((t_s - self._switch_s(cycle)) / self.RAMP_S, 0, 1))
        # Lamp 0 is switched in even cycles and is off at first, lamp 1 in odd ones and is on at
        # first.
        turning, other = cycle % 2, 1 - cycle % 2
        before = (turning + cycle // 2) % 2
        levels = [0.0, 0.0]
        levels[turning] = before + (1 - 2 * before) * done
        levels[other] = float((other + (cycle + 1) // 2) % 2)
        return _lit(picture, self._light(round(levels[0], 3), round(levels[1], 3)))

    def events(self, duration_s: float) -> Iterator[SceneEvent]:
        """Yield one event a switching."""
        for cycle in range(ceil(duration_s / self._period_s)):
            start_s = self._switch_s(cycle)
            yield SceneEvent("lighting", "lamp", start_s, start_s + self.RAMP_S)

    def _switch_s(self, cycle: int) -> float:
        late_s = np.random.default_rng((self._seed, cycle)).uniform(3.0, self._period_s - 1)
        return cycle * self._period_s + float(late_s)

    def _mixed(self, first: float, second: float) -> Picture:
        return _as_factor(0.45 + first * self._glows[0] + second * self._glows[1])


class Vibration:
    """A camera that trembles for a while in each cycle."""

    BURST_S = 3.0

    def __init__(self, seed: int, period_s: float = 9.0, amplitude: float = 0.005) -> None:
        self._seed = seed
        self._period_s = period_s
        self._amplitude = amplitude

    def apply(self, picture: Picture, t_s: float) -> Picture:
        """Shift the picture by a fraction of its width during a burst."""
        event = self._burst(int(t_s // self._period_s))
        if not event.start_s <= t_s <= event.end_s:
            return picture
        height, width = picture.shape[:2]
        swing = self._amplitude * width
        x = swing * (np.sin(23 * t_s) + 0.6 * np.sin(41 * t_s + 1))
        y = swing * (np.sin(29 * t_s + 2) + 0.6 * np.sin(37 * t_s))
        shift = np.array([[1, 0, x], [0, 1, y]], np.float32)
        moved = cv2.warpAffine(picture, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(moved, np.uint8)

    def events(self, duration_s: float) -> Iterator[SceneEvent]:
        """Yield one event a burst."""
        for cycle in range(ceil(duration_s / self._period_s)):
            yield self._burst(cycle)

    def _burst(self, cycle: int) -> SceneEvent:
        late_s = np.random.default_rng((self._seed, cycle)).uniform(
            3.0, self._period_s - self.BURST_S
        )
        start_s = cycle * self._period_s + float(late_s)
        return SceneEvent("camera", "vibration", start_s, start_s + self.BURST_S)


class Noise:
    """Sensor noise: a different part of one large noise picture at each time."""

    SPARE_PX = 64

    def __init__(self, rng: np.random.Generator, width: int, height: int, sigma: float) -> None:
        shape = (height + self.SPARE_PX, width + self.SPARE_PX, 3)
        noise = rng.normal(0, sigma, shape).round()
        # Two saturating 8-bit operations cost 0.1 ms at 640 x 360, one in 16 bits 1 ms.
        self._brighter = np.clip(noise, 0, 255).astype(np.uint8)
        self._darker = np.clip(-noise, 0, 255).astype(np.uint8)

    def apply(self, picture: Picture, t_s: float) -> Picture:
        """Add the noise of this time."""
        height, width = picture.shape[:2]
        mixed = (round(t_s * 1000) * 2654435761) & 0xFFFFFFFF
        y, x = mixed >> 8 & (self.SPARE_PX - 1), mixed >> 20 & (self.SPARE_PX - 1)
        view = slice(y, y + height), slice(x, x + width)
        cv2.add(picture, self._brighter[view], dst=picture)
        cv2.subtract(picture, self._darker[view], dst=picture)
        return picture

    def events(self, duration_s: float) -> Iterator[SceneEvent]:  # noqa: ARG002  as in every layer
        """Yield nothing: noise is always there, and no event."""
        yield from ()


def _glow(
    width: int, height: int, middle: tuple[float, float], radius: float, strength: float
) -> npt.NDArray[np.float32]:
    """Return how much a lamp adds to each pixel's light.

    Args:
        width: pixels.
        height: pixels.
        middle: where the lamp is, shares of width and height.
        radius: share of the width at which the light has fallen to 61 %.
        strength: light at the lamp.

    Returns:
        float32 (H, W), 0..strength.
    """
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    away = np.hypot(x - middle[0] * width, y - middle[1] * height) / (radius * width)
    return np.asarray(strength * np.exp(-0.5 * away**2), np.float32)


def _as_factor(light: npt.NDArray[np.float32]) -> Picture:
    factor = np.clip(light * FACTOR_ONE, 0, 255).round().astype(np.uint8)
    return np.asarray(cv2.cvtColor(factor, cv2.COLOR_GRAY2RGB), np.uint8)


def _lit(picture: Picture, factor: Picture) -> Picture:
    return np.asarray(cv2.multiply(picture, factor, dst=picture, scale=1 / FACTOR_ONE), np.uint8)
