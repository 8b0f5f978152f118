"""Claims about the estimate of a run."""

from __future__ import annotations

import itertools

from model.training.estimate import estimate
from tests.model.training.stand_in import LATE, BlockSource, tiny_recipe


def test_each_phase_has_its_cost_and_the_run_its_duration() -> None:
    """With a clock that ticks once a look, a step and its wait take a second each."""
    recipe = tiny_recipe(**LATE)
    ticks = itertools.count()
    text = estimate(recipe, BlockSource(recipe), lambda: float(next(ticks)))
    assert "| 0 | 4 x 4 x 32 | 1.000 | 2.0 | 50% | 8 | 0:00:16 |" in text
    assert "| 1 | 4 x 8 x 32 | 1.000 | 2.0 | 50% | 10 | 0:00:20 |" in text
    assert "18 steps in float32 take about 0:00:36 without validation" in text
    assert "MiB" in text
