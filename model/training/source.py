"""Where the batches of a recipe come from: rendered clips or a dataset of the user's.

In: a recipe. Out: for each phase an endless sequence of training batches, loaded ahead by worker
processes, and a held-out sequence. Batches are numbered by the step of the run, so that no phase
repeats what an earlier one has seen.
Invariant: held-out batches share no clip and, where rendered, no look with training batches.
"""

from __future__ import annotations

from typing import Protocol

from model.data.batch import Batches
from model.data.loader import BatchLoader
from model.training.recipe import PhaseRecipe, Recipe, SyntheticData


class Source(Protocol):
    """Batches for each phase of a run."""

    def training(self, phase: PhaseRecipe) -> Batches:
        """Return what the phase learns from."""

    def held_out(self, phase: PhaseRecipe) -> Batches:
        """Return what the phase is validated with."""


class SyntheticSource:
    """Rendered clips.

    Args:
        recipe: whose `data` is synthetic.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    def training(self, phase: PhaseRecipe) -> Batches:
        """Return augmented windows of train looks."""
        return self._batches(phase, is_held_out=False)

    def held_out(self, phase: PhaseRecipe) -> Batches:
        """Return windows of looks that training never has, as they are."""
        return self._batches(phase, is_held_out=True)

    def _batches(self, phase: PhaseRecipe, *, is_held_out: bool) -> Batches:
        from model.data.augment import DEFAULT
        from model.data.synthetic import SyntheticBatches, SyntheticPlan

        data = self._recipe.data
        if not isinstance(data, SyntheticData):
            raise TypeError(f"data is {data.kind}, not synthetic")
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
            n_lanes=1 if is_held_out else data.lanes,
            kinds=tuple(data.kinds.items()) or ((None, 1.0),),
            policy=DEFAULT if data.augment and not is_held_out else None,
        )
        return SyntheticBatches(plan)


def open_source(recipe: Recipe) -> Source:
    """Open the data of a recipe.

    Raises:
        DataError: a dataset cannot be read.
    """
    return SyntheticSource(recipe)


def loader(batches: Batches, first_step: int, workers: int) -> BatchLoader:
    """Load batches ahead, from a step on."""
    return BatchLoader(batches, first_step, workers)
