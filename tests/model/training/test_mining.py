"""Claims about model.training.mining: what a bundle gets wrong is worth more, and nothing is 0."""

from __future__ import annotations

import itertools
from multiprocessing import resource_tracker
from pathlib import Path

import numpy as np
import pytest

from model.bundle import load_bundle, load_manifest, save_bundle, untrained_bundle
from model.data.synthetic import Candidates, Rendered
from model.engines.reference import reference_outputs
from model.errors import BundleError, TrainingError
from model.labels import LABELS
from model.training.export import recorded
from model.training.mining import LEAST, MOST, HardWindows, bounded_loss
from model.training.source import SyntheticSource, loader, open_source
from tests.model.training.stand_in import tiny_recipe

# A graph is traced in seconds, on a busy machine in many.
MINING = {"bundle": "untrained", "clips": 2}


@pytest.fixture(scope="module", autouse=True)
def tracker_of_the_standard_library() -> None:
    """Python starts one process that looks after semaphores, once, and keeps it for its life."""
    resource_tracker.ensure_running()


def test_the_worth_of_a_window_is_its_loss_within_bounds() -> None:
    """Right is worth least, wrong more, surely wrong no more than `MOST`; undecided is nothing."""
    scores = np.array([[0.99, 0.01], [0.5, 0.01], [1e-9, 0.01], [0.01, 0.99], [0.01, 1.0]])
    targets = np.array([[1, 0], [1, 0], [1, 0], [1, 0], [1, 0]])
    weights = np.array([[1, 1], [1, 1], [1, 1], [1, 1], [0, 0]])
    found = bounded_loss(*(part.astype(np.float32) for part in (scores, targets, weights)))
    hundredth = -np.log(0.99)
    wanted = [2 * hundredth, np.log(2) + hundredth, MOST + hundredth, 2 * MOST, 0.0]
    np.testing.assert_allclose(found, np.array(wanted) + LEAST, rtol=1e-4)


def test_a_bundle_judges_windows_by_its_own_scores_at_any_size() -> None:
    """Worth follows the scores of the unfused network at the size of the phase."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (24, 32, 32, 3)).astype(np.uint8)
    clip = Rendered(pictures, np.zeros((24, len(LABELS)), np.float32))
    first = np.array([0, 8])
    picker = HardWindows("untrained", n_clips=2, n_frames=16, size_px=32, precision="float32")
    clips = np.stack([pictures[at : at + 16] for at in first])
    scores = reference_outputs(load_bundle("untrained"), clips)[0]
    for targets in (np.round(scores), 1 - np.round(scores)):
        weights = np.ones_like(targets)
        found = picker.worth(Candidates(clip, first, targets, weights))
        np.testing.assert_allclose(found, bounded_loss(scores, targets, weights), rtol=1e-3)


def test_mined_batches_come_alike_from_another_process() -> None:
    """A worker's batches are those of this process; validation and statistics stay as they are."""
    steps = {"size_px": 32, "frames": 8, "steps": 9, "batch": 4}
    data = {"kind": "synthetic", "windows": 2, "clip_frames": 16}
    recipe = tiny_recipe(data={**data, "mining": MINING}, phases=[steps])
    plain = tiny_recipe(data=data, phases=[steps])
    assert recipe.fingerprint() != plain.fingerprint()
    source, other = open_source(recipe), open_source(plain)
    assert isinstance(source, SyntheticSource)
    phase = recipe.phases[0]
    here = [source.training(phase).batch(step) for step in range(2)]
    with loader(source.training(phase), 0, 1) as made:
        there = list(itertools.islice(made, 2))
    for own, again in zip(here, there, strict=True):
        for part, same in zip(own, again, strict=True):
            np.testing.assert_array_equal(part, same)
    unmined = other.training(phase).batch(0).clips
    assert (here[0].clips != unmined).any()
    np.testing.assert_array_equal(source.typical(phase).batch(0).clips, unmined)
    held_out = [next(iter(one.held_out(phase, 1))).clips for one in (source, other)]
    np.testing.assert_array_equal(*held_out)


def test_a_bundle_that_cannot_judge_is_refused_before_anything_is_rendered(tmp_path: Path) -> None:
    """One sentence names the key, both label lists and what to do."""
    missing = {"kind": "synthetic", "mining": {"bundle": str(tmp_path / "gone")}}
    with pytest.raises(BundleError, match="gone"):
        open_source(tiny_recipe(data=missing))
    facts = load_manifest("untrained").model_copy(update={"labels": ("fall", "walk")})
    save_bundle(untrained_bundle(facts), tmp_path / "own")
    own = {"kind": "synthetic", "mining": {"bundle": str(tmp_path / "own")}}
    with pytest.raises(TrainingError, match=r"data\.mining\.bundle .*fall, walk.*left, right"):
        open_source(tiny_recipe(data=own))


def test_a_recipe_tells_of_the_bundle_by_name_and_hash(tmp_path: Path) -> None:
    """The folders of this machine are nobody's business."""
    facts = save_bundle(load_bundle("untrained"), tmp_path / "judge")
    data = {"kind": "synthetic", "mining": {"bundle": str(tmp_path / "judge"), "clips": 3}}
    told = recorded(tiny_recipe(data={**data, "windows": 2}))["data"]["mining"]
    assert told == {
        "bundle": "untrained",
        "clips": 3,
        "weights_sha256": facts.weights_sha256,
    }


def test_too_few_windows_to_pick_from_is_one_sentence() -> None:
    """Not a failure of a worker later on."""
    steps = {"size_px": 32, "frames": 8, "steps": 9, "batch": 8}
    data = {"kind": "synthetic", "windows": 8, "clip_frames": 16, "mining": MINING}
    with pytest.raises(TrainingError, match=r"data\.mining\.clips 2: .* data\.windows 8; raise it"):
        open_source(tiny_recipe(data=data, phases=[steps]))
