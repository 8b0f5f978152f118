"""A camera that moves: pan, tilt, zoom, shake, vibration, bump.

In: chance and times. Out: an affine map per frame and its truth, measured from the map.
Invariant: without a shift the picture is handed through untouched.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from streamer.frame import Picture
from streamer.rendering.build import Rng, log_uniform
from streamer.truth import Series, graded

SWAYING = (0.005, 0.018)
"""Shift of the picture within 0.4 s, picture heights."""

TURNED = 0.25
TURNED_S = 1.5
"""A view that has gone so far, picture heights, within so long may have been turned away."""

Course = npt.NDArray[np.float64]


class Shake:
    """A course of the camera.

    Args:
        course: float64 (n, 4): right, down (picture heights), log zoom, roll (radians).
        times_s: float64 (n,).
        size_px: side of the picture.
        margin_px: border of the canvas.

    Attributes:
        states: float64 (n,), whether the camera moves: 0, 1, or 0.5 where undecided.
        turns: bool (n,), whether it goes so far that somebody may be turning it away.
        sight: float64 (n, 4): x0, y0, x1, y1 of the canvas that it sees, px; roll is left out.
    """

    def __init__(self, course: Course, times_s: Series, size_px: int, margin_px: int) -> None:
        self._size_px = size_px
        self._margin_px = margin_px
        self.states = _states(course)
        self.turns = _turns(course, times_s)
        self._maps = self._affine(course)
        middle = margin_px + size_px * (0.5 + course[:, :2])
        half = size_px / 2 * np.exp(-course[:, 2:3])
        self.sight = np.concatenate([middle - half, middle + half], axis=1)
        self._is_still = (np.abs(course).max(axis=1) < 1e-4).tolist()

    def apply(self, canvas: Picture, frame: int) -> Picture:
        """Return what the camera sees of the canvas, uint8 (S, S, 3)."""
        size, margin = self._size_px, self._margin_px
        if self._is_still[frame]:
            return canvas[margin : margin + size, margin : margin + size]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        seen = cv2.warpAffine(
            canvas, self._maps[frame], (size, size), flags=flags, borderMode=cv2.BORDER_REFLECT_101
        )
        return np.asarray(seen, np.uint8)

    def _affine(self, course: Course) -> npt.NDArray[np.float32]:
        half = self._size_px / 2
        zoom = np.exp(-course[:, 2])
        cos, sin = zoom * np.cos(course[:, 3]), zoom * np.sin(course[:, 3])
        middle = self._margin_px + half + self._size_px * course[:, :2]
        maps = np.empty((len(course), 2, 3), np.float32)
        maps[:, 0, 0], maps[:, 0, 1], maps[:, 1, 0], maps[:, 1, 1] = cos, -sin, sin, cos
        maps[:, 0, 2] = middle[:, 0] - half * (cos - sin)
        maps[:, 1, 2] = middle[:, 1] - half * (sin + cos)
        return maps


def shake(rng: Rng, times_s: Series, size_px: int, margin_px: int) -> Shake:
    """Choose a course of the camera."""
    course = _KINDS[int(rng.integers(len(_KINDS)))](rng, times_s)
    return Shake(course, times_s, size_px, margin_px)


def tremble(rng: Rng, times_s: Series, size_px: int, margin_px: int) -> Shake:
    """Return a tremble too small to be called motion of the camera."""
    course = np.zeros((len(times_s), 4))
    course[:, :2] = rng.normal(0, 0.0005, (len(times_s), 2))
    return Shake(course, times_s, size_px, margin_px)


def _states(course: Course) -> Series:
    """Measure how far the edge of the picture shifts within 2 frames to each side."""
    reach = course * np.array([1, 1, 0.5, 0.6])
    padded = np.pad(reach, ((2, 2), (0, 0)), "edge")
    near = np.stack([padded[k : k + len(course)] for k in range(5)])
    spread = near.max(axis=0) - near.min(axis=0)
    return graded(np.linalg.norm(spread, axis=1), *SWAYING)


def _turns(course: Course, times_s: Series) -> npt.NDArray[np.bool_]:
    """Say in which frames the view is far from where it was in the last `TURNED_S`."""
    gone = np.linalg.norm(course[:, None, :2] - course[None, :, :2], axis=2)
    before_s = times_s[:, None] - times_s[None]
    is_recent = (before_s >= 0) & (before_s <= TURNED_S)
    return np.asarray((gone * is_recent).max(axis=1) >= TURNED)


def _window(rng: Rng, t: Series) -> Series:
    """Return 1 while the camera moves, softly."""
    start, length = t[-1] * rng.uniform(-0.3, 0.75), rng.uniform(0.8, 6)
    edges = np.minimum(t - start, start + length - t) / 0.2
    return np.asarray(np.clip(edges, 0, 1))


def _eased(rng: Rng, t: Series) -> Series:
    """Return 0 to 1 over a while."""
    start, length = t[-1] * rng.uniform(-0.2, 0.8), rng.uniform(0.5, 5)
    done = np.clip((t - start) / length, 0, 1)
    return np.asarray(done * done * (3 - 2 * done))


def _pan(rng: Rng, t: Series) -> Course:
    angle = rng.choice([0, np.pi, np.pi / 2, -np.pi / 2]) + rng.normal(0, 0.3)
    way = log_uniform(rng, 0.05, 0.7) * _eased(rng, t)
    if rng.random() < 0.4:
        way = way - log_uniform(rng, 0.05, 0.7) * _eased(rng, t)
    return np.stack([way * np.cos(angle), way * np.sin(angle), 0 * t, 0 * t], -1)


def _zoom(rng: Rng, t: Series) -> Course:
    size = rng.choice([-1, 1]) * rng.uniform(0.08, 0.6) * _eased(rng, t)
    return np.stack([0 * t, 0 * t, size - min(0.0, float(size.min())), 0 * t], -1)


def _handheld(rng: Rng, t: Series) -> Course:
    wander = np.cumsum(rng.normal(0, 1, (len(t), 4)), axis=0)
    wander -= np.stack(
        [np.convolve(np.pad(w, 10, "edge"), np.ones(21) / 21, "valid") for w in wander.T], 1
    )
    size = log_uniform(rng, 0.006, 0.03) * np.array([1, 1, 0.4, 0.4])
    return np.asarray(wander * size * _window(rng, t)[:, None])


def _vibration(rng: Rng, t: Series) -> Course:
    hz, phase = rng.uniform(1.5, 30, 4), rng.uniform(0, 6, 4)
    size = log_uniform(rng, 0.006, 0.03) * rng.uniform(0.1, 1, 4) * np.array([1, 1, 0.1, 0.3])
    size[int(rng.integers(2))] = log_uniform(rng, 0.008, 0.03)
    return np.asarray(np.sin(2 * np.pi * hz * t[:, None] + phase) * size * _window(rng, t)[:, None])


def _jitter(rng: Rng, t: Series) -> Course:
    size = log_uniform(rng, 0.008, 0.04) * np.array([1, 1, 0.1, 0.2])
    return np.asarray(rng.normal(0, 1, (len(t), 4)) * size * _window(rng, t)[:, None])


def _bump(rng: Rng, t: Series) -> Course:
    course = np.zeros((len(t), 4))
    for _ in range(int(rng.integers(1, 3))):
        since = np.maximum(t - t[-1] * rng.uniform(0, 0.9), 0)
        swing = np.sin(2 * np.pi * rng.uniform(1, 4) * since) * np.exp(-since * rng.uniform(1, 4))
        course += swing[:, None] * rng.normal(0, 0.04, 4) * np.array([1, 1, 0.3, 0.6])
        if rng.random() < 0.4:
            course += (since > 0)[:, None] * rng.normal(0, 0.03, 4) * np.array([1, 1, 0, 0.5])
    return course


def _roll(rng: Rng, t: Series) -> Course:
    return np.stack(
        [0 * t, 0 * t, 0 * t + 0.05, rng.choice([-1, 1]) * rng.uniform(0.05, 0.4) * _eased(rng, t)],
        -1,
    )


def _sway(rng: Rng, t: Series) -> Course:
    """A mast in the wind."""
    wave = np.sin(2 * np.pi * rng.uniform(0.2, 0.9) * t + rng.uniform(0, 6)) * _window(rng, t)
    size = log_uniform(rng, 0.012, 0.06)
    return np.stack([size * wave, 0.3 * size * wave, 0 * t, 0.3 * size * wave], -1)


def _jump(rng: Rng, t: Series) -> Course:
    """A motor that goes from one view to the next in steps."""
    course = np.zeros((len(t), 4))
    for _ in range(int(rng.integers(1, 4))):
        start, takes = t[-1] * rng.uniform(0, 0.9), rng.uniform(0.3, 1.2)
        gone = np.clip((t - start) / takes, 0, 1)[:, None]
        course += gone * np.append(rng.normal(0, 0.15, 2), [0, 0])
    return course


def _circle(rng: Rng, t: Series) -> Course:
    """A camera on a cord."""
    size, turn = log_uniform(rng, 0.012, 0.06), 2 * np.pi * rng.uniform(0.3, 1.5) * t
    on = _window(rng, t) * size
    return np.stack([on * np.cos(turn), 0.6 * on * np.sin(turn), 0 * t, 0 * t], -1)


_KINDS: tuple[Callable[[Rng, Series], Course], ...] = (
    *(_pan, _pan, _zoom, _handheld, _vibration, _jitter, _bump),
    *(_roll, _sway, _jump, _circle),
)
