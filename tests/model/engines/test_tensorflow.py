"""What only the TensorFlow engine does: choosing, chunking, giving up (contract: elsewhere)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import pytest

from model.bundle import UNTRAINED, Bundle, untrained_bundle
from model.classifier import TOLERANCE
from model.config import ModelConfig
from model.engines import has_native_bfloat16
from model.engines import tensorflow as engine
from model.engines.memory import Memory
from model.engines.tensorflow import TensorFlowClassifier
from model.engines.tensorflow_choice import Way
from model.errors import EngineFailedError
from tests.conftest import EMULATED


@pytest.mark.parametrize("is_native", [True, False])
def test_auto_measures_what_the_processor_has_and_reports_each(
    is_native: bool, small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report holds cost and difference of every candidate, rejected or not."""
    monkeypatch.setattr("model.engines.has_native_bfloat16", lambda: is_native)
    classifier = TensorFlowClassifier(small_bundle, ModelConfig(precision="auto", cache=False))
    warm = classifier.warm_up(4)
    classifier.close()
    assert warm.precision in ("float32", "bfloat16")
    costs = {name: ms for name, ms in warm.report.items() if name.endswith("_ms")}
    assert "float32_collapsed_pairs_ms" in costs
    assert ("bfloat16_collapsed_pairs_ms" in costs) is is_native
    assert len(costs) == 3 + is_native
    assert warm.report["float32_collapsed_pairs_difference"] <= 1e-5
    rough = warm.report.get("bfloat16_collapsed_pairs_difference", 0.0)
    assert rough <= 2e-2 or not has_native_bfloat16(), EMULATED
    taken = warm.report[f"{warm.precision}_collapsed_pairs_difference"]
    assert taken <= TOLERANCE[warm.precision]
    assert sorted(warm.cost_s) == [1, 2, 4]
    assert min(warm.cost_s.values()) > 0


