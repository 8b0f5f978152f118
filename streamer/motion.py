"""The motion gate: how much of the picture moves right now, as one number a frame.

In: the square RGB picture the model sees and its capture time. Out: a score in 0..1, 0.5 at the
smallest region that counts. A region moves when it differs from the learned background AND has
changed within the last `LAG_S`: what stands still fades from the score although the background has
not learned it yet, and so does the hole that a leaving person uncovers. Exposure is divided out
first; a sudden change of most of the picture is light, scores 0 and has the background learned
anew.
Invariant: pure; the same pictures at the same times give the same scores.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import ceil

import cv2
import numpy as np
import numpy.typing as npt

from streamer.config import MotionConfig
from streamer.frame import Picture
from streamer.preprocess import small_luma

HISTORY_S = 20.0
"""Time constant of background learning, seconds; a resting object is taken in after about 2 s."""
LAG_S = 0.3
"""Age of the picture that change is measured against: long enough for a slow walker at 10 fps,
shorter than the 0.5 s of a pulse that the detector's smoothing and minimum duration let through."""
VAR_THRESHOLD = 16.0
"""Squared distance to the background, in each pixel's own noise: 4 standard deviations."""
MIN_CHANGE = 8.0
"""Grey levels a pixel must change by; `NOISE_SIGMAS` of the measured noise where that is more."""
NOISE_SIGMAS = 4.0
CHANGED_SHARE = 0.25
"""Share of a region that must be changing for all of it to count: a walker in plain clothes changes
at the edges."""
DARK_OFFSET = 4.0
"""Grey levels added before pictures are divided: noise in black parts must not make the gain."""
MAX_GAIN = 2.5
"""An exposure further than this factor from the background's is learned as a new scene."""
GAIN_STRIDE = 4
"""Gain and noise are medians over every 4th pixel of every 4th row (1024 of 128 x 128: 0.05 ms)."""

Luma = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Motion:
    """What the gate says about one frame.

    Attributes:
        score: 0..1; 0.5 where the largest moving region has `min_area_ratio` of the picture.
        is_warm: the background has been learned; before that scores mean nothing.
        is_lightning: most of the picture changed at once; the score is 0.
    """

    score: float
    is_warm: bool
    is_lightning: bool


