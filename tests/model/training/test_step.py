"""Claims about a step: what moves, what does not, and in every precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from model.training.objective import draw_mix
from model.training.run import Run, begin
from model.training.state import decay_at
from tests.conftest import needs_bfloat16
from tests.model.training.stand_in import LATE, BlockSource, tiny_recipe


def one_step(run: Run, step: int = 0) -> Any:
    recipe = run.recipe
    batch = BlockSource(recipe).training(recipe.phases[0]).batch(step)
    mix = draw_mix(recipe.mixup_alpha, 4, recipe.seed, step)
    return run.trainer.step(batch, mix, decay_at(step, recipe.ema_decay))


@pytest.mark.parametrize(
    "precision", ["float32", pytest.param("mixed_bfloat16", marks=needs_bfloat16)]
)
def test_steps_make_the_loss_smaller_in_every_precision(precision: str) -> None:
    """Eight steps on one batch; figures are finite."""
    optimizer = {"peak_learning_rate": 1e-3, "warmup_steps": 1}
    run = begin(tiny_recipe(precision=precision, mixup_alpha=0.0, optimizer=optimizer))
    told = []
    for step in range(8):
        batch = BlockSource(run.recipe).training(run.recipe.phases[0]).batch(0)
        told.append(run.trainer.step(batch, draw_mix(0.0, 4, 0, step), decay_at(step, 0.9)))
    assert np.isfinite([p.loss for p in told]).all()
    assert told[-1].loss < 0.7 * told[0].loss


def test_a_step_moves_what_trains_and_nothing_frozen() -> None:
    """Frozen weights and statistics keep their bits; others, averages and statistics move."""
    init = {"bundle": "untrained", "freeze": ["stem", "stem1"]}
    run = begin(tiny_recipe(init=init, head={}))
    before = run.state.arrays()
    one_step(run)
    one_step(run, 1)  # the first has a learning rate of 0
    after = run.state.arrays()
    moved = {name for name in before if (before[name] != after[name]).any()}
    frozen = {name for name in before if name.startswith(("weights/stem/", "weights/stem1/"))}
    assert frozen
    assert not moved & frozen
    for name in ("conv/spatial/kernel", "norm/gamma", "norm/moving_mean", "norm/moving_variance"):
        assert {f"weights/stem2/{name}", f"average/stem2/{name}"} <= moved


def test_equal_seeds_give_equal_bits() -> None:
    """Two runs of two steps agree in every array; another seed begins with others."""
    runs = [begin(tiny_recipe()), begin(tiny_recipe())]
    other = begin(tiny_recipe(seed=9)).state.arrays()
    assert (runs[0].state.arrays()["weights/head/kernel"] != other["weights/head/kernel"]).any()
    for run in runs:
        for step in range(2):
            one_step(run, step)
    one, again = (run.state.arrays() for run in runs)
    for name, array in one.items():
        np.testing.assert_array_equal(array, again[name], err_msg=name)


def test_scores_come_from_given_weights() -> None:
    """A pass uses what it is given, not the state, and changes nothing."""
    run = begin(tiny_recipe())
    clips = BlockSource(run.recipe).training(run.recipe.phases[0]).batch(0).clips
    weights = run.state.averaged()
    logits = run.trainer.judged(weights, clips).logits
    assert logits.shape == (4, 11)
    weights["scores/bias"] = weights["scores/bias"] + 1
    again = run.trainer.judged(weights, clips).logits
    np.testing.assert_allclose(again, logits + 1, rtol=1e-5)
    ones = np.ones_like(logits)
    assert run.trainer.loss(logits * 0, ones, ones) == pytest.approx(np.log(2), rel=1e-5)


@pytest.mark.parametrize("is_mixed", [False, True])
def test_places_alone_teach_the_early_blocks(is_mixed: bool) -> None:
    """With weight on nothing but places, a step moves block1 and its layer, not the scores."""
    mixup_alpha = 0.2 if is_mixed else 0.0
    run = begin(tiny_recipe(mixup_alpha=mixup_alpha, moment_share=0.0, label_smoothing=0.0))
    before = run.state.arrays()
    for step in range(2):  # the first has a learning rate of 0
        batch = BlockSource(run.recipe).training(run.recipe.phases[0]).batch(step)
        batch = batch._replace(weights=np.zeros_like(batch.weights))
        told = run.trainer.step(batch, draw_mix(mixup_alpha, 4, 0, step), decay_at(step, 0.9))
        assert told.loss > 0.1
    after = run.state.arrays()
    slots = "weights/"
    moved = {name for name in before if (before[name] != after[name]).any()}
    assert {f"{slots}block1/shortcut/conv/spatial/kernel", f"{slots}places/block1/kernel"} <= moved
    assert f"{slots}scores/bias" not in moved


def test_rates_alone_teach_the_early_blocks() -> None:
    """Likewise; without their truth there is nothing to learn."""
    recipe = tiny_recipe(mixup_alpha=0.0, moment_share=0.0, place_share=0.0, rate_share=1.0)
    for has_rates in (True, False):
        run = begin(recipe)
        before = run.state.arrays()
        for step in range(2):  # the first has a learning rate of 0
            batch = BlockSource(recipe).training(recipe.phases[0]).batch(step)
            batch = batch._replace(weights=np.zeros_like(batch.weights))
            if not has_rates:
                batch = batch._replace(rates=np.full_like(batch.rates, np.nan))
            told = run.trainer.step(batch, draw_mix(0.0, 4, 0, step), decay_at(step, 0.9))
            assert (told.loss > 0.1) == has_rates
        after = run.state.arrays()
        # Weights without decay: nothing else moves them.
        for name in ("weights/rates/block1/bias", "weights/stem/norm/gamma"):
            assert bool((before[name] != after[name]).any()) == has_rates
        assert (before["weights/scores/bias"] == after["weights/scores/bias"]).all()


def test_batches_without_places_cost_nothing_and_break_nothing() -> None:
    """Empty arrays leave the loss that of whole clips, whatever the shares."""
    told = []
    for shares in ({}, {"moment_share": 0.0, "place_share": 0.0}):
        run = begin(tiny_recipe(**LATE, mixup_alpha=0.0, **shares))
        batch = BlockSource(run.recipe).training(run.recipe.phases[0]).batch(0)
        plain = type(batch)(*batch[:3])
        told.append(run.trainer.step(plain, draw_mix(0.0, 4, 0, 0), decay_at(0, 0.9)).loss)
    assert told[0] == told[1]


def test_judging_gives_places_and_moments_where_there_are_layers() -> None:
    """Shapes are those of the truth; without shares there is nothing to tell."""
    run, plain = begin(tiny_recipe()), begin(tiny_recipe(moment_share=0.0, place_share=0.0))
    batch = BlockSource(run.recipe).training(run.recipe.phases[1]).batch(0)
    found = run.trainer.judged(run.state.averaged(), batch.clips)
    assert found.moments is not None
    assert found.moments.shape == batch.moments.shape
    assert found.places[0].shape == batch.places.shape
    assert [seen.shape[2] for seen in found.places] == [4, 2, 1]
    bare = plain.trainer.judged(plain.state.averaged(), batch.clips)
    assert bare.moments is None
    assert bare.places == bare.rates == ()
    np.testing.assert_allclose(bare.logits, found.logits, rtol=1e-5, atol=1e-6)
