"""Claims about loss and mixup."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from model.training.objective import (
    MOST,
    Objective,
    balanced,
    coarser,
    coarser_rates,
    decided,
    draw_mix,
    mix_clips,
    rates_apart,
)


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


def test_what_nobody_knows_has_weight_zero() -> None:
    """NaN becomes a target of 0 without weight; the rest stays."""
    targets, weights = decided(np.array([1.0, 0.0, np.nan], np.float32))
    assert np.asarray(targets).tolist() == [1, 0, 0]
    assert np.asarray(weights).tolist() == [1, 1, 0]


def test_cells_with_motion_weigh_as_much_as_all_others() -> None:
    """2 of 32 cells: all their decided labels get 15 times the weight, what is unknown none."""
    targets, weights = np.zeros((2, 1, 4, 4, 7), np.float32), np.ones((2, 1, 4, 4, 7), np.float32)
    targets[0, 0, 1, 2, 3] = targets[1, 0, 0, 0, 5] = 1
    same, found = (np.asarray(part) for part in balanced(targets, weights))
    np.testing.assert_array_equal(same, targets)
    is_busy = targets.max(axis=-1) == 1
    assert found[is_busy].sum() == pytest.approx(found[~is_busy].sum())
    np.testing.assert_allclose(found[is_busy], 15)
    weights[0, 0, 1, 2, :3] = 0
    assert not np.asarray(balanced(targets, weights)[1])[0, 0, 1, 2, :3].any()


def test_the_balance_has_limits() -> None:
    """Without motion weights stay; with little of it they grow to `MOST`; with much they stay."""
    weights = np.ones((1, 8, 8, 8, 7), np.float32)
    targets = np.zeros_like(weights)
    np.testing.assert_array_equal(balanced(targets, weights)[1], weights)
    targets[0, 0, 0, 0, 0] = 1
    assert np.max(balanced(targets, weights)[1]) == MOST
    targets[:, :6] = 1
    np.testing.assert_array_equal(balanced(targets, weights)[1], weights)


def test_balanced_cells_can_be_mixed(rng: np.random.Generator) -> None:
    """The mixed loss of cells is the share of both clips' own, weight by weight."""
    logits = rng.normal(0, 1, (2, 1, 2, 2, 7)).astype(np.float32)
    targets = np.zeros_like(logits)
    targets[0, 0, 0, 0, 0] = 1
    targets, weights = balanced(targets, np.ones_like(logits))
    mix = (np.array([1, 0]), np.array([0.75, 0.75], np.float32))
    found = float(Objective("sigmoid").mixed(logits, targets, weights, mix))
    terms = [
        Objective("sigmoid")._terms(logits, t, w)
        for t, w in ((targets, weights), (np.asarray(targets)[::-1], np.asarray(weights)[::-1]))
    ]
    total = sum(
        s * np.sum(np.asarray(t) * w) for s, (t, w) in zip((0.75, 0.25), terms, strict=True)
    )
    assert found == pytest.approx(float(total / np.sum(weights)), rel=1e-5)


def test_a_coarser_cell_says_what_any_of_its_four_does() -> None:
    """1 outweighs undecided, undecided outweighs 0; at an odd side the last cell has fewer."""
    truth = np.zeros((1, 1, 5, 5, 2), np.float32)
    truth[0, 0, 1, 1, 0] = 1
    truth[0, 0, 0, [0, 3], 0] = truth[0, 0, 4, 4, 0] = np.nan
    found = np.asarray(coarser(truth))
    assert found.shape == (1, 1, 3, 3, 2)
    nan = np.nan
    wanted = [[1, nan, 0], [0, 0, 0], [0, 0, nan]]
    np.testing.assert_array_equal(found[0, 0, :, :, 0], wanted)
    assert not found[..., 1].any()


def test_rates_cost_as_far_as_they_are_apart() -> None:
    """Half the square near by, the distance far away; cells in motion weigh as much as the rest."""
    rates = np.zeros((1, 1, 4, 4, 4), np.float32)
    rates[0, 0, 0, 0, 1] = 2.0
    told = rates.copy()
    assert float(rates_apart(told, rates)) == 0
    told[0, 0, 0, 0] += [0.5, -3.0, 0.0, 0.0]
    # Of the cell in motion, which has half of the weight: 0.5 ** 2 / 2 and 3 - 0.5 over four rates.
    assert float(rates_apart(told, rates)) == pytest.approx((0.125 + 2.5) / 4 / 2, rel=1e-5)
    told[0, 0, 3, 3] += 1.0
    # Of the fifteen that stand still, which have the other half: 0.5 for each rate of one.
    wanted = (0.125 + 2.5) / 4 / 2 + 0.5 / 15 / 2
    assert float(rates_apart(told, rates)) == pytest.approx(wanted, rel=1e-5)
    rates[0, 0, 3, 3] = rates[0, 0, 0, 0] = np.nan
    assert float(rates_apart(told, rates)) == 0
    assert float(rates_apart(told, np.full_like(rates, np.nan))) == 0


def test_a_coarser_cell_has_the_mean_rate_of_what_moves_in_it() -> None:
    """Still and unknown parts leave it nearly as it is; all still is 0, all unknown unknown."""
    nan = np.nan
    rates = np.zeros((1, 1, 5, 5, 4), np.float32)
    rates[0, 0, 0, :2, 2], rates[0, 0, 1, :2, 2] = (1.0, 2.0), (0.0, nan)
    rates[0, 0, 4, 4, 2] = nan
    found = np.asarray(coarser_rates(rates))
    assert found.shape == (1, 1, 3, 3, 4)
    assert found[0, 0, 0, 0, 2] == pytest.approx(1.5, rel=1e-3)
    assert np.isnan(found[0, 0, 2, 2, 2])
    assert not found[0, 0, :2, 1:, 2].any()
    assert not found[..., 0].any()
