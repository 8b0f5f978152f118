"""Claims about checkpoints: whole or not there, two kept, damage found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.errors import TrainingError
from model.training.checkpoint import Checkpoints, Facts


def facts(step: int, fingerprint: str = "f") -> Facts:
    return Facts(step=step, fingerprint=fingerprint, seconds=1.5)


def arrays(value: float) -> dict[str, np.ndarray]:
    return {"weights/a/kernel": np.full((2, 3), value, np.float32), "optimizer/0000": np.array(7)}


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    """Arrays bit by bit with their types, facts with a hash; an empty folder has none."""
    kept = Checkpoints(tmp_path / "checkpoints")
    assert kept.load("f") is None
    kept.save(arrays(0.1), facts(3))
    loaded = kept.load("f")
    assert loaded is not None
    found, told = loaded
    assert (told.step, told.seconds) == (3, 1.5)
    for name, array in arrays(0.1).items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_two_are_kept_and_the_newest_is_read(tmp_path: Path) -> None:
    """After four saves, one of a step that was there, the last two are left."""
    kept = Checkpoints(tmp_path)
    for step in (1, 2, 12, 12):
        kept.save(arrays(step), facts(step))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000002", "step-00000012"]
    loaded = kept.load("f")
    assert loaded is not None
    assert loaded[1].step == 12


@pytest.mark.parametrize("damage", ["cut", "flipped", "no facts", "draft"])
def test_a_damaged_one_is_passed_over(tmp_path: Path, damage: str) -> None:
    """The one before it is read instead; what a kill left half-written is cleared later."""
    kept = Checkpoints(tmp_path)
    kept.save(arrays(1), facts(1))
    newest = kept.save(arrays(2), facts(2))
    content = bytearray((newest / "state.npz").read_bytes())
    if damage == "cut":
        (newest / "state.npz").write_bytes(content[:-10])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        (newest / "state.npz").write_bytes(content)
    elif damage == "no facts":
        (newest / "state.json").unlink()
    else:
        newest.rename(tmp_path / "draft-1")
    loaded = kept.load("f")
    assert loaded is not None
    assert loaded[1].step == 1
    kept.save(arrays(3), facts(3))
    assert not list(tmp_path.glob("draft-*"))


def test_damage_everywhere_and_other_recipes_are_told(tmp_path: Path) -> None:
    """Nothing is silently begun anew."""
    kept = Checkpoints(tmp_path / "checkpoints")
    newest = kept.save(arrays(1), facts(1))
    with pytest.raises(TrainingError, match="holds a run of another recipe"):
        kept.load("g")
    (newest / "state.npz").write_bytes(b"")
    with pytest.raises(TrainingError, match=r"every checkpoint in .* is damaged; remove"):
        kept.load("f")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A file in its place gives a sentence with a remedy."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(TrainingError, match=r"cannot be written: .*; make room or choose"):
        Checkpoints(tmp_path / "taken" / "checkpoints").save(arrays(1), facts(1))
