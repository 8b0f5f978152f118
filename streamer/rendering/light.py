"""Light that changes: lamps, clouds, exposure steps, flicker, headlights, the edge of a shadow.

In: chance and times. Out: factors by which a coarse grid of the picture is brighter, and their
truth, measured from the factors.
Invariant: the label says that light changes now, not that it has changed.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from streamer.frame import Picture
from streamer.rendering.build import Rng, log_uniform
from streamer.truth import Series, graded

GRID = 16
ONE = 128
CHANGING = (0.03, 0.25)
"""Mean relative change per second: up to the first nobody sees it, from the second on it shows."""

Gains = npt.NDArray[np.float32]


class Light:
    """A course of light.

    Args:
        gains: float32 (n, g, g, 3), factor of each grid cell, g = 1 or `GRID`.
        times_s: float64 (n,).

    Attributes:
        states: float64 (n,), whether light changes: 0, 1, or 0.5 where undecided.
        changes: float64 (n,), mean relative change from 2 frames before to 2 frames after.
        levels: float64 (n,), mean factor.
    """

    def __init__(self, gains: Gains, times_s: Series) -> None:
        self.states = _states(gains, times_s)
        self.changes = _changes(gains)
        self.levels = gains.mean(axis=(1, 2, 3), dtype=np.float64)
        self._factors = np.clip(gains * ONE, 0, 255).round().astype(np.uint8)
        self._is_neutral = (np.abs(gains - 1).max(axis=(1, 2, 3)) < 1 / ONE).tolist()

    def apply(self, picture: Picture, frame: int) -> Picture:
        """Return the picture in the light of a frame."""
        if self._is_neutral[frame]:
            return picture
        factor = cv2.resize(
            self._factors[frame], picture.shape[1::-1], interpolation=cv2.INTER_LINEAR
        )
        return np.asarray(cv2.multiply(picture, factor, scale=1 / ONE), np.uint8)


def light(rng: Rng, times_s: Series) -> Light:
    """Choose a course of light."""
    return Light(_KINDS[int(rng.integers(len(_KINDS)))](rng, times_s), times_s)


def exposure(brightness: Series, times_s: Series, strength: float, delay_s: float) -> Light:
    """Return how a camera's own exposure answers to what it sees.

    Args:
        brightness: float64 (n,), what objects add to the mean, share of full.
        times_s: float64 (n,).
        strength: by which share of it the picture is darkened.
        delay_s: time constant.
    """
    level, gains = 0.0, []
    for index, wish in enumerate(brightness):
        step = times_s[index] - times_s[max(index - 1, 0)]
        level += (wish - level) * (1 - np.exp(-step / delay_s))
        gains.append(1 / (1 + strength * max(level, -0.4)))
    return Light(_even(np.array(gains)), times_s)


def _states(gains: Gains, times_s: Series) -> Series:
    tone = np.log(np.maximum(gains.mean(axis=3), 0.02)).reshape(len(gains), -1)
    change = np.abs(np.diff(tone, axis=0)).mean(axis=1) / np.maximum(np.diff(times_s), 1e-2)
    change = np.concatenate([change[:1], change])
    shown = np.maximum(change, np.append(change[1:], 0))
    return graded(shown, *CHANGING)


def _changes(gains: Gains) -> Series:
    tone = gains.mean(axis=3).reshape(len(gains), -1)
    padded = np.pad(tone, ((2, 2), (0, 0)), "edge")
    level = np.maximum(tone, 0.02)
    return np.asarray((np.abs(padded[4:] - padded[:-4]) / level).mean(axis=1), np.float64)


def _even(gain: Series, tint: npt.NDArray[np.float64] | None = None) -> Gains:
    colour = np.ones(3) if tint is None else tint
    return (1 + (gain[:, None, None, None] - 1) * colour).astype(np.float32)


def _ramp(rng: Rng, t: Series, low_s: float, high_s: float) -> Series:
    """Return 0 before a moment, 1 after it."""
    start = t[-1] * rng.uniform(0.05, 0.9)
    return np.asarray(np.clip((t - start) / log_uniform(rng, low_s, high_s), 0, 1))


def _spot(rng: Rng, t: Series, path: npt.NDArray[np.float64] | None = None) -> Gains:
    """Return a glow over the grid, float32 (n, g, g, 1), 0..1."""
    y, x = np.mgrid[0 : 1 : GRID * 1j, 0 : 1 : GRID * 1j]
    middle = np.tile(rng.uniform(-0.1, 1.1, 2), (len(t), 1)) if path is None else path
    spread = rng.uniform(0.12, 0.5)
    away = (x - middle[:, 0, None, None]) ** 2 + (y - middle[:, 1, None, None]) ** 2
    return np.asarray(np.exp(-away / (2 * spread**2))[..., None], np.float32)


def _strength(rng: Rng) -> float:
    """Return a factor of light from 0.3 to 2, never near 1."""
    return float(rng.uniform(0.3, 0.78) if rng.random() < 0.5 else rng.uniform(1.25, 2.0))


def _lamp(rng: Rng, t: Series) -> Gains:
    on = _ramp(rng, t, 0.03, 0.3)
    if rng.random() < 0.4:
        on = on - _ramp(rng, t, 0.03, 0.3)
    tint = rng.uniform(0.6, 1.2, 3)
    if rng.random() < 0.5:
        return _even(1 + (_strength(rng) - 1) * np.abs(on), tint)
    glow = _spot(rng, t) * rng.uniform(0.5, 1.2) * tint
    base = rng.uniform(0.3, 1.0)
    return np.asarray(base + glow * np.abs(on)[:, None, None, None], np.float32)


def _cloud(rng: Rng, t: Series) -> Gains:
    dark = _ramp(rng, t, 0.8, 4.0) - (rng.random() < 0.5) * _ramp(rng, t, 0.8, 4.0)
    return _even(1 + (_strength(rng) - 1) * dark)


def _step(rng: Rng, t: Series) -> Gains:
    level = np.zeros_like(t)
    for _ in range(int(rng.integers(1, 4))):
        level += rng.choice([-1, 1]) * rng.uniform(0.15, 0.5) * _ramp(rng, t, 0.1, 1.5)
    return _even(np.exp(np.clip(level, -1, 0.65)))


def _flicker(rng: Rng, t: Series) -> Gains:
    depth = rng.uniform(0.06, 0.4)
    if rng.random() < 0.5:
        wave = np.sin(2 * np.pi * rng.uniform(0.7, 4.6) * t + rng.uniform(0, 6))
    else:
        wave = rng.choice([-1.0, 1.0], len(t))
    start, length = t[-1] * rng.uniform(-0.3, 0.6), rng.uniform(1.5, 7)
    is_on = (t > start) & (t < start + length)
    return _even(1 + depth * wave * is_on, rng.uniform(0.7, 1.0, 3))


def _sweep(rng: Rng, t: Series) -> Gains:
    start, length = t[-1] * rng.uniform(-0.1, 0.8), rng.uniform(0.6, 3.5)
    done = ((t - start) / length)[:, None]
    from_, to = rng.uniform(-0.3, 1.3, (2, 2))
    from_[0], to[0] = (-0.8, 1.8) if rng.random() < 0.5 else (1.8, -0.8)
    glow = _spot(rng, t, from_ + np.clip(done, -0.5, 1.5) * (to - from_))
    return np.asarray(
        rng.uniform(0.25, 0.9) + rng.uniform(0.5, 1.4) * glow * np.array([1, 0.97, 0.85]),
        np.float32,
    )


def _shadow_edge(rng: Rng, t: Series) -> Gains:
    angle, start = rng.uniform(0, 2 * np.pi), t[-1] * rng.uniform(0, 0.6)
    y, x = np.mgrid[-0.7 : 0.7 : GRID * 1j, -0.7 : 0.7 : GRID * 1j]
    along = x * np.cos(angle) + y * np.sin(angle)
    front = -1.0 + (t - start) * rng.uniform(0.25, 1.2)
    share = 1 / (1 + np.exp((along - front[:, None, None]) * rng.uniform(5, 25)))
    return np.asarray(1 + (_strength(rng) - 1) * share[..., None] * np.ones(3), np.float32)


def _strobe(rng: Rng, t: Series) -> Gains:
    beat = (t * rng.uniform(0.8, 3.0) + rng.random()) % 1 < rng.uniform(0.15, 0.5)
    colour = rng.uniform(0, 1, 3)
    return np.asarray(
        rng.uniform(0.6, 0.95) + (_spot(rng, t) * colour) * beat[:, None, None, None], np.float32
    )


def _dimmer(rng: Rng, t: Series) -> Gains:
    wave = np.sin(2 * np.pi * t / rng.uniform(1.5, 5.0) + rng.uniform(0, 6))
    return _even(np.exp(rng.uniform(0.15, 0.5) * wave), rng.uniform(0.7, 1.1, 3))


def _two_lamps(rng: Rng, t: Series) -> Gains:
    """Two lamps that are switched, each with its own colour."""
    gains = np.full((len(t), GRID, GRID, 3), rng.uniform(0.35, 0.8), np.float32)
    for _ in range(2):
        on = _ramp(rng, t, 0.05, 0.5)
        on = 1 - on if rng.random() < 0.5 else on
        glow = _spot(rng, t) * rng.uniform(0.4, 0.9) * rng.uniform(0.7, 1.1, 3)
        gains += (glow * on[:, None, None, None]).astype(np.float32)
    return gains


_KINDS: tuple[Callable[[Rng, Series], Gains], ...] = (
    *(_lamp, _lamp, _cloud, _step, _step, _flicker, _sweep, _sweep),
    *(_two_lamps, _two_lamps, _strobe, _dimmer, _shadow_edge),
)
