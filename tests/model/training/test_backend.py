"""Claims about the choice of the Keras backend."""

from __future__ import annotations

import os
import subprocess
import sys

import keras
import pytest

from model.errors import TrainingError
from model.training.backend import backend
from tests.conftest import REPOSITORY

TRAIN = [sys.executable, "-m", "pipeline", "train", "configs/recipes/motion-events-start.yaml"]


def test_the_backend_is_the_one_of_keras() -> None:
    """TensorFlow where nothing else is set."""
    assert backend() == keras.backend.backend() == "tensorflow"


def test_a_backend_that_cannot_train_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras has backends for inference alone."""
    monkeypatch.setattr(keras.backend, "backend", lambda: "openvino")
    with pytest.raises(TrainingError, match="tensorflow or jax, not on openvino; set KERAS_"):
        backend()


def test_a_backend_that_is_not_installed_is_one_sentence() -> None:
    """Exit code 2 and no traceback."""
    done = subprocess.run(
        [*TRAIN, "--out", "nowhere"],
        cwd=REPOSITORY,
        env={**os.environ, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "library torch is not installed; unset KERAS_BACKEND" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (REPOSITORY / "nowhere").exists()
