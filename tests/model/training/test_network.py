"""Claims about the network as a function: it is the Keras network, gradients and all."""

from __future__ import annotations

from typing import Any, Literal

import keras
import numpy as np
import pytest
import tensorflow as tf

from model import spec
from model.bresnet import BResNet162Plus1DD
from model.bundle import UNTRAINED, untrained_bundle
from model.training.network import (
    MOMENTUM,
    PLACED,
    Form,
    first_weights,
    forward,
    is_statistic,
    moved,
    place_shapes,
    rate_shapes,
    weight_shapes,
)
from tests.conftest import needs_bfloat16

UNITS, FRAMES, SIZE = 16, 8, 33
PADDINGS: tuple[Literal["same", "causal"], ...] = ("same", "causal")


def some_weights() -> dict[str, Any]:
    """Random weights with random statistics, scores included."""
    manifest = UNTRAINED.model_copy(update={"units": UNITS, "labels": ("a", "b", "c")})
    bundle = untrained_bundle(manifest)
    scores = {"scores/kernel": bundle.score_kernel * 50, "scores/bias": bundle.score_bias}
    return {**bundle.weights, **scores}


def keras_network(weights: dict[str, Any], padding: spec.TemporalPadding) -> Any:
    """The layers that the function stands for."""
    network = BResNet162Plus1DD(UNITS, FRAMES, SIZE, padding, dtype="float32")
    network.build(network.default_shape)
    network.set_named_weights({k: v for k, v in weights.items() if "scores" not in k})
    return network


def drawn_places() -> dict[str, Any]:
    """Layers for places and rates."""
    return first_weights(place_shapes() | rate_shapes(), 1, zero_gamma=False)


def some_clips(rng: np.random.Generator) -> Any:
    return rng.integers(0, 256, (3, FRAMES, SIZE, SIZE, 3), np.uint8)


def keras_logits(network: Any, weights: dict[str, Any], clips: Any, *, is_training: bool) -> Any:
    embedding = network(tf.cast(clips, tf.float32) * spec.PIXEL_SCALE, training=is_training)
    return embedding @ weights["scores/kernel"] + weights["scores/bias"]


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("is_training", [False, True])
def test_the_function_is_the_keras_network(
    padding: spec.TemporalPadding, is_training: bool, rng: np.random.Generator
) -> None:
    """Logits agree in float32, in both modes and both forms, also for odd sizes."""
    weights, clips = some_weights(), some_clips(rng)
    passed = forward(weights, clips, Form(temporal_padding=padding), is_training=is_training)
    network = keras_network(weights, padding)
    wanted = keras_logits(network, weights, clips, is_training=is_training)
    assert float(np.std(wanted)) > 0.05
    np.testing.assert_allclose(passed.logits, wanted, rtol=2e-4, atol=2e-4)
    assert bool(passed.statistics) == is_training
    assert passed.moments is None
    assert passed.places == passed.rates == ()


def test_moving_statistics_are_those_of_keras(rng: np.random.Generator) -> None:
    """After a batch each moving mean and variance is what Keras' BatchNorm holds."""
    weights, clips = some_weights(), some_clips(rng)
    statistics = forward(weights, clips, Form(), is_training=True).statistics
    found = moved(weights, statistics, MOMENTUM)
    network = keras_network(weights, "same")
    keras_logits(network, weights, clips, is_training=True)
    wanted = {name: v for name, v in network.named_weights().items() if is_statistic(name)}
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


def test_gradients_are_those_of_keras(rng: np.random.Generator) -> None:
    """The gradient of a sum of squared logits agrees for every weight that trains."""
    weights, clips = some_weights(), some_clips(rng)
    names = [name for name in weights if not is_statistic(name) and "scores" not in name]
    held = {name: tf.constant(value) for name, value in weights.items()}
    with tf.GradientTape() as tape:
        tape.watch([held[name] for name in names])
        loss = tf.reduce_sum(forward(held, clips, Form(), is_training=True).logits ** 2)
    found = dict(zip(names, tape.gradient(loss, [held[name] for name in names]), strict=True))
    network = keras_network(weights, "same")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(keras_logits(network, weights, clips, is_training=True) ** 2)
    variables = {v.path.split("/", 1)[1]: v.value for v in network.trainable_variables}
    assert variables.keys() == set(names)
    wanted = tape.gradient(loss, variables)
    for name, value in wanted.items():
        scale = float(np.abs(value).max()) + 1e-6
        np.testing.assert_allclose(found[name] / scale, value / scale, atol=3e-3, err_msg=name)


def test_a_frozen_stage_uses_and_keeps_its_statistics(rng: np.random.Generator) -> None:
    """With all stages frozen, training and inference are the same function."""
    weights, clips = some_weights(), some_clips(rng)
    stages = frozenset(stage.name for stage in (*spec.STEM, *spec.BLOCKS))
    found = forward(weights, clips, Form(frozen=stages), is_training=True)
    wanted = forward(weights, clips, Form(), is_training=False)
    np.testing.assert_array_equal(found.logits, wanted.logits)
    assert found.statistics == {}


