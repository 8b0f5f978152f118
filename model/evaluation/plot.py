"""Pictures of an evaluation: confusion, precision and recall, reliability, misses against alarms.

In: figures. Out: PNG files, drawn by matplotlib without a display.
Invariant: no global state of matplotlib is touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from model.evaluation.calibration import Bins
from model.evaluation.curve import Point, frontier
from model.evaluation.metric import Counts, Values

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 110
LEAST_RATE = 0.01
"""No false alarm has no place on a logarithmic axis: it is drawn here."""


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=DPI, format="png")


def plot_confusion(counts: Counts, labels: Sequence[str], path: Path) -> None:
    """Draw what windows were taken for, as shares of each row.

    Args:
        counts: int64 (K + 1, K + 1), rows are the truth, the last row and column is nothing.
        labels: K names.
        path: PNG to write.
    """
    names = [*labels, "nothing"]
    size = 3 + 0.45 * len(names)
    figure, axes = _figure(size, size)
    totals = counts.sum(axis=1, keepdims=True)
    share = counts / np.maximum(totals, 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("taken for")
    axes.set_ylabel("truth")
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if share[row, column] > 0.5 else "black"
        text = str(counts[row, column])
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=7)
    _save(figure, path)


def plot_precision_recall(
    scores: Values, targets: Values, weights: Values, labels: Sequence[str], path: Path
) -> None:
    """Draw precision against recall of each label that has a positive window."""
    from sklearn.metrics import precision_recall_curve

    figure, axes = _figure(7, 5)
    for index, label in enumerate(labels):
        kept = weights[:, index] > 0
        truth = targets[kept, index] > 0.5
        if truth.any():
            found = precision_recall_curve(
                truth, scores[kept, index], sample_weight=weights[kept, index]
            )
            axes.plot(found[1], found[0], label=label, linewidth=1.2)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.01))
    axes.grid(alpha=0.3)
    if axes.get_lines():
        axes.legend(fontsize=7, ncols=2)
    _save(figure, path)


def plot_reliability(curves: Mapping[str, Bins], path: Path) -> None:
    """Draw the share of positives against the score; on the diagonal, scores mean what they say.

    Args:
        curves: by name, such as before and after.
        path: PNG to write.
    """
    figure, axes = _figure(5, 5)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for name, bins in curves.items():
        filled = bins.weight > 0
        axes.plot(
            bins.score[filled],
            bins.share[filled],
            marker="o",
            markersize=4,
            label=f"{name}: ECE {bins.error:.3f}",
        )
    axes.set(xlabel="score", ylabel="share of positives", xlim=(0, 1), ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    _save(figure, path)


def plot_det(curves: Mapping[str, Sequence[Point]], path: Path) -> None:
    """Draw the miss rate against false alarms an hour (detection error trade-off).

    Args:
        curves: points by name.
        path: PNG to write.
    """
    figure, axes = _figure(7, 5)
    for name, points in curves.items():
        best = [p for p in frontier(points) if np.isfinite(p.false_per_hour)]
        rate = [max(p.false_per_hour, LEAST_RATE) for p in best]
        axes.plot(rate, [1 - p.recall for p in best], drawstyle="steps-post", label=name)
    axes.set(
        xscale="log",
        xlim=(LEAST_RATE, None),
        ylim=(0, 1.01),
        xlabel=f"false alarms an hour (none is drawn at {LEAST_RATE:g})",
        ylabel="share of events missed",
    )
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
    _save(figure, path)


def plot_delays(delays: Mapping[str, npt.NDArray[np.float64]], path: Path) -> None:
    """Draw the share of told events that were told within a time.

    Args:
        delays: seconds from the start of an event to its first alarm, by name.
        path: PNG to write.
    """
    figure, axes = _figure(7, 4)
    for name, values in delays.items():
        if len(values):
            axes.ecdf(values, label=f"{name} ({len(values)})")
    axes.set(xlabel="seconds from start to alarm", ylabel="share of told events", ylim=(0, 1.01))
    axes.grid(alpha=0.3)
    if axes.get_lines():
        axes.legend(fontsize=8)
    _save(figure, path)
