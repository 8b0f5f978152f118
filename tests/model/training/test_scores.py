"""Claims about scores that are learned again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.bundle import load_bundle
from model.evaluation.metric import average_precisions
from model.training.run import begin
from model.training.scores import Rows, gather, learn_scores
from tests.model.training.stand_in import BlockSource, tiny_recipe
from tests.model.training.test_loop import Told, loop_of

N_FEATURES = 12
TRUE = np.array([[1.5, 0.0, 1.0], [-1.0, 2.0, 0.0], [0.8, 0.0, 0.0], *[[0.0] * 3] * 9])
"""What three labels depend on."""
TRAINED = TRUE * [[1.0], [1.0], [0.0], *[[0.0]] * 9]
"""A layer that has missed the third feature, which the first label needs."""


def rows_of(n: int, seed: int, layer: np.ndarray = TRUE) -> Rows:
    """Clips whose labels follow a layer; features have scales and means of their own."""
    rng = np.random.default_rng(seed)
    plain = rng.standard_normal((n, N_FEATURES))
    targets = rng.random((n, 3)) < 1 / (1 + np.exp(-3 * plain @ layer))
    return Rows(plain * SCALE + CENTRE, targets.astype(np.float32), np.ones((n, 3), np.float32))


SCALE = np.linspace(0.1, 4.0, N_FEATURES)
CENTRE = np.linspace(-2.0, 3.0, N_FEATURES)


def weights_of(layer: np.ndarray) -> dict[str, np.ndarray]:
    """The layer in terms of the features as they come."""
    kernel = layer / SCALE[:, None]
    return {
        "scores/kernel": kernel.astype(np.float32),
        "scores/bias": (-CENTRE @ kernel).astype(np.float32),
        "head/kernel": np.ones((1, N_FEATURES), np.float32),
    }


def precision(weights: dict[str, np.ndarray], rows: Rows) -> np.ndarray:
    logits = rows.embeddings @ weights["scores/kernel"] + weights["scores/bias"]
    return average_precisions(logits.astype(np.float32), rows.targets, rows.weights)


def test_what_the_trained_scores_missed_is_found() -> None:
    """On clips that neither fit nor choice has seen, the first label gains and none loses much."""
    trained = weights_of(TRAINED)
    before = {name: array.copy() for name, array in trained.items()}
    learned = learn_scores(trained, rows_of(2000, 1), rows_of(500, 2))
    gains = precision(learned, rows_of(4000, 3)) - precision(trained, rows_of(4000, 3))
    assert gains[0] > 0.03
    assert gains.min() > -0.005
    assert {a.dtype for a in learned.values()} == {np.dtype(np.float32)}
    for name, array in before.items():
        np.testing.assert_array_equal(trained[name], array)
    np.testing.assert_array_equal(learned["head/kernel"], before["head/kernel"])


def test_few_clips_move_the_scores_less_than_many() -> None:
    """With 60 clips the held-out ones ask for a strong penalty: noise is not learned."""
    trained = weights_of(TRUE)
    few, many = (learn_scores(trained, rows_of(n, 1), rows_of(500, 2)) for n in (60, 4000))
    for learned in (few, many):
        assert (
            precision(learned, rows_of(4000, 3)) > precision(trained, rows_of(4000, 3)) - 0.01
        ).all()


def test_scores_that_held_out_clips_contradict_are_kept() -> None:
    """Where the clips to learn from say the opposite of the held-out ones, no bit changes."""
    trained = weights_of(TRUE)
    learned = learn_scores(trained, rows_of(1000, 1, -TRUE), rows_of(500, 2))
    for name, array in trained.items():
        np.testing.assert_array_equal(learned[name], array)


@pytest.mark.parametrize("part", ["seen", "held_out"])
def test_a_label_with_few_examples_keeps_its_scores(part: str) -> None:
    """Nine positive clips are too few on either side; the other labels are learned."""
    trained, seen, held_out = weights_of(TRAINED), rows_of(2000, 1), rows_of(500, 2)
    rows = seen if part == "seen" else held_out
    on = np.flatnonzero(rows.targets[:, 2])
    rows.weights[on[9:], 2] = 0.0
    learned = learn_scores(trained, seen, held_out)
    np.testing.assert_array_equal(learned["scores/kernel"][:, 2], trained["scores/kernel"][:, 2])
    assert learned["scores/bias"][2] == trained["scores/bias"][2]
    assert (learned["scores/kernel"][:, 0] != trained["scores/kernel"][:, 0]).any()


def test_embeddings_are_what_the_scores_are_a_layer_on() -> None:
    """Kernel and bias on them give the logits of the same pass."""
    run = begin(tiny_recipe())
    weights = run.state.averaged()
    batches = [BlockSource(run.recipe).plain(run.recipe.phases[0]).batch(step) for step in (0, 1)]
    rows = gather(run.trainer, weights, batches)
    assert rows.embeddings.shape == (8, 8)
    logits = [run.trainer.judged(weights, batch.clips).logits for batch in batches]
    told = rows.embeddings @ weights["scores/kernel"] + weights["scores/bias"]
    np.testing.assert_allclose(told, np.concatenate(logits), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(rows.targets[4:], batches[1].targets)


def test_the_bundle_of_a_run_gets_them(tmp_path: Path, fonts: Path) -> None:
    """The features stay, the scores that had examples differ; the run's own weights do not."""
    recipe = tiny_recipe(mixup_alpha=0.0, checkpoint_s=1000.0)
    assert loop_of(recipe, tmp_path, Told()).train()
    told = {}
    for name, batches in (("kept", 0), ("learned", 40)):
        loop = loop_of(tiny_recipe(mixup_alpha=0.0, score_batches=batches), tmp_path, Told())
        loop.export(tmp_path / name)
        told[name] = load_bundle(str(tmp_path / name))
    kept, learned = told["kept"], told["learned"]
    assert learned.manifest.recipe["score_batches"] == 40
    for name, array in kept.weights.items():
        np.testing.assert_array_equal(learned.weights[name], array)
    differs = (kept.score_kernel != learned.score_kernel).any(axis=0)
    assert not differs[2:].any()  # blocks tell nothing of these labels
    assert differs[:2].all()
