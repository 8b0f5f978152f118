"""A `FusedNetwork` as one TensorFlow graph.

In: plain arrays from `fuse`. Out: a function from uint8 clips to scores, embeddings and maps, for
any batch and picture size. Invariant: pooling to the embedding and everything after it is float32
in every precision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model import spec
from model.fuse import FusedBlock, FusedConv, FusedNetwork
from model.manifest import Activation

Graph = Callable[[Any], tuple[Any, Any, Any]]
"""uint8 (N, T, H, W, 3) -> float32 scores (N, K), embeddings (N, E), maps (N, T', H', W', K), as
tensors."""


def build_graph(
    network: FusedNetwork,
    score_kernel: npt.NDArray[np.float32],
    score_bias: npt.NDArray[np.float32],
    precision: str,
    *,
    is_compiled: bool = False,
) -> Graph:
    """Trace the fused network.

    Args:
        network: from `fuse`; of arrays, which become constants of the graph, or of `hold`.
        score_kernel: float32 (E, K).
        score_bias: float32 (K,).
        precision: of convolutions; pooling to the embedding and everything after is float32.
        is_compiled: by XLA, anew for each shape.

    Returns:
        A function of uint8 (N, T, H, W, 3) that gives float32 scores (N, K), embeddings (N, E) and
        maps (N, T', H', W', K): what each place adds to the logits, which are the means over them.
    """
    is_causal = network.temporal_padding == "causal"
    head = [
        weights(array)
        for array in (network.head_kernel, network.head_bias, score_kernel, score_bias)
    ]

    def infer(clips: Any) -> tuple[Any, Any, Any]:
        outputs = tf.cast(clips, precision)
        for conv in network.stem:
            outputs = convolve(outputs, conv, is_causal)
        outputs = tf.nn.max_pool3d(outputs, spec.POOL, spec.POOL, "SAME")
        for block in network.blocks:
            outputs = apply_block(outputs, block, is_causal)
        features = tf.cast(outputs, tf.float32)
        embeddings = tf.matmul(tf.reduce_mean(features, (1, 2, 3)), head[0]) + head[1]
        scores = activated(tf.matmul(embeddings, head[2]) + head[3], network.activation)
        # Nothing non-linear stands behind the mean, so it can be taken last: 3 of 5600 million
        # products at 112 px.
        maps = tf.tensordot(features, tf.matmul(head[0], head[2]), 1)
        return scores, embeddings, maps + tf.linalg.matvec(head[2], head[1], True) + head[3]

    signature = tf.TensorSpec((None, None, None, None, spec.CHANNELS), tf.uint8)
    function = tf.function(infer, autograph=False, jit_compile=is_compiled)
    graph: Graph = function if is_compiled else function.get_concrete_function(signature)
    return graph


def activated(logits: Any, activation: Activation) -> Any:
    """Turn logits (N, K) into scores."""
    return tf.nn.softmax(logits) if activation == "softmax" else tf.sigmoid(logits)


def convolve(inputs: Any, conv: FusedConv, is_causal: bool) -> Any:
    """Apply a convolution, its bias and its ReLU; (N, T, H, W, C)."""
    t, h, w = conv.strides
    halves = [(1, h, w), (t, 1, 1)] if len(conv.kernels) == 2 else [conv.strides]
    outputs = inputs
    for kernel, strides in zip(conv.kernels, halves, strict=True):
        padding = "SAME"
        if is_causal and kernel.shape[0] > 1:
            outputs, padding = _padded(outputs, kernel.shape[:3], strides), "VALID"
        outputs = tf.nn.conv3d(outputs, weights(kernel, outputs.dtype), (1, *strides, 1), padding)
    return tf.nn.relu(tf.nn.bias_add(outputs, weights(conv.bias, outputs.dtype)))


def weights(array: Any, dtype: Any = tf.float32) -> Any:
    """A constant of the graph; what is a tensor already is captured as it is.

    oneDNN lays constants out for its kernels once, captured tensors at every run (5 of 32 ms of a
    step of 4 frames at 256 px). A graph with constants takes 100 MB more.
    """
    return array if tf.is_tensor(array) else tf.constant(array, dtype)


def captured(array: npt.NDArray[np.float32], dtype: Any = tf.float32) -> Any:
    """A tensor that graphs share: for those that run rarely."""
    with tf.init_scope():
        return tf.constant(array, dtype)


def hold(network: FusedNetwork, precision: str) -> FusedNetwork:
    """The same with tensors for arrays: graphs built from it share one copy of the weights."""

    def conv(one: FusedConv) -> FusedConv:
        kernels: Any = tuple(captured(kernel, precision) for kernel in one.kernels)
        return replace(one, kernels=kernels, bias=captured(one.bias, precision))

    def block(one: FusedBlock) -> FusedBlock:
        parts = conv(one.bottleneck), conv(one.feature), conv(one.merge)
        return replace(one, bottleneck=parts[0], feature=parts[1], merge=parts[2])

    return replace(
        network,
        stem=tuple(conv(one) for one in network.stem),
        blocks=tuple(block(one) for one in network.blocks),
    )


def _padded(inputs: Any, kernel: Sequence[int], strides: spec.Triple) -> Any:
    """Pad time in the past only, and space as SAME would."""
    sides: list[Any] = [(max(kernel[0] - strides[0], 0), 0)]
    for axis in (1, 2):
        length, k, s = tf.shape(inputs)[axis + 1], kernel[axis], strides[axis]
        total = tf.maximum((-(-length // s) - 1) * s + k - length, 0)
        sides.append((total // 2, total - total // 2))
    return tf.pad(inputs, [(0, 0), *sides, (0, 0)])


def apply_block(inputs: Any, block: FusedBlock, is_causal: bool) -> Any:
    """Apply a bottleneck block; (N, T, H, W, C)."""
    feature = convolve(convolve(inputs, block.bottleneck, is_causal), block.feature, is_causal)
    strides = (1, *block.strides, 1)
    if is_causal:
        now = tf.nn.avg_pool3d(inputs, (1, 2, 2), strides, "SAME")
        average = (now + tf.concat([now[:, :1], now[:, :-1]], 1)) / 2
    else:
        average = tf.nn.avg_pool3d(inputs, 2, strides, "SAME")
    return convolve(tf.concat([feature, average], -1), block.merge, is_causal)
