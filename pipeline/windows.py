"""Windows with targets for trimmed evaluation and for calibration.

In: seeds of rendered clips, or a data set of the operator's. Out: one `Piece` a rendered clip, its
windows with targets by the same rule as in training; or the scored views of each segment.
Invariant: clips are drawn or decoded one after the other and not kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from model.data.manifest import Manifest as DataManifest
from model.data.manifest import Split, load_manifest
from model.data.target import window_targets
from model.errors import EvaluationError
from model.evaluation.trimmed import Piece, Predict, WindowSet, averaged
from model.manifest import Manifest
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


class DatasetChoice(NamedTuple):
    """Which views of the operator's clips are scored.

    Attributes:
        path: manifest of the data set.
        split: which of its segments; None takes all.
        shape: views a segment: times, and cut-outs a time (1 x 1, 10 x 1, 10 x 3).
    """

    path: Path
    split: Split | None
    shape: tuple[int, int]


def load_dataset(manifest: Manifest, choice: DatasetChoice) -> DataManifest:
    """Read the manifest of a data set.

    Raises:
        EvaluationError: the data set has other labels than the bundle.
        DataError: it cannot be read.
    """
    data = load_manifest(choice.path)
    if data.labels != tuple(manifest.labels):
        raise EvaluationError(
            f"{choice.path}: labels are {', '.join(data.labels)}; the bundle has"
            f" {', '.join(manifest.labels)}: name them alike and in the same order"
        )
    return data


def dataset_windows(
    manifest: Manifest, choice: DatasetChoice, predict: Predict, max_batch: int
) -> WindowSet:
    """Score the views of each segment of a data set; one row a segment, groups by video or person.

    Args:
        manifest: of the bundle.
        choice: data set, split and views.
        predict: the classifier.
        max_batch: most clips in a call.

    Raises:
        EvaluationError: the data set has other labels than the bundle.
        DataError: it cannot be read.
    """
    from model.data.dataset import EvaluationViews
    from model.data.sampler import Sampling

    data = load_dataset(manifest, choice)
    sampling = Sampling(manifest.analysis_fps, manifest.size_px)
    views = EvaluationViews(
        data, choice.split, sampling, manifest.frames, choice.shape, n_clips=max_batch
    )
    scores, targets, weights = [], [], []
    for step in range(views.n_steps):
        batch = views.batch(step)
        scores.append(predict(batch.clips))
        targets.append(batch.targets)
        weights.append(batch.weights)
    segments = np.array([view.segment for view in views.views], np.int64)
    rows = averaged(
        WindowSet(
            np.concatenate(scores), np.concatenate(targets), np.concatenate(weights), segments
        )
    )
    names = [segment.group_or_path for segment in views.segments]
    _, groups = np.unique(names, return_inverse=True)
    return replace(rows, groups=groups.astype(np.int64))
