"""What a training step makes smaller, and what mixes its clips.

In: logits, targets and weights of a batch, (N, K) each; a weight of 0 says that a label is not
decided for a clip. Out: a float32 scalar. Mixup draws from the seed and the step alone, so that a
resumed run mixes as an uninterrupted one. Invariant: what has weight 0 changes neither loss nor
gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from keras import ops

MOST = 100.0
"""A cell weighs at most so many others: a batch may have hardly any in which something moves."""


_FAINT = 1e-3


@dataclass(frozen=True, slots=True)
class Mix:
    """How the clips of a batch are mixed in pairs.

    Attributes:
        partner: int32 (N,), the clip that each is mixed with.
        share: float32 (N,), of the clip itself; 1 leaves it as it is.
    """

    partner: npt.NDArray[np.int32]
    share: npt.NDArray[np.float32]


def draw_mix(alpha: float, batch: int, seed: int, step: int) -> Mix:
    """Draw the pairs of a step.

    Args:
        alpha: of the symmetric beta distribution; 0 mixes nothing.
        batch: N.
        seed: of the run.
        step: counted from 0.

    References:
        mixup, arXiv:1710.09412.
    """
    rng = np.random.default_rng((seed, step, 1))
    share = rng.beta(alpha, alpha, batch) if alpha else np.ones(batch)
    return Mix(rng.permutation(batch).astype(np.int32), share.astype(np.float32))


def mix_clips(clips: Any, partner: Any, share: Any, dtype: str) -> Any:
    """Return share * clip + (1 - share) * partner, (N, T, S, S, 3) of `dtype`, 0..255."""
    own = ops.cast(clips, dtype)
    other = ops.take(own, partner, axis=0)
    share = ops.cast(ops.reshape(share, (-1, 1, 1, 1, 1)), dtype)
    return other + share * (own - other)


def decided(truth: Any) -> tuple[Any, Any]:
    """Return targets and weights of a truth: NaN becomes 0 with weight 0."""
    is_known = ops.logical_not(ops.isnan(truth))
    return ops.where(is_known, truth, ops.zeros_like(truth)), ops.cast(is_known, "float32")


def balanced(targets: Any, weights: Any) -> tuple[Any, Any]:
    """Let cells in which something moves weigh as much as all others together.

    They are one in forty; with equal weights the loss is that of saying no everywhere, and
    what tells left from right is lost in it.

    Args:
        targets: float32 (N, P, G, G, K), 0 or 1.
        weights: of that shape, 0 or 1.

    Returns:
        targets and weights, those of cells with a 1 multiplied by up to `MOST`.
    """
    is_busy = ops.cast(ops.max(targets, axis=-1, keepdims=True) > 0, "float32")
    n_busy, n_all = ops.sum(weights * is_busy), ops.sum(weights)
    factor = ops.clip((n_all - n_busy) / ops.maximum(n_busy, 1.0), 1.0, MOST)
    return targets, weights * (1.0 + (factor - 1.0) * is_busy)


def coarser(truth: Any) -> Any:
    """Return the truth of cells twice as large, (N, P, G / 2, G / 2, K): 1 where one of four is 1.

    Where none is, one that is undecided leaves it undecided.
    """
    rank = ops.where(ops.isnan(truth), 1.0, 2.0 * truth)
    n, positions, *grid = truth.shape
    rank = ops.max_pool(ops.reshape(rank, (-1, *grid)), 2, 2, padding="same")
    rank = ops.reshape(rank, (n, positions, *rank.shape[1:]))
    return ops.where(rank == 1.0, float("nan"), rank / 2.0)


def rates_apart(told: Any, rates: Any) -> Any:
    """Return how far rates are from the truth: the mean Huber loss of all cells that have one.

    Cells in which something moves weigh as much as all others together, as in `balanced`.

    Args:
        told: float32 (N, P, G, G, 4).
        rates: of that shape; NaN unknown.
    """
    rates, is_known = decided(rates)
    is_busy = is_known * ops.cast(ops.max(ops.abs(rates), axis=-1, keepdims=True) > 0, "float32")
    n_busy, n_all = ops.sum(is_busy), ops.sum(is_known)
    factor = ops.clip((n_all - n_busy) / ops.maximum(n_busy, 1.0), 1.0, MOST)
    weights = is_known * (1.0 + (factor - 1.0) * is_busy)
    off = ops.abs(told - rates)
    terms = ops.where(off < 1.0, 0.5 * ops.square(off), off - 0.5)
    return ops.sum(terms * weights) / ops.maximum(ops.sum(weights), 1e-6)


def coarser_rates(rates: Any) -> Any:
    """Return the rates of cells twice as large, (N, P, G / 2, G / 2, 4).

    The mean of those among four in which something moves; 0 where none does, NaN where none is
    known.
    """
    rates, is_known = decided(rates)
    n, positions, *grid = rates.shape
    # What stands still counts next to nothing beside what moves, but not nothing.
    weights = is_known * (ops.cast(ops.abs(rates) > 0, "float32") + _FAINT)

    def pooled(values: Any) -> Any:
        found = ops.average_pool(ops.reshape(values, (-1, *grid)), 2, 2, padding="same")
        return ops.reshape(found, (n, positions, *found.shape[1:]))

    total = pooled(weights)
    means = pooled(rates * weights) / ops.maximum(total, _FAINT**2)
    return ops.where(total > 0, means, float("nan"))


@dataclass(frozen=True, slots=True)
class Objective:
    """Loss of a batch.

    Attributes:
        activation: what turns logits into scores.
        smoothing: share of a target that is spread evenly.
    """

    activation: Literal["sigmoid", "softmax"]
    smoothing: float = 0.0

    def __call__(self, logits: Any, targets: Any, weights: Any) -> Any:
        """Return the mean loss over everything that is decided, float32.

        Args:
            logits: float32 (N, K), or (N, P, K) with several judgements of each clip.
            targets: of that shape, in [0, 1].
            weights: of that shape, >= 0; with softmax, a clip weighs the mean of its row.
        """
        terms, weights = self._terms(logits, targets, weights)
        return ops.sum(terms * weights) / ops.maximum(ops.sum(weights), 1e-6)

    def mixed(self, logits: Any, targets: Any, weights: Any, mix: tuple[Any, Any]) -> Any:
        """Return the loss where clips are mixed.

        Args:
            logits: of the mixed clips.
            targets: of the clips before.
            weights: of the clips before.
            mix: partner (N,) and share (N,); each clip counts by its share, so that a label which
                is decided for one of a pair alone is learned from that one.
        """
        partner, share = mix
        total = norm = 0.0
        for index, part in ((None, share), (partner, 1.0 - share)):
            y = targets if index is None else ops.take(targets, index, axis=0)
            w = weights if index is None else ops.take(weights, index, axis=0)
            terms, scaled = self._terms(logits, y, w)
            scaled = scaled * ops.reshape(part, (-1, *[1] * (len(scaled.shape) - 1)))
            total, norm = total + ops.sum(terms * scaled), norm + ops.sum(scaled)
        return total / ops.maximum(norm, 1e-6)

    def _terms(self, logits: Any, targets: Any, weights: Any) -> tuple[Any, Any]:
        spread = 0.5 if self.activation == "sigmoid" else 1.0 / logits.shape[-1]
        targets = targets * (1.0 - self.smoothing) + self.smoothing * spread
        if self.activation == "sigmoid":
            # max(z, 0) - z y + log(1 + exp(-|z|)): no overflow on either side.
            terms = ops.maximum(logits, 0.0) - logits * targets + ops.softplus(-ops.abs(logits))
            return terms, weights
        terms = -ops.sum(targets * ops.log_softmax(logits, axis=-1), axis=-1)
        return terms, ops.mean(weights, axis=-1)
