"""A source of tiny clips for tests: a bright block moves left or right over noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from model.data.batch import Batch, Batches
from model.training.recipe import PhaseRecipe, Recipe

MUON = {"kind": "muon", "peak_learning_rate": 0.01, "warmup_steps": 2}
LATE = {
    "init": {"bundle": "untrained", "freeze": ["stem", "stem1", "stem2", "block0", "block1"]},
    "head": {},
}
"""Changes with which the later half of the network alone learns: fewer seconds until it begins."""


def tiny_recipe(**changes: object) -> Recipe:
    """A run of two phases that takes seconds: 8 then 10 steps of four clips."""
    plain = {
        "name": "tiny",
        "seed": 3,
        "head": {"units": 8},
        "data": {"kind": "synthetic", "windows": 2},
        "phases": [
            {"size_px": 32, "frames": 4, "steps": 8, "batch": 4},
            {"size_px": 32, "frames": 8, "steps": 10, "batch": 4},
        ],
        "optimizer": {"peak_learning_rate": 0.01, "warmup_steps": 2},
        "mixup_alpha": 0.2,
        "moment_share": 0.5,
        "place_share": 0.5,
        "label_smoothing": 0.1,
        "precision": "float32",
        "checkpoint_s": 0.001,
        "validate_steps": 6,
        "validation_batches": 2,
        "statistics_batches": 2,
        "bundle_weights": "float32",
        "workers": 0,
    }
    return Recipe.model_validate({**plain, **changes})


def muon_recipe() -> Recipe:
    """The same with Muon, which has slots of its own for kernels and AdamW's for the rest."""
    return tiny_recipe(optimizer=MUON)


def late_recipe() -> Recipe:
    """Two phases of five steps of Muon for the later half of the network, which takes seconds."""
    return tiny_recipe(
        **LATE,
        phases=[{"size_px": 32, "frames": 4, "steps": 5, "batch": 4}] * 2,
        optimizer=MUON,
        validate_steps=4,
    )


def few_steps() -> Recipe:
    """Four steps of the second phase with Muon."""
    [_, phase] = muon_recipe().phases
    return muon_recipe().model_copy(update={"phases": (phase.model_copy(update={"steps": 4}),)})


@dataclass
class BlockBatches:
    """`Batches` of blocks that move; label 0 left, label 1 right, others undecided.

    The block is in the second row of cells; where along it, is not said.
    """

    phase: PhaseRecipe
    n_labels: int
    seed: int

    def batch(self, step: int) -> Batch:
        """Draw a batch from the seed and the step."""
        n, frames, size = self.phase.batch, self.phase.frames, self.phase.size_px
        rng = np.random.default_rng((self.seed, step))
        clips = rng.integers(0, 80, (n, frames, size, size, 3)).astype(np.uint8)
        targets = np.zeros((n, self.n_labels), np.float32)
        weights = np.zeros((n, self.n_labels), np.float32)
        weights[:, :2] = 1.0
        for index in range(n):
            is_right = bool(rng.integers(2))
            targets[index, int(is_right)] = 1.0
            for frame in range(frames):
                at = frame * (size - 8) // (frames - 1)
                left = at if is_right else size - 8 - at
                clips[index, frame, 12:20, left : left + 8] = 255
        positions, side = frames // 4, size // 8
        told = np.where(weights > 0, targets, np.nan)
        moments = np.repeat(told[:, None], positions, axis=1)
        places = np.zeros((n, positions, side, side, 7), np.float32)
        places[:, :, 1, :, :] = told[:, None, None, :7]
        rates = np.zeros((n, positions, side, side, 4), np.float32)
        rates[:, :, 1, :, 0] = (told[:, 1] - told[:, 0])[:, None, None]
        return Batch(clips, targets, weights, moments, places, rates)


class BlockSource:
    """A `Source` of blocks."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    def training(self, phase: PhaseRecipe) -> Batches:
        return BlockBatches(phase, len(self._recipe.head.labels), self._recipe.seed)

    def typical(self, phase: PhaseRecipe) -> Batches:
        """Return the same."""
        return self.training(phase)

    def held_out(self, phase: PhaseRecipe, n_batches: int) -> Iterator[Batch]:
        batches = BlockBatches(phase, len(self._recipe.head.labels), 1000 + self._recipe.seed)
        return (batches.batch(step) for step in range(n_batches))
