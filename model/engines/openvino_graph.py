"""A `FusedNetwork` written in OpenVINO's own operations.

In: plain arrays from `fuse`, fixed shapes, and for int8 the ranges found by calibration. Out: an
OpenVINO model from uint8 clips to pooled features; the small head behind them is `Head`, in NumPy.
Tensors at the border are (N, T, H, W, C): one transpose each, which the CPU plugin turns into
another name for the same memory. Invariant: pooling to the embedding and everything after it is
float32 in every precision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as op

from model import spec
from model.classifier import Embeddings, Scores
from model.fuse import FusedBlock, FusedConv, FusedNetwork
from model.golden import activate
from model.manifest import Activation

Array = npt.NDArray[np.float32]
Pads = tuple[int, int]

PIXEL_STEP = 1 / 256
"""Bytes times this, undone in the first kernel. An exact power of two; without an operation between
cast and transpose the plugin transposes bytes in memory (3.7 of 37 ms a window at 256 px)."""

BIAS = "/bias"
"""Behind the name of a convolution: the addition of its bias."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """What int8 needs to know, found by calibration.

    Attributes:
        activations: smallest and largest value behind an operation, by its name.
        biases: by the name of the convolution, corrected for what rounding shifts.
    """

    activations: Mapping[str, tuple[float, float]]
    biases: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Head:
    """From pooled features to scores.

    Attributes:
        kernel, bias: to the embedding.
        score_kernel, score_bias: from the embedding to the logits.
        activation: from the logits to the scores.
    """

    kernel: Array
    bias: Array
    score_kernel: Array
    score_bias: Array
    activation: Activation = "sigmoid"

    @property
    def places(self) -> tuple[Array, Array]:
        """Kernel (C, K) and bias (K,) from one place's features to what it adds to the logits."""
        kernel = np.einsum("ce,ek->ck", self.kernel, self.score_kernel)
        bias = np.einsum("e,ek->k", self.bias, self.score_kernel) + self.score_bias
        return kernel, bias

    def __call__(self, features: Array) -> tuple[Scores, Embeddings]:
        """Turn features (N, C) into scores (N, K) and embeddings (N, E)."""
        # Not `@`: the threads of its BLAS keep spinning and take the cores from what follows
        # (a causal step of four streams took 12.9 ms a stream with it, 7.6 without).
        embeddings = np.einsum("nc,ce->ne", features, self.kernel) + self.bias
        logits = np.einsum("ne,ek->nk", embeddings, self.score_kernel) + self.score_bias
        return activate(logits, self.activation), embeddings.astype(np.float32)


