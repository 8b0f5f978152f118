"""The network as a pure function of named weights, for training.

In: weights by the names of `spec.weight_shapes` (with `scores/kernel` and `scores/bias`) and uint8
clips. Out: logits, and the batch statistics of every BatchNorm. Written with `keras.ops`, so that
TensorFlow and JAX run the same code. Invariant: the same function and the same gradients as
`BResNet162Plus1DD` with a linear layer on it, statistics included (tests compare them).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from model import labels, spec
from model.training.primitive import convolve, normalize, rescale
from streamer.truth import RATES

Array = npt.NDArray[np.float32]
MOMENTUM = 0.99
"""Of the moving statistics, that of Keras' BatchNorm."""
PLACED = spec.BLOCKS[1:]
"""Blocks whose outputs are judged place by place, each of 4 frames and 8, 16 or 32 pixels."""
TRAINING_ONLY = ("moments/", "places/", "rates/")
"""Layers that no bundle has begin with these."""


@dataclass(frozen=True)
class Form:
    """How a pass over the network is made.

    Attributes:
        dtype: of the activations up to the embedding.
        temporal_padding: of the network.
        frozen: stages that use their moving statistics also in training.
    """

    dtype: str = "float32"
    temporal_padding: spec.TemporalPadding = "same"
    frozen: frozenset[str] = frozenset()


class Passed(NamedTuple):
    """What a pass finds.

    Attributes:
        logits: float32 (N, K).
        moments: float32 (N, P, K), logits of each time position; None without a layer for them.
        places: float32 (N, P, G, G, 7), logits of each cell, for each block of `PLACED`, its grid
            half as fine each time; empty without layers for them.
        rates: float32 (N, P, G, G, 4), rates of each cell, as `places`.
        statistics: the batch's mean and variance by the names of the moving ones, empty where not
            training.
    """

    logits: Any
    moments: Any
    places: tuple[Any, ...]
    rates: tuple[Any, ...]
    statistics: dict[str, Any]


def weight_shapes(units: int, n_labels: int) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of all weights of a bundle, scores included."""
    scores = {"scores/kernel": (units, n_labels), "scores/bias": (n_labels,)}
    return spec.weight_shapes(units) | scores


def moment_shapes(n_labels: int) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the layer that judges time positions; only training has it."""
    return {"moments/kernel": (spec.BLOCKS[-1].filters * 4, n_labels), "moments/bias": (n_labels,)}


def place_shapes() -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the layers that judge places; only training has them."""
    shapes: dict[str, tuple[int, ...]] = {}
    for block in PLACED:
        shapes[f"places/{block.name}/kernel"] = (block.outer, len(labels.MOTION))
        shapes[f"places/{block.name}/bias"] = (len(labels.MOTION),)
    return shapes


def rate_shapes() -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the layers that tell rates; only training has them."""
    shapes: dict[str, tuple[int, ...]] = {}
    for block in PLACED:
        shapes[f"rates/{block.name}/kernel"] = (block.outer, len(RATES))
        shapes[f"rates/{block.name}/bias"] = (len(RATES),)
    return shapes


def is_statistic(name: str) -> bool:
    """Say whether a weight is a moving statistic, which no gradient changes."""
    return name.rsplit("/", 1)[1] in ("moving_mean", "moving_variance")


def first_weights(
    shapes: Mapping[str, tuple[int, ...]], seed: int, *, zero_gamma: bool
) -> dict[str, Array]:
    """Draw the weights training begins with.

    Every second filter of the stem begins as one that sees changes alone: its weights add up to 0
    over time. BatchNorm scales by the whole, and pictures have 16 times the mean square of the
    differences between them (rendered clips with objects).

    Args:
        shapes: of all weights, by name.
        seed: decides all of them.
        zero_gamma: blocks begin as their shortcut alone.

    References:
        He initialisation, arXiv:1502.01852; zero gamma, arXiv:1812.01187, section 3.1.
    """
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, shape in shapes.items():
        part = name.rsplit("/", 1)[1]
        if part == "kernel":
            gain = 2.0 if "/conv/" in name else 1.0
            array = rng.standard_normal(shape) * np.sqrt(gain / np.prod(shape[:-1]))
            if name == f"{spec.STEM[0].name}/conv/temporal/kernel":
                array[..., ::2] -= array[..., ::2].mean(axis=0)
        elif part == "gamma":
            array = np.full(shape, 0.0 if zero_gamma and "/project/" in name else 1.0)
        else:
            array = np.full(shape, 1.0 if part == "moving_variance" else 0.0)
        arrays[name] = array.astype(np.float32)
    return arrays