@pytest.mark.parametrize(("precision", "is_constant"), [("float32", False), ("bfloat16", True)])
def test_float32_weights_are_no_constants_of_a_step(
    precision: str, is_constant: bool, longer_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would take 200 MB more; in bfloat16 those of the first hop are."""
    asked: list[bool] = []
    monkeypatch.setattr(engine, "make_stepper", lambda *_, is_constant: asked.append(is_constant))
    classifier = TensorFlowClassifier(longer_bundle, ModelConfig())
    classifier._make_stepper(longer_bundle, Way(precision, "collapsed", "pairs"), 4)
    assert asked == [is_constant]


def test_weights_that_no_graph_reproduces_are_refused(small_bundle: Bundle) -> None:
    """Activations beyond float32 leave no finite score: the engine fails at warm-up, not later."""
    weights = {name: array * np.float32(1e9) for name, array in small_bundle.weights.items()}
    broken = Bundle(
        small_bundle.manifest, weights, small_bundle.score_kernel, small_bundle.score_bias, ""
    )
    classifier = TensorFlowClassifier(broken, ModelConfig(precision="float32"))
    with (
        pytest.raises(EngineFailedError, match="no precision agrees"),
        np.errstate(all="ignore"),
    ):
        classifier.warm_up(1)


def test_a_batch_of_several_chunks_is_the_same_as_one(
    small_bundle: Bundle, rng: np.random.Generator
) -> None:
    """Splitting changes memory, not results."""
    classifier = TensorFlowClassifier(small_bundle, ModelConfig(precision="float32"))
    classifier.warm_up(5)
    clips = rng.integers(0, 256, (5, 8, 32, 32, 3), np.uint8)
    whole = classifier.predict(clips)
    classifier._chunk = 2
    parts = classifier.predict(clips)
    classifier.close()
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def longer_bundle() -> Bundle:
    """Long enough for steppers."""
    return untrained_bundle(
        UNTRAINED.model_copy(update={"frames": 16, "size_px": 32, "units": 16, "name": "longer"})
    )


@pytest.mark.parametrize("mode", ["auto", "steps"])
def test_hops_get_steppers_that_are_verified_and_timed(
    longer_bundle: Bundle, tmp_path: Path, mode: Literal["auto", "steps"]
) -> None:
    """Those the geometry allows and, unless steps are insisted on, that are faster."""
    config = ModelConfig(precision="float32", mode=mode, cache_dir=tmp_path)
    classifier = TensorFlowClassifier(longer_bundle, config)
    warm = classifier.warm_up(2, [4, 5, 8])
    assert {"hop4_difference", "hop8_difference"} <= set(warm.report)
    assert "hop5_difference" not in warm.report
    assert warm.report["hop4_difference"] <= 1e-5
    for hop in (4, 5, 8):
        assert (classifier.stepper(hop) is not None) == (hop in warm.step_cost_s)
    for costs in warm.step_cost_s.values():
        assert set(costs) == {1, 2}
        assert costs[1] < warm.cost_s[1] or mode == "steps"
    assert mode == "auto" or set(warm.step_cost_s) == {4, 8}
    classifier.close()
    assert classifier.stepper(4) is None


def test_full_windows_only_where_that_is_asked(longer_bundle: Bundle, tmp_path: Path) -> None:
    """`mode: full` wants no stepper."""
    config = ModelConfig(precision="float32", mode="full", cache_dir=tmp_path)
    classifier = TensorFlowClassifier(longer_bundle, config)
    assert classifier.warm_up(1, [4]).step_cost_s == {}
    assert classifier.stepper(4) is None
    classifier.close()


def test_a_second_start_measures_nothing_again(
    longer_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The choice is remembered and checked by what it computes."""
    config = ModelConfig(precision="float32", cache_dir=tmp_path)
    first = TensorFlowClassifier(longer_bundle, config)
    warm = first.warm_up(2, [4])
    clips = np.random.default_rng(0).integers(0, 256, (2, 16, 32, 32, 3), np.uint8)
    expected = first.predict(clips)
    first.close()
    monkeypatch.setattr(engine, "choose", lambda *_: pytest.fail("measured again"))
    second = TensorFlowClassifier(longer_bundle, config)
    assert second.warm_up(2, [4]) == warm
    np.testing.assert_array_equal(second.predict(clips)[0], expected[0])
    assert (second.stepper(4) is not None) == (4 in warm.step_cost_s)
    second.close()


@pytest.fixture(scope="module")
def measured_once(longer_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a start in float32, without steps, has remembered: for tests to copy."""
    folder = tmp_path_factory.mktemp("measured")
    classifier = TensorFlowClassifier(
        longer_bundle, ModelConfig(precision="float32", cache_dir=folder)
    )
    classifier.warm_up(1)
    classifier.close()
    return folder


@pytest.mark.parametrize(
    "change",
    [
        {"golden": [[0.0] * 16] * 2},
        {"golden": [[1.0]]},
        {"golden": [[float("nan")] * 16] * 2},
        {"way": ["float32", "collapsed"]},
        {"way": ["float32", "collapsed", "sideways", "False"]},
    ],
    ids=["other results", "other shape", "no numbers", "another program's way", "no way"],
)
def test_a_choice_that_computes_something_else_is_forgotten(
    longer_bundle: Bundle, measured_once: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    """The engine measures anew and remembers that."""
    config = ModelConfig(precision="float32", cache_dir=tmp_path)
    shutil.copytree(measured_once, tmp_path, dirs_exist_ok=True)
    runtime = f"tensorflow {engine.tf.__version__} cpu"
    memory = Memory(longer_bundle, config, runtime, "1 []")
    good = memory.recall()
    assert good is not None
    memory.keep(msgspec.structs.replace(good, **change))
    second = TensorFlowClassifier(longer_bundle, config)
    assert second.warm_up(1).precision == "float32"
    second.close()
    again = memory.recall()
    assert again is not None
    np.testing.assert_allclose(again.golden, good.golden, rtol=1e-4, atol=1e-5)


def test_a_damaged_memory_is_measured_anew(
    longer_bundle: Bundle, measured_once: Path, tmp_path: Path
) -> None:
    """Cut, flipped or of another version: none of it stops a start."""
    config = ModelConfig(precision="float32", cache_dir=tmp_path)
    shutil.copytree(measured_once, tmp_path, dirs_exist_ok=True)
    [path] = tmp_path.iterdir()
    whole = path.read_bytes()
    memory = Memory(longer_bundle, config, f"tensorflow {engine.tf.__version__} cpu", "1 []")
    path.write_bytes(whole[:-5])
    assert memory.recall() is None
    memory.cache.write("choice", memory.key, b'{"way": 1}')
    assert memory.recall() is None
    second = TensorFlowClassifier(longer_bundle, config)
    second.warm_up(1)
    second.close()
    assert memory.recall() is not None


def test_threads_are_set_before_tensorflow_runs() -> None:
    """A fresh process gets the asked number; a process that already runs says it is too late."""
    code = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from model.engines import tensorflow as engine
from model.engines.memory import Memory
from model.errors import EngineFailedError
engine._set_threads(1)
assert engine.tf.config.threading.get_intra_op_parallelism_threads() == 1
engine.tf.constant(1) + 1
engine._set_threads(1)
engine._set_threads(None)
try:
    engine._set_threads(2)
except EngineFailedError as err:
    assert "model.threads 2 comes too late" in str(err)
else:
    raise SystemExit("no error")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_threads_are_measured_once_on_a_machine(
    small_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where cores have two threads each; the next start knows, and what is configured holds."""
    measurements: list[int] = []

    def measured(manifest: Any, n: int) -> float:
        measurements.append(n)
        return float(n)

    monkeypatch.setattr(engine, "thread_counts", lambda: (8, 4))
    monkeypatch.setattr(engine, "measured", measured)
    monkeypatch.setattr(engine, "_is_running", lambda: False)
    config = ModelConfig(cache_dir=tmp_path)
    for _ in range(2):
        assert TensorFlowClassifier(small_bundle, config)._best_threads(small_bundle) == 4
    assert measurements == [8, 4]
    monkeypatch.setattr(engine, "_is_running", lambda: True)
    assert TensorFlowClassifier(small_bundle, config)._best_threads(small_bundle) is None
