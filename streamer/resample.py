"""Frames at any rate to the even time grid of the analysis, true in time.

In: the media time of each frame. Out: how many grid places it and its predecessor fill.
Invariant: after a frame at t (the first of the run at t0), (t - t0) x fps + 1 places are filled,
give or take one, for ever. A frame takes the next open place while it is within a tolerance of it:
3/4 of a place where source and grid have about the same rate, so that jitter neither drops nor
repeats a picture; half a source interval where the source is faster, so that each place gets the
frame nearest to it. Frames earlier than that are dropped. A later one shows that the source is
slower: every open place up to it is filled by whichever neighbouring picture is nearer in time.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

LATE: Final = 0.75
"""Places a frame may stand behind its place before others are filled too."""
WIDE: Final = 0.75
"""Places a frame may stand before its place, at about equal rates."""

_N_INTERVALS: Final = 16
# Jitter of +-30 % moves the sum of any intervals by at most 0.6 of one: the mean of n may be that
# much too small divided by n, and a source counts as faster only beyond it.
_JITTER: Final = 0.6
# Source intervals a place: clearly faster below 0.85; about equal from 0.99 on.
_FASTER, _EQUAL = 0.85, 0.99
# A place in the very middle goes to the picture before: that one existed at the time.
_TIE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Placement:
    """What to do with one frame.

    Attributes:
        n_held: places to fill first, with the picture placed last.
        n_new: places to fill then, with this frame's picture; with n_held == 0, zero means: drop it
            (rate_limit).
        gap: more than `gap_s` has passed; a new run begins with this frame.
    """

    n_held: int
    n_new: int
    gap: bool = False

    @property
    def n_places(self) -> int:
        """Return the number of places filled."""
        return self.n_held + self.n_new


class Resampler:
    """Maps one camera's frames to grid places.

    Args:
        fps: places a second.
        gap_s: a longer time between two frames begins a new run.
    """

    def __init__(self, fps: float, gap_s: float) -> None:
        if not (math.isfinite(fps) and fps > 0):
            raise ValueError(f"fps is {fps}; it must be a positive number")
        if not gap_s > 0:
            raise ValueError(f"gap_s is {gap_s}; it must be positive")
        self._fps = fps
        self._gap_s = gap_s
        self._start_s = 0.0
        self._n_filled = 0
        self._placed_s = 0.0
        self._times: deque[float] = deque(maxlen=_N_INTERVALS + 1)

    def reset(self) -> None:
        """Begin a new run with the next frame (reconnect, change of resolution, discontinuity)."""
        self._n_filled = 0
        self._times.clear()

    def offer(self, media_s: float) -> Placement:
        """Place a frame.

        Args:
            media_s: its time, strictly greater than that of the frame before it in the run.

        Returns:
            the places it fills.

        Raises:
            ValueError: the time is not finite or does not increase.
        """
        if not math.isfinite(media_s):
            raise ValueError(f"media_s is {media_s}; it must be a finite number")
        if not self._times:
            return self._begin(media_s, is_gap=False)
        before_s = self._times[-1]
        if media_s <= before_s:
            raise ValueError(
                f"media_s is {media_s} after {before_s}; within a run it must increase"
            )
        if media_s - before_s > self._gap_s:
            self._times.clear()
            return self._begin(media_s, is_gap=True)
        self._times.append(media_s)
        placement = self._place(media_s)
        if placement.n_new:
            self._placed_s = media_s
        return placement

    def _begin(self, media_s: float, *, is_gap: bool) -> Placement:
        self._times.append(media_s)
        self._start_s = self._placed_s = media_s
        self._n_filled = 1
        return Placement(n_held=0, n_new=1, gap=is_gap)

    def _place(self, media_s: float) -> Placement:
        # In units of places; the next open place has the number n_filled.
        now = (media_s - self._start_s) * self._fps
        lateness = now - self._n_filled
        if lateness < -self._early():
            return Placement(n_held=0, n_new=0)
        if lateness <= LATE:
            self._n_filled += 1
            return Placement(n_held=0, n_new=1)
        last = math.floor(now + 0.5)
        middle = now - (media_s - self._placed_s) * self._fps / 2
        # Places up to the middle are nearer to the picture placed last; the last place, within
        # half a place of this frame, is always nearer to this one.
        n_held = min(max(math.floor(middle + _TIE) + 1 - self._n_filled, 0), last - self._n_filled)
        n_new = last - self._n_filled + 1 - n_held
        self._n_filled = last + 1
        return Placement(n_held, n_new)

    def _early(self) -> float:
        """Return how many places a frame may stand before its place."""
        n_intervals = len(self._times) - 1
        interval = (self._times[-1] - self._times[0]) / n_intervals * self._fps
        nearest = min(interval, 1.0) / 2
        share = (interval + _JITTER / n_intervals - _FASTER) / (_EQUAL - _FASTER)
        return nearest + (WIDE - nearest) * min(max(share, 0.0), 1.0)