class MotionGate:
    """Background subtraction on a small luma picture; one object a camera, not thread-safe.

    Args:
        config: sizes and limits.
        fps: expected calls per second of capture time; bounds the memory, the real times may
            differ.
    """

    def __init__(self, config: MotionConfig, fps: float) -> None:
        self._config = config
        self._recent: deque[tuple[float, Luma]] = deque(maxlen=ceil(LAG_S * fps) + 1)
        self._kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next picture begins a new background and a new warm-up."""
        self._subtractor = cv2.createBackgroundSubtractorMOG2(
            varThreshold=VAR_THRESHOLD, detectShadows=False
        )
        self._recent.clear()
        self._reference = np.zeros((0, 0), np.float32)
        self._n_learned = 0
        self._noise = 0.0
        self._started_s = 0.0

    def score(self, square: Picture, media_s: float) -> Motion:
        """Score one picture and learn from it.

        Args:
            square: uint8 (S, S, 3) RGB, S >= config.size_px; not modified.
            media_s: capture time, seconds, increasing; `reset()` begins a new time line.

        Returns:
            the score; 0.7 ms of one core at 128 px (0.3 ms at 64, 2 ms at 256).
        """
        small = small_luma(square, self._config.size_px)
        luma = cv2.GaussianBlur(small, (3, 3), 0).astype(np.float32)
        if not self._recent:
            self._started_s = media_s
            self._learn(luma, rate=1.0)
            self._recent.append((media_s, luma))
            return Motion(0.0, self._config.warm_up_s == 0, is_lightning=False)
        elapsed_s = media_s - self._recent[-1][0]
        difference = self._difference(luma, media_s)
        is_lightning = self._is_lightning(difference)
        foreground = self._foreground(luma, elapsed_s, is_lightning=is_lightning)
        share = 0.0 if is_lightning else self._moving_share(foreground, self._changed(difference))
        self._follow_noise(difference)
        self._recent.append((media_s, luma))
        is_warm = media_s - self._started_s >= self._config.warm_up_s
        return Motion(share / (share + self._config.min_area_ratio), is_warm, is_lightning)

    def _difference(self, luma: Luma, media_s: float) -> Luma:
        """Return by how many grey levels the picture differs from the one `LAG_S` ago."""
        while len(self._recent) > 1 and self._recent[1][0] <= media_s - LAG_S:
            self._recent.popleft()
        earlier = self._recent[0][1]
        return np.asarray(cv2.absdiff(_regained(luma, _gain(luma, earlier)), earlier), np.float32)

    def _is_lightning(self, difference: Luma) -> bool:
        """Tell whether most of the picture changed, measured by the noise before the change."""
        threshold = max(MIN_CHANGE, NOISE_SIGMAS * self._noise)
        return float(np.mean(difference > threshold)) > self._config.lightning_ratio

    def _changed(self, difference: Luma) -> Mask:
        """Return 1 where the change is more than the noise of this very picture."""
        threshold = max(MIN_CHANGE, NOISE_SIGMAS * _noise(difference))
        mask = (difference > threshold).astype(np.uint8)
        return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, self._kernel), dtype=np.uint8)

    def _follow_noise(self, difference: Luma) -> None:
        """Let the noise level follow slowly, so that a flash cannot pass for noise."""
        noise = _noise(difference)
        self._noise += 0.1 * (min(noise, 2 * self._noise + 1.0) - self._noise)

    def _foreground(self, luma: Luma, elapsed_s: float, *, is_lightning: bool) -> Mask:
        """Return non-zero where the picture differs from the background, which learns from it."""
        gain = _gain(luma, self._reference)
        if is_lightning or not 1 / MAX_GAIN < gain < MAX_GAIN:
            return self._learn(luma, rate=1.0)
        # While little is known every picture weighs the same; later old pictures fade with
        # HISTORY_S.
        rate = max(1.0 / (self._n_learned + 1), min(1.0, elapsed_s / HISTORY_S))
        opened = cv2.morphologyEx(
            self._learn(_regained(luma, gain), rate), cv2.MORPH_OPEN, self._kernel
        )
        closed = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, self._kernel, iterations=2)
        return np.asarray(closed, dtype=np.uint8)

    def _learn(self, luma: Luma, rate: float) -> Mask:
        mask = self._subtractor.apply(np.clip(luma, 0, 255).astype(np.uint8), None, rate)
        self._reference = self._subtractor.getBackgroundImage().astype(np.float32)
        self._n_learned += 1
        return np.asarray(mask, dtype=np.uint8)

    @staticmethod
    def _moving_share(foreground: Mask, changed: Mask) -> float:
        """Return the largest foreground region as far as it is changing, as a share of all."""
        n, regions, statistics, _ = cv2.connectedComponentsWithStats(foreground, connectivity=8)
        if n < 2:
            return 0.0
        n_changed = np.bincount(regions[changed > 0], minlength=n)[1:]
        areas = np.minimum(statistics[1:, cv2.CC_STAT_AREA], n_changed / CHANGED_SHARE)
        return float(areas.max()) / foreground.size


def _noise(difference: Luma) -> float:
    """Return the standard deviation of most pixels; what moves may cover half of the picture."""
    return 1.4826 * float(np.median(difference[::GAIN_STRIDE, ::GAIN_STRIDE]))


def _gain(luma: Luma, reference: Luma) -> float:
    """Return the factor by which most of `luma` is brighter than `reference`."""
    sampled = luma[::GAIN_STRIDE, ::GAIN_STRIDE] + DARK_OFFSET
    return float(np.median(sampled / (reference[::GAIN_STRIDE, ::GAIN_STRIDE] + DARK_OFFSET)))


def _regained(luma: Luma, gain: float) -> Luma:
    return (luma + DARK_OFFSET) / np.float32(gain) - np.float32(DARK_OFFSET)
