"""Windows with targets for trimmed evaluation and for calibration.

In: seeds of rendered clips. Out: one `Piece` a clip: its windows at every hop, with targets by the
same rule as in training.
Invariant: clips are drawn one after the other and not kept.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from model.bundle import Manifest
from model.data.target import window_targets
from model.evaluation.trimmed import Piece
from pipeline.cases import ClipPlan, Render, Use, render_holdout, seeds_of

CLIP_FRAMES = 72
"""Frames of a rendered clip, as in training."""


def rendered_windows(
    manifest: Manifest,
    n_windows: int,
    *,
    seed: int,
    use: Use,
    render: Render | None = None,
) -> Iterator[Piece]:
    """Yield windows of rendered clips with held-out looks, kinds as the renderer mixes them.

    Args:
        manifest: of the bundle: size, rate, hop and number of frames.
        n_windows: at least so many in all.
        seed: chooses the clips.
        use: clips of different uses differ.
        render: draws them.
    """
    plan = ClipPlan(max(CLIP_FRAMES, manifest.frames), manifest.analysis_fps, manifest.size_px)
    last = np.arange(manifest.frames - 1, plan.frames, 2 * manifest.hop, dtype=np.int64)
    n_clips = -(-n_windows // len(last))
    for number in seeds_of("windows", n_clips, seed, use):
        clip = (render or render_holdout)(number, None, plan)
        targets, weights = window_targets(clip.labels, last, plan.fps)
        clips = np.stack([clip.pictures[end - manifest.frames + 1 : end + 1] for end in last])
        yield Piece(clips, targets, weights)
