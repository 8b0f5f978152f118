"""The layer of scores, learned once more at the end from clips as often as they are.

Mining, kinds of scenes and augmentation choose what a network learns its features from; its scores
then answer for that choice instead of for what cameras show. In: embeddings of clips as they come,
with truth, and of held-out ones. Out: a layer of scores: a logistic regression a label, drawn
towards the trained one as strongly as serves held-out clips best.
Invariant: a label with too few examples keeps its scores to the bit, and so do all where held-out
clips are not judged better.

References:
    Decoupling Representation and Classifier for Long-Tailed Recognition, arXiv:1910.09217.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.data.batch import Batch
from model.evaluation.calibration import MIN_EXAMPLES, fit_platt
from model.training.step import Trainer

Array = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Weights = dict[str, Array]

PENALTIES = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
"""Of half the squared change of a score's weights, each feature in units of its deviation, against
nats a clip; the strongest first."""


class Rows(NamedTuple):
    """What is known of clips.

    Attributes:
        embeddings: float64 (N, E).
        targets: float32 (N, K), 0 or 1.
        weights: float32 (N, K); 0 leaves the label of a clip out.
    """

    embeddings: Floats
    targets: Array
    weights: Array


def gather(trainer: Trainer, weights: Weights, batches: Iterable[Batch]) -> Rows:
    """Embed batches.

    Args:
        trainer: passes over the network.
        weights: by name.
        batches: at least one.
    """
    parts = [
        (trainer.embeddings(weights, batch.clips), batch.targets, batch.weights)
        for batch in batches
    ]
    embeddings, targets, known = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Rows(embeddings.astype(np.float64), targets, known)


def learn_scores(weights: Weights, seen: Rows, held_out: Rows) -> Weights:
    """Return weights with scores that are learned again.

    Args:
        weights: by name, with a sigmoid layer of scores; not modified.
        seen: clips to learn from.
        held_out: clips that choose the penalty, one for all labels: a label alone has too few.
    """
    centre = seen.embeddings.mean(axis=0)
    scale = np.maximum(seen.embeddings.std(axis=0), 1e-6)
    kernel = weights["scores/kernel"].astype(np.float64)
    bias = weights["scores/bias"].astype(np.float64)
    losses = np.zeros(1 + len(PENALTIES))
    changes = np.zeros((len(losses), len(centre) + 1, len(bias)))
    for label in range(len(bias)):
        known, judged = _of_label(seen, label), _of_label(held_out, label)
        if min(known.n_least, judged.n_least) < MIN_EXAMPLES:
            continue
        starts, logits = (
            rows.embeddings @ kernel[:, label] + bias[label] for rows in (known, judged)
        )
        changes[1:, :, label] = _path((known.embeddings - centre) / scale, known.truth, starts)
        others = (judged.embeddings - centre) / scale
        losses += [
            _loss(logits + others @ change[:-1] + change[-1], judged.truth)
            for change in changes[:, :, label]
        ]
    best = changes[int(np.argmin(losses))]
    kernel += best[:-1] / scale[:, None]
    bias += best[-1] - (centre / scale) @ best[:-1]
    return weights | {
        "scores/kernel": kernel.astype(np.float32),
        "scores/bias": bias.astype(np.float32),
    }


class _Known(NamedTuple):
    """Clips whose truth is known for one label."""

    embeddings: Floats
    truth: npt.NDArray[np.bool_]

    @property
    def n_least(self) -> int:
        """Clips of the rarer answer."""
        return int(min(self.truth.sum(), (~self.truth).sum()))


def _of_label(rows: Rows, label: int) -> _Known:
    kept = rows.weights[:, label] > 0
    return _Known(rows.embeddings[kept], rows.targets[kept, label] > 0.5)


def _path(inputs: Floats, truth: npt.NDArray[np.bool_], start: Floats) -> list[Floats]:
    """Return the best change of weights and bias under each penalty."""
    from scipy.optimize import minimize
    from scipy.special import expit

    change, found = np.zeros(inputs.shape[1] + 1), []
    for penalty in PENALTIES:

        def loss(values: Floats, penalty: float = penalty) -> tuple[float, Floats]:
            logits = start + inputs @ values[:-1] + values[-1]
            told = (np.logaddexp(0.0, logits) - truth * logits).mean()
            error = (expit(logits) - truth) / len(truth)
            slope = np.append(inputs.T @ error + penalty * values[:-1], error.sum())
            return float(told + penalty / 2 * values[:-1] @ values[:-1]), slope

        # Each search begins where the one before ended, which is near.
        change = minimize(loss, change, jac=True, method="L-BFGS-B").x
        found.append(change)
    return found


def _loss(logits: Floats, truth: npt.NDArray[np.bool_]) -> float:
    """Return the loss that is left once the logits are calibrated, which comes later anyway."""
    rows = logits[:, None]
    calibrated = fit_platt(
        rows, truth[:, None].astype(np.float32), np.ones(rows.shape, np.float32)
    ).apply(rows)[:, 0]
    return float((np.logaddexp(0.0, calibrated) - truth * calibrated).mean())
