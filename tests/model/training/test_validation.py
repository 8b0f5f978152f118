"""Claims about the figures on held-out clips."""

from __future__ import annotations

import numpy as np
import pytest

from model.training.validation import measure, measure_parts, measure_rates


def test_average_precision_is_the_textbook_one() -> None:
    """Ranks 1 and 3 of 4 are true: (1/1 + 2/3) / 2; for the second label only the last: 1/4."""
    logits = np.array([[4.0, 4.0], [3.0, 3.0], [2.0, 2.0], [1.0, 1.0]], np.float32)
    targets = np.array([[1, 0], [0, 0], [1, 0], [0, 1]], np.float32)
    found = measure(logits, targets, np.ones_like(targets), ("a", "b"), "sigmoid")
    assert found["average_precision/a"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["average_precision/b"] == pytest.approx(1 / 4)
    assert found["mean_average_precision"] == pytest.approx((5 / 6 + 1 / 4) / 2)


def test_what_is_undecided_does_not_count() -> None:
    """A wrong answer of weight 0 leaves the mean at 1; a label that never occurs is left out."""
    logits = np.array([[2.0, 0.0], [1.0, 1.0], [9.0, 2.0]], np.float32)
    targets = np.array([[1, 0], [0, 0], [0, 0]], np.float32)
    weights = np.array([[1, 1], [1, 1], [0, 1]], np.float32)
    found = measure(logits, targets, weights, ("a", "b"), "sigmoid")
    assert found == {"average_precision/a": 1.0, "mean_average_precision": 1.0}
    assert measure(logits[1:2], targets[1:2], weights[1:2], ("a", "b"), "sigmoid") == {}


def test_one_label_gives_accuracy() -> None:
    """Two of three known clips are right; the fourth is not known."""
    logits = np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 2.0], [0.0, 1.0]], np.float32)
    targets = np.array([[1, 0], [0, 1], [0, 1], [1, 0]], np.float32)
    weights = np.array([[1, 1], [1, 1], [1, 1], [0, 0]], np.float32)
    found = measure(logits, targets, weights, ("a", "b"), "softmax")
    assert found == {"accuracy": pytest.approx(2 / 3)}
    assert measure(logits[3:], targets[3:], weights[3:], ("a", "b"), "softmax") == {}


def test_parts_of_clips_are_measured_where_they_are_decided() -> None:
    """Batches are put together, NaN is left out, figures carry the part's name."""
    truth = np.array([[[1.0], [0.0]], [[np.nan], [0.0]]], np.float32)
    logits = np.array([[[2.0], [1.0]], [[9.0], [-1.0]]], np.float32)
    found = measure_parts([(logits, truth), (logits, truth)], "moments", ("a",))
    wanted = {"moments/average_precision/a": 1.0, "moments/mean_average_precision": 1.0}
    assert found == wanted
    assert measure_parts([(None, truth)], "moments", ("a",)) == {}
    assert measure_parts([(logits, truth[:0])], "moments", ("a",)) == {}


def test_rates_are_explained_where_something_moves() -> None:
    """Errors of 1 at rates of 2 leave three quarters; other cells do not count."""
    truth = np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 0.0], [np.nan, np.nan]], np.float32)
    told = np.array([[1.0, 0.0], [-3.0, 0.0], [7.0, 7.0], [7.0, 7.0]], np.float32)
    found = measure_rates([(told[:1], truth[:1]), (told[1:], truth[1:])], "rates/x", ("a", "b"))
    assert found == {"rates/x/explained/a": pytest.approx(0.75)}
    assert measure_rates([(0 * told, truth)], "x", ("a", "b")) == {"x/explained/a": 0.0}
    assert measure_rates([], "x", ("a", "b")) == {}
