"""What a recipe makes before the first step: weights, optimizer, compiled steps.

In: a recipe. Out: a `Run`, whose state a checkpoint may replace. Fine-tuning begins here: weights
of a bundle, new scores where its labels differ, frozen stages.
Invariant: all that is drawn comes from the recipe's seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.bundle import Bundle, load_bundle
from model.engines import has_native_bfloat16
from model.errors import TrainingError
from model.training.network import (
    TRAINING_ONLY,
    Form,
    first_weights,
    moment_shapes,
    place_shapes,
    rate_shapes,
    weight_shapes,
)
from model.training.objective import Objective
from model.training.recipe import Recipe
from model.training.state import TrainingState
from model.training.step import Shares, Trainer

Weights = dict[str, npt.NDArray[np.float32]]
_DTYPES = {"float32": "float32", "mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}


@dataclass(frozen=True, slots=True)
class Run:
    """A run in memory.

    Attributes:
        recipe: what was asked for.
        dtype: of the activations.
        state: weights, their average, optimizer.
        trainer: steps over the state.
    """

    recipe: Recipe
    dtype: str
    state: TrainingState
    trainer: Trainer


def make_repeatable() -> None:
    """Let this process compute the same bits again; costs no time that can be measured here."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def begin(recipe: Recipe) -> Run:
    """Make the state of step 0 and what moves it.

    Raises:
        BundleError: the bundle to begin with cannot be read.
        TrainingError: that bundle does not fit the recipe.
    """
    dtype = activation_dtype(recipe)
    frozen = frozenset(recipe.init.freeze if recipe.init else ())
    state = TrainingState(
        start_weights(recipe),
        recipe.optimizer,
        recipe.steps,
        frozen=frozen,
        scales_loss=dtype == "float16",
    )
    trainer = Trainer(
        state,
        Objective(recipe.head.activation, recipe.label_smoothing),
        Form(dtype, recipe.temporal_padding, frozen),
        is_mixed=recipe.mixup_alpha > 0,
        shares=Shares(recipe.moment_share, recipe.place_share, recipe.rate_share),
    )
    return Run(recipe, dtype, state, trainer)


def activation_dtype(recipe: Recipe) -> str:
    """Return the type of the activations that a recipe's precision means on this machine."""
    if recipe.precision == "mixed_float16" and not _has_float16():
        raise TrainingError("precision mixed_float16 needs a GPU or KERAS_BACKEND=jax; choose auto")
    if recipe.precision != "auto":
        return _DTYPES[recipe.precision]
    return "bfloat16" if has_native_bfloat16() else "float32"


def _has_float16() -> bool:
    """Say whether this backend can pool float16; TensorFlow cannot on a CPU."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return True
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def bundle_weights(recipe: Recipe, averaged: Weights) -> Weights:
    """Return what the bundle gets: the averaged weights, and `init.kept` of those of the start.

    Args:
        recipe: of the run.
        averaged: by name; not modified, and returned as they are where nothing is kept.

    Raises:
        BundleError: the bundle to begin with cannot be read any more.

    References:
        Robust fine-tuning of zero-shot models, arXiv:2109.01903, section 3.
    """
    if recipe.init is None or not recipe.init.kept:
        return averaged
    share, first = recipe.init.kept, start_weights(recipe)
    has_own = _has_scores_of(recipe, load_bundle(recipe.init.bundle))
    # New scores began with chance: there is nothing to keep.
    new = () if has_own else ("scores/kernel", "scores/bias")
    return {
        name: value if name in new else (1 - share) * value + np.float32(share) * first[name]
        for name, value in averaged.items()
    }


def _has_scores_of(recipe: Recipe, bundle: Bundle) -> bool:
    """Say whether the run begins with the layer of scores of the bundle."""
    is_new = recipe.init is None or recipe.init.new_head
    return not is_new and bundle.manifest.labels == recipe.head.labels


def start_weights(recipe: Recipe) -> Weights:
    """Draw the first weights, or take them from the recipe's bundle."""
    head = recipe.head
    shapes = weight_shapes(head.units, len(head.labels))
    if recipe.moment_share:
        shapes |= moment_shapes(len(head.labels))
    if recipe.place_share:
        shapes |= place_shapes()
    if recipe.rate_share:
        shapes |= rate_shapes()
    drawn = first_weights(shapes, recipe.seed, zero_gamma=recipe.zero_gamma)
    if recipe.init is None:
        return drawn
    bundle = load_bundle(recipe.init.bundle)
    for name, own, wanted in (
        ("temporal_padding", bundle.manifest.temporal_padding, recipe.temporal_padding),
        ("units", bundle.manifest.units, head.units),
    ):
        if own != wanted:
            raise TrainingError(
                f"init.bundle {recipe.init.bundle}: has {name} {own}, the recipe {wanted}; make"
                " them equal"
            )
    # Layers that help begin with nothing to say: what the bundle knows is not disturbed by chance.
    helpers = {n: np.zeros_like(a) for n, a in drawn.items() if n.startswith(TRAINING_ONLY)}
    taken = {**drawn, **helpers, **bundle.weights}
    if _has_scores_of(recipe, bundle):
        # A calibration belongs to the weights it was fitted to.
        layer = bundle.trained_scores or (bundle.score_kernel, bundle.score_bias)
        taken |= dict(zip(("scores/kernel", "scores/bias"), layer, strict=True))
    return taken
