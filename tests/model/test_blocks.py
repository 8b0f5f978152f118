"""The bottleneck block: composition, shortcut average, causality."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from model.blocks import BottleneckResidual2Plus1DD, CausalAveragePool


def clip(rng: np.random.Generator, *shape: int) -> Any:
    return rng.standard_normal(shape).astype(np.float32)


def test_a_block_is_its_two_paths_added(rng: np.random.Generator) -> None:
    """relu(project(feature(bottleneck(x))) + shortcut(average(x)))."""
    block = BottleneckResidual2Plus1DD(8, (1, 2, 2))
    inputs = clip(rng, 1, 4, 6, 6, 5)
    outputs = np.array(block(inputs))
    main = block.project(block.feature(block.bottleneck(inputs)))
    shortcut = block.shortcut(block.average(inputs))
    np.testing.assert_allclose(outputs, np.maximum(np.array(main + shortcut), 0), atol=1e-6)
    assert outputs.shape == block.compute_output_shape(inputs.shape) == (1, 4, 3, 3, 32)
    assert block.feature.activation == "relu"
    assert block.project.activation is block.shortcut.activation is None


@pytest.mark.parametrize("strides", [(1, 1, 1), (1, 2, 2)])
def test_padding_never_counts_in_the_shortcut_average(strides: Any) -> None:
    """The average of a constant is that constant, at every border and in both forms."""
    ones = np.ones((1, 3, 5, 5, 2), np.float32)
    for padding in ("same", "causal"):
        average = BottleneckResidual2Plus1DD(4, strides, padding).average
        np.testing.assert_allclose(np.array(average(ones)), 1.0, rtol=1e-6)


def test_the_same_average_looks_one_position_ahead_and_the_causal_one_back(
    rng: np.random.Generator,
) -> None:
    """In time: (p, p + 1) against (p - 1, p)."""
    inputs = clip(rng, 1, 4, 2, 2, 1)
    frame = inputs.mean(axis=(2, 3))[0, :, 0]
    ahead = keras.layers.AveragePooling3D((2, 2, 2), (1, 2, 2), padding="same")(inputs)
    back = CausalAveragePool((1, 2, 2))(inputs)
    np.testing.assert_allclose(
        np.array(ahead)[0, :, 0, 0, 0],
        [*((frame[:-1] + frame[1:]) / 2), frame[-1]],
        rtol=1e-4,
        atol=1e-6,
    )
    np.testing.assert_allclose(
        np.array(back)[0, :, 0, 0, 0],
        [frame[0], *((frame[:-1] + frame[1:]) / 2)],
        rtol=1e-4,
        atol=1e-6,
    )


def test_a_causal_block_never_looks_ahead(rng: np.random.Generator) -> None:
    """A change in position k leaves all outputs before k alone."""
    block = BottleneckResidual2Plus1DD(4, (1, 2, 2), "causal")
    inputs = clip(rng, 1, 6, 4, 4, 3)
    before = np.array(block(inputs))
    for k in range(6):
        changed = inputs.copy()
        changed[:, k:] += 1
        np.testing.assert_array_equal(np.array(block(changed))[:, :k], before[:, :k])


def test_a_causal_average_has_no_stride_in_time() -> None:
    """It would skip positions; nothing in the network asks for it."""
    with pytest.raises(ValueError, match="stride in time"):
        CausalAveragePool((2, 2, 2))


@pytest.mark.parametrize("padding", ["same", "causal"])
def test_a_block_survives_its_config(padding: Any, rng: np.random.Generator) -> None:
    """Serialised and made anew, with the same weights it gives the same outputs."""
    block = BottleneckResidual2Plus1DD(4, (1, 2, 2), padding, dtype="float32")
    inputs = clip(rng, 1, 2, 4, 4, 3)
    outputs = np.array(block(inputs))
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(block))
    twin.set_weights(block.get_weights())
    np.testing.assert_array_equal(np.array(twin(inputs)), outputs)


def test_the_smallest_block_keeps_one_channel_inside() -> None:
    """filters // 4 never becomes 0."""
    block = BottleneckResidual2Plus1DD(2, (1, 1, 1))
    block.build((None, 2, 4, 4, 3))
    assert block.bottleneck.conv.filters == 1
