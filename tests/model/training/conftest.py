"""What tests of training share: fonts that matplotlib opens once and keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.training.curve import draw_curves


@pytest.fixture(scope="session")
def fonts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture without points; what it opened stays open for the life of the process."""
    path = tmp_path_factory.mktemp("curves") / "empty.png"
    assert draw_curves([], path)
    return path
