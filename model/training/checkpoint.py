"""Checkpoints of a training run: complete or not there, whenever the process is killed.

Each is a folder `step-00001234` of plain arrays (`state.npz`) and facts (`state.json`, with the
hash of the arrays and the fingerprint of the recipe). It is written under another name and renamed
when it is on the disk; the newest two stay. In: named arrays and facts. Out: the same.
Invariant: a folder that bears a checkpoint's name was written completely, and a damaged one is
never loaded.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from model.errors import TrainingError
from model.training.state import Arrays

KEPT = 2
_NAME = re.compile(r"step-(\d{8})")


class Facts(BaseModel):
    """What a checkpoint says about itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    format: int = 1
    """Version of this layout."""
    step: int
    """Steps that are done."""
    fingerprint: str
    """Of the recipe."""
    seconds: float
    """Spent on training so far, over all starts."""
    arrays_sha256: str = ""
    """Of state.npz."""


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: holds one folder each; made when the first is saved.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, arrays: Arrays, facts: Facts) -> Path:
        """Write a checkpoint and remove all but the newest two.

        Raises:
            TrainingError: the folder cannot be written.
        """
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        digest = hashlib.sha256(buffer.getbuffer()).hexdigest()
        text = facts.model_copy(update={"arrays_sha256": digest}).model_dump_json(indent=2)
        target = self._folder / f"step-{facts.step:08d}"
        draft = self._folder / f"draft-{os.getpid()}"
        try:
            self._clear_drafts()
            draft.mkdir(parents=True)
            _write(draft / "state.npz", buffer.getbuffer())
            _write(draft / "state.json", text.encode())
            _sync(draft)
            if target.exists():
                shutil.rmtree(target)
            draft.rename(target)
            _sync(self._folder)
            for _, old in self._found()[KEPT:]:
                shutil.rmtree(old)
        except OSError as err:
            raise TrainingError(
                f"checkpoint {target} cannot be written: {err.strerror}; make room or choose"
                " another --out"
            ) from err
        return target

    def load(self, fingerprint: str) -> tuple[Arrays, Facts] | None:
        """Read the newest checkpoint that is whole; None where there is none.

        Args:
            fingerprint: of the recipe that wants to go on.

        Raises:
            TrainingError: the run belongs to another recipe, or all its checkpoints are damaged.
        """
        found = self._found()
        for _, folder in found:
            read = _read(folder)
            if read is None:
                continue
            if read[1].fingerprint != fingerprint:
                raise TrainingError(
                    f"{folder.parent.parent} holds a run of another recipe; undo the change of the"
                    " recipe, or choose another --out"
                )
            return read
        if found:
            raise TrainingError(
                f"every checkpoint in {self._folder} is damaged; remove the folder to begin again"
            )
        return None

    def _found(self) -> list[tuple[int, Path]]:
        """Return (step, folder), newest first."""
        if not self._folder.is_dir():
            return []
        matches = ((_NAME.fullmatch(path.name), path) for path in self._folder.iterdir())
        return sorted(((int(m[1]), path) for m, path in matches if m), reverse=True)

    def _clear_drafts(self) -> None:
        for path in self._folder.glob("draft-*"):
            shutil.rmtree(path)


def _read(folder: Path) -> tuple[Arrays, Facts] | None:
    try:
        facts = Facts.model_validate_json((folder / "state.json").read_bytes())
        content = (folder / "state.npz").read_bytes()
        if hashlib.sha256(content).hexdigest() != facts.arrays_sha256:
            return None
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}, facts
    except (OSError, ValidationError, ValueError, zipfile.BadZipFile):
        return None


def _write(path: Path, content: bytes | memoryview) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
