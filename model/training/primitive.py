"""The two operations that cost the time of a training step: (2+1)D convolution and BatchNorm.

In and out: (N, T, H, W, C) tensors of the running Keras backend. A (2+1)D pair is linear, so it is
run as one 3D convolution with the product of its kernels: the same function and the same gradients
to both halves, at 1.3 times the speed (measured at 16x96x96). BatchNorm is TensorFlow's fused
kernel there, and plain `keras.ops` on other backends: 2.2 times the speed of a whole step (measured
at 32x112x112). Invariant: products of kernels and statistics are float32 whatever the activations
are.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from model import spec

PAIR_SHARE = 0.01
"""A 1x1x1 pair stays two products where it has fewer positions than this share of C x F: their
product would cost more than it saves. With this and matrix products instead of 1x1x1 convolutions a
step of 16x32x112x112 takes 0.91 of the CPU time (measured)."""


def convolve(
    inputs: Any, spatial: Any, temporal: Any, strides: spec.Triple, padding: spec.TemporalPadding
) -> Any:
    """Run a (2+1)D pair as one convolution.

    Args:
        inputs: (N, T, H, W, C), float.
        spatial: float32 (1, h, w, C, M).
        temporal: float32 (t, 1, 1, M, F).
        strides: (t, h, w).
        padding: in time.

    Returns:
        (N, T', H', W', F), the dtype of `inputs`.
    """
    if spatial.shape[:3] == temporal.shape[:3] == (1, 1, 1):
        return _mix_channels(inputs, spatial[0, 0, 0], temporal[0, 0, 0])
    kernel = ops.einsum("hwim,tmo->thwio", spatial[0], temporal[:, 0, 0])
    kernel = ops.cast(kernel, inputs.dtype)
    past = max(temporal.shape[0] - strides[0], 0)
    if padding == "same" or not past:
        return _convolve_same(inputs, kernel, strides)
    sides = [same_padding(inputs.shape[a], kernel.shape[a - 1], strides[a - 1]) for a in (2, 3)]
    padded = ops.pad(inputs, ((0, 0), (past, 0), *sides, (0, 0)))
    return ops.conv(padded, kernel, strides, padding="valid")


def _convolve_same(inputs: Any, kernel: Any, strides: spec.Triple) -> Any:
    """Run a convolution that pads with zeros; few frames are followed by zeros before it.

    Of two frames and a kernel of three oneDNN computes wrong bfloat16 gradients of the kernel on
    AVX-512 (TensorFlow 2.21, measured). Two frames more change neither what is padded before the
    first one nor what the first outputs see.
    """
    n_frames = inputs.shape[1]
    if n_frames >= kernel.shape[0]:
        return ops.conv(inputs, kernel, strides, padding="same")
    none = ops.zeros_like(inputs[:, :1])
    longer = ops.concatenate([inputs, none, none], axis=1)
    return ops.conv(longer, kernel, strides, padding="same")[:, : -(-n_frames // strides[0])]


def _mix_channels(inputs: Any, first: Any, second: Any) -> Any:
    """Run a 1x1x1 pair as matrix products over all positions."""
    outputs = ops.reshape(inputs, (-1, inputs.shape[-1]))
    n_positions = math.prod(inputs.shape[1:4]) * (inputs.shape[0] or 1)
    if n_positions < PAIR_SHARE * first.shape[0] * second.shape[1]:
        outputs = ops.matmul(outputs, ops.cast(first, inputs.dtype))
        outputs = ops.matmul(outputs, ops.cast(second, inputs.dtype))
    else:
        outputs = ops.matmul(outputs, ops.cast(ops.matmul(first, second), inputs.dtype))
    return ops.reshape(outputs, (-1, *inputs.shape[1:4], second.shape[-1]))


def same_padding(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the zeros before and after an axis that `same` padding stands for."""
    total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
    return total // 2, total - total // 2


def normalize(inputs: Any, gamma: Any, beta: Any) -> tuple[Any, Any, Any]:
    """Normalise by the batch's own statistics.

    Args:
        inputs: (N, T, H, W, C), float.
        gamma: float32 (C,).
        beta: float32 (C,).

    Returns:
        outputs, the shape and dtype of `inputs`; float32 (C,) mean and variance of the batch, the
        latter divided by the count, not by one less.
    """
    if keras.backend.backend() == "tensorflow":
        return _normalize_fused(inputs, gamma, beta)
    exact = ops.cast(inputs, "float32")
    mean, variance = ops.moments(exact, axes=(0, 1, 2, 3))
    return rescale(inputs, gamma, beta, mean, variance), mean, variance


def rescale(inputs: Any, gamma: Any, beta: Any, mean: Any, variance: Any) -> Any:
    """Normalise by given statistics; shapes as in `normalize`."""
    scale = gamma * ops.rsqrt(variance + spec.NORM_EPSILON)
    outputs = ops.cast(inputs, "float32") * scale + (beta - mean * scale)
    return ops.cast(outputs, inputs.dtype)


def _normalize_fused(inputs: Any, gamma: Any, beta: Any) -> tuple[Any, Any, Any]:
    import tensorflow as tf

    _, _, height, width, channels = inputs.shape
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=tf.reshape(inputs, (-1, height, width, channels)),
        scale=gamma,
        offset=beta,
        mean=tf.zeros((0,)),
        variance=tf.zeros((0,)),
        epsilon=spec.NORM_EPSILON,
        is_training=True,
    )
    # The kernel divides by one less than the count; Keras' moving variance divides by the count.
    count = tf.cast(tf.size(inputs, tf.int64) // channels, tf.float32)
    return tf.reshape(outputs, tf.shape(inputs)), mean, variance * (count - 1) / count
