"""The curves of a run as a picture: loss, scores on held-out clips, learning rate.

In: the rows of `metrics.jsonl`. Out: a PNG. Nothing is shown on a screen.
Invariant: a run that has told nothing yet still gives a picture, an empty one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model.training.journal import Row

_PANELS = (
    ("loss", ("train/loss", "validation/loss")),
    ("held-out clips", ("validation/mean_average_precision", "validation/accuracy")),
    ("learning rate", ("train/learning_rate",)),
)


def draw_curves(rows: Sequence[Row], path: Path) -> bool:
    """Draw the curves.

    Returns:
        False where matplotlib is not installed, and nothing was drawn.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(9, 9), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, names) in zip(figure.subplots(len(_PANELS), 1), _PANELS, strict=True):
        for name in names:
            points = [(row["step"], row[name]) for row in rows if name in row]
            if points:
                axes.plot(*zip(*points, strict=True), label=name, linewidth=1.0)
                axes.legend()
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.grid(visible=True, alpha=0.3)
    figure.savefig(path, dpi=110)
    return True
