"""What a picture sequence truly shows: labels per frame from the geometry that drew it.

In: for each object where its centre is, how large it is, how fast its parts move and how much of it
is seen; for the nuisances their own course. Out: one value per frame and label: 1, 0, or NaN where
an honest observer could not decide.
Invariant: truth follows from geometry alone, so training, tests and evaluation use one definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

MOTION: Final = ("left", "right", "up", "down", "approach", "recede", "in_place")
NUISANCES: Final = ("lighting", "camera", "tamper", "background")
LABELS: Final = MOTION + NUISANCES
RATES: Final = ("rightward", "downward", "growth", "stir")
"""How fast an object goes right and down, and its fastest part against it, picture heights a
second; how fast it grows, as a share of its size a second."""

Series = npt.NDArray[np.float64]
Labels = npt.NDArray[np.float32]

MOVING: Final = (0.03, 0.2)
STILL: Final = (0.005, 0.04)
"""Speed from which something moves and below which it is still: picture heights and own heights a
second."""
GROWING: Final = (0.03, 0.15)
"""Relative growth per second: up to the first none, from the second approach or recede."""
SIZING: Final = 2 * MOVING[0]
"""Growth times height, picture heights a second, below which nobody sees a size change: each of two
opposite edges goes half of it, as far as in the slowest motion."""
SWELLING: Final = 0.12
"""Speed of an edge, picture heights a second, at which an object that grows or shrinks seems to go
where its centre does not."""
GESTURING: Final = (0.02, 0.08)
"""Speed of a part against its body, picture heights a second: up to the first still."""
ALIGNED_DEG: Final = (60.0, 75.0)
LEAST_AREA: Final = 0.006
LEAST_VISIBLE: Final = 0.3
STIRRED: Final = 0.003
"""Share of the picture in which pixels must change clearly where something moves."""
FILLING: Final = 0.5
"""Share of the picture from which an object could be a hand before the lens, or its motion the
camera's."""
SEEN_AREA: Final = 0.0002
"""Smaller than 3 pixels of 112 x 112 nobody can see anything."""
BRIEF_S: Final = 0.2
LASTING_S: Final = 0.5
"""To each side: something travels if it does so over both, else it only moves to and fro."""
RATE_S: Final = 0.4
"""To each side: rates are those over so long a time."""
_OPEN = 0.5
"""Undecided inside this file: then `and` is the minimum and `or` the maximum."""


@dataclass(frozen=True)
class Track:
    """One object through a clip; lengths are in picture heights, so the aspect is true.

    Attributes:
        centre: float64 (n, 2), x to the right and y down, of its body without limbs.
        height: float64 (n,), its height in the picture.
        scale: float64 (n,), picture heights that a metre covers at its place.
        part_speed: float64 (n,), its fastest part against its centre, heights a second.
        area: float64 (n,), share of the picture in which it is seen.
        visible: float64 (n,), share of it that is seen.
        hidden_speed: float64 (n,), like `part_speed` of parts that are hidden or outside of the
            picture, of which something may be seen all the same; None for none.
        stirred: float64 (n,), share of the picture in which it changes pixels clearly; None where
            nobody drew it.
    """

    centre: Series
    height: Series
    scale: Series
    part_speed: Series
    area: Series
    visible: Series
    hidden_speed: Series | None = None
    stirred: Series | None = None


def rate(values: Series, times_s: Series, reach: int = 2) -> Series:
    """Return the change per second, over `reach` frames to each side.

    Args:
        values: float64 (n,) or (n, d).
        times_s: float64 (n,), not falling; where it stands still, so do the values.
        reach: frames to each side; fewer at the ends.

    Returns:
        float64 like `values`. New array.
    """
    index = np.arange(len(times_s))
    before, after = np.maximum(index - reach, 0), np.minimum(index + reach, len(index) - 1)
    elapsed = np.maximum(times_s[after] - times_s[before], 1e-3)
    change = values[after] - values[before]
    return np.asarray(change / (elapsed[:, None] if change.ndim == 2 else elapsed))


def graded(values: Series, low: float, high: float) -> Series:
    """Return 0 up to `low`, 1 from `high` and 0.5 between, float64 (n,)."""
    return np.where(values >= high, 1.0, np.where(values <= low, 0.0, _OPEN))


def decided(states: Series) -> Labels:
    """Return states of 0, 0.5 and 1 as labels 0, NaN and 1, float32 of the same shape."""
    return np.where(states == _OPEN, np.nan, states).astype(np.float32)


def object_states(track: Track, times_s: Series) -> Series:
    """Say what one object does.

    Args:
        track: the object.
        times_s: float64 (n,).

    Returns:
        float64 (n, 7) in order of `MOTION`: 0, 1, or 0.5 where undecided. New array.
    """
    brief = _travel_states(track, times_s, BRIEF_S)
    travel = np.minimum(brief, _travel_states(track, times_s, LASTING_S))
    states = np.zeros((len(times_s), len(MOTION)))
    states[:, :6] = travel
    # To and fro is motion, but it leads nowhere.
    sways = np.where(brief > travel, brief, 0.0).max(axis=1)
    stirs = np.maximum(graded(track.part_speed, *GESTURING), sways)
    if track.hidden_speed is not None:
        hidden = np.minimum(graded(track.hidden_speed, *GESTURING), _OPEN)
        stirs = np.maximum(stirs, hidden)
    states[:, 6] = np.minimum(stirs, 1 - travel.max(axis=1))
    counts = (track.area >= LEAST_AREA) & (track.visible >= LEAST_VISIBLE)
    if track.stirred is not None:
        counts &= track.stirred >= STIRRED
    states = np.where(counts[:, None], states, np.minimum(states, _OPEN))
    return np.where((track.area >= SEEN_AREA)[:, None], states, 0.0)


