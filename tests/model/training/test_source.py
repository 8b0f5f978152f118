"""Claims about where batches come from."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from model.data.manifest import Manifest, Segment, save_manifest
from model.errors import DataError, TrainingError
from model.training.source import ManifestSource, SyntheticSource, loader, open_source
from tests.model.training.stand_in import BlockSource, tiny_recipe


def test_rendered_batches_have_the_shape_of_their_phase() -> None:
    """Training and held-out clips differ, and each comes again for the same step."""
    recipe = tiny_recipe(data={"kind": "synthetic", "windows": 2, "clip_frames": 12})
    source = open_source(recipe)
    assert isinstance(source, SyntheticSource)
    phase = recipe.phases[1]
    one = source.training(phase).batch(3)
    assert one.clips.shape == (4, 8, 32, 32, 3)
    assert one.targets.shape == one.weights.shape == (4, 11)
    np.testing.assert_array_equal(one.clips, source.training(phase).batch(3).clips)
    held_out, again = (list(source.held_out(phase, 2)) for _ in range(2))
    assert len(held_out) == 2
    np.testing.assert_array_equal(held_out[1].clips, again[1].clips)
    assert (held_out[0].clips != source.training(phase).batch(0).clips).any()


def test_a_phase_may_begin_with_scenes_of_its_own_kinds() -> None:
    """Its training clips are of those kinds; validation stays with the kinds of all phases."""
    steps = {"size_px": 32, "frames": 8, "steps": 9, "batch": 4}
    recipe = tiny_recipe(
        data={"kind": "synthetic", "windows": 2, "clip_frames": 12, "kinds": {"crowd": 1.0}},
        phases=[{**steps, "kinds": {"plain": 3.0, "empty": 1.0}}, steps],
    )
    source = open_source(recipe)
    assert isinstance(source, SyntheticSource)
    kinds = [source.training(phase).plan.kinds for phase in recipe.phases]
    assert kinds == [(("plain", 3.0), ("empty", 1.0)), (("crowd", 1.0),)]
    held_out = [next(iter(source.held_out(phase, 1))).clips for phase in recipe.phases]
    np.testing.assert_array_equal(*held_out)


@pytest.mark.parametrize(
    ("kinds", "phase_kinds", "sentence"),
    [
        ({"oposed": 1.0}, {}, r"^data\.kinds: oposed is no kind .* choose among .*opposed"),
        ({}, {"empty": 1.0, "party": 0.5}, r"^phases\[0\]\.kinds: party is no kind of scenes"),
        ({"empty": 0.0}, {}, r"^data\.kinds: every share is 0; give one kind a share"),
    ],
)
def test_kinds_that_nobody_renders_are_told_at_once(
    kinds: dict[str, float], phase_kinds: dict[str, float], sentence: str
) -> None:
    """Before a worker process is begun, with the key and what there is."""
    steps = {"size_px": 32, "frames": 8, "steps": 9, "batch": 4, "kinds": phase_kinds}
    data = {"kind": "synthetic", "windows": 2, "clip_frames": 12, "kinds": kinds}
    with pytest.raises(TrainingError, match=sentence):
        open_source(tiny_recipe(data=data, phases=[steps]))


def test_a_manifest_gives_its_splits(tmp_path: Path) -> None:
    """Labels must be those of the recipe, and a split without segments is told."""
    segments = [Segment("a.mp4", ("left",), split="train")]
    save_manifest(Manifest(tmp_path, ("left",), segments), tmp_path / "clips.json")
    data = {"kind": "manifest", "path": str(tmp_path / "clips.json"), "balance": True}
    recipe = tiny_recipe(place_share=0.0, data=data)
    source = open_source(recipe)
    assert isinstance(source, ManifestSource)
    plan = source.training(recipe.phases[0]).plan
    assert (plan.split, plan.n_clips, plan.is_balanced) == ("train", 4, True)
    assert plan.sampling.size_px == 32
    with pytest.raises(DataError, match="'validation'"):
        list(source.held_out(recipe.phases[0], 2))
    with pytest.raises(DataError, match="'left' is not in the label list"):
        open_source(tiny_recipe(place_share=0.0, data=data, head={"labels": ["fall"]}))


def test_batches_are_loaded_from_the_step_that_is_due() -> None:
    """The n-th batch is that of step first + n."""
    recipe = tiny_recipe()
    batches = BlockSource(recipe).training(recipe.phases[0])
    with loader(batches, 5, 0) as loaded:
        found = list(itertools.islice(loaded, 2))
    np.testing.assert_array_equal(found[1].clips, batches.batch(6).clips)
