"""Claims about optimizers: the schedule, and whose steps are orthogonal."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from model.training.objective import draw_mix
from model.training.optimizer import make_optimizer
from model.training.recipe import OptimizerRecipe
from model.training.run import begin
from model.training.state import decay_at
from tests.model.training.stand_in import BlockSource, tiny_recipe

# A graph is traced in seconds, on a busy machine in many.

MUON = {"kind": "muon", "peak_learning_rate": 0.01, "warmup_steps": 1}


def moved(name: str, shape: tuple[int, ...], gradient: np.ndarray, **recipe: float) -> np.ndarray:
    """Return how far one step of Muon at the peak moves a variable of ones."""
    chosen = OptimizerRecipe.model_validate({**MUON, "weight_decay": 0.0, **recipe})
    optimizer = make_optimizer(chosen, 10, [], scales_loss=False)
    variable = keras.Variable(np.ones(shape, np.float32), name=name)
    optimizer.build([variable])
    optimizer.iterations.assign(1)
    optimizer.apply([keras.ops.convert_to_tensor(gradient.astype(np.float32))])
    return np.asarray(variable.numpy()) - 1


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_the_learning_rate_warms_up_and_falls_to_its_floor(kind: str) -> None:
    """0 at first, the peak after the warm-up, half of the way down in the middle, then the
    floor."""
    recipe = OptimizerRecipe.model_validate(
        {"kind": kind, "peak_learning_rate": 0.1, "warmup_steps": 4, "floor_share": 0.1}
    )
    optimizer = make_optimizer(recipe, 24, [], scales_loss=False)
    rates = []
    for step in (0, 2, 4, 14, 24, 30):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    np.testing.assert_allclose(rates, [0, 0.05, 0.1, 0.055, 0.01, 0.01], rtol=1e-5)


def test_muon_moves_a_kernel_alike_in_all_directions() -> None:
    """All singular values of the step are alike, those of the gradient span a thousandfold; the
    step is as long as one of AdamW, within the iteration's tolerance."""
    rng = np.random.default_rng(0)
    shape = (1, 3, 3, 8, 12)
    left, _, right = np.linalg.svd(rng.standard_normal((72, 12)), full_matrices=False)
    gradient = ((left * np.geomspace(1e-3, 1, 12)) @ right).reshape(shape)
    step = moved("stem_conv_spatial_kernel", shape, gradient).reshape(72, 12)
    values = np.linalg.svd(step, compute_uv=False)
    assert values[0] < 2.5 * values[2]
    assert np.sqrt((step**2).mean()) == pytest.approx(0.2 * 0.01, rel=0.35)
    assert (step * gradient.reshape(72, 12)).sum() < 0


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("stem_norm_gamma", (12,)),
        ("scores_kernel", (8, 12)),
        ("moments_kernel", (8, 12)),
        ("places_block1_kernel", (8, 12)),
    ],
)
def test_all_else_takes_the_steps_of_adamw(name: str, shape: tuple[int, ...]) -> None:
    """The first step has the learning rate's length in each coordinate."""
    gradient = np.random.default_rng(1).uniform(0.1, 1, shape)
    step = moved(name, shape, gradient)
    np.testing.assert_allclose(step, step.flat[0], rtol=1e-3)
    assert step.flat[0] < 0


def test_weights_that_do_not_decay_are_named() -> None:
    """Muon shrinks a kernel whose gradient is zero and leaves what was excluded."""
    recipe = OptimizerRecipe.model_validate({**MUON, "weight_decay": 0.5})
    kernel, bias = (
        keras.Variable(np.ones(shape, np.float32), name=name)
        for name, shape in (("stem_conv_spatial_kernel", (1, 1, 1, 4, 4)), ("head_bias", (4,)))
    )
    optimizer = make_optimizer(recipe, 10, [bias], scales_loss=False)
    optimizer.build([kernel, bias])
    optimizer.iterations.assign(1)
    optimizer.apply([keras.ops.zeros(kernel.shape), keras.ops.zeros(bias.shape)])
    assert float(np.max(kernel.numpy())) == pytest.approx(1 - 0.5 * 0.01)
    assert (bias.numpy() == 1).all()


def test_steps_of_muon_make_the_loss_smaller() -> None:
    """Eight steps of the whole network on one batch."""
    run = begin(tiny_recipe(mixup_alpha=0.0, optimizer={**MUON, "peak_learning_rate": 1e-3}))
    batch = BlockSource(run.recipe).training(run.recipe.phases[0]).batch(0)
    told = [
        run.trainer.step(batch, draw_mix(0.0, 4, 0, step), decay_at(step, 0.9)).loss
        for step in range(8)
    ]
    assert told[-1] < 0.7 * told[0]