def frame_labels(tracks: Sequence[Track], nuisances: Series, times_s: Series) -> Labels:
    """Say what each frame shows.

    Args:
        tracks: the objects.
        nuisances: float64 (n, 4) in order of `NUISANCES`: 0, 1, or 0.5 where undecided.
        times_s: float64 (n,), when each frame was taken.

    Returns:
        float32 (n, 11) in order of `LABELS`: 1 if any object does it, NaN if none does and one is
        undecided, else 0. While the camera moves or is tampered with, all motion is NaN if
        something moves, else 0. Where an object fills the picture, what the camera does and
        whether it is covered is NaN instead of 0. New array.
    """
    motion = _seen_states(tracks, nuisances, times_s).max(axis=0, initial=0.0)
    areas = np.max([0 * times_s, *(track.area for track in tracks)], axis=0)
    doubts = np.zeros((len(times_s), len(NUISANCES)))
    doubts[:, 1:3] = np.where(areas >= FILLING, _OPEN, 0.0)[:, None]
    return decided(np.concatenate([motion, np.maximum(nuisances, doubts)], axis=1))


def object_labels(tracks: Sequence[Track], nuisances: Series, times_s: Series) -> Labels:
    """Say what each object does; arguments are those of `frame_labels`.

    Returns:
        float32 (objects, n, 7) in order of `MOTION`: 1, 0 or NaN. `frame_labels` says 1 where any
        object does. New array.
    """
    return decided(_seen_states(tracks, nuisances, times_s))


def object_rates(tracks: Sequence[Track], nuisances: Series, times_s: Series) -> Labels:
    """Say how fast each object moves and grows; arguments are those of `frame_labels`.

    Returns:
        float32 (objects, n, 4) in order of `RATES`; NaN where too little of it is seen, and while
        the camera moves or is tampered with. New array.
    """
    rates = np.full((len(tracks), len(times_s), len(RATES)), np.nan)
    reach = _frames_in(RATE_S, times_s)
    is_blind = (nuisances[:, 1] == 1) | (nuisances[:, 2] > 0)
    for each, track in zip(rates, tracks, strict=True):
        each[:, :2] = rate(track.centre, times_s, reach)
        each[:, 2] = rate(np.log(np.maximum(track.scale, 1e-6)), times_s, reach)
        each[:, 3] = track.part_speed
        is_seen = (track.area >= SEEN_AREA) & (track.visible >= LEAST_VISIBLE)
        each[is_blind | ~is_seen] = np.nan
    return rates.astype(np.float32)


def _frames_in(reach_s: float, times_s: Series) -> int:
    """Return how many frames a time has, at least 1."""
    step_s = (times_s[-1] - times_s[0]) / max(len(times_s) - 1, 1)
    return max(1, round(reach_s / max(float(step_s), 1e-3)))


def _seen_states(tracks: Sequence[Track], nuisances: Series, times_s: Series) -> Series:
    """Return the states of all objects as this camera can tell them, float64 (objects, n, 7)."""
    states = np.zeros((len(tracks), len(times_s), len(MOTION)))
    for each, track in zip(states, tracks, strict=True):
        each[:] = object_states(track, times_s)
    # What lies behind an undecided tampering is a picture that shows nothing.
    is_blind = (nuisances[:, 1] == 1) | (nuisances[:, 2] > 0)
    is_busy = states.max(axis=2, keepdims=True) > 0
    return np.where(is_blind[:, None], np.where(is_busy, _OPEN, 0.0), states)


def _travel_states(track: Track, times_s: Series, reach_s: float) -> Series:
    """Return the states of the first six labels as seen over `reach_s` to each side."""
    reach = _frames_in(reach_s, times_s)
    velocity = rate(track.centre, times_s, reach)
    speed = np.hypot(velocity[:, 0], velocity[:, 1])
    moves = _moves(speed, track.height)
    growth = rate(np.log(np.maximum(track.scale, 1e-6)), times_s, reach)
    is_changing = np.abs(growth) >= GROWING[1]
    states = np.zeros((len(times_s), 6))
    for column, axis in enumerate(((-1, 0), (1, 0), (0, -1), (0, 1))):
        cosine = velocity @ np.array(axis, np.float64) / np.maximum(speed, 1e-9)
        off_deg = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        aligned = graded(-off_deg, -ALIGNED_DEG[1], -ALIGNED_DEG[0])
        # An edge that is pushed outwards looks like motion that way.
        along = velocity @ np.array(axis, np.float64) + np.abs(growth) * track.height / 2
        swells = np.where(is_changing & (along >= SWELLING), _OPEN, 0.0)
        states[:, column] = np.maximum(np.minimum(moves, aligned), swells)
    most = np.where(np.abs(growth) * track.height >= SIZING, 1.0, _OPEN)
    states[:, 4] = np.minimum(graded(growth, *GROWING), most)
    states[:, 5] = np.minimum(graded(-growth, *GROWING), most)
    return states


def _moves(speed: Series, height: Series) -> Series:
    own = speed / np.maximum(height, 1e-6)
    is_moving = (speed >= MOVING[0]) | (own >= MOVING[1])
    is_still = (speed < STILL[0]) & (own < STILL[1])
    return np.where(is_moving, 1.0, np.where(is_still, 0.0, _OPEN))