class Layers:
    """Writes parts of the network; tensors are (N, C, T, H, W).

    Args:
        network: from `fuse`.
        ranges: for int8; None for floating point.
    """

    def __init__(self, network: FusedNetwork, ranges: Ranges | None = None) -> None:
        self.network = network
        self.is_causal = network.temporal_padding == "causal"
        self._ranges = ranges

    def pixels(self, frames: Any) -> Any:
        """Turn a uint8 (N, T, H, W', C') parameter into what `stem` takes."""
        values = op.multiply(op.convert(frames, "f32"), op.constant(np.float32(PIXEL_STEP)))
        return _channels_first(self.named("pixels", values))

    def stem(self, pixels: Any, time: Pads | None = None) -> Any:
        """Run the first convolution on `pixels`; width may be folded, see `frames_shape`."""
        conv = self.network.stem[0]
        kernel = conv.kernels[0] / np.float32(PIXEL_STEP)
        _, channels, _, _, width = pixels.shape
        if channels == 2 * spec.CHANNELS:
            pads = _same(2 * width, 3, 2)
            kernel, pads = _folded(kernel, pads[0]), (pads[0], 0 if pads[0] else 1)
            first = FusedConv(conv.name, (kernel, *conv.kernels[1:]), conv.bias, (2, 2, 1))
            return self.convolve(pixels, first, time, width=pads)
        return self.convolve(
            pixels,
            FusedConv(conv.name, (kernel, *conv.kernels[1:]), conv.bias, conv.strides),
            time,
        )

    def convolve(
        self,
        inputs: Any,
        conv: FusedConv,
        time: Pads | None = None,
        width: Pads | None = None,
    ) -> Any:
        """Run a convolution or a pair, bias and ReLU.

        Args:
            inputs: (N, C, T, H, W).
            conv: kernels, bias, strides.
            time: zeros before and after; by default those of a whole window.
            width: zeros at the sides; by default those of `same`.
        """
        t, h, w = conv.strides
        halves = [(1, h, w), (t, 1, 1)] if len(conv.kernels) == 2 else [conv.strides]
        outputs = inputs
        for n, (kernel, strides) in enumerate(zip(conv.kernels, halves, strict=True)):
            pads = self._pads(outputs, kernel, strides)
            if time is not None and kernel.shape[0] > 1:
                pads[0] = time
            if width is not None and kernel.shape[2] > 1:
                pads[2] = width
            name = f"{conv.name}/{n}"
            outputs = op.convolution(
                outputs,
                self._weights(kernel),
                list(strides),
                [before for before, _ in pads],
                [after for _, after in pads],
                [1, 1, 1],
            )
            outputs.set_friendly_name(name)
            if n < len(conv.kernels) - 1:
                outputs = self.named(f"{name}/out", outputs)
        bias = conv.bias if self._ranges is None else self._ranges.biases[conv.name]
        biased = op.add(outputs, op.constant(bias.reshape(1, -1, 1, 1, 1)))
        biased.set_friendly_name(f"{conv.name}{BIAS}")
        return self.named(conv.name, op.relu(biased))

    def block(self, inputs: Any, block: FusedBlock) -> Any:
        """Run a bottleneck block."""
        feature = self.convolve(self.convolve(inputs, block.bottleneck), block.feature)
        _, h, w = block.strides
        before, after = (1, 0) if self.is_causal else (0, 1)
        sides = [_same(n, 2, s) for n, s in zip(inputs.shape[3:], (h, w), strict=True)]
        average = op.avg_pool(
            inputs,
            list(block.strides),
            [before, *(begin for begin, _ in sides)],
            [after, *(end for _, end in sides)],
            [2, 2, 2],
            exclude_pad=True,
        )
        average = self.named(f"{block.name}/average", average)
        return self.convolve(
            self.named(f"{block.name}/joined", op.concat([feature, average], 1)), block.merge
        )

    def features(self, pooled: Any) -> Any:
        """Run all blocks and average what they find: float32 (N, C)."""
        return averaged(self.positions(pooled))

    def positions(self, pooled: Any) -> Any:
        """Run all blocks: (N, C, T', H', W')."""
        outputs = pooled
        for block in self.network.blocks:
            outputs = self.block(outputs, block)
        return outputs

    def named(self, name: str, node: Any) -> Any:
        """Name a node, and in int8 quantize behind it where calibration did."""
        node.set_friendly_name(name)
        if self._ranges is None or name not in self._ranges.activations:
            return node
        ends = [op.constant(np.float32(end)) for end in self._ranges.activations[name]]
        return op.fake_quantize(node, *ends, *ends, levels=256)

    def _weights(self, kernel: Array) -> Any:
        """A kernel (t, h, w, in, out) as OpenVINO has it; in int8 one scale an output channel."""
        weights = np.ascontiguousarray(kernel.transpose(4, 3, 0, 1, 2))
        if self._ranges is None:
            return op.constant(weights)
        top = np.abs(weights).max(axis=(1, 2, 3, 4), keepdims=True)
        ends = op.constant(-top), op.constant(top)
        return op.fake_quantize(op.constant(weights), *ends, *ends, levels=255)

    def _pads(self, inputs: Any, kernel: Array, strides: spec.Triple) -> list[Pads]:
        """Zeros before and after in time, height and width, for a whole window."""
        pads = [
            _same(n, k, s)
            for n, k, s in zip(inputs.shape[2:], kernel.shape[:3], strides, strict=True)
        ]
        if self.is_causal:
            pads[0] = max(kernel.shape[0] - strides[0], 0), 0
        return pads


