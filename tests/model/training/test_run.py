"""Claims about how a run begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from model.bundle import UNTRAINED, save_bundle, untrained_bundle
from model.engines import has_native_bfloat16
from model.errors import TrainingError
from model.training.network import first_weights, weight_shapes
from model.training.run import activation_dtype, bundle_weights, start_weights
from tests.model.training.stand_in import tiny_recipe


def test_precision_is_what_was_asked_for() -> None:
    """auto is bfloat16 exactly where the processor has it."""
    assert activation_dtype(tiny_recipe(precision="mixed_bfloat16")) == "bfloat16"
    wanted = "bfloat16" if has_native_bfloat16() else "float32"
    assert activation_dtype(tiny_recipe(precision="auto")) == wanted


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="a GPU has float16")
def test_float16_is_refused_where_it_cannot_run() -> None:
    """TensorFlow has no such pooling on a CPU; the sentence names the way out."""
    with pytest.raises(TrainingError, match=r"mixed_float16 needs a GPU or .*; choose auto"):
        activation_dtype(tiny_recipe(precision="mixed_float16"))


def test_without_a_bundle_weights_are_drawn() -> None:
    """From the recipe's seed."""
    wanted = first_weights(weight_shapes(8, 11), 3, zero_gamma=True)
    found = start_weights(tiny_recipe())
    assert all((found[name] == array).all() for name, array in wanted.items())
    assert found["places/block1/kernel"].shape == (512, 7)
    assert found["places/block3/kernel"].shape == (2048, 7)
    assert found["moments/kernel"].shape == (2048, 11)
    plain = start_weights(tiny_recipe(moment_share=0.0, place_share=0.0))
    assert plain.keys() == wanted.keys()
    rated = start_weights(tiny_recipe(rate_share=1.0, mixup_alpha=0.0))
    assert rated["rates/block1/kernel"].shape == (512, 4)
    assert rated["rates/block3/bias"].shape == (4,)
    assert rated["places/block1/kernel"].any()


def test_layers_that_help_begin_with_nothing_to_say_to_a_bundle() -> None:
    """What a bundle has learned is not disturbed by layers that were drawn by chance."""
    init = {"bundle": "untrained"}
    found = start_weights(tiny_recipe(init=init, head={}, rate_share=1.0, mixup_alpha=0.0))
    helpers = [name for name in found if name.startswith(("moments/", "places/", "rates/"))]
    assert len(helpers) == 14
    assert not any(found[name].any() for name in helpers)
    assert found["head/kernel"].any()


@pytest.mark.parametrize("is_new", [False, True])
def test_fine_tuning_takes_the_weights_of_a_bundle(tmp_path: Path, is_new: bool) -> None:
    """All of them where labels agree; new scores where they differ or where it is asked for."""
    bundle = untrained_bundle(UNTRAINED.model_copy(update={"units": 8, "name": "mine"}))
    save_bundle(bundle, tmp_path / "mine")
    recipe = tiny_recipe(init={"bundle": str(tmp_path / "mine"), "new_head": is_new})
    found = start_weights(recipe)
    for name, array in bundle.weights.items():
        np.testing.assert_array_equal(found[name], array)
    assert bool((found["scores/kernel"] == bundle.score_kernel).all()) != is_new
    other = tiny_recipe(
        init={"bundle": str(tmp_path / "mine")},
        head={"units": 8, "labels": ["fall", "sit"]},
        place_share=0.0,
        data={"kind": "manifest", "path": "clips.json"},
    )
    assert start_weights(other)["scores/kernel"].shape == (8, 2)


@pytest.mark.parametrize("is_new", [False, True])
def test_the_bundle_keeps_a_share_of_the_weights_of_the_start(tmp_path: Path, is_new: bool) -> None:
    """Of all layers but new scores, which began with chance."""
    bundle = untrained_bundle(UNTRAINED.model_copy(update={"units": 8, "name": "mine"}))
    save_bundle(bundle, tmp_path / "mine")
    init = {"bundle": str(tmp_path / "mine"), "new_head": is_new}
    first = start_weights(tiny_recipe(init=init))
    learned = {name: array + 1 for name, array in first.items()}
    found = bundle_weights(tiny_recipe(init=init | {"kept": 0.25}), learned)
    for name, array in found.items():
        gained = 1.0 if is_new and name.startswith("scores/") else 0.75
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, first[name] + gained, rtol=0, atol=1e-5)
    assert bundle_weights(tiny_recipe(init=init), learned) is learned
    assert bundle_weights(tiny_recipe(), learned) is learned


def test_a_bundle_of_another_form_is_refused() -> None:
    """Both sides are named."""
    recipe = tiny_recipe(init={"bundle": "untrained"})
    with pytest.raises(TrainingError, match="untrained: has units 256, the recipe 8"):
        start_weights(recipe)
