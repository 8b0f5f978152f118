"""From the state of a run to a bundle: averaged weights with statistics that belong to them.

In: weights by name and batches of the training data. Out: a bundle folder. The moving statistics of
a run belong to its latest weights, and to mixed clips; the bundle has averaged weights and sees
clips as they are. So the statistics are taken again, under the averaged weights, over some batches.
Invariant: nothing of the run is changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.bundle import load_manifest, make_bundle, save_bundle
from model.data.batch import Batch
from model.manifest import Manifest
from model.training.network import TRAINING_ONLY
from model.training.recipe import Recipe
from model.training.step import Trainer

Weights = dict[str, npt.NDArray[np.float32]]


def settle_statistics(trainer: Trainer, weights: Weights, batches: Iterable[Batch]) -> Weights:
    """Return weights with the mean and variance that all batches together have.

    Args:
        trainer: passes over the network.
        weights: by name; not modified.
        batches: at least one.

    References:
        Rethinking "Batch" in BatchNorm, arXiv:2105.07576, section 3.
    """
    sums: dict[str, npt.NDArray[np.float64]] = {}
    count = 0
    for batch in batches:
        count += 1
        for name, value in _moments(trainer.statistics(weights, batch.clips)).items():
            sums[name] = sums.get(name, np.zeros(value.shape)) + value
    settled = dict(weights)
    for name, total in sums.items():
        mean = total / count
        if name.endswith("moving_variance"):
            # The variance of all is the mean square of all less the square of their mean.
            centre = sums[name.replace("variance", "mean")] / count
            mean = np.maximum(mean - centre**2, 0.0)
        settled[name] = mean.astype(np.float32)
    return settled


def write_bundle(recipe: Recipe, weights: Weights, folder: Path) -> Manifest:
    """Write a bundle.

    Args:
        recipe: of the run.
        weights: by the names of `network.weight_shapes`.
        folder: of the bundle.

    Raises:
        BundleError: the folder cannot be written.
    """
    phase = recipe.phases[-1]
    manifest = Manifest(
        name=recipe.name,
        is_trained=True,
        labels=recipe.head.labels,
        units=recipe.head.units,
        frames=phase.frames,
        size_px=phase.size_px,
        temporal_padding=recipe.temporal_padding,
        analysis_fps=recipe.analysis_fps,
        hop=recipe.hop,
        activation=recipe.head.activation,
        description=recipe.description,
        licence=recipe.licence,
        recipe=recorded(recipe),
        seeds={"training": recipe.seed},
    )
    network = {name: w for name, w in weights.items() if not name.startswith(TRAINING_ONLY)}
    kernel, bias = network.pop("scores/kernel"), network.pop("scores/bias")
    return save_bundle(
        make_bundle(manifest, network, kernel, bias), folder, np.dtype(recipe.bundle_weights)
    )


def recorded(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as a bundle tells of it.

    The folders of this machine are nobody's business: of a path the last name is told, of bundles
    name and hash, and of the one it began with its own recipe.

    Raises:
        BundleError: a bundle that the recipe names is not there any more.
    """
    told = recipe.model_dump(mode="json")
    if "path" in told["data"]:
        told["data"]["path"] = Path(told["data"]["path"]).name
    mining = told["data"].get("mining")
    if mining is not None:
        mining |= _named(load_manifest(mining["bundle"]))
    if recipe.init is not None:
        parent = load_manifest(recipe.init.bundle)
        told["init"] |= _named(parent) | {"recipe": dict(parent.recipe)}
    return told


def _named(bundle: Manifest) -> dict[str, str]:
    return {"bundle": bundle.name, "weights_sha256": bundle.weights_sha256}


def _moments(found: Weights) -> dict[str, npt.NDArray[np.float64]]:
    """Mean and mean square, which add up over batches of one size."""
    moments = {name: value.astype(np.float64) for name, value in found.items()}
    for name in found:
        if name.endswith("moving_variance"):
            moments[name] = moments[name] + moments[name.replace("variance", "mean")] ** 2
    return moments
