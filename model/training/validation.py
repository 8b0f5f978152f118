"""How good a network is on held-out clips while it is trained.

In: logits, targets and weights, (N, K) each. Out: named figures: mean average precision over the
labels that occur (several labels at once), or accuracy (one label).
Invariant: what has weight 0 does not count, and a label that never occurs has no figure.
"""

from __future__ import annotations

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
    """Return the figures of a validation, loss excluded."""
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
