"""Claims about the progress that people see."""

from __future__ import annotations

import io
import itertools

from rich.console import Console

from model.training.progress import ProgressLine


def test_without_a_terminal_lines_come_now_and_then() -> None:
    """One every 100 steps and one a validation; what is left counts from this start."""
    out = io.StringIO()
    clock = itertools.count(0, 50)
    line = ProgressLine(400, Console(file=out, width=200), lambda: float(next(clock)))
    with line:
        line.begin(50)
        for step in range(51, 101):
            line.tell(step, {"loss": 0.5})
        line.tell(150, {"validation/loss": 0.25, "validation/mean_average_precision": 0.75})
    assert out.getvalue().splitlines() == [
        "step 100/400: loss 0.5000, left 0:05:00",
        "step 150/400: held-out loss 0.2500, mean average precision 0.7500, left 0:04:10",
    ]


def test_a_terminal_shows_a_bar() -> None:
    """The bar counts steps and shows the loss."""
    out = io.StringIO()
    with ProgressLine(400, Console(file=out, width=200, force_terminal=True)) as line:
        line.begin(0)
        line.tell(100, {"loss": 0.5})
    assert "100/400" in out.getvalue()
    assert "loss 0.5000" in out.getvalue()
