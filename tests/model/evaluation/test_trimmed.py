"""Claims about model.evaluation.trimmed: windows are scored, grouped by video, and judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.classifier import Clips
from model.evaluation.metric import Values
from model.evaluation.trimmed import (
    Piece,
    WindowSet,
    averaged,
    multi_label_report,
    plot_windows,
    score,
    single_label_report,
)


def piece(*values: int) -> Piece:
    """Windows whose pixels are these values; the target is whether they are bright."""
    clips = np.zeros((len(values), 2, 4, 4, 3), np.uint8)
    clips += np.array(values, np.uint8)[:, None, None, None, None]
    bright = (np.array(values) > 100).astype(np.float32)
    targets = np.stack([bright, 1 - bright], axis=1)
    return Piece(clips, targets, np.ones_like(targets))


def brightness(clips: Clips) -> Values:
    share = clips[:, 0, 0, 0, 0].astype(np.float32) / 255
    return np.stack([share, 1 - share], axis=1)


def test_windows_are_scored_in_batches_and_keep_their_video() -> None:
    """Three and two windows, at most two a call."""
    sizes = []

    def predict(clips: Clips) -> Values:
        sizes.append(len(clips))
        return brightness(clips)

    found = score([piece(10, 200, 30), piece(250, 20)], predict, 2)
    assert sizes == [2, 1, 2]
    assert found.groups.tolist() == [0, 0, 0, 1, 1]
    assert found.n_groups == 2
    assert found.scores[1, 0] == pytest.approx(200 / 255)


def test_views_of_a_video_are_averaged() -> None:
    """One row a video, with the mean score."""
    found = averaged(score([piece(200, 220), piece(10, 30)], brightness, 8))
    assert found.scores[:, 0] == pytest.approx([210 / 255, 20 / 255])
    assert found.groups.tolist() == [0, 1]


def test_a_single_label_report_by_hand() -> None:
    """Three of four right; with two classes everything is in the top five."""
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], np.float32)
    targets = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    found = single_label_report(
        WindowSet(scores, targets, np.ones_like(scores), np.arange(4)), ["a", "b"]
    )
    assert found["top1"]["value"] == 0.75
    assert found["top5"]["value"] == 1.0
    assert found["mean_class_accuracy"]["value"] == 0.75
    assert found["confusion"] == [[2, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert found["labels"]["b"]["recall"] == 0.5
    assert found["labels"]["a"]["precision"] == pytest.approx(2 / 3)
    assert found["mean_average_precision"]["all"]["value"] == 1.0
    assert found["top1"]["low"] <= 0.75 <= found["top1"]["high"]


def test_a_multi_label_report_has_a_mean_for_each_group_of_labels() -> None:
    """Label a is ranked perfectly, b is not (1/2); c has no positive window."""
    scores = np.array([[0.9, 0.8, 0.1], [0.2, 0.3, 0.2], [0.8, 0.1, 0.3]], np.float32)
    targets = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0]], np.float32)
    windows = WindowSet(scores, targets, np.ones_like(scores), np.array([0, 1, 2]))
    groups = {"motion": [0, 1], "nuisances": [2]}
    found = multi_label_report(windows, ["a", "b", "c"], groups, np.full(3, 0.5))
    assert found["average_precision"]["b"] == pytest.approx(0.5)
    assert found["mean_average_precision"]["motion"]["value"] == pytest.approx(0.75)
    assert np.isnan(found["mean_average_precision"]["nuisances"]["value"])
    assert found["labels"]["a"]["f1"] == 1.0
    assert found["n_videos"] == 3


def test_pictures_are_named_after_the_set(tmp_path: Path) -> None:
    """Confusion, and precision against recall."""
    windows = score([piece(10, 200), piece(30)], brightness, 8)
    files = plot_windows(windows, ["bright", "dark"], tmp_path, "own")
    assert [file.name for file in files] == ["own-confusion.png", "own-precision-recall.png"]
    assert all(file.stat().st_size > 1000 for file in files)
