"""Claims about the figures of a run."""

from __future__ import annotations

from pathlib import Path

from model.training.journal import Journal, read_rows


def test_figures_are_written_as_they_come(tmp_path: Path) -> None:
    """JSON lines for programs and an event file for TensorBoard."""
    with Journal(tmp_path / "run", 0) as journal:
        journal.write(20, {"train/loss": 0.5})
        assert read_rows(journal.path) == [{"step": 20, "train/loss": 0.5}]
    events = list((tmp_path / "run" / "tensorboard").iterdir())
    assert len(events) == 1
    assert b"train/loss" in events[0].read_bytes()


def test_what_came_after_the_checkpoint_is_removed(tmp_path: Path) -> None:
    """A run that goes on from step 40 tells steps after it once, and a cut line is dropped."""
    with Journal(tmp_path, 0) as journal:
        for step in (20, 40, 60):
            journal.write(step, {"train/loss": float(step)})
    with journal.path.open("a") as file:
        file.write('{"step": 80, "train/l')
    assert [row["step"] for row in read_rows(journal.path)] == [20, 40, 60]
    with Journal(tmp_path, 40) as journal:
        journal.write(60, {"train/loss": 0.0})
    assert [row["step"] for row in read_rows(journal.path)] == [20, 40, 60]
    assert read_rows(journal.path)[-1]["train/loss"] == 0.0


def test_a_run_without_figures_has_none(tmp_path: Path) -> None:
    """No file, no rows."""
    assert read_rows(tmp_path / "metrics.jsonl") == []
