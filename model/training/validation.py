"""How good a network is on held-out clips while it is trained.

In: logits, targets and weights, (N, K) each, or logits and truth of the parts of clips. Out: named
figures: mean average precision over the labels that occur (several labels at once), accuracy (one
label), or how much of the rates is explained.
Invariant: what has weight 0 does not count, and a label that never occurs has no figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from model.evaluation.metric import average_precisions

Array = npt.NDArray[np.float32]


def measure(
    logits: Array,
    targets: Array,
    weights: Array,
    labels: tuple[str, ...],
    activation: Literal["sigmoid", "softmax"],
) -> dict[str, float]:
    """Return the figures of a validation of whole clips, loss excluded."""
    if activation == "softmax":
        is_known = weights.mean(axis=1) > 0
        hits: Any = logits.argmax(axis=1) == targets.argmax(axis=1)
        return {"accuracy": float(hits[is_known].mean())} if is_known.any() else {}
    found = average_precisions(logits, targets, weights)
    figures = {
        f"average_precision/{label}": float(value)
        for label, value in zip(labels, found, strict=True)
        if np.isfinite(value)
    }
    if figures:
        figures["mean_average_precision"] = float(np.mean(list(figures.values())))
    return figures


def measure_parts(
    judged: Sequence[tuple[Array | None, Array]], part: str, labels: tuple[str, ...]
) -> dict[str, float]:
    """Return the figures of what is judged many times a clip: time positions, places.

    Args:
        judged: logits and truth of each batch, (N, ..., K) each, NaN where undecided; None without
            a layer for them, empty without a truth.
        part: their name, before the figures' own.
        labels: K names.
    """
    known = [(logits, truth) for logits, truth in judged if logits is not None and truth.size]
    if not known:
        return {}
    logits, truth = (
        np.concatenate([each.reshape(-1, len(labels)) for each in column])
        for column in zip(*known, strict=True)
    )
    weights = (~np.isnan(truth)).astype(np.float32)
    figures = measure(logits, truth, weights, labels, "sigmoid")
    return {f"{part}/{name}": value for name, value in figures.items()}


def measure_rates(
    told: Sequence[tuple[Array, Array]], part: str, names: tuple[str, ...]
) -> dict[str, float]:
    """Return how much of the rates of what moves is explained.

    Args:
        told: rates and truth of each batch, (N, ..., K) each, NaN where unknown.
        part: their name, before the figures' own.
        names: K names.

    Returns:
        for each name 1 less the sum of squared errors over that of squared rates, over all cells
        in which something moves: 1 is exact, 0 as good as always saying 0.
    """
    if not told:
        return {}
    found, truth = (
        np.concatenate([each.reshape(-1, len(names)) for each in column]).astype(np.float64)
        for column in zip(*told, strict=True)
    )
    is_busy = np.isfinite(truth).all(axis=1) & (truth != 0).any(axis=1)
    errors = ((found - truth)[is_busy] ** 2).sum(axis=0)
    squares = (truth[is_busy] ** 2).sum(axis=0)
    return {
        f"{part}/explained/{name}": float(1 - error / square)
        for name, error, square in zip(names, errors, squares, strict=True)
        if square > 0
    }