def forward(weights: Mapping[str, Any], clips: Any, form: Form, *, is_training: bool) -> Passed:
    """Score clips.

    Args:
        weights: tensors or variables, float32.
        clips: (N, T, S, S, 3), 0..255; uint8, or float where clips are mixed.
        form: of the pass.
        is_training: normalise by the batch; else by the moving statistics.

    Returns:
        logits, and what training asks for beside them.
    """
    run = _Pass(weights, form, is_training)
    outputs = ops.cast(clips, form.dtype)
    for stage in spec.STEM:
        outputs = ops.relu(run.conv(outputs, stage.name, stage.strides))
    # Strides are told although they are the default: Keras 3.15 mistakes that default on JAX.
    outputs = ops.max_pool(outputs, spec.POOL, spec.POOL, padding="same")
    told: dict[str, list[Any]] = {"places": [], "rates": []}
    for block in spec.BLOCKS:
        outputs = run.block(outputs, block)
        for part, seen in told.items():
            if f"{part}/{block.name}/kernel" in weights:
                kernel = ops.cast(weights[f"{part}/{block.name}/kernel"], form.dtype)
                found = ops.cast(ops.matmul(outputs, kernel), "float32")
                seen.append(found + weights[f"{part}/{block.name}/bias"])
    positions = ops.mean(ops.cast(outputs, "float32"), axis=(2, 3))
    pooled = ops.mean(positions, axis=1)
    embedding = ops.matmul(pooled, weights["head/kernel"]) + weights["head/bias"]
    logits = ops.matmul(embedding, weights["scores/kernel"]) + weights["scores/bias"]
    moments = None
    if "moments/kernel" in weights:
        moments = ops.matmul(positions, weights["moments/kernel"]) + weights["moments/bias"]
    return Passed(logits, moments, tuple(told["places"]), tuple(told["rates"]), run.statistics)


def moved(
    weights: Mapping[str, Any], statistics: Mapping[str, Any], momentum: Any = MOMENTUM
) -> dict[str, Any]:
    """Return the moving statistics after a batch."""
    return {
        name: weights[name] * momentum + value * (1 - momentum)
        for name, value in statistics.items()
    }


@dataclass
class _Pass:
    """One pass; collects the statistics on its way."""

    weights: Mapping[str, Any]
    form: Form
    is_training: bool
    statistics: dict[str, Any] = field(default_factory=dict)

    def conv(self, inputs: Any, name: str, strides: spec.Triple = (1, 1, 1)) -> Any:
        """Convolve and normalise."""
        spatial = ops.convert_to_tensor(self.weights[f"{name}/conv/spatial/kernel"])
        temporal = ops.convert_to_tensor(self.weights[f"{name}/conv/temporal/kernel"])
        if name == spec.STEM[0].name:
            # Bytes are exact in bfloat16, their 255ths are not.
            spatial = spatial * spec.PIXEL_SCALE
        outputs = convolve(inputs, spatial, temporal, strides, self.form.temporal_padding)
        gamma, beta, mean, variance = (
            ops.convert_to_tensor(self.weights[f"{name}/norm/{part}"])
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        if not self.is_training or name.split("/", maxsplit=1)[0] in self.form.frozen:
            return rescale(outputs, gamma, beta, mean, variance)
        outputs, mean, variance = normalize(outputs, gamma, beta)
        self.statistics[f"{name}/norm/moving_mean"] = mean
        self.statistics[f"{name}/norm/moving_variance"] = variance
        return outputs

    def block(self, inputs: Any, block: spec.BlockStage) -> Any:
        """A bottleneck block."""
        main = ops.relu(self.conv(inputs, f"{block.name}/bottleneck"))
        main = ops.relu(self.conv(main, f"{block.name}/feature", block.strides))
        main = self.conv(main, f"{block.name}/project")
        shortcut = self.conv(self._average(inputs, block.strides), f"{block.name}/shortcut")
        return ops.relu(main + shortcut)

    def _average(self, inputs: Any, strides: spec.Triple) -> Any:
        if self.form.temporal_padding == "same":
            return ops.average_pool(inputs, (2, 2, 2), strides, padding="same")
        now = ops.average_pool(inputs, (1, 2, 2), strides, padding="same")
        before = ops.concatenate([now[:, :1], now[:, :-1]], axis=1)
        return (now + before) / 2


def variables(arrays: Mapping[str, Array]) -> dict[str, Any]:
    """Make Keras variables of named weights."""
    return {
        name: keras.Variable(
            array, dtype="float32", trainable=not is_statistic(name), name=name.replace("/", "_")
        )
        for name, array in arrays.items()
    }
