"""What a window's scores should be, given what is true of each of its frames.

In: per-frame truth, 1, 0 or undecided (NaN). Out: a target and a weight a window and label. Scores
speak of a window's end, not of all of it, so that an event begins about half a second after the
motion and ends about a second after it.
Invariant: whatever the rule leaves undecided has weight 0 and target 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.labels import LABELS, NUISANCES

Indexes = npt.NDArray[np.int64]
Truth = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]

# Frame counts are whole numbers: seconds at 12.5 or 29.97 fps must not miss them by rounding.
_EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class Recency:
    """How much of a window's end must show something.

    Attributes:
        motion_s: the span before the window's end that motion labels speak of.
        motion_on_s: so much of it in motion makes the target 1.
        motion_off_s: less than this makes it 0; between the two it is undecided.
        motion_rest_s: the longer span in which it must be less; what has just ended is undecided.
        nuisance_on_s: a nuisance in any frame of this last span makes its target 1,
        nuisance_lag_s: unless it is in frames of this very last span alone: then who knows.
        nuisance_off_s: none in this longer span makes it 0; between the two it is undecided.
    """

    motion_s: float = 1.2
    motion_on_s: float = 0.5
    motion_off_s: float = 0.2
    motion_rest_s: float = 2.0
    nuisance_on_s: float = 1.0
    nuisance_lag_s: float = 0.2
    nuisance_off_s: float = 1.4

    def __post_init__(self) -> None:
        is_motion_good = (
            0 < self.motion_off_s <= self.motion_on_s <= self.motion_s <= self.motion_rest_s
        )
        is_nuisance_good = 0 <= self.nuisance_lag_s < self.nuisance_on_s <= self.nuisance_off_s
        if not (is_motion_good and is_nuisance_good):
            raise ValueError(f"{self}: off <= on <= span is needed, all of them positive")


MOMENT_FRAMES = 4
"""Frames that one time position of the network's last features stands for."""
RECENCY = Recency()
"""The rule of the default bundle."""

IS_NUISANCE = tuple(label in NUISANCES for label in LABELS)
"""Which of the default labels follow the rule for nuisances."""


def window_targets(
    truth: Truth,
    last_frames: Indexes,
    fps: float,
    rule: Recency = RECENCY,
    is_nuisance: tuple[bool, ...] = IS_NUISANCE,
) -> tuple[Truth, Truth]:
    """Return targets and weights of windows by their last frames.

    Args:
        truth: float32 (n, K): 1 yes, 0 no, NaN undecided, a frame of the even time grid a row.
        last_frames: int (W,), index of each window's last frame.
        fps: frames a second of the grid.
        rule: spans and limits, seconds.
        is_nuisance: K booleans.

    Returns:
        targets float32 (W, K), 0 or 1, and weights float32 (W, K), 0 or 1. A window whose span
        begins before the first row is judged by the rows there are.

    Raises:
        ValueError: shapes do not fit, or a frame does not exist.
    """
    if truth.ndim != 2 or truth.shape[1] != len(is_nuisance):
        raise ValueError(f"truth has shape {truth.shape}; (n, {len(is_nuisance)}) is needed")
    ends = np.asarray(last_frames, np.int64) + 1
    if ends.size and not (ends.min() >= 1 and ends.max() <= len(truth)):
        raise ValueError(f"last_frames lie outside of 0..{len(truth) - 1}")
    seen, unsure = _running(truth == 1), _running(np.isnan(truth))
    motion = _motion(seen, unsure, ends, fps, rule)
    nuisance = _nuisance(seen, unsure, ends, fps, rule)
    is_on, is_off = (
        np.where(is_nuisance, other, own) for own, other in zip(motion, nuisance, strict=True)
    )
    return is_on.astype(np.float32), (is_on | is_off).astype(np.float32)


def moment_targets(truth: Truth, n_frames: int = MOMENT_FRAMES) -> Truth:
    """Return what is true of the frames of each of the network's time positions.

    Args:
        truth: float32 (n, K): 1 yes, 0 no, NaN undecided.
        n_frames: frames a position stands for.

    Returns:
        float32 (n // n_frames, K): 1 where half of the frames or more say yes, 0 where all say no,
        else NaN.
    """
    n_moments = len(truth) // n_frames
    parts = truth[: n_moments * n_frames].reshape(n_moments, n_frames, -1)
    is_on = (parts == 1).sum(axis=1) * 2 >= n_frames
    is_off = (parts == 0).all(axis=1)
    return np.where(is_on, 1.0, np.where(is_off, 0.0, np.nan)).astype(np.float32)


def _motion(
    seen: Counts, unsure: Counts, ends: Indexes, fps: float, rule: Recency
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    positive_s = _within(seen, ends, rule.motion_s, fps) / fps
    is_on = positive_s >= rule.motion_on_s - _EPSILON
    is_sure = _within(unsure, ends, rule.motion_rest_s, fps) == 0
    rest_s = _within(seen, ends, rule.motion_rest_s, fps) / fps
    return is_on, is_sure & (rest_s < rule.motion_off_s - _EPSILON)


def _nuisance(
    seen: Counts, unsure: Counts, ends: Indexes, fps: float, rule: Recency
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    newest = _within(seen, ends, rule.nuisance_lag_s, fps) if rule.nuisance_lag_s else 0
    is_on = _within(seen, ends, rule.nuisance_on_s, fps) > newest
    is_absent = _within(seen, ends, rule.nuisance_off_s, fps) == 0
    is_sure = _within(unsure, ends, rule.nuisance_off_s, fps) == 0
    return is_on, is_absent & is_sure


def _running(flags: npt.NDArray[np.bool_]) -> Counts:
    """Return how many of the first i rows are set, for i = 0..n."""
    counts = np.zeros((len(flags) + 1, flags.shape[1]), np.int64)
    np.cumsum(flags, axis=0, out=counts[1:])
    return counts


def _within(counts: Counts, ends: Indexes, span_s: float, fps: float) -> Counts:
    n_frames = max(round(span_s * fps), 1)
    span: Counts = counts[ends] - counts[np.maximum(ends - n_frames, 0)]
    return span
