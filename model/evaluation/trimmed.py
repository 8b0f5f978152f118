"""Figures of trimmed clips: what each window, or each video seen in several views, was taken for.

In: a `WindowSet`: scores, targets and weights, and which video each row comes from. Out: plain
values: top-1 and top-5, mean class accuracy, average precision a label and their means, a confusion
matrix and a report of each class, with intervals by video.
Invariant: rows of one video are never drawn apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from model.classifier import Clips
from model.evaluation.interval import Indexes, bootstrap, rows_of
from model.evaluation.metric import (
    Values,
    average_precisions,
    class_report,
    confusion,
    mean_class_accuracy,
    mean_of,
    top_k_accuracy,
)
from model.evaluation.plot import plot_confusion, plot_precision_recall

ROUNDS = 200
"""Draws for the intervals of trimmed figures; an average precision of 10 000 rows takes 5 ms."""


class Piece(NamedTuple):
    """Windows of one video.

    Attributes:
        clips: uint8 (N, T, S, S, 3).
        targets: float32 (N, K).
        weights: float32 (N, K).
    """

    clips: Clips
    targets: Values
    weights: Values


@dataclass(frozen=True, slots=True)
class WindowSet:
    """Scored windows.

    Attributes:
        scores: float32 (N, K).
        targets: float32 (N, K), 0 or 1.
        weights: float32 (N, K), 0 where undecided.
        groups: int64 (N,), number of the video each row comes from, from 0 without holes.
    """

    scores: Values
    targets: Values
    weights: Values
    groups: npt.NDArray[np.int64]

    @property
    def n_groups(self) -> int:
        """Return the number of videos."""
        return int(self.groups.max()) + 1 if len(self.groups) else 0

    def rows(self, chosen: Indexes) -> WindowSet:
        """Return some rows, some perhaps several times."""
        return WindowSet(
            self.scores[chosen], self.targets[chosen], self.weights[chosen], self.groups[chosen]
        )


Predict = Callable[[Clips], Values]
"""Classifies up to `max_batch` clips: uint8 (N, T, S, S, 3) to float32 (N, K)."""


def score(pieces: Iterable[Piece], predict: Predict, max_batch: int) -> WindowSet:
    """Classify the windows of videos.

    Args:
        pieces: one a video, with at least one window.
        predict: the classifier.
        max_batch: most clips in a call.
    """
    rows: list[tuple[Values, Values, Values, npt.NDArray[np.int64]]] = []
    for group, piece in enumerate(pieces):
        parts = range(0, len(piece.clips), max_batch)
        scores = np.concatenate([predict(piece.clips[at : at + max_batch]) for at in parts])
        numbers = np.full(len(scores), group, np.int64)
        rows.append((scores, piece.targets, piece.weights, numbers))
    columns = [np.concatenate(column) for column in zip(*rows, strict=True)]
    return WindowSet(columns[0], columns[1], columns[2], columns[3])


def averaged(windows: WindowSet) -> WindowSet:
    """Return one row a video: the mean score of its views, which share one target."""
    rows = rows_of(windows.groups, windows.n_groups)
    first = np.array([own[0] for own in rows], np.int64)
    scores = np.array([windows.scores[own].mean(axis=0) for own in rows], np.float32)
    groups = np.arange(len(rows), dtype=np.int64)
    return WindowSet(scores, windows.targets[first], windows.weights[first], groups)


def single_label_report(windows: WindowSet, labels: Sequence[str]) -> dict[str, Any]:
    """Return the figures where exactly one label holds (softmax)."""
    truth = windows.targets.argmax(axis=1)

    def interval(figure: Callable[[Values, npt.NDArray[np.int64]], float]) -> dict[str, float]:
        groups = rows_of(windows.groups, windows.n_groups)

        def statistic(drawn: Indexes) -> float:
            rows = np.concatenate([groups[group] for group in drawn])
            return figure(windows.scores[rows], truth[rows])

        return asdict(bootstrap(windows.n_groups, statistic, n_rounds=ROUNDS))

    counts = confusion(windows.scores, windows.targets, windows.weights, 0.0)
    top = np.zeros_like(windows.scores)
    top[np.arange(len(truth)), windows.scores.argmax(axis=1)] = 1
    report = class_report(top, windows.targets, windows.weights, np.full(len(labels), 0.5))
    return {
        "n_windows": len(truth),
        "n_videos": windows.n_groups,
        "top1": interval(lambda scores, own: top_k_accuracy(scores, own, 1)),
        "top5": interval(lambda scores, own: top_k_accuracy(scores, own, 5)),
        "mean_class_accuracy": interval(mean_class_accuracy),
        "confusion": counts.tolist(),
        "labels": dict(zip(labels, report, strict=True)),
    } | _precisions(windows, labels, {"all": list(range(len(labels)))})


def multi_label_report(
    windows: WindowSet,
    labels: Sequence[str],
    groups: dict[str, list[int]],
    thresholds: npt.NDArray[np.float64],
) -> dict[str, Any]:
    """Return the figures where several labels, or none, may hold (sigmoid).

    Args:
        windows: scored.
        labels: K names.
        groups: indexes of labels whose mean is told, by name, such as motion and nuisances.
        thresholds: float64 (K,), score from which a label holds, for the report of each class.
    """
    counts = confusion(windows.scores, windows.targets, windows.weights, 0.5)
    report = class_report(windows.scores, windows.targets, windows.weights, thresholds)
    return {
        "n_windows": len(windows.scores),
        "n_videos": windows.n_groups,
        "confusion": counts.tolist(),
        "labels": dict(zip(labels, report, strict=True)),
    } | _precisions(windows, labels, groups)


def _precisions(
    windows: WindowSet, labels: Sequence[str], groups: dict[str, list[int]]
) -> dict[str, Any]:
    own = rows_of(windows.groups, windows.n_groups)

    def statistic(chosen: list[int]) -> Callable[[Indexes], float]:
        def mean(drawn: Indexes) -> float:
            some = windows.rows(np.concatenate([own[group] for group in drawn]))
            return mean_of(average_precisions(some.scores, some.targets, some.weights), chosen)

        return mean

    found = average_precisions(windows.scores, windows.targets, windows.weights)
    return {
        "average_precision": dict(zip(labels, found.tolist(), strict=True)),
        "mean_average_precision": {
            name: asdict(bootstrap(windows.n_groups, statistic(chosen), n_rounds=ROUNDS))
            for name, chosen in groups.items()
        },
    }


def plot_windows(windows: WindowSet, labels: Sequence[str], folder: Path, name: str) -> list[Path]:
    """Draw confusion and precision against recall; return the files.

    Args:
        windows: scored.
        labels: K names.
        folder: exists.
        name: first part of the file names.
    """
    is_single = bool((windows.targets.sum(axis=1) == 1).all())
    counts = confusion(windows.scores, windows.targets, windows.weights, 0.0 if is_single else 0.5)
    files = [folder / f"{name}-confusion.png", folder / f"{name}-precision-recall.png"]
    plot_confusion(counts, labels, files[0])
    plot_precision_recall(windows.scores, windows.targets, windows.weights, labels, files[1])
    return files
