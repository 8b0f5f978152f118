"""The contract of the backends that train: the same steps, and each goes on with the other's run.

JAX runs without TensorFlow, as on a machine with a GPU that has none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.bundle import load_bundle
from model.training.checkpoint import Checkpoints
from model.training.run import begin
from tests.conftest import REPOSITORY
from tests.model.training.stand_in import few_steps

CHILD = [sys.executable, "-m", "tests.contract.backend_child"]


def child(backend: str, folder: Path) -> subprocess.Popen[str]:
    """Start a process that trains on a backend, on the CPU; JAX compiles in half the time."""
    environment = {
        "KERAS_BACKEND": backend,
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "PYTHONPATH": str(REPOSITORY),
    }
    return subprocess.Popen(
        [*CHILD, str(folder)],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(process: subprocess.Popen[str]) -> str:
    """Wait for it, and return what it said."""
    said, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors[-2000:]
    return said.strip()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of four steps on each backend."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("tensorflow", "jax")}
    processes = [child(name, folder) for name, folder in folders.items()]
    assert [told(process) for process in processes] == ["0 True", "0 True"]
    return folders


def arrays_of(folder: Path) -> dict[str, Any]:
    """The weights in the newest checkpoint."""
    loaded = Checkpoints(folder / "checkpoints").load(few_steps().fingerprint())
    assert loaded is not None
    assert loaded[1].step == 4
    return {name: array for name, array in loaded[0].items() if name.startswith("weights/")}


def test_both_take_the_same_steps(runs: dict[str, Path]) -> None:
    """What four steps change differs by rounding: by 0.05 % here, a single array by 7 %."""
    one, other = arrays_of(runs["tensorflow"]), arrays_of(runs["jax"])
    first = begin(few_steps()).state.arrays()
    assert one.keys() == other.keys()
    gaps = {name: np.linalg.norm(one[name] - other[name]) for name in one}
    ways = {name: np.linalg.norm(one[name] - first[name]) for name in one}
    assert np.linalg.norm([*gaps.values()]) <= 0.02 * np.linalg.norm([*ways.values()])
    for name, gap in gaps.items():
        assert gap <= 0.25 * ways[name], name


@pytest.mark.parametrize(("first", "second"), [("tensorflow", "jax"), ("jax", "tensorflow")])
def test_each_goes_on_with_the_run_of_the_other(
    first: str, second: str, runs: dict[str, Path], tmp_path: Path
) -> None:
    """Every array comes over without a changed bit, and the bundle says the same."""
    folder = tmp_path / "run"
    shutil.copytree(runs[first], folder)
    shutil.rmtree(folder / "bundle")
    assert told(child(second, folder)) == "4 True"
    one, other = load_bundle(str(runs[first] / "bundle")), load_bundle(str(folder / "bundle"))
    for name, array in one.weights.items():
        if "moving" in name:  # taken anew under the averaged weights
            np.testing.assert_allclose(other.weights[name], array, rtol=0.02, atol=1e-3)
        else:
            np.testing.assert_array_equal(other.weights[name], array)
