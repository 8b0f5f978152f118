"""Decides per camera which pictures may reach the model, and whether the picture itself is alive.

In: decoded frames in order, small luma pictures with their instants. Out: verdicts. Pure: no clock,
no I/O.
Invariant: a frame before the first key frame, marked as damaged or of an unconfirmed size is
dropped; libav itself lets damaged streams through with bogus sizes and rarely marks them (M8).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from streamer.frame import Frame
from streamer.notes import DropReason

Health = Literal["ok", "frozen", "black"]

# A new size is believed after so many consecutive frames.
_CONFIRM: Final = 3
# Damage counterfeits sizes: a flipped bit in a parameter set holds for every picture up to the
# next key frame, and those are rarely marked (at 30 % damaged packets, ten pictures of 48x48 in a
# row were seen), and for longer when the next set is damaged, too. For so long after any damage a
# new size must come with so many key frames; and, unless the present one was only announced and no
# picture ever had it, for so long with more of them (two were too few about once in 60 s).
_DISTRUST_S: Final = 10.0
_CONFIRM_KEYFRAMES: Final = 2
_REFUTE_S: Final = 2.5
_REFUTE_KEYFRAMES: Final = 4
_DEGRADED_S: Final = 1.0
# Streams without further key frames (intra refresh) heal too.
_HEALED_S: Final = 10.0
# Share of pixels and level (0..255) that make a picture black: lens caps and dead sensors show
# noise below 16.
_BLACK_PERCENTILE: Final = 98.0
_BLACK_LEVEL: Final = 24
# So many identical pictures at least: two of a camera with a frame every 10 s say nothing.
_MIN_IDENTICAL: Final = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a frame.

    Attributes:
        drop: why it must not be used; None where it may.
        is_resized: the first frame of a new, confirmed size.
        is_degraded: damage in the last second, or since then no key frame that would have repaired
            it.
    """

    drop: DropReason | None
    is_resized: bool = False
    is_degraded: bool = False


class FrameGate:
    """The integrity gate of one session of one camera.

    Args:
        announced: width and height the stream announced when it was opened; None or zeros where
            unknown, then the first key frame is believed.
    """

    def __init__(self, announced: tuple[int, int] | None = None) -> None:
        self._announced = announced if announced and all(announced) else None
        self._size = self._announced
        self._has_keyframe = False
        self._candidate: tuple[int, int] | None = None
        self._n_candidate = 0
        self._n_candidate_keyframes = 0
        self._candidate_since = 0.0
        self._is_size_seen = False
        self._damaged_at: float | None = None
        self._is_repaired = True

    def check(self, frame: Frame) -> Verdict:
        """Judge the next frame."""
        if self._is_corrupt(frame):
            return Verdict("corrupt", is_degraded=True)
        if not self._has_keyframe and not frame.is_keyframe:
            return Verdict("no_keyframe")
        self._has_keyframe = True
        if self._size is None:
            self._size = (frame.width, frame.height)
        is_resized = False
        if (frame.width, frame.height) != self._size:
            if not self._is_confirmed(frame):
                return Verdict("off_size", is_degraded=True)
            self._size, is_resized = (frame.width, frame.height), True
        elif self._candidate is not None:
            # Back to the old size: the other one was damage.
            self._damage(frame.arrived_at)
        self._candidate, self._is_size_seen = None, True
        if frame.is_keyframe:
            self._is_repaired = True
        return Verdict(None, is_resized, self._is_degraded(frame.arrived_at))

    def _is_corrupt(self, frame: Frame) -> bool:
        if frame.is_corrupt or frame.n_lost:
            self._damage(frame.arrived_at)
        return frame.is_corrupt

    def _damage(self, at: float) -> None:
        self._damaged_at, self._is_repaired = at, False

    def _is_confirmed(self, frame: Frame) -> bool:
        size = (frame.width, frame.height)
        if size != self._candidate:
            if self._candidate is not None:
                self._damage(frame.arrived_at)
            self._candidate, self._n_candidate, self._n_candidate_keyframes = size, 0, 0
            self._candidate_since = frame.arrived_at
        self._n_candidate += 1
        self._n_candidate_keyframes += frame.is_keyframe
        if self._n_candidate < _CONFIRM:
            return False
        if self._age_s(frame.arrived_at) >= _DISTRUST_S:
            return True
        if not self._is_size_seen or size == self._announced:
            return self._n_candidate_keyframes >= _CONFIRM_KEYFRAMES
        lasted_s = frame.arrived_at - self._candidate_since
        return lasted_s >= _REFUTE_S and self._n_candidate_keyframes >= _REFUTE_KEYFRAMES

    def _age_s(self, now: float) -> float:
        return math.inf if self._damaged_at is None else now - self._damaged_at

    def _is_degraded(self, now: float) -> bool:
        age_s = self._age_s(now)
        return age_s < _DEGRADED_S or (not self._is_repaired and age_s < _HEALED_S)


class PictureHealth:
    """Finds pictures that arrive but show nothing new (frozen) or nothing at all (black).

    Args:
        frozen_s: seconds of identical pictures.
        black_s: seconds of black pictures.
    """

    def __init__(self, frozen_s: float, black_s: float) -> None:
        self._frozen_s = frozen_s
        self._black_s = black_s
        self._last: npt.NDArray[np.uint8] | None = None
        self._same_since = 0.0
        self._n_same = 0
        self._black_since: float | None = None

    @property
    def is_repeat(self) -> bool:
        """The last picture was identical to the one before it."""
        return self._n_same > 1

    def observe(self, luma_small: npt.NDArray[np.uint8], at: float) -> Health:
        """Judge the picture after this one; one different or brighter picture clears at once.

        Args:
            luma_small: uint8 (h, w), the luma of the whole picture, scaled down. Copied.
            at: instant, monotonic seconds.
        """
        if self._last is not None and np.array_equal(self._last, luma_small):
            self._n_same += 1
        else:
            self._last, self._same_since, self._n_same = luma_small.copy(), at, 1
        if np.percentile(luma_small, _BLACK_PERCENTILE) > _BLACK_LEVEL:
            self._black_since = None
        elif self._black_since is None:
            self._black_since = at
        if self._black_since is not None and at - self._black_since >= self._black_s:
            return "black"
        is_frozen = self._n_same >= _MIN_IDENTICAL and at - self._same_since >= self._frozen_s
        return "frozen" if is_frozen else "ok"
