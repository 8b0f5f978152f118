"""Where the batches of a recipe come from: rendered clips or a dataset of the user's.

In: a recipe. Out: for each phase an endless sequence of training batches, and a few held-out ones.
Batches are numbered by the step of the run, so that no phase repeats what an earlier one has seen.
Invariant: held-out batches share no clip with training batches: where rendered, no look either;
where recorded, they are the manifest's split `validation`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from model.data.augment import DEFAULT, RECORDED
from model.data.batch import Batch, Batches
from model.data.dataset import DatasetBatches, DatasetPlan, EvaluationViews
from model.data.loader import BatchLoader
from model.data.manifest import Manifest, load_manifest
from model.data.sampler import Sampling
from model.data.synthetic import SyntheticBatches, SyntheticPlan
from model.errors import TrainingError
from model.training.mining import STRIDE, HardWindows, check_mining
from model.training.recipe import Kinds, ManifestData, PhaseRecipe, Recipe, SyntheticData


class Source(Protocol):
    """Batches for each phase of a run."""

    def training(self, phase: PhaseRecipe) -> Batches:
        """Return what the phase learns from."""
        ...

    def typical(self, phase: PhaseRecipe) -> Batches:
        """Return clips of the phase as often as they are, for statistics."""
        ...

    def held_out(self, phase: PhaseRecipe, n_batches: int) -> Iterator[Batch]:
        """Yield what the phase is validated with: the same batches at each call."""
        ...


class SyntheticSource:
    """Rendered clips.

    Args:
        recipe: of the run.
        data: its data.

    Raises:
        BundleError: the bundle that finds what is hard is not there.
        TrainingError: it has other labels than the recipe, there is too little to pick from, or
            nobody renders a kind of scenes that the recipe names.
    """

    def __init__(self, recipe: Recipe, data: SyntheticData) -> None:
        self._recipe, self._data = recipe, data
        _check_kinds("data.kinds", data.kinds)
        for index, phase in enumerate(recipe.phases):
            _check_kinds(f"phases[{index}].kinds", phase.kinds)
        if data.mining is not None:
            check_mining(data.mining.bundle, recipe.head.labels)
            for phase in recipe.phases:
                # Of each clip at least so many windows may be picked, wherever the first begins.
                n_each = max(1, (data.clip_frames - phase.frames + 1) // STRIDE)
                if data.mining.clips * n_each < data.windows:
                    raise TrainingError(
                        f"data.mining.clips {data.mining.clips}: give {n_each} windows to pick from"
                        f" each, too few for data.windows {data.windows}; raise it or"
                        " data.clip_frames"
                    )

    def training(self, phase: PhaseRecipe) -> SyntheticBatches:
        """Return augmented windows of train looks."""
        batches = self._batches(phase, is_held_out=False)
        mining = self._data.mining
        if mining is None:
            return batches
        picker = HardWindows(
            mining.bundle,
            n_clips=mining.clips,
            n_frames=phase.frames,
            size_px=phase.size_px,
            precision=self._recipe.precision,
        )
        return SyntheticBatches(batches.plan, picker=picker)

    def typical(self, phase: PhaseRecipe) -> SyntheticBatches:
        """Return the same without regard to what is hard."""
        return self._batches(phase, is_held_out=False)

    def held_out(self, phase: PhaseRecipe, n_batches: int) -> Iterator[Batch]:
        """Yield windows of looks that training never has, as they are."""
        batches = self._batches(phase, is_held_out=True)
        return (batches.batch(step) for step in range(n_batches))

    def _batches(self, phase: PhaseRecipe, *, is_held_out: bool) -> SyntheticBatches:
        data = self._data
        kinds = data.kinds if is_held_out else phase.kinds or data.kinds
        plan = SyntheticPlan(
            seed=self._recipe.seed,
            stream="validation" if is_held_out else "train",
            split="holdout" if is_held_out else "train",
            n_clips=phase.batch,
            n_frames=phase.frames,
            fps=self._recipe.analysis_fps,
            size_px=phase.size_px,
            clip_frames=data.clip_frames,
            n_windows=data.windows,
            n_repeats=1 if is_held_out else data.repeats,
            n_lanes=1 if is_held_out else data.lanes,
            kinds=tuple(kinds.items()) or ((None, 1.0),),
            policy=DEFAULT if data.augment and not is_held_out else None,
        )
        return SyntheticBatches(plan)


def _check_kinds(key: str, kinds: Kinds) -> None:
    from streamer.rendering.clip import KINDS

    unknown = sorted(kinds.keys() - KINDS.keys())
    if unknown:
        raise TrainingError(
            f"{key}: {unknown[0]} is no kind of scenes; choose among {', '.join(KINDS)}"
        )
    if kinds and not sum(kinds.values()):
        raise TrainingError(f"{key}: every share is 0; give one kind a share, or leave them out")


class ManifestSource:
    """Clips of a user's videos.

    Args:
        recipe: of the run.
        data: its data.

    Raises:
        DataError: the manifest cannot be read, or its labels are not those of the recipe.
    """

    def __init__(self, recipe: Recipe, data: ManifestData) -> None:
        self._recipe, self._data = recipe, data
        self._manifest: Manifest = load_manifest(data.path).ordered(recipe.head.labels)

    def training(self, phase: PhaseRecipe) -> DatasetBatches:
        """Return augmented windows of the split `train`."""
        plan = DatasetPlan(
            seed=self._recipe.seed,
            split="train",
            n_clips=phase.batch,
            n_frames=phase.frames,
            sampling=self._sampling(phase),
            is_balanced=self._data.balance,
            policy=RECORDED if self._data.augment else None,
        )
        return DatasetBatches(self._manifest, plan)

    def typical(self, phase: PhaseRecipe) -> DatasetBatches:
        """Return the same."""
        return self.training(phase)

    def held_out(self, phase: PhaseRecipe, n_batches: int) -> Iterator[Batch]:
        """Yield one window of each segment of the split `validation`, or of some evenly spaced."""
        views = EvaluationViews(
            self._manifest,
            "validation",
            self._sampling(phase),
            phase.frames,
            n_clips=phase.batch,
        )
        steps = np.linspace(0, views.n_steps - 1, min(n_batches, views.n_steps))
        return (views.batch(int(step)) for step in steps)

    def _sampling(self, phase: PhaseRecipe) -> Sampling:
        return Sampling(fps=self._recipe.analysis_fps, size_px=phase.size_px)


def open_source(recipe: Recipe) -> Source:
    """Open the data of a recipe.

    Raises:
        DataError: a dataset cannot be read.
        BundleError: the bundle of `data.mining` is not there.
        TrainingError: it has other labels than the recipe.
    """
    if isinstance(recipe.data, SyntheticData):
        return SyntheticSource(recipe, recipe.data)
    return ManifestSource(recipe, recipe.data)


def loader(batches: Batches, first_step: int, workers: int) -> BatchLoader:
    """Load batches ahead, from a step on."""
    return BatchLoader(batches, first_step, workers)
