"""Claims about the bundle of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from model.bundle import load_bundle
from model.training.export import recorded, settle_statistics, write_bundle
from model.training.run import begin
from tests.model.training.stand_in import BlockSource, tiny_recipe


def test_statistics_are_those_of_all_batches_together() -> None:
    """For the first BatchNorm: mean and variance over two batches equal those of both at once."""
    run = begin(tiny_recipe())
    batches = [BlockSource(run.recipe).training(run.recipe.phases[0]).batch(i) for i in (0, 1)]
    weights = run.state.averaged()
    before = {name: array.copy() for name, array in weights.items()}
    settled = settle_statistics(run.trainer, weights, batches)
    both = np.concatenate([batch.clips for batch in batches])
    wanted = run.trainer.statistics(weights, both)
    for part in ("moving_mean", "moving_variance"):
        name = f"stem/norm/{part}"
        np.testing.assert_allclose(settled[name], wanted[name], rtol=1e-3, atol=1e-6)
    for name, array in before.items():
        np.testing.assert_array_equal(weights[name], array)
        if name not in wanted:
            np.testing.assert_array_equal(settled[name], array)


def test_the_bundle_can_be_loaded_and_says_how_to_feed_it(tmp_path: Path) -> None:
    """Labels, shape, rate and hop are the recipe's; kernels come back as float16."""
    recipe = tiny_recipe(analysis_fps=8.0, hop=2, description="of blocks", licence="MIT")
    run = begin(recipe)
    weights = run.state.averaged()
    assert {"places/block1/kernel", "moments/kernel"} <= weights.keys()
    write_bundle(recipe, weights, tmp_path / "bundle")
    bundle = load_bundle(str(tmp_path / "bundle"))
    facts = bundle.manifest
    assert not [name for name in bundle.weights if name.startswith(("places", "moments"))]
    assert (facts.name, facts.labels, facts.is_trained) == ("tiny", recipe.head.labels, True)
    assert (facts.frames, facts.size_px, facts.analysis_fps, facts.hop) == (8, 32, 8.0, 2)
    assert (facts.activation, facts.description, facts.licence) == ("sigmoid", "of blocks", "MIT")
    assert (facts.seeds, facts.recipe["seed"]) == ({"training": 3}, 3)
    np.testing.assert_array_equal(bundle.score_kernel, weights["scores/kernel"])
    np.testing.assert_array_equal(bundle.weights["head/kernel"], weights["head/kernel"])


def test_a_variance_that_no_float16_holds_survives_the_bundle(tmp_path: Path) -> None:
    """Vectors stay float32, so a variance of a million comes back as it was."""
    recipe = tiny_recipe()
    weights = begin(recipe).state.averaged()
    weights["block3/feature/norm/moving_variance"] += np.float32(1e6)
    write_bundle(recipe, weights, tmp_path / "bundle")
    back = load_bundle(str(tmp_path / "bundle")).weights["block3/feature/norm/moving_variance"]
    np.testing.assert_array_equal(back, weights["block3/feature/norm/moving_variance"])


def test_a_bundle_tells_no_folder_of_the_machine_it_was_trained_on(tmp_path: Path) -> None:
    """Paths lose their folders; what it began with is told by name, hash and its own recipe."""
    first = tiny_recipe()
    facts = write_bundle(first, begin(first).state.averaged(), tmp_path / "start")
    data = {"kind": "manifest", "path": str(tmp_path / "clips.json")}
    own = tiny_recipe(place_share=0.0, data=data, init={"bundle": str(tmp_path / "start")})
    told = recorded(own)
    assert str(tmp_path) not in str(told)
    assert told["data"]["path"] == "clips.json"
    assert (told["init"]["bundle"], told["init"]["weights_sha256"]) == (
        "tiny",
        facts.weights_sha256,
    )
    assert told["init"]["recipe"]["phases"] == recorded(first)["phases"]
