"""The bricks: what they compute, what they refuse, and that they look at no frame they must not."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import model
from model.layers import (
    ACTIVATIONS,
    NORMALIZATIONS,
    Conv2Plus1D,
    Conv2Plus1DLayer,
    HardSwish,
    Mish,
    strided_shape,
)

PADDINGS = ("same", "causal")


def clip(rng: np.random.Generator, *shape: int) -> Any:
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("module", ["layers.py", "blocks.py", "bresnet.py"])
def test_layers_know_no_backend(module: str) -> None:
    """The same source runs on every Keras backend: only Keras and numpy are imported."""
    tree = ast.parse((Path(model.__file__).parent / module).read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    assert {name.split(".")[0] for name in names} <= {
        "__future__",
        "collections",
        "typing",
        "keras",
        "numpy",
        "model",
    }


def test_a_pair_is_one_linear_convolution(rng: np.random.Generator) -> None:
    """Nothing stands between the halves: the pair equals the full kernel they multiply to."""
    pair = Conv2Plus1D(5, (3, 3, 3), (2, 2, 2))
    inputs = clip(rng, 1, 6, 8, 8, 3)
    found = np.array(pair(inputs))
    spatial, temporal = (np.array(half.kernel.numpy()) for half in (pair.spatial, pair.temporal))
    kernel = np.einsum("hwim,tmo->thwio", spatial[0], temporal[:, 0, 0])
    expected = keras.ops.conv(inputs, kernel.astype(np.float32), (2, 2, 2), "same")
    np.testing.assert_allclose(found, np.array(expected), rtol=1e-4, atol=1e-5)


def test_the_pair_has_as_many_weights_as_one_kernel() -> None:
    """M rounds up, as in R(2+1)D."""
    pair = Conv2Plus1D(32, (3, 3, 3))
    pair.build((None, 4, 8, 8, 3))
    assert pair.spatial.filters == 22
    assert pair.count_params() == 2_706
    assert [tuple(v.shape) for v in pair.weights] == [(1, 3, 3, 3, 22), (3, 1, 1, 22, 32)]


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("strides", [(1, 1, 1), (2, 2, 2), (1, 2, 2)])
@pytest.mark.parametrize("frames", [7, 8])
def test_the_stated_shape_is_the_real_one(
    padding: Any, strides: Any, frames: int, rng: np.random.Generator
) -> None:
    """`compute_output_shape` equals what `call` returns, odd lengths included."""
    pair = Conv2Plus1D(4, (3, 3, 3), strides, padding)
    inputs = clip(rng, 2, frames, 9, 10, 3)
    assert pair(inputs).shape == pair.compute_output_shape(inputs.shape)


@pytest.mark.parametrize("stride", [1, 2])
def test_causal_never_looks_ahead(stride: int, rng: np.random.Generator) -> None:
    """A change in frame k leaves every output alone whose stride step ended before k."""
    pair = Conv2Plus1D(4, (3, 1, 1), (stride, 1, 1), "causal")
    inputs = clip(rng, 1, 8, 2, 2, 3)
    before = np.array(pair(inputs))
    for k in range(8):
        changed = inputs.copy()
        changed[:, k:] += 1
        after = np.array(pair(changed))
        np.testing.assert_array_equal(after[:, : k // stride], before[:, : k // stride])
        assert not np.allclose(after[:, k // stride], before[:, k // stride])


def test_same_padding_does_look_ahead(rng: np.random.Generator) -> None:
    """The check above can fail: the symmetric form sees the next frame."""
    pair = Conv2Plus1D(4, (3, 1, 1))
    inputs = clip(rng, 1, 8, 2, 2, 3)
    before = np.array(pair(inputs))
    inputs[:, 4:] += 1
    assert not np.allclose(np.array(pair(inputs))[:, 3], before[:, 3])


def test_causal_equals_a_longer_past_of_zeros(rng: np.random.Generator) -> None:
    """What is padded is nothing but frames of zeros before the first."""
    pair = Conv2Plus1D(4, (3, 3, 3), temporal_padding="causal")
    inputs = clip(rng, 1, 4, 5, 5, 3)
    longer = np.concatenate([np.zeros_like(inputs), inputs], axis=1)
    np.testing.assert_allclose(
        np.array(pair(longer))[:, 4:], np.array(pair(inputs)), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("normalization", [None, *NORMALIZATIONS])
@pytest.mark.parametrize("activation", [None, *ACTIVATIONS])
def test_every_option_builds_runs_and_survives_its_config(
    normalization: Any, activation: Any, rng: np.random.Generator
) -> None:
    """A layer made from the config of another has the same options and shapes of weights."""
    layer = Conv2Plus1DLayer(4, (1, 3, 3), normalization=normalization, activation=activation)
    inputs = clip(rng, 1, 2, 4, 4, 3)
    outputs = np.array(layer(inputs))
    assert outputs.shape == (1, 2, 4, 4, 4)
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(np.array(twin(inputs)), outputs)


def test_normalisation_comes_before_activation(rng: np.random.Generator) -> None:
    """Convolution, then statistics, then ReLU."""
    layer = Conv2Plus1DLayer(4, (1, 1, 1), normalization="layer_norm", activation="relu")
    inputs = clip(rng, 1, 2, 3, 3, 3)
    outputs = np.array(layer(inputs))
    plain = np.array(layer.conv(inputs))
    scaled = (plain - plain.mean(-1, keepdims=True)) / np.sqrt(plain.var(-1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(outputs, np.maximum(scaled, 0), rtol=1e-4, atol=1e-5)


def test_hard_swish_and_mish_are_their_formulas(rng: np.random.Generator) -> None:
    """x relu6(x + 3) / 6 and x tanh(softplus(x)), over the bends of both."""
    x = np.linspace(-6, 6, 241, dtype=np.float32)
    np.testing.assert_allclose(
        np.array(HardSwish()(x)), x * np.clip(x + 3, 0, 6) / 6, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        np.array(Mish()(x)), x * np.tanh(np.log1p(np.exp(x))), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64", "bfloat16"])
def test_the_dtype_policy_reaches_every_sublayer(policy: str) -> None:
    """Convolutions, normalisation and activation compute in what the layer was given."""
    layer = Conv2Plus1DLayer(
        4, (3, 3, 3), normalization="batch_norm", activation="hard_swish", dtype=policy
    )
    layer.build((None, 4, 4, 4, 3))
    parts = list(layer._flatten_layers(include_self=False))
    assert {part.name for part in parts} == {"conv", "spatial", "temporal", "norm", "activate"}
    assert {part.dtype_policy.name for part in parts} == {policy}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"filters": 0}, "filters"),
        ({"kernel_size": (3, 3)}, "kernel_size"),
        ({"strides": (1, 0, 1)}, "strides"),
        ({"temporal_padding": "valid"}, "temporal_padding"),
        ({"normalization": "group_norm"}, "normalization"),
        ({"activation": "swish"}, "activation"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], named: str) -> None:
    """The message says which argument and what was given."""
    value = next(iter(arguments.values()))
    shown = value[1] if named == "strides" else value
    with pytest.raises(ValueError, match=named) as refused:
        Conv2Plus1DLayer(**{"filters": 4, "kernel_size": (3, 3, 3), **arguments})
    assert repr(shown) in str(refused.value)


def test_unknown_channels_are_refused() -> None:
    """Without the number of channels there are no weights to make."""
    with pytest.raises(ValueError, match="C known"):
        Conv2Plus1D(4, (3, 3, 3)).build((None, 4, 4, 4, None))


def test_strided_shape_keeps_what_is_unknown() -> None:
    """Unknown lengths stay unknown in both forms."""
    assert strided_shape((None, 5, None), (2, 2, 2), "same") == (None, 3, None)
    assert strided_shape((5, 5, 5), (2, 2, 2), "causal") == (2, 3, 3)