def averaged(positions: Any) -> Any:
    """Average (N, C, T', H', W') to (N, C)."""
    return op.reduce_mean(positions, op.constant([2, 3, 4]), keep_dims=False)


def full_model(
    layers: Layers,
    frames: int,
    size: tuple[int, int],
    n: int,
    places: tuple[Array, Array] | None = None,
) -> Any:
    """Write the graph of full windows.

    Args:
        layers: of the network.
        frames: T.
        size: picture (height, width), px.
        n: clips a call.
        places: of the head; None where no maps are wanted.

    Returns:
        A model from uint8 clips, in the shape of `frames_shape`, to float32 features (n, C) and, if
        wanted, maps (n, T', H', W', K).
    """
    clips = op.parameter(frames_shape(n, frames, size), np.uint8)
    outputs = layers.stem(layers.pixels(clips))
    for conv in layers.network.stem[1:]:
        outputs = layers.convolve(outputs, conv)
    positions = layers.positions(max_pool(outputs))
    results = [averaged(positions)]
    if places is not None:
        # Nothing non-linear stands behind the mean, so it can be taken last.
        last = op.transpose(positions, op.constant([0, 2, 3, 4, 1]))
        products = op.matmul(last, op.constant(places[0]), False, False)
        results.append(op.add(products, op.constant(places[1])))
    return ov.Model(results, [clips], "full")


def frames_shape(n: int, frames: int, size: tuple[int, int]) -> list[int]:
    """Shape in which a graph takes frames.

    Two neighbouring pixels are one of six channels where the width is even: the same bytes, and the
    first convolution then multiplies fewer zeros (3.0 ms a window instead of 3.9 at 256 px).
    """
    height, width = size
    if width % 2:
        return [n, frames, height, width, spec.CHANNELS]
    return [n, frames, height, width // 2, 2 * spec.CHANNELS]


def max_pool(inputs: Any, time: int = 2) -> Any:
    """Pool 2x2 in space and `time` slices."""
    sizes = [time, *spec.POOL[1:]]
    pads = [_same(n, k, k) for n, k in zip(inputs.shape[2:], sizes, strict=True)]
    ends = [before for before, _ in pads], [after for _, after in pads]
    return op.max_pool(inputs, sizes, [1, 1, 1], *ends, sizes).output(0)


def slices(inputs: Any, start: int, stop: int) -> Any:
    """Take slices start..stop - 1 in time."""
    begin, end, step, axis = (op.constant([n]) for n in (start, stop, 1, 2))
    return op.slice(inputs, begin, end, step, axis)


def parameter(shape: Sequence[int], precision: str) -> Any:
    """A parameter (N, T, H, W, C) in the engine's precision."""
    return op.parameter(list(shape), STATE_TYPE[precision])


def taken(parameter: Any) -> Any:
    """A parameter as the layers take it."""
    return _channels_first(op.convert(parameter, "f32"))


def result(node: Any, precision: str) -> Any:
    """A tensor as a state keeps it: (N, T, H, W, C), in the engine's precision."""
    return op.convert(op.transpose(node, op.constant([0, 2, 3, 4, 1])), STATE_TYPE[precision])


STATE_TYPE = {
    "float32": ov.Type.f32,
    "bfloat16": ov.Type.bf16,
    "int8": ov.Type.bf16,
}
"""Of what a stream keeps. Values that int8 rounds to one of 256 steps are kept as these."""


def _channels_first(node: Any) -> Any:
    return op.transpose(node, op.constant([0, 4, 1, 2, 3]))


def _same(length: int, kernel: int, stride: int) -> Pads:
    """Zeros before and after that leave ceil(length / stride) outputs."""
    total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
    return total // 2, total - total // 2


def _folded(kernel: Array, before: int) -> Array:
    """A kernel of three pixels, stride 2, on pairs of pixels: two pairs, stride 1.

    Args:
        kernel: (3, 3, 3, C, F).
        before: zeros at the left side, 0 or 1.
    """
    t, h, _, c, f = kernel.shape
    pairs = np.zeros((t, h, 4, c, f), np.float32)
    pairs[:, :, before : before + 3] = kernel
    return pairs.reshape(t, h, 2, 2 * c, f)
