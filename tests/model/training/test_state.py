"""Claims about what a run carries: schedule, decay, freezing, and arrays there and back."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from model.errors import TrainingError
from model.training.network import first_weights, weight_shapes
from model.training.recipe import OptimizerRecipe
from model.training.state import TrainingState, decay_at


def some_state(**options: object) -> TrainingState:
    arrays = first_weights(weight_shapes(8, 3), seed=0, zero_gamma=True)
    return TrainingState(arrays, OptimizerRecipe(warmup_steps=2), 10, **options)  # type: ignore[arg-type]


def test_only_kernels_decay() -> None:
    """With gradients of zero a step shrinks kernels and leaves everything else."""
    state = some_state()
    before = state.arrays()
    state.optimizer.iterations.assign(2)
    state.optimizer.apply([tf.zeros(state.weights[name].shape) for name in state.trained])
    after = state.arrays()
    changed = {
        name
        for name in state.trained
        if (before[f"weights/{name}"] != after[f"weights/{name}"]).any()
    }
    assert changed == {name for name in state.trained if name.endswith("kernel")}


def test_frozen_stages_are_neither_trained_nor_averaged() -> None:
    """Their weights stay in the state, and `averaged` gives them as they are."""
    state = some_state(frozen=frozenset({"stem", "block0"}))
    assert "stem/conv/spatial/kernel" in state.weights
    for names in (state.trained, state.average):
        assert not [name for name in names if name.startswith(("stem/", "block0/"))]
        assert "stem1/conv/spatial/kernel" in names
    assert state.averaged().keys() == state.weights.keys()


def test_arrays_go_out_and_in_bit_by_bit() -> None:
    """Another state that restores them holds the same; what does not fit is refused by name."""
    state, other = some_state(), some_state()
    arrays = {
        name: array + 1 if array.dtype.kind == "f" else array + 3
        for name, array in state.arrays().items()
    }
    other.restore(arrays)
    for name, array in other.arrays().items():
        np.testing.assert_array_equal(array, arrays[name])
        assert array.dtype == arrays[name].dtype
    with pytest.raises(TrainingError, match="first differing array: weights/head/bias"):
        other.restore({k: v for k, v in arrays.items() if k != "weights/head/bias"})
    arrays["weights/head/bias"] = np.zeros(9, np.float32)
    with pytest.raises(TrainingError, match=r"weights/head/bias has shape \(9,\), the recipe"):
        other.restore(arrays)


def test_averages_forget_their_start() -> None:
    """The first step keeps a tenth of the past; later ones what was asked for."""
    assert decay_at(0, 0.999) == (0.1, 0.1)
    assert decay_at(10**6, 0.999) == (0.999, 0.99)
    assert decay_at(10**6, 0.0).weights == 0.0
