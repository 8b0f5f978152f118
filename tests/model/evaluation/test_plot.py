"""Claims about model.evaluation.plot: pictures are written, also of very little."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from model.evaluation.calibration import reliability
from model.evaluation.curve import Point
from model.evaluation.plot import (
    plot_confusion,
    plot_delays,
    plot_det,
    plot_precision_recall,
    plot_reliability,
)

POINTS = [Point(0.5, 0.0, 0.2), Point(0.4, 3.0, 0.9), Point(0.1, float("nan"), float("nan"))]


def size_of(path: Path) -> tuple[int, int]:
    """Width and height in the header of a PNG."""
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def test_a_confusion_matrix_grows_with_its_labels(tmp_path: Path) -> None:
    """One more row and column than labels; a row without windows is no division by zero."""
    plot_confusion(np.eye(3, dtype=np.int64) * [5, 0, 2], ["a", "b"], tmp_path / "small.png")
    plot_confusion(np.eye(12, dtype=np.int64), list("abcdefghijk"), tmp_path / "large.png")
    assert size_of(tmp_path / "small.png") < size_of(tmp_path / "large.png")


@pytest.mark.parametrize("has_positive", [True, False])
def test_precision_and_recall_are_drawn(tmp_path: Path, has_positive: bool) -> None:
    """Labels without a positive window have no line."""
    scores = np.array([[0.9, 0.1], [0.2, 0.3]], np.float32)
    targets = np.array([[float(has_positive), 0], [0, 0]], np.float32)
    path = tmp_path / "pr.png"
    plot_precision_recall(scores, targets, np.ones_like(scores), ["a", "b"], path)
    assert size_of(path)[0] > 300


def test_reliability_is_drawn(tmp_path: Path) -> None:
    """Empty bins have no point."""
    bins = reliability(np.array([0.1, 0.9]), np.array([0.0, 1.0]), np.ones(2))
    plot_reliability({"before": bins, "after": bins}, tmp_path / "r.png")
    assert size_of(tmp_path / "r.png")[0] > 300


def test_misses_against_false_alarms_are_drawn(tmp_path: Path) -> None:
    """No false alarm has a place on the logarithmic axis; what is no number has none."""
    plot_det({"bundle": POINTS, "gate": POINTS[:1]}, tmp_path / "det.png")
    assert size_of(tmp_path / "det.png")[0] > 300


@pytest.mark.parametrize("delays", [np.array([0.5, 1.0]), np.zeros(0)])
def test_delays_are_drawn(tmp_path: Path, delays: np.ndarray) -> None:  # type: ignore[type-arg]
    """A group in which nothing was told has no line."""
    plot_delays({"files": delays}, tmp_path / "delays.png")
    assert size_of(tmp_path / "delays.png")[0] > 300
