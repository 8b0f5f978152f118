"""Where objects go: courses over the ground and through the air.

In: a camera, a kind of motion, a size wished for. Out: `Course`s on the ground, places in the
picture for what flies. Objects pass a spot that is seen at a moment of the clip, so that something
of every course is in the picture.
Invariant: a course is a function of time, so any sampling of frames sees the same motion.
"""

from __future__ import annotations

import numpy as np

from streamer.rendering.body import Course
from streamer.rendering.build import Rng, log_uniform
from streamer.rendering.view import Points, View
from streamer.truth import Series

STEP_S = 0.05
HEADINGS = ("left", "right", "approach", "recede", "any")


def seen_spot(rng: Rng, view: View, height_m: float, sizes: tuple[float, float]) -> Points:
    """Return a point of the ground, float64 (3,), at which an object would be seen.

    Args:
        rng: chance.
        view: the camera.
        height_m: of the object.
        sizes: lowest and highest wish for its height in the picture, picture heights.
    """
    wish = log_uniform(rng, *sizes)
    best, best_miss = np.zeros(3), np.inf
    for _ in range(24):
        place = np.array([view.aspect * rng.uniform(0.05, 0.95), rng.uniform(0.2, 1.15)])
        spot = view.ground(place)
        depth = view.seen(spot)[2]
        size = view.focal * height_m / max(depth, 0.1)
        miss = abs(np.log(size / wish)) + (0 if 0.7 < depth < 80 else 9)
        if miss < best_miss:
            best, best_miss = spot, miss
    return best


def heading_of(rng: Rng, spot: Points, wish: str) -> float:
    """Return the heading with which something at a spot goes the way wished for, radians."""
    away = float(np.arctan2(spot[2], spot[0]))
    turn = {"left": np.pi / 2, "right": -np.pi / 2, "approach": np.pi, "recede": 0.0}
    if wish not in turn:
        return float(rng.uniform(-np.pi, np.pi))
    return away + turn[wish] + float(rng.normal(0, 0.3))


def speeds(rng: Rng, manner: str, length_s: float) -> Series:
    """Return how fast something goes against its usual speed, every `STEP_S`, float64.

    Args:
        rng: chance.
        manner: through, stop, start, pause or stay.
        length_s: of the clip.
    """
    t = np.arange(0, length_s + STEP_S, STEP_S)
    first = length_s * rng.uniform(0.2, 0.8)
    if manner == "stay":
        return np.zeros_like(t)
    if manner == "through":
        return np.ones_like(t)
    if manner == "stop":
        going = t < first
    elif manner == "start":
        going = t > first
    else:
        first = length_s * rng.uniform(0.1, 0.5)
        going = (t < first) | (t > first + rng.uniform(1.0, 3.0))
    ramp = max(1, int(rng.uniform(0.1, 0.6) / STEP_S))
    smooth = np.convolve(np.pad(going.astype(float), ramp, "edge"), np.ones(ramp) / ramp, "same")
    return np.asarray(smooth[ramp:-ramp])


def ground_course(
    rng: Rng, spot: Points, heading: float, speed_m_s: float, times_s: Series, manner: str
) -> Course:
    """Return a course through a spot.

    Args:
        rng: chance: when it is there, and how it turns.
        spot: float64 (3,).
        heading: radians, there.
        speed_m_s: usual speed.
        times_s: float64 (n,), when frames are taken.
        manner: as in `speeds`.
    """
    length_s = float(times_s[-1])
    pace = speeds(rng, manner, length_s)
    t = np.arange(len(pace)) * STEP_S
    anchor = int(len(t) * rng.uniform(0.15, 0.85))
    turning = np.zeros_like(t)
    if rng.random() < 0.35:
        turning[:] = rng.normal(0, 0.35)
    elif rng.random() < 0.3:
        start = length_s * rng.uniform(0.1, 0.8)
        turning[(t > start) & (t < start + 1)] = rng.choice([-1, 1]) * rng.uniform(0.8, 3.1)
    angle = np.cumsum(turning * pace) * STEP_S
    angle += heading - angle[anchor]
    gone = np.cumsum(pace) * STEP_S * speed_m_s
    x = np.cumsum(pace * np.cos(angle)) * STEP_S * speed_m_s
    z = np.cumsum(pace * np.sin(angle)) * STEP_S * speed_m_s
    sampled = [
        np.interp(times_s, t, series)
        for series in (x - x[anchor], z - z[anchor], angle, gone, pace)
    ]
    place = np.stack([spot[0] + sampled[0], np.zeros_like(times_s), spot[2] + sampled[1]], -1)
    return Course(place, sampled[2], sampled[3], np.minimum(sampled[4] * 1.2, 1.0))


