"""The run itself: phases, steps, validations, checkpoints, and the bundle at the end.

In: a recipe, a source of batches and the run's folder, which may hold a checkpoint of it. Out:
`checkpoints/`, `metrics.jsonl`, `tensorboard/`, `curves.png` and `bundle/` in that folder.
Invariant: the weights depend on the recipe and the machine alone: a run that is killed and started
again ends with the same bits as one that was not (a test kills it).
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from model.errors import TrainingError
from model.labels import MOTION
from model.training.checkpoint import Checkpoints, Facts
from model.training.curve import draw_curves
from model.training.export import settle_statistics, write_bundle
from model.training.journal import Journal, read_rows
from model.training.network import PLACED
from model.training.objective import coarser, coarser_rates, draw_mix
from model.training.recipe import PhaseRecipe, Recipe
from model.training.run import Run, begin, bundle_weights
from model.training.source import Source, loader
from model.training.state import decay_at
from model.training.step import Progress
from model.training.validation import measure, measure_parts, measure_rates
from streamer.truth import RATES

LOG_STEPS = 20
_NO_CLIPS = np.empty((0, 0, 0, 0, 0), np.uint8)
Figures = Mapping[str, float]
Tell = Callable[[int, Figures], None]
"""Hears of a step that is done, and its figures."""


@dataclass
class _Span:
    """What happened since the last line of the journal."""

    began_at: float
    progress: list[Progress] = field(default_factory=list)
    busy_s: float = 0.0


class TrainingLoop:
    """One run, from its newest checkpoint on.

    Args:
        recipe: what to do.
        source: of batches.
        folder: of the run; made where it is missing.
        tell: hears of every step.
        should_stop: asked after every step; True ends the run after a checkpoint.
        clock: monotonic seconds.

    Raises:
        TrainingError: the folder holds a run of another recipe.
    """

    def __init__(
        self,
        recipe: Recipe,
        source: Source,
        folder: Path,
        tell: Tell,
        should_stop: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source, self._folder = source, folder
        self._tell, self._should_stop, self._clock = tell, should_stop, clock
        self._checkpoints = Checkpoints(folder / "checkpoints")
        loaded = self._checkpoints.load(recipe.fingerprint())
        self.run: Run = begin(recipe)
        self.step = self.first_step = 0
        self._spent_s = 0.0
        if loaded is not None:
            arrays, facts = loaded
            self.run.state.restore(arrays)
            self.step = self.first_step = facts.step
            self._spent_s = facts.seconds
        self._started_at = self._saved_at = clock()

    def train(self) -> bool:
        """Take all steps that are left.

        Returns:
            whether the run is done; False where it was asked to stop.

        Raises:
            TrainingError: the loss is not a number any more, or a checkpoint cannot be written.
            DataError: no more batches can be had.
        """
        recipe = self.run.recipe
        with Journal(self._folder, self.step) as journal:
            while self.step < recipe.steps and not self._should_stop():
                self._phase(journal)
        if self.step > self.first_step:
            self._save()
        draw_curves(read_rows(self._folder / "metrics.jsonl"), self._folder / "curves.png")
        return self.step == recipe.steps

    def export(self, folder: Path) -> None:
        """Write the averaged weights, and what is kept of the first, as a bundle, settled anew."""
        recipe, phase = self.run.recipe, self.run.recipe.phases[-1]
        with loader(self._source.typical(phase), 0, recipe.workers) as batches:
            some = itertools.islice(batches, recipe.statistics_batches)
            averaged = bundle_weights(recipe, self.run.state.averaged())
            weights = settle_statistics(self.run.trainer, averaged, some)
        write_bundle(recipe, weights, folder)

    def _phase(self, journal: Journal) -> None:
        """Take the steps that are left of the phase that is due."""
        recipe = self.run.recipe
        _, phase, first = recipe.phase_at(self.step)
        end = first + phase.steps
        span = _Span(self._clock())
        with loader(self._source.training(phase), self.step, recipe.workers) as batches:
            for batch in batches:
                began_at = self._clock()
                mix = draw_mix(recipe.mixup_alpha, phase.batch, recipe.seed, self.step)
                decay = decay_at(self.step, recipe.ema_decay)
                progress = self.run.trainer.step(batch, mix, decay)
                span.progress.append(progress)
                span.busy_s += self._clock() - began_at
                self._check(progress)
                self.step += 1
                span = self._after_step(journal, phase, span, progress)
                if self.step == end or self._should_stop():
                    return

    def _after_step(
        self, journal: Journal, phase: PhaseRecipe, span: _Span, progress: Progress
    ) -> _Span:
        """Log, validate and save where it is due; return the span to go on with."""
        recipe = self.run.recipe
        self._tell(self.step, {"loss": progress.loss})
        is_last = self.step == recipe.steps
        if self.step % LOG_STEPS == 0 or is_last:
            journal.write(self.step, self._figures(span, phase))
            span = _Span(self._clock())
        if self.step % recipe.validate_steps == 0 or is_last:
            figures = {f"validation/{k}": v for k, v in self._validate(phase).items()}
            journal.write(self.step, figures)
            self._tell(self.step, figures)
            span = _Span(self._clock())
        if self._clock() - self._saved_at >= recipe.checkpoint_s:
            self._save()
        return span

    def _figures(self, span: _Span, phase: PhaseRecipe) -> dict[str, float]:
        seconds = max(self._clock() - span.began_at, 1e-9)
        n_steps = max(len(span.progress), 1)
        return {
            "train/loss": float(np.mean([p.loss for p in span.progress])),
            "train/gradient_norm": float(np.mean([p.gradient_norm for p in span.progress])),
            "train/learning_rate": float(self.run.state.optimizer.learning_rate),
            "train/clips_per_second": n_steps * phase.batch / seconds,
            "train/waiting_share": max(0.0, 1.0 - span.busy_s / seconds),
            "train/size_px": float(phase.size_px),
        }

    def _validate(self, phase: PhaseRecipe) -> dict[str, float]:
        recipe, trainer = self.run.recipe, self.run.trainer
        weights = self.run.state.averaged()
        rows = [
            (trainer.judged(weights, batch.clips), batch._replace(clips=_NO_CLIPS))
            for batch in self._source.held_out(phase, recipe.validation_batches)
        ]
        logits = np.concatenate([judged.logits for judged, _ in rows])
        targets, known = (np.concatenate([batch[part] for _, batch in rows]) for part in (1, 2))
        labels = recipe.head.labels
        figures = measure(logits, targets, known, labels, recipe.head.activation)
        figures |= measure_parts([(j.moments, b.moments) for j, b in rows], "moments", labels)
        told = [(j.places, b.places) for j, b in rows if j.places and b.places.size]
        for index, block in enumerate(PLACED):
            seen = [(places[index], truth) for places, truth in told]
            figures |= measure_parts(seen, f"places/{block.name}", MOTION)
            told = [(places, np.asarray(coarser(truth))) for places, truth in told]
        told = [(j.rates, b.rates) for j, b in rows if j.rates and b.rates.size]
        for index, block in enumerate(PLACED):
            seen = [(rates[index], truth) for rates, truth in told]
            figures |= measure_rates(seen, f"rates/{block.name}", RATES)
            told = [(rates, np.asarray(coarser_rates(truth))) for rates, truth in told]
        return {"loss": trainer.loss(logits, targets, known), **figures}

    def _check(self, progress: Progress) -> None:
        is_scaled = self.run.dtype == "float16"  # its gradients may overflow, and are skipped then
        if math.isfinite(progress.loss) and (is_scaled or math.isfinite(progress.gradient_norm)):
            return
        raise TrainingError(
            f"the loss is no number any more after step {self.step} of run {self._folder};"
            " lower optimizer.peak_learning_rate or optimizer.clip_norm in the recipe and begin"
            " again with another --out"
        )

    def _save(self) -> None:
        now = self._clock()
        facts = Facts(
            step=self.step,
            fingerprint=self.run.recipe.fingerprint(),
            seconds=self._spent_s + now - self._started_at,
        )
        self._checkpoints.save(self.run.state.arrays(), facts)
        self._saved_at = self._clock()
