"""The progress of a run on stderr: a bar with the time that is left, or now and then a line.

In: steps that are done and their figures. Out: a `rich` bar where stderr is a terminal, else one
line every 100 steps and one a validation. Invariant: the time that is left counts from this start
on, not from steps of an earlier one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LINE_STEPS = 100
SHOWN = ("loss", "mean_average_precision", "accuracy")
"""Figures of a validation that fit a line."""


class ProgressLine:
    """Shows a run; use it in a `with`.

    Args:
        steps: of the whole run.
        console: where to; stderr where absent.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        steps: int,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._steps, self._clock = steps, clock
        self._console = console or Console(stderr=True)
        self._bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("loss {task.fields[loss]:.4f}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            speed_estimate_period=600.0,
        )
        self._task = self._bar.add_task("train", total=steps, loss=float("nan"))
        self._first, self._began_at = 0, clock()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        err: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def begin(self, step: int) -> None:
        """Say from which step on this start works."""
        self._first, self._began_at = step, self._clock()
        self._bar.update(self._task, completed=step)

    def tell(self, step: int, figures: Mapping[str, float]) -> None:
        """Show a step that is done."""
        if "loss" in figures:
            self._bar.update(self._task, completed=step, loss=figures["loss"])
            if step % LINE_STEPS == 0 and not self._console.is_terminal:
                self._print(f"step {step}/{self._steps}: loss {figures['loss']:.4f}", step)
            return
        held_out = {k.removeprefix("validation/"): v for k, v in figures.items()}
        told = ", ".join(f"{k.replace('_', ' ')} {held_out[k]:.4f}" for k in SHOWN if k in held_out)
        self._print(f"step {step}/{self._steps}: held-out {told}", step)

    def _print(self, text: str, step: int) -> None:
        seconds = (self._clock() - self._began_at) / max(step - self._first, 1)
        left = timedelta(seconds=round(seconds * (self._steps - step)))
        self._console.print(f"{text}, left {left}", highlight=False, soft_wrap=True)
