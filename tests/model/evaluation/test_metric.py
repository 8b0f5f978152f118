"""Claims about model.evaluation.metric: figures of windows, by hand on small examples."""

from __future__ import annotations

import numpy as np
import pytest

from model.evaluation.metric import (
    Values,
    average_precisions,
    class_report,
    confusion,
    mean_class_accuracy,
    mean_of,
    top_k_accuracy,
)

SCORES = np.array([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.1, 0.6, 0.3]], np.float32)
TRUTH = np.array([0, 2, 1])


def column(*values: float) -> Values:
    return np.array(values, np.float32)[:, None]


@pytest.mark.parametrize(("k", "share"), [(1, 2 / 3), (3, 1.0), (5, 1.0)])
def test_top_k_counts_the_truth_among_the_k_highest(k: int, share: float) -> None:
    """The second window is wrong at first; with k = K everything is right."""
    assert top_k_accuracy(SCORES, TRUTH, k) == pytest.approx(share)


def test_two_classes_have_a_top_one() -> None:
    """The higher of two."""
    scores = np.array([[0.6, 0.4], [0.2, 0.8]], np.float32)
    assert top_k_accuracy(scores, np.array([0, 0]), 1) == 0.5
    assert np.isnan(top_k_accuracy(scores[:0], TRUTH[:0], 1))


def test_mean_class_accuracy_gives_rare_classes_the_same_weight() -> None:
    """Three of three and none of one: 1/2, not 3/4."""
    scores = np.tile(np.array([[0.9, 0.1]], np.float32), (4, 1))
    assert mean_class_accuracy(scores, np.array([0, 0, 0, 1])) == 0.5


def test_average_precision_by_hand() -> None:
    """Positives at ranks 1 and 3: (1/1 + 2/3) / 2."""
    found = average_precisions(column(0.9, 0.8, 0.7), column(1, 0, 1), column(1, 1, 1))
    assert found[0] == pytest.approx((1 + 2 / 3) / 2)


def test_undecided_windows_do_not_count() -> None:
    """Without the negative at rank 2 the ranking is perfect."""
    found = average_precisions(column(0.9, 0.8, 0.7), column(1, 0, 1), column(1, 0, 1))
    assert found[0] == 1.0


def test_a_label_without_a_positive_window_has_no_figure() -> None:
    """It is left out of the mean, and is not a zero."""
    scores = np.array([[0.9, 0.5], [0.1, 0.5]], np.float32)
    targets = np.array([[1, 0], [0, 0]], np.float32)
    found = average_precisions(scores, targets, np.ones_like(scores))
    assert np.isnan(found[1])
    assert mean_of(found, [0, 1]) == 1.0
    assert np.isnan(mean_of(found, [1]))


def test_confusion_has_a_row_and_a_column_for_nothing() -> None:
    """Windows with two labels, or undecided without any, are left out."""
    scores = np.array([[0.9, 0.1], [0.2, 0.3], [0.1, 0.8], [0.9, 0.9], [0.6, 0.1]], np.float32)
    targets = np.array([[1, 0], [0, 1], [0, 0], [1, 1], [0, 0]], np.float32)
    weights = np.ones_like(scores)
    weights[4, 0] = 0
    # 0 as 0; 1 as nothing; nothing as 1; both; undecided.
    assert confusion(scores, targets, weights, 0.5).tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]


def test_an_undecided_label_is_not_guessed() -> None:
    """Its score may be the highest: what it is compared with is not known to be wrong."""
    scores, targets = np.array([[0.6, 0.9]], np.float32), np.array([[1, 0]], np.float32)
    weights = np.array([[1, 0]], np.float32)
    assert confusion(scores, targets, weights, 0.5)[0, 0] == 1


def test_no_window_is_no_confusion() -> None:
    """All undecided: zeros."""
    nothing = np.zeros((2, 3), np.float32)
    assert confusion(nothing, nothing, nothing, 0.5).sum() == 0


def test_the_report_of_a_class_by_hand() -> None:
    """Two of three positives found, one false: precision 2/3, recall 2/3."""
    scores = column(0.9, 0.8, 0.1, 0.7, 0.2, 0.9)
    targets, weights = column(1, 1, 1, 0, 0, 0), column(1, 1, 1, 1, 1, 0)
    (row,) = class_report(scores, targets, weights, np.array([0.5]))
    assert row["precision"] == pytest.approx(2 / 3)
    assert row["recall"] == pytest.approx(2 / 3)
    assert row["f1"] == pytest.approx(2 / 3)
    assert (row["n_positive"], row["n"]) == (3, 5)


def test_a_class_without_positives_has_no_figures() -> None:
    """NaN, and the counts say why."""
    (row,) = class_report(column(0.1), column(0), column(1), np.array([0.5]))
    assert np.isnan(row["recall"])
    assert row["n_positive"] == 0
