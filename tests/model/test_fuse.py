"""The fused arrays: exact products, nothing lost, inputs untouched.

That an engine which runs them equals the unfused network is in engines/test_graph.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from model import spec
from model.bundle import Bundle
from model.fuse import fuse


def folded_scale(weights: Any, name: str) -> Any:
    gamma, variance = (weights[f"{name}/norm/{p}"] for p in ("gamma", "moving_variance"))
    return gamma / np.sqrt(variance + spec.NORM_EPSILON)


def test_a_collapsed_kernel_is_the_product_of_its_halves(small_bundle: Bundle) -> None:
    """K[t,h,w,i,o] = sum over m of S[h,w,i,m] T[t,m,o], scaled by BatchNorm."""
    weights = small_bundle.weights
    conv = fuse(weights).stem[1]
    spatial = weights["stem1/conv/spatial/kernel"].astype(np.float64)
    temporal = weights["stem1/conv/temporal/kernel"].astype(np.float64)
    expected = np.einsum("hwim,tmo->thwio", spatial[0], temporal[:, 0, 0])
    expected *= folded_scale(weights, "stem1").astype(np.float64)
    assert conv.kernels[0].shape == (3, 3, 3, 32, 32)
    np.testing.assert_allclose(conv.kernels[0], expected, rtol=1e-6, atol=1e-8)


def test_pairs_keep_their_halves_and_fold_into_the_second(small_bundle: Bundle) -> None:
    """The first kernel is untouched, the second carries the scale."""
    weights = small_bundle.weights
    first, second = fuse(weights, stem="pairs").stem[2].kernels
    np.testing.assert_array_equal(first, weights["stem2/conv/spatial/kernel"])
    np.testing.assert_allclose(
        second,
        weights["stem2/conv/temporal/kernel"] * folded_scale(weights, "stem2"),
        rtol=1e-6,
    )


@pytest.mark.parametrize("stem", ["pairs", "collapsed"])
def test_the_pixel_scale_is_in_the_first_kernel_alone(stem: Any, small_bundle: Bundle) -> None:
    """Bytes instead of [0, 1] change one kernel and no bias."""
    plain = fuse(small_bundle.weights, stem=stem, pixel_scale=1.0)
    scaled = fuse(small_bundle.weights, stem=stem, pixel_scale=0.5)
    np.testing.assert_array_equal(scaled.stem[0].kernels[0], plain.stem[0].kernels[0] / 2)
    np.testing.assert_array_equal(scaled.stem[0].bias, plain.stem[0].bias)
    np.testing.assert_array_equal(scaled.stem[1].kernels[0], plain.stem[1].kernels[0])


def test_the_forms_have_the_stated_kernels(small_bundle: Bundle) -> None:
    """1x1x1 pairs are always one matrix; 3x3x3 pairs follow the flag of stem and blocks."""
    network = fuse(small_bundle.weights, stem="collapsed", blocks="pairs")
    assert [len(conv.kernels) for conv in network.stem] == [1, 1, 1]
    for block, stage in zip(network.blocks, spec.BLOCKS, strict=True):
        assert len(block.bottleneck.kernels) == len(block.merge.kernels) == 1
        assert len(block.feature.kernels) == 2
        assert block.merge.kernels[0].shape[:3] == (1, 1, 1)
        assert block.merge.kernels[0].shape[4] == stage.outer
        assert block.feature.strides == block.strides == stage.strides
    collapsed = fuse(small_bundle.weights, blocks="collapsed").blocks[2].feature.kernels
    assert [kernel.shape for kernel in collapsed] == [(3, 3, 3, 64, 64)]


def test_projection_and_shortcut_become_one_matrix(small_bundle: Bundle) -> None:
    """Rows of the projection above rows of the shortcut, biases added."""
    weights = small_bundle.weights
    merge = fuse(weights).blocks[1].merge
    parts = []
    bias = np.zeros(512)
    for name in ("block1/project", "block1/shortcut"):
        spatial = weights[f"{name}/conv/spatial/kernel"][0, 0, 0].astype(np.float64)
        temporal = weights[f"{name}/conv/temporal/kernel"][0, 0, 0].astype(np.float64)
        scale = folded_scale(weights, name)
        parts.append(spatial @ temporal * scale)
        bias += weights[f"{name}/norm/beta"] - weights[f"{name}/norm/moving_mean"] * scale
    np.testing.assert_allclose(merge.kernels[0][0, 0, 0], np.concatenate(parts), atol=1e-6)
    np.testing.assert_allclose(merge.bias, bias, atol=1e-6)


def test_everything_is_float32_and_new(small_bundle: Bundle) -> None:
    """No result shares memory with the weights that came in."""
    network = fuse(small_bundle.weights, stem="pairs")
    given = list(small_bundle.weights.values())
    results = [network.head_kernel, network.head_bias]
    results += [array for conv in network.stem for array in (*conv.kernels, conv.bias)]
    for array in results:
        assert array.dtype == np.float32
        assert not any(np.shares_memory(array, other) for other in given)
