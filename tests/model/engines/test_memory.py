"""A choice is remembered for exactly what it was made for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.bundle import UNTRAINED, Bundle, untrained_bundle
from model.config import ModelConfig
from model.engines.memory import Memory, Remembered

CHOICE = Remembered(
    way=["float32"],
    difference=1e-6,
    cost_s={1: 0.5},
    step_cost_s={4: {1: 0.25}},
    report={"a_ms": 500.0},
    golden=[[1.0, -2.0]],
)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return untrained_bundle(UNTRAINED.model_copy(update={"frames": 8, "size_px": 32, "units": 16}))


def test_a_choice_comes_back(bundle: Bundle, tmp_path: Path) -> None:
    """For the same weights, engine, processor and wishes."""
    config = ModelConfig(cache_dir=tmp_path)
    Memory(bundle, config, "engine 1", "4").keep(CHOICE)
    assert Memory(bundle, config, "engine 1", "4").recall() == CHOICE


def test_anything_else_is_another_choice(bundle: Bundle, tmp_path: Path) -> None:
    """Another engine, precision, batch or other weights are measured themselves."""
    config = ModelConfig(cache_dir=tmp_path)
    Memory(bundle, config, "engine 1", "4").keep(CHOICE)
    other = Bundle(bundle.manifest, bundle.weights, bundle.score_kernel, bundle.score_bias, "ff")
    wishes = ModelConfig(cache_dir=tmp_path, precision="float32")
    for memory in (
        Memory(bundle, config, "engine 2", "4"),
        Memory(bundle, config, "engine 1", "8"),
        Memory(bundle, wishes, "engine 1", "4"),
        Memory(other, config, "engine 1", "4"),
    ):
        assert memory.recall() is None


def test_other_kernels_are_another_choice(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was measured with oneDNN says nothing about TensorFlow without it."""
    config = ModelConfig(cache_dir=tmp_path)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    Memory(bundle, config, "engine 1", "4").keep(CHOICE)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert Memory(bundle, config, "engine 1", "4").recall() is None
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    assert Memory(bundle, config, "engine 1", "4").recall() == CHOICE


def test_nothing_is_remembered_where_that_is_not_wanted(bundle: Bundle, tmp_path: Path) -> None:
    """`cache: false` leaves no file and reads none."""
    Memory(bundle, ModelConfig(cache_dir=tmp_path), "engine 1", "4").keep(CHOICE)
    quiet = Memory(bundle, ModelConfig(cache_dir=tmp_path, cache=False), "engine 1", "4")
    assert quiet.recall() is None
    quiet.keep(CHOICE)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_choice_is_forgotten(bundle: Bundle, tmp_path: Path) -> None:
    """When what it computes is not what it computed."""
    memory = Memory(bundle, ModelConfig(cache_dir=tmp_path), "engine 1", "4")
    memory.keep(CHOICE)
    memory.forget()
    assert memory.recall() is None


@pytest.mark.parametrize(
    ("embeddings", "is_same"),
    [
        ([[1.0, -2.0]], True),
        ([[1.0, -2.01]], True),
        ([[1.0, -2.1]], False),
        ([[1.0, float("nan")]], False),
        ([[1.0]], False),
    ],
)
def test_what_is_computed_is_compared(embeddings: list[list[float]], is_same: bool) -> None:
    """Relative to the largest component."""
    assert CHOICE.computes(np.array(embeddings, np.float32), 1e-2) is is_same
