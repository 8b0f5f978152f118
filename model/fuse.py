"""The exact inference graph of trained weights, as plain arrays.

In: the named weights of a network. Out: a `FusedNetwork` without BatchNorm: scale and shift are
folded into the kernel and bias before them, every 1x1x1 pair is one matrix, every 3x3x3 pair is one
kernel or stays two ("collapsed" or "pairs", an engine's choice by measuring), and the last
convolution of a block and its shortcut are one matrix over their joined channels. Invariant: the
same function as the network on every input, zero padding included, because nothing non-linear
stands inside a pair; products are taken in float64 and rounded once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from model import spec
from model.manifest import Activation

PairForm = Literal["pairs", "collapsed"]
"""How a 3x3x3 pair is run: as its two halves, or as one full kernel."""

Array = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FusedConv:
    """Convolutions applied one after the other, then a bias and a ReLU.

    Attributes:
        name: the stage or `block/part`.
        kernels: float32 (t, h, w, C in, C out) each; one, or a spatial and a temporal half.
        bias: float32 (C out,).
        strides: (t, h, w) of the whole.
    """

    name: str
    kernels: tuple[Array, ...]
    bias: Array
    strides: spec.Triple


@dataclass(frozen=True, slots=True)
class FusedBlock:
    """A bottleneck block: merge(join(feature(bottleneck(x)), average(x))).

    Attributes:
        name: the block.
        bottleneck: 1x1x1.
        feature: 3x3x3, strided.
        merge: 1x1x1 over [feature, average] channels: projection, shortcut and their sum at once.
        strides: of the feature convolution and of the average.
    """

    name: str
    bottleneck: FusedConv
    feature: FusedConv
    merge: FusedConv
    strides: spec.Triple


@dataclass(frozen=True, slots=True)
class FusedNetwork:
    """Everything an engine needs to build its graph.

    Attributes:
        stem: three convolutions, before the 2x2x2 max pool; takes pixels as they are, 0..255.
        blocks: four blocks.
        head_kernel: float32 (C, E).
        head_bias: float32 (E,).
        temporal_padding: `same` or `causal`, for all convolutions and averages.
        activation: from logits to scores.
    """

    stem: tuple[FusedConv, ...]
    blocks: tuple[FusedBlock, ...]
    head_kernel: Array
    head_bias: Array
    temporal_padding: spec.TemporalPadding
    activation: Activation = "sigmoid"


def fuse(
    weights: Mapping[str, Array],
    temporal_padding: spec.TemporalPadding = "same",
    *,
    stem: PairForm = "collapsed",
    blocks: PairForm = "pairs",
    pixel_scale: float = spec.PIXEL_SCALE,
    activation: Activation = "sigmoid",
) -> FusedNetwork:
    """Rewrite a network for inference.

    Args:
        weights: by the names of `spec.weight_shapes`, as `BResNet162Plus1DD.named_weights` gives
            them.
        temporal_padding: of the network the weights belong to.
        stem: form of the 3x3x3 pairs of the stem.
        blocks: form of the 3x3x3 pairs of the blocks.
        pixel_scale: folded into the first kernel, so that the graph takes bytes (exact in bfloat16
            too).
        activation: from logits to scores.

    Returns:
        New arrays; `weights` is not kept.
    """
    stages = [_fused_stage(weights, stage, stem) for stage in spec.STEM]
    first = stages[0]
    scaled = (np.float32(pixel_scale) * first.kernels[0], *first.kernels[1:])
    stages[0] = FusedConv(first.name, scaled, first.bias, first.strides)
    return FusedNetwork(
        tuple(stages),
        tuple(_fused_block(weights, block, blocks) for block in spec.BLOCKS),
        np.array(weights["head/kernel"], np.float32),
        np.array(weights["head/bias"], np.float32),
        temporal_padding,
        activation,
    )


def _fused_stage(weights: Mapping[str, Array], stage: spec.ConvStage, form: PairForm) -> FusedConv:
    kernels, bias = _folded(weights, stage.name)
    return _conv(stage.name, kernels, bias, stage.strides, form)


def _fused_block(
    weights: Mapping[str, Array], block: spec.BlockStage, form: PairForm
) -> FusedBlock:
    def conv(part: str, strides: spec.Triple, form: PairForm) -> FusedConv:
        name = f"{block.name}/{part}"
        kernels, bias = _folded(weights, name)
        return _conv(name, kernels, bias, strides, form)

    project, project_bias = _folded(weights, f"{block.name}/project")
    shortcut, shortcut_bias = _folded(weights, f"{block.name}/shortcut")
    joined = np.concatenate([_collapsed(*project), _collapsed(*shortcut)], axis=3)
    merge = FusedConv(
        f"{block.name}/merge",
        (joined.astype(np.float32),),
        (project_bias + shortcut_bias).astype(np.float32),
        (1, 1, 1),
    )
    return FusedBlock(
        block.name,
        conv("bottleneck", (1, 1, 1), "collapsed"),
        conv("feature", block.strides, form),
        merge,
        block.strides,
    )


def _folded(weights: Mapping[str, Array], name: str) -> tuple[tuple[Double, Double], Double]:
    """Both halves of a pair with BatchNorm in the second, and the bias that is left."""
    gamma, beta, mean, variance = (
        weights[f"{name}/norm/{part}"].astype(np.float64)
        for part in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    scale = gamma / np.sqrt(variance + spec.NORM_EPSILON)
    spatial = weights[f"{name}/conv/spatial/kernel"].astype(np.float64)
    temporal = weights[f"{name}/conv/temporal/kernel"].astype(np.float64)
    return (spatial, temporal * scale), beta - mean * scale


def _collapsed(spatial: Double, temporal: Double) -> Double:
    """One kernel for the pair: K[t, h, w, i, o] = sum over m of S[h, w, i, m] T[t, m, o]."""
    # One BLAS product; einsum would take seconds for the widest pair.
    product = np.tensordot(spatial[0], temporal[:, 0, 0], axes=(3, 1))
    return np.moveaxis(product, 3, 0)


def _conv(
    name: str, kernels: tuple[Double, Double], bias: Double, strides: spec.Triple, form: PairForm
) -> FusedConv:
    parts = kernels if form == "pairs" else (_collapsed(*kernels),)
    return FusedConv(
        name, tuple(k.astype(np.float32) for k in parts), bias.astype(np.float32), strides
    )