def thrown(rng: Rng, view: View, spot: Points, times_s: Series) -> Course:
    """Return the course of something that falls or is thrown over a spot of the ground."""
    start = float(times_s[-1]) * rng.uniform(0.1, 0.7)
    depth = float(view.seen(spot)[2])
    height = depth / view.focal * rng.uniform(0.5, 1.1)
    sideways = rng.normal(0, 0.35, 2) * depth / view.focal * (rng.random() < 0.6)
    slow = rng.uniform(0.25, 1.0)
    t = np.maximum(times_s - start, 0.0)
    rise = rng.uniform(0, 1.0) * height
    fall = height + rise * slow * t * 2 - 0.5 * 9.8 * slow**2 * t**2
    landed = np.maximum(fall, 0.0)
    stop = np.minimum(t, np.min(t[fall <= 0], initial=t[-1]))
    place = spot + np.stack([sideways[0] * stop, landed, sideways[1] * stop], -1)
    gone = np.abs(sideways).sum() * stop
    return Course(place, np.full_like(t, rng.uniform(0, 6)), gone, np.zeros_like(t))


def flight(rng: Rng, view: View, times_s: Series, wish: str) -> tuple[Points, Series]:
    """Return places in the picture and relative depth of what flies or is carried.

    Args:
        rng: chance.
        view: the camera.
        times_s: float64 (n,).
        wish: left, right, up, down, approach, recede or any.

    Returns:
        float64 (n, 2) picture heights; float64 (n,), 1 where it passes its spot.
    """
    length_s = float(times_s[-1])
    middle = np.array([view.aspect, 1.0]) * rng.uniform(0.2, 0.8, 2)
    t = np.arange(0, length_s + STEP_S, STEP_S)
    pace = speeds(
        rng,
        str(rng.choice(["through", "stop", "start", "pause"], p=[0.4, 0.2, 0.2, 0.2])),
        length_s,
    )
    anchor = int(len(t) * rng.uniform(0.2, 0.8))
    gone = np.cumsum(pace) * STEP_S
    gone -= gone[anchor]
    angles = {"right": 0.0, "down": np.pi / 2, "left": np.pi, "up": -np.pi / 2}
    angle = angles.get(wish, rng.uniform(0, 2 * np.pi)) + rng.normal(0, 0.35)
    fast = log_uniform(rng, 0.04, 0.9)
    growth = 0.0
    if wish in ("approach", "recede"):
        growth, fast = log_uniform(rng, 0.16, 0.9), fast * rng.choice([0.0, 0.3])
        growth *= 1 if wish == "approach" else -1
    bend = rng.normal(0, 0.25) * (rng.random() < 0.4)
    heading = angle + bend * gone
    dx, dy = np.cumsum(pace * np.cos(heading)) * STEP_S, np.cumsum(pace * np.sin(heading)) * STEP_S
    path = fast * np.stack([dx - dx[anchor], dy - dy[anchor]], -1)
    at = np.stack([np.interp(times_s, t, path[:, k]) for k in (0, 1)], -1)
    nearer = np.interp(times_s, t, gone)
    return middle + at, np.exp(-np.clip(growth * nearer, -2.2, 1.8))
