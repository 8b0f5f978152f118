"""Claims about convolution and BatchNorm in training form."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from model.layers import Conv2Plus1D
from model.training import primitive
from model.training.primitive import convolve, normalize, rescale, same_padding


@pytest.mark.parametrize("padding", ["same", "causal"])
@pytest.mark.parametrize("strides", [(1, 1, 1), (2, 2, 2), (1, 2, 2)])
def test_a_composed_pair_is_the_pair(padding: str, strides: tuple[int, int, int]) -> None:
    """One convolution with the product of the kernels is both, with any stride and padding."""
    layer = Conv2Plus1D(5, (3, 3, 3), strides, padding)  # type: ignore[arg-type]
    inputs = tf.random.stateless_normal((2, 6, 9, 10, 4), (1, 2))
    wanted = layer(inputs)
    found = convolve(
        inputs,
        layer.spatial.kernel,
        layer.temporal.kernel,
        strides,
        padding,  # type: ignore[arg-type]
    )
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("strides", [(1, 1, 1), (2, 2, 2)])
def test_few_frames_give_the_pair_and_its_gradients_also_in_bfloat16(
    frames: int, strides: tuple[int, int, int]
) -> None:
    """Fewer than the kernel has: outputs as before, gradients those of float32, each time."""
    layer = Conv2Plus1D(16, (3, 3, 3), strides)
    inputs = tf.random.stateless_normal((4, frames, 8, 8, 16), (1, 2))
    wanted = layer(inputs)
    kernels = [layer.spatial.kernel.value, layer.temporal.kernel.value]
    shape = tf.shape(wanted)
    found = {}
    for dtype in ("float32", "bfloat16", "bfloat16"):
        with tf.GradientTape() as tape:
            tape.watch(kernels)
            outputs = tf.cast(
                convolve(tf.cast(inputs, dtype), *kernels, strides, "same"), "float32"
            )
            loss = tf.reduce_sum(outputs * tf.random.stateless_normal(shape, (3, 4)))
        if dtype == "float32":
            np.testing.assert_allclose(outputs, wanted, atol=1e-4)
        gradients = [np.asarray(g) for g in tape.gradient(loss, kernels)]
        for one, other in zip(gradients, found.get("float32", gradients), strict=True):
            assert np.linalg.norm(one - other) < 0.03 * np.linalg.norm(other)
        for one, other in zip(gradients, found.get(dtype, gradients), strict=True):
            np.testing.assert_array_equal(one, other)
        found[dtype] = gradients


@pytest.mark.parametrize("share", [0.0, 1e9])
def test_both_ways_to_mix_channels_are_the_pair(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 1x1x1 pair gives the same as two products and as one."""
    monkeypatch.setattr(primitive, "PAIR_SHARE", share)
    layer = Conv2Plus1D(7, (1, 1, 1))
    inputs = tf.random.stateless_normal((2, 3, 4, 5, 6), (1, 2))
    wanted = layer(inputs)
    found = convolve(
        inputs,
        layer.spatial.kernel,
        layer.temporal.kernel,
        (1, 1, 1),
        "same",
    )
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("length", "stride", "wanted"), [(9, 1, (1, 1)), (9, 2, (1, 1)), (10, 2, (0, 1))]
)
def test_padding_is_that_of_same(length: int, stride: int, wanted: tuple[int, int]) -> None:
    """A kernel of 3 needs these zeros."""
    assert same_padding(length, 3, stride) == wanted


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_fused_normalisation_is_the_plain_one(dtype: str) -> None:
    """Outputs, mean and the variance divided by the count agree with moments in float32."""
    inputs = tf.cast(tf.random.stateless_normal((2, 3, 4, 5, 6), (1, 2)) * 3 + 1, dtype)
    gamma, beta = tf.linspace(0.5, 2.0, 6), tf.linspace(-1.0, 1.0, 6)
    outputs, mean, variance = normalize(inputs, gamma, beta)
    exact = np.asarray(tf.cast(inputs, tf.float32)).reshape(-1, 6)
    np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(variance, exact.var(0), rtol=1e-4)
    wanted = rescale(inputs, gamma, beta, exact.mean(0), exact.var(0))
    assert outputs.dtype == wanted.dtype == dtype
    tolerance = 1e-4 if dtype == "float32" else 0.05
    np.testing.assert_allclose(
        tf.cast(outputs, tf.float32), tf.cast(wanted, tf.float32), atol=tolerance
    )
