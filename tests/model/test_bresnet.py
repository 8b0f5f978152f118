"""The network as a Keras model, and the four defects of the public reference that it must not have.

Its own figures (rows, totals, cost) are in test_spec.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from model import BResNet162Plus1DD, spec

SHAPE = (None, 8, 32, 32, 3)


def clip(rng: np.random.Generator, n: int = 2) -> Any:
    return rng.random((n, *SHAPE[1:]), np.float32)


def moving(network: Any) -> dict[str, Any]:
    return {k: v for k, v in network.named_weights().items() if "/moving_" in k}


def test_the_public_snippet_works(capsys: pytest.CaptureFixture[str]) -> None:
    """Three lines, and the summary shows the true totals."""
    m = BResNet162Plus1DD()
    m.build((None, 32, 256, 256, 3))
    m.summary()
    printed = capsys.readouterr().out
    assert "4,527,138" in printed
    assert "4,510,562" in printed
    assert "(None, 8, 8, 8, 2048)" in printed.replace("\n", "") or "block3" in printed


def test_fit_trains_the_batch_statistics(rng: np.random.Generator) -> None:
    """Defect 1: after `fit` every moving statistic has changed, and training changes the output."""
    network = BResNet162Plus1DD(4, 8, 32)
    network.build(network.default_shape)
    before = moving(network)
    network.compile(optimizer=keras.optimizers.SGD(1e-3), loss="mse")
    inputs = clip(rng, 4)
    network.fit(inputs, np.zeros((4, 4), np.float32), batch_size=2, epochs=1, verbose=0)
    after = moving(network)
    assert len(after) == 2 * 19
    unchanged = [name for name in after if np.array_equal(after[name], before[name])]
    assert not unchanged
    live, still = network(inputs, training=True), network(inputs, training=False)
    assert not np.allclose(np.array(live), np.array(still), atol=1e-3)


# Keras 3.15 itself converts variables the way numpy 2 is about to forbid.
KERAS_SAVES = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@KERAS_SAVES
@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_save_and_load_is_bit_equal(
    suffix: str, small_network: Any, tmp_path: Path, rng: np.random.Generator
) -> None:
    """Defect 2: nothing is lost on the way through a file."""
    path = str(tmp_path / f"net{suffix}")
    if suffix == ".keras":
        small_network.save(path)
        loaded = keras.saving.load_model(path)
        assert isinstance(loaded, BResNet162Plus1DD)
    else:
        small_network.save_weights(path)
        loaded = BResNet162Plus1DD(16)
        loaded.build(SHAPE)
        loaded.load_weights(path)
    inputs = clip(rng)
    for name, array in small_network.named_weights().items():
        np.testing.assert_array_equal(loaded.named_weights()[name], array, err_msg=name)
    np.testing.assert_array_equal(np.array(loaded(inputs)), np.array(small_network(inputs)))


@KERAS_SAVES
def test_a_saved_model_is_bit_equal(
    small_network: Any, tmp_path: Path, rng: np.random.Generator
) -> None:
    """Defect 2, third format: the exported graph gives what the same graph gives here."""
    inputs = clip(rng)
    small_network(inputs)
    small_network.export(str(tmp_path / "net"), verbose=False)
    served = tf.saved_model.load(str(tmp_path / "net"))
    here = tf.function(lambda x: small_network(x, training=False))(inputs)
    np.testing.assert_array_equal(np.array(served.serve(inputs)), np.array(here))


def test_build_makes_every_weight(rng: np.random.Generator) -> None:
    """Defect 3: counting before and after the first call gives the same."""
    network = BResNet162Plus1DD(256)
    network.build(SHAPE)
    before = network.count_params()
    network(clip(rng, 1))
    assert before == network.count_params() == spec.TOTAL_PARAMS


def test_building_twice_keeps_the_weights() -> None:
    """A second `build`, with another shape, creates nothing anew."""
    network = BResNet162Plus1DD(4)
    network.build(SHAPE)
    before = network.named_weights()
    network.build((None, 16, 64, 64, 3))
    after = network.named_weights()
    assert all(np.array_equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_the_dtype_policy_reaches_every_sublayer(policy: str) -> None:
    """Defect 4: what the model was given is what each layer computes in."""
    network = BResNet162Plus1DD(4, dtype=policy)
    network.build(SHAPE)
    parts = network._flatten_layers(include_self=False)
    assert {part.dtype_policy.name for part in parts} == {policy}
    stored = "float32" if policy.startswith("mixed") else policy
    assert {v.dtype for v in network.trainable_variables} == {stored}


def test_any_clip_can_be_embedded() -> None:
    """`frames` and `size` state the usual shape; lengths and pictures may differ by call."""
    network = BResNet162Plus1DD(4, frames=8, size=32)
    assert network.default_shape == SHAPE
    network.build(network.default_shape)
    assert np.array(network(np.zeros((1, 5, 40, 24, 3), np.float32))).shape == (1, 4)
    assert network.compute_output_shape((7, 8, 32, 32, 3)) == (7, 4)


def test_a_model_is_made_anew_from_its_config() -> None:
    """All four arguments and the dtype survive."""
    network = BResNet162Plus1DD(4, 16, 64, "causal", dtype="mixed_bfloat16")
    twin = BResNet162Plus1DD.from_config(network.get_config())
    assert (twin.units, twin.frames, twin.size) == (4, 16, 64)
    assert twin.temporal_padding == twin.block3.feature.conv.temporal_padding == "causal"
    assert twin.dtype_policy.name == "mixed_bfloat16"


def test_named_weights_go_out_and_in(small_network: Any) -> None:
    """What comes out of one network goes into another, and must fit it."""
    twin = BResNet162Plus1DD(16)
    twin.build(SHAPE)
    weights = small_network.named_weights()
    twin.set_named_weights(weights)
    assert all(np.array_equal(twin.named_weights()[name], weights[name]) for name in weights)
    weights.pop("block2/project/norm/beta")
    with pytest.raises(ValueError, match="block2/project/norm/beta"):
        twin.set_named_weights(weights)


def test_the_causal_network_has_the_same_weights() -> None:
    """Only the padding differs; a bundle of one form has the names and shapes of the other."""
    network = BResNet162Plus1DD(16, temporal_padding="causal")
    network.build(SHAPE)
    assert {k: v.shape for k, v in network.named_weights().items()} == spec.weight_shapes(16)


@pytest.mark.parametrize(
    "arguments", [{"units": 0}, {"frames": -1}, {"size": 2.5}, {"temporal_padding": "both"}]
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any]) -> None:
    """Each is refused at once, by name."""
    with pytest.raises(ValueError, match=next(iter(arguments))):
        BResNet162Plus1DD(**arguments)


def test_a_shape_of_wrong_rank_is_refused() -> None:
    """A forgotten batch axis is told so."""
    with pytest.raises(ValueError, match=r"\(N, T, H, W, C\)"):
        BResNet162Plus1DD(4).build((8, 32, 32, 3))
