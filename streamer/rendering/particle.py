"""Small things in the air: rain, snow, insects, falling leaves.

In: chance and the side of the picture. Out: effects: picture, strength and time -> picture.
Invariant: an effect is a function of its arguments; any moment can be drawn without those before.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from streamer.frame import Picture
from streamer.rendering.build import Rng, log_uniform, paint
from streamer.rendering.tamper import Kit

Effect = Callable[[Picture, float, float], Picture]


def _falling(of: Kit, *, is_snow: bool) -> Effect:
    """Rain as streaks that are elsewhere in each frame, snow as flakes that sink."""
    rng, side = of.rng, of.side_px
    large = 3 * side
    tile = np.zeros((large, large), np.uint8)
    n, slant = int(log_uniform(rng, 120, 1500)), rng.normal(0, 0.2)
    for spot in rng.integers(0, large, (n, 2)):
        bright = int(rng.integers(60, 255))
        if is_snow:
            cv2.circle(
                tile, spot.tolist(), int(rng.choice([0, 0, 1, 1, 2])), bright, -1, cv2.LINE_AA
            )
            continue
        long = rng.uniform(0.03, 0.18) * side
        end = (int(spot[0] + slant * long), int(spot[1] + long))
        cv2.line(tile, spot.tolist(), end, bright // 2, 1, cv2.LINE_AA)
    flakes = cv2.merge([tile, tile, tile])
    pace = np.array([rng.normal(0, 0.15), rng.uniform(0.15, 0.7)]) * side
    seed = int(rng.integers(1 << 20))

    def effect(picture: Picture, strength: float, t_s: float) -> Picture:
        if strength < 0.05:
            return picture
        if is_snow:
            jump = pace * t_s
        else:
            jump = np.random.default_rng((seed, round(t_s * 1000))).uniform(0, large, 2)
        x, y = int(jump[0]) % (large - side), int(-jump[1]) % (large - side)
        cut = flakes[y : y + side, x : x + side]
        return np.asarray(cv2.scaleAdd(cut, strength, picture), np.uint8)

    return effect


def rain(of: Kit) -> Effect:
    """Return streaks, elsewhere in each frame."""
    return _falling(of, is_snow=False)


def snow(of: Kit) -> Effect:
    """Return flakes that sink."""
    return _falling(of, is_snow=True)


def insects(of: Kit) -> Effect:
    """Specks that dance near the lens."""
    rng, side = of.rng, of.side_px
    n = int(rng.integers(1, 7))
    rates, phases = rng.uniform(0.1, 2.2, (n, 4)), rng.uniform(0, 6.3, (n, 4))
    middles = rng.uniform(0, 1, (n, 2))
    tone, size = int(rng.choice([10, 250])), int(rng.choice([0, 1, 1, 2]))

    def effect(picture: Picture, strength: float, t_s: float) -> Picture:
        if strength < 0.1:
            return picture
        out = picture.copy()
        swing = np.sin(2 * np.pi * rates * t_s + phases)
        spots = (middles + 0.25 * swing[:, :2] + 0.12 * swing[:, 2:]) * side
        for spot in spots.astype(int).tolist():
            cv2.circle(out, spot, size, (tone, tone, tone), -1, cv2.LINE_AA)
        return out

    return effect


def petals(of: Kit) -> Effect:
    """Leaves that fall and swing, many at a time."""
    rng, side = of.rng, of.side_px
    n = int(rng.integers(12, 60))
    starts, sizes = rng.uniform(0, 1, (n, 2)), rng.uniform(0.006, 0.02, n) * side
    swing, phase = rng.uniform(0.3, 1.2, n), rng.uniform(0, 6, n)
    fall, colour = rng.uniform(0.15, 0.5, n), tuple(paint(rng).tolist())

    def effect(picture: Picture, strength: float, t_s: float) -> Picture:
        out = picture.copy()
        turn = 2 * np.pi * swing * t_s + phase
        x = ((starts[:, 0] + 0.05 * np.sin(turn)) % 1 * side).astype(int)
        y = ((starts[:, 1] + fall * t_s) % 1 * side).astype(int)
        for leaf in range(int(n * strength)):
            axes = (max(1, int(sizes[leaf])), max(1, int(0.5 * sizes[leaf])))
            spot, angle = (int(x[leaf]), int(y[leaf])), float(np.degrees(turn[leaf]))
            cv2.ellipse(out, spot, axes, angle, 0, 360, colour, -1, cv2.LINE_AA)
        return out

    return effect


def rain_alone(rng: Rng, side_px: int) -> Effect:
    """Return rain alone, for a scene."""
    return rain(Kit(rng, "train", side_px))
