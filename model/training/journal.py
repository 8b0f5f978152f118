"""The figures of a run as they come: JSON lines for programs, TensorBoard files for people.

In: a step and named figures. Out: `metrics.jsonl` and, where tensorboard is installed,
`tensorboard/` in the run's folder. Invariant: the JSON lines hold each step once and in order, also
after a kill: what was written after the checkpoint from which a run goes on is removed.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Row = dict[str, float]


def read_rows(path: Path) -> list[Row]:
    """Read the figures of a run; a last line that a kill has cut is left out."""
    rows = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
    return rows


class Journal:
    """Appends figures.

    Args:
        folder: of the run; made where it is missing.
        step: steps that are done; what tells of later ones is removed.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / "metrics.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        kept = [row for row in read_rows(self.path) if row["step"] <= step]
        draft = self.path.with_suffix(".draft")
        draft.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        draft.replace(self.path)
        self._file = self.path.open("a", encoding="utf-8")
        self._board = _board(folder / "tensorboard")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        err: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Append the figures of a step."""
        self._file.write(json.dumps({"step": step, **figures}) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(name, value, step)
            self._board.flush()


def _board(folder: Path) -> Any:
    """A TensorBoard writer that needs no TensorFlow; None where tensorboard is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from tensorboard.summary import Writer

    folder.mkdir(parents=True, exist_ok=True)
    return Writer(str(folder))
