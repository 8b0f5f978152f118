"""How an engine times itself and compares its steps with full windows.

In: something that classifies. Out: seconds, or one number that says how far off it is. Invariant: a
first run, which prepares kernels, never counts as a cost.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np

from model.bundle import Manifest, golden_clip
from model.classifier import Clips, Embeddings, Scores, Stepper

_N_STEPS = 3

MIN_GAIN = 0.03
"""A later candidate must be faster by this much; below it is noise."""


def golden_clips(manifest: Manifest, n: int) -> Clips:
    """Different clips of the bundle's size."""
    return np.stack([golden_clip(manifest.frames, manifest.size_px, seed) for seed in range(n)])


def median_cost(work: Callable[[], object], give_up_s: float = float("inf")) -> float:
    """Median seconds of three runs after a first one, unless that takes longer than give_up_s."""
    first_s = _timed(work)
    if first_s > give_up_s:
        return first_s
    return median(_timed(work) for _ in range(3))


def step_cost(
    stepper: Stepper, manifest: Manifest, n: int, give_up_s: float = float("inf")
) -> float:
    """Median seconds of a step of n streams; the first, which builds the graph, does not count."""
    clips = golden_clips(manifest, n)
    _, _, states = stepper.init(clips)
    new = clips[:, : stepper.hop]
    return median_cost(lambda: stepper.step(new, states), give_up_s)


def by_batch(max_batch: int, chunk: int, cost: Callable[[int], float]) -> dict[int, float]:
    """Seconds by batch size: measured up to a chunk, the sum of the chunks beyond."""
    sizes = sorted({2**n for n in range(max_batch.bit_length())} | {chunk, max_batch})
    costs: dict[int, float] = {}
    for n in sizes:
        costs[n] = cost(n) if n <= chunk else -(-n // chunk) * costs[chunk]
    return costs


def step_difference(
    stepper: Stepper, full: Callable[[Clips], tuple[Scores, Embeddings]], frames: int, side: int
) -> float:
    """Compare a stepper with full windows over a few steps of random pixels.

    Args:
        stepper: for pictures of this side.
        full: classifies uint8 (1, frames, side, side, 3).
        frames: of a window.
        side: of the pictures, px.

    Returns:
        Largest difference of embeddings, relative to the largest component; infinite where one is
        no number.
    """
    hop = stepper.hop
    n_frames = frames + _N_STEPS * hop
    video = np.random.default_rng(11).integers(0, 256, (1, n_frames, side, side, 3), np.uint8)
    _, found, states = stepper.init(video[:, :frames])
    worst = 0.0
    for at in range(0, n_frames - frames + 1, hop):
        if at:
            _, found, states = stepper.step(video[:, at + frames - hop : at + frames], states)
        _, expected = full(video[:, at : at + frames])
        difference = float(np.abs(found - expected).max() / np.abs(expected).max())
        worst = max(worst, difference if np.isfinite(difference) else float("inf"))
    return worst


def causal_difference(
    stepper: Stepper, whole: Callable[[Clips], Embeddings], frames: int, side: int
) -> float:
    """Compare a causal stepper with the network run on the whole stream so far.

    The network gives the mean over all positions, a stepper that over the last window's. The
    embedding is linear in the mean, and the positions of the frames before the window are those of
    a run that ends there; so the difference of two whole runs is what the stepper must give.

    Args:
        stepper: for pictures of this side.
        whole: embeddings of uint8 (1, T, side, side, 3), for any T that is a multiple of 4.
        frames: of a window.
        side: of the pictures, px.

    Returns:
        As `step_difference`.
    """
    before = 2 * stepper.hop
    shape = (1, frames + before, side, side, 3)
    video = np.random.default_rng(11).integers(0, 256, shape, np.uint8)
    _, first, states = stepper.init(video[:, :frames])
    found = first
    for at in range(frames, frames + before, stepper.hop):
        _, found, states = stepper.step(video[:, at : at + stepper.hop], states)
    rest = whole(video) * (frames + before) - whole(video[:, :before]) * before
    worst = 0.0
    for ours, expected in ((first, whole(video[:, :frames])), (found, rest / frames)):
        difference = float(np.abs(ours - expected).max() / np.abs(expected).max())
        worst = max(worst, difference if np.isfinite(difference) else float("inf"))
    return worst


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
