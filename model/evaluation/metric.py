"""Figures of single windows: accuracy where one label holds, average precision where several may.

In: scores, targets and weights of N windows and K labels. Out: numbers. A weight of 0 means that
the truth of that label is undecided in that window: it counts nowhere.
Invariant: a figure that cannot be computed (a label without a positive window) is NaN, never 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float32]
"""float32 (N, K): scores 0..1, targets 0 or 1, or weights >= 0."""
Counts = npt.NDArray[np.int64]


def top_k_accuracy(scores: Values, truth: Counts, k: int) -> float:
    """Return the share of windows whose label is among the k highest scores.

    Args:
        scores: (N, K).
        truth: int64 (N,), the index of the label that holds.
        k: at least 1; K and more are always right.
    """
    if not len(truth):
        return float("nan")
    if k >= scores.shape[1]:
        return 1.0
    if scores.shape[1] == 2:  # scikit-learn wants one column then
        return float(np.mean(np.argmax(scores, axis=1) == truth))
    from sklearn.metrics import top_k_accuracy_score

    labels = np.arange(scores.shape[1])
    return float(top_k_accuracy_score(truth, scores, k=k, labels=labels))


def mean_class_accuracy(scores: Values, truth: Counts) -> float:
    """Return the mean over the labels that occur of the share of their windows that is right."""
    if not len(truth):
        return float("nan")
    is_right = np.argmax(scores, axis=1) == truth
    return float(np.mean([is_right[truth == label].mean() for label in np.unique(truth)]))


def average_precisions(scores: Values, targets: Values, weights: Values) -> npt.NDArray[np.float64]:
    """Return the average precision of each label, float64 (K,); NaN without a positive window."""
    from sklearn.metrics import average_precision_score

    found = np.full(scores.shape[1], np.nan)
    for label in range(scores.shape[1]):
        kept = weights[:, label] > 0
        truth = targets[kept, label] > 0.5
        if truth.any():
            found[label] = average_precision_score(
                truth, scores[kept, label], sample_weight=weights[kept, label]
            )
    return found


def mean_of(figures: npt.NDArray[np.float64], chosen: list[int]) -> float:
    """Return the mean of the chosen figures that exist; NaN where none does."""
    values = figures[chosen]
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")


def confusion(scores: Values, targets: Values, weights: Values, threshold: float) -> Counts:
    """Count what windows with one label, or none, were taken for.

    The highest score decides if it reaches the threshold, else the window counts as nothing.
    Windows with several labels, or with none and an undecided one, are left out.

    Args:
        scores: (N, K).
        targets: (N, K).
        weights: (N, K).
        threshold: score from which a label holds; 0 for softmax scores, where one always does.

    Returns:
        int64 (K + 1, K + 1): rows are the truth, columns the prediction; the last is nothing.
    """
    from sklearn.metrics import confusion_matrix

    n_labels = scores.shape[1]
    is_positive = (targets > 0.5) & (weights > 0)
    n_positive = is_positive.sum(axis=1)
    is_decided = (weights > 0).all(axis=1)
    kept = (n_positive == 1) | ((n_positive == 0) & is_decided)
    if not kept.any():
        return np.zeros((n_labels + 1, n_labels + 1), np.int64)
    truth = np.where(n_positive == 1, is_positive.argmax(axis=1), n_labels)
    heard = np.where(weights > 0, scores, -1.0)
    guess = np.where(heard.max(axis=1) >= threshold, heard.argmax(axis=1), n_labels)
    labels = np.arange(n_labels + 1)
    found = confusion_matrix(truth[kept], guess[kept], labels=labels)
    return np.asarray(found, np.int64)


def class_report(
    scores: Values, targets: Values, weights: Values, thresholds: npt.NDArray[np.float64]
) -> list[dict[str, float]]:
    """Return precision, recall, F1 and the number of positive windows of each label.

    Args:
        scores: (N, K).
        targets: (N, K).
        weights: (N, K).
        thresholds: float64 (K,), score from which each label holds.
    """
    from sklearn.metrics import precision_recall_fscore_support

    rows = []
    for label in range(scores.shape[1]):
        kept = weights[:, label] > 0
        truth = targets[kept, label] > 0.5
        guess = scores[kept, label] >= thresholds[label]
        figures = (float("nan"),) * 3
        if truth.any():
            figures = precision_recall_fscore_support(
                truth, guess, average="binary", zero_division=0.0
            )[:3]
        names = ("precision", "recall", "f1")
        row = {name: float(figure) for name, figure in zip(names, figures, strict=True)}
        rows.append(row | {"n_positive": int(truth.sum()), "n": int(kept.sum())})
    return rows
