"""Claims about the picture of a run."""

from __future__ import annotations

from pathlib import Path

import cv2

from model.training.curve import draw_curves


def test_a_run_that_told_nothing_gives_an_empty_picture(fonts: Path) -> None:
    """No rows, still a PNG that can be decoded."""
    assert cv2.imread(str(fonts)).shape[2] == 3


def test_points_are_drawn(fonts: Path, tmp_path: Path) -> None:
    """Rows of losses, scores and rates change the picture."""
    rows = [
        {"step": float(i), "train/loss": 1 / (i + 1), "train/learning_rate": 0.1 * i}
        for i in range(5)
    ] + [{"step": 4.0, "validation/loss": 0.5, "validation/mean_average_precision": 0.9}]
    path = tmp_path / "curves.png"
    assert draw_curves(rows, path)
    drawn, empty = cv2.imread(str(path)), cv2.imread(str(fonts))
    assert drawn.shape != empty.shape or (drawn != empty).any()
