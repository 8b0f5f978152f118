"""`import model` is cheap; the public names work."""

from __future__ import annotations

import subprocess
import sys

import pytest

import model

LIGHT = [
    "model",
    "model.spec",
    "model.labels",
    "model.config",
    "model.bundle",
    "model.classifier",
    "model.engines",
    "model.fuse",
]


@pytest.mark.parametrize("module", LIGHT)
def test_no_engine_is_imported(module: str) -> None:
    """Only building a network or opening an engine pays for TensorFlow and Keras."""
    code = (
        f"import sys, {module}; "
        "heavy = {'tensorflow', 'keras', 'openvino'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_public_name_can_be_imported() -> None:
    """`__all__`, the lazy table and `dir` agree, and each name is the class it says."""
    for name in model.__all__:
        assert getattr(model, name).__name__ == name
        assert name in dir(model)
    assert set(model.__all__) == set(model._HOME)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails like in any module."""
    with pytest.raises(AttributeError, match="BResNet"):
        _ = model.BResNet