def test_time_positions_average_to_the_clip(rng: np.random.Generator) -> None:
    """With the head's own matrix as their layer, the positions' logits have the clip's as mean."""
    weights, clips = some_weights(), some_clips(rng)
    kernel = weights["head/kernel"] @ weights["scores/kernel"]
    bias = weights["head/bias"] @ weights["scores/kernel"] + weights["scores/bias"]
    passed = forward(
        {**weights, "moments/kernel": kernel, "moments/bias": bias}, clips, Form(), is_training=True
    )
    assert passed.moments.shape == (len(clips), clips.shape[1] // 4, kernel.shape[1])
    np.testing.assert_allclose(np.mean(passed.moments, axis=1), passed.logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("part", "n_told"), [("places", 7), ("rates", 4)])
def test_places_are_judged_block_by_block(part: str, n_told: int, rng: np.random.Generator) -> None:
    """Cells are of 4 frames and 8, 16 and 32 pixels; the gradient reaches every block on the
    way."""
    weights, clips = some_weights() | drawn_places(), some_clips(rng)
    held = {name: tf.constant(value) for name, value in weights.items()}
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(held)
        passed = forward(held, clips, Form(), is_training=True)
        places = getattr(passed, part)
        losses = [tf.reduce_sum(seen**2) for seen in places]
    sides = [-(-SIZE // cell) for cell in (8, 16, 32)]
    assert [seen.shape for seen in places] == [
        (len(clips), FRAMES // 4, side, side, n_told) for side in sides
    ]
    for loss, block in zip(losses, PLACED, strict=True):
        found = tape.gradient(loss, held)
        for name in ("stem", "block1/project", f"{block.name}/shortcut"):
            assert float(np.abs(found[f"{name}/conv/spatial/kernel"]).max()) > 0
        assert float(np.abs(found[f"{part}/{block.name}/kernel"]).max()) > 0
        assert found["head/kernel"] is None
    first = tape.gradient(losses[0], held)
    assert all(first[name] is None for name in held if name.startswith(("block2", "block3")))


def test_a_cell_sees_its_own_place(rng: np.random.Generator) -> None:
    """A change of one corner's pixels changes the logits of that corner most, row and column."""
    weights, clips = some_weights() | drawn_places(), some_clips(rng)
    other = clips.copy()
    other[:, :, 24:, :8] = 255 - other[:, :, 24:, :8]
    one, two = (forward(weights, c, Form(), is_training=False).places[0] for c in (clips, other))
    change = np.abs(np.asarray(one - two)).mean(axis=(0, 1, 4))
    row, column = np.unravel_index(change.argmax(), change.shape)
    assert row >= 3
    assert column <= 1
    assert change[0, -1] < 0.2 * change.max()


def test_half_of_the_stem_begins_blind_to_what_stands_still() -> None:
    """Every second filter's composed kernel adds up to 0 over time, the others' do not."""
    arrays = first_weights(weight_shapes(UNITS, 5), seed=1, zero_gamma=True)
    spatial, temporal = (arrays[f"stem/conv/{part}/kernel"] for part in ("spatial", "temporal"))
    kernel = np.einsum("hwim,tmo->thwio", spatial[0], temporal[:, 0, 0]).sum(axis=0)
    assert np.abs(kernel[..., ::2]).max() < 1e-5
    assert np.abs(kernel[..., 1::2]).max(axis=(0, 1, 2)).min() > 0.01


def test_first_weights_have_the_shapes_of_the_network() -> None:
    """Names and shapes are those of the specification, and zero gamma silences the main branch."""
    arrays = first_weights(weight_shapes(UNITS, 5), seed=1, zero_gamma=True)
    assert {name: a.shape for name, a in arrays.items()} == weight_shapes(UNITS, 5)
    gammas = {name: a for name, a in arrays.items() if name.endswith("gamma")}
    silent = {name for name, a in gammas.items() if not a.any()}
    assert silent == {f"block{index}/project/norm/gamma" for index in range(4)}
    plain = first_weights(weight_shapes(UNITS, 5), seed=1, zero_gamma=False)
    assert all(plain[name].all() for name in gammas)


@needs_bfloat16
def test_bfloat16_stays_close(rng: np.random.Generator) -> None:
    """Activations in bfloat16 change logits by little, and they stay float32."""
    weights, clips = some_weights(), some_clips(rng)
    exact = forward(weights, clips, Form(), is_training=True).logits
    rough, _, _, statistics = forward(weights, clips, Form("bfloat16"), is_training=True)
    assert keras.backend.standardize_dtype(rough.dtype) == "float32"
    assert {keras.backend.standardize_dtype(v.dtype) for v in statistics.values()} == {"float32"}
    assert 0 < float(np.abs(rough - exact).max()) < 0.1 * float(np.std(exact)) + 0.05
