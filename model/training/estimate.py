"""What a run will cost, from a few steps of each of its phases.

In: a recipe and its data. Out: a Markdown table: clips a second, share of time spent waiting for
data, duration of each phase, and the memory that was needed. Invariant: nothing is written, and the
first steps of a phase, which compile, do not count.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import timedelta

import psutil

from model.training.objective import draw_mix
from model.training.recipe import PhaseRecipe, Recipe
from model.training.run import Run, begin
from model.training.source import Source, loader
from model.training.state import decay_at

WARM, TIMED = 2, 4
"""Steps of each phase before, and in, the measurement."""


def estimate(recipe: Recipe, source: Source, clock: Callable[[], float] = time.perf_counter) -> str:
    """Measure a few steps of each phase.

    Args:
        recipe: of the run.
        source: of its batches.
        clock: seconds.

    Returns:
        Markdown, newline at the end.
    """
    run = begin(recipe)
    lines = [
        "| phase | batch x frames x px | step s | clips/s | waiting for data | steps | duration |",
        "|---|---|---|---|---|---|---|",
    ]
    total = 0.0
    for index, phase in enumerate(recipe.phases):
        step_s, waited_s = _phase_cost(run, source, phase, clock)
        duration = (step_s + waited_s) * phase.steps
        total += duration
        shape = f"{phase.batch} x {phase.frames} x {phase.size_px}"
        lines.append(
            f"| {index} | {shape} | {step_s:.3f} | {phase.batch / (step_s + waited_s):.1f} |"
            f" {waited_s / (step_s + waited_s):.0%} | {phase.steps} | {_span(duration)} |"
        )
    used = psutil.Process().memory_info().rss / 2**20
    lines.append(
        f"\n{recipe.steps} steps in {run.dtype} take about {_span(total)} without validation;"
        f" this process holds {used:.0f} MiB, the {recipe.workers} data worker(s) come on top."
    )
    return "\n".join(lines) + "\n"


def _phase_cost(
    run: Run, source: Source, phase: PhaseRecipe, clock: Callable[[], float]
) -> tuple[float, float]:
    """Return the median seconds of a step and of the wait for its batch."""
    recipe = run.recipe
    steps, waits = [], []
    with loader(source.training(phase), 0, recipe.workers) as batches:
        for index in range(WARM + TIMED):
            asked_at = clock()
            batch = batches.take()
            got_at = clock()
            mix = draw_mix(recipe.mixup_alpha, phase.batch, recipe.seed, index)
            run.trainer.step(batch, mix, decay_at(index, recipe.ema_decay))
            waits.append(got_at - asked_at)
            steps.append(clock() - got_at)
    return statistics.median(steps[WARM:]), statistics.median(waits[WARM:])


def _span(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
