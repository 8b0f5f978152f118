"""Claims about loss and mixup."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from model.training.objective import Objective, draw_mix, mix_clips


def some(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, targets and weights for 6 clips and 4 labels."""
    logits = rng.normal(0, 3, (6, 4)).astype(np.float32)
    targets = (rng.random((6, 4)) > 0.5).astype(np.float32)
    return logits, targets, (rng.random((6, 4)) > 0.3).astype(np.float32)


def test_the_loss_is_binary_cross_entropy_over_what_is_decided(rng: np.random.Generator) -> None:
    """It equals the textbook formula, also where logits are huge."""
    logits, targets, weights = some(rng)
    score = 1 / (1 + np.exp(-logits.astype(np.float64)))
    terms = -(targets * np.log(score) + (1 - targets) * np.log(1 - score))
    wanted = (terms * weights).sum() / weights.sum()
    assert float(Objective("sigmoid")(logits, targets, weights)) == pytest.approx(wanted, rel=1e-5)
    huge = np.array([[500.0, -500.0]], np.float32)
    found = Objective("sigmoid")(huge, np.array([[0.0, 0.0]], np.float32), np.ones_like(huge))
    assert float(found) == pytest.approx(250.0)


def test_the_loss_is_cross_entropy_where_one_label_holds(rng: np.random.Generator) -> None:
    """Softmax with smoothing equals Keras' own loss; a clip of weight 0 does not count."""
    logits, _, _ = some(rng)
    targets = np.eye(4, dtype=np.float32)[rng.integers(0, 4, 6)]
    weights = np.ones((6, 4), np.float32)
    weights[0] = 0
    keras_loss = tf.keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    found = Objective("softmax", 0.1)(logits, targets, weights)
    assert float(found) == pytest.approx(float(keras_loss(targets[1:], logits[1:])), rel=1e-5)


def test_what_is_undecided_has_no_gradient(rng: np.random.Generator) -> None:
    """Gradients are zero exactly where weights are."""
    logits, targets, weights = some(rng)
    held = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(held)
        loss = Objective("sigmoid", 0.1)(held, targets, weights)
    gradient = np.asarray(tape.gradient(loss, held))
    assert ((gradient == 0) == (weights == 0)).all()


def test_smoothing_moves_targets_to_the_middle() -> None:
    """With smoothing 0.2 the best score of a true label is 0.9."""
    logits = np.log(np.array([[9.0]], np.float32))
    held = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(held)
        loss = Objective("sigmoid", 0.2)(held, *np.ones((2, 1, 1), np.float32))
    assert float(tape.gradient(loss, held)[0, 0]) == pytest.approx(0.0, abs=1e-6)


def test_mixed_loss_is_the_share_of_both(rng: np.random.Generator) -> None:
    """With all decided it is share x own loss + (1 - share) x the partner's."""
    logits, targets, _ = some(rng)
    weights, partner = np.ones_like(logits), np.array([1, 0, 3, 2, 5, 4])
    share = np.full(6, 0.7, np.float32)
    objective = Objective("sigmoid")
    found = objective.mixed(logits, targets, weights, (partner, share))
    own, other = objective(logits, targets, weights), objective(logits, targets[partner], weights)
    assert float(found) == pytest.approx(0.7 * float(own) + 0.3 * float(other), rel=1e-5)


def test_clips_are_mixed_in_their_shares(rng: np.random.Generator) -> None:
    """0.25 of the clip and 0.75 of its partner, in the type that is asked for."""
    clips = rng.integers(0, 256, (2, 3, 4, 4, 3), np.uint8)
    found = mix_clips(clips, np.array([1, 0]), np.array([0.25, 1.0], np.float32), "float32")
    exact = clips.astype(np.float32)
    np.testing.assert_allclose(found[0], 0.25 * exact[0] + 0.75 * exact[1], rtol=1e-5)
    np.testing.assert_array_equal(found[1], exact[1])


def test_pairs_follow_from_seed_and_step() -> None:
    """The same step draws the same pairs, another one others; alpha 0 mixes nothing."""
    one, again, other = (draw_mix(0.2, 16, 1, step) for step in (5, 5, 6))
    np.testing.assert_array_equal(one.partner, again.partner)
    np.testing.assert_array_equal(one.share, again.share)
    assert (one.share != other.share).any()
    assert sorted(one.partner) == list(range(16))
    assert (draw_mix(0.0, 16, 1, 5).share == 1).all()
