"""What only the OpenVINO engine does: choosing, remembering, giving up (contract: elsewhere)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from model.bundle import UNTRAINED, Bundle, untrained_bundle
from model.config import ModelConfig
from model.errors import EngineFailedError

pytest.importorskip("openvino", reason="the extra openvino is not installed")

from model.engines import openvino as engine
from model.engines.memory import Memory
from model.engines.openvino import OpenVinoClassifier
from tests.conftest import REPOSITORY


def small_bundle() -> Bundle:
    """Long enough for steppers."""
    return untrained_bundle(
        UNTRAINED.model_copy(update={"frames": 16, "size_px": 32, "units": 16, "name": "longer"})
    )


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return small_bundle()


def warm(bundle: Bundle, folder: Path, **config: Any) -> tuple[OpenVinoClassifier, Any]:
    known = ModelConfig.model_validate({"engine": "openvino", "cache_dir": folder} | config)
    classifier = OpenVinoClassifier(bundle, known)
    return classifier, classifier.warm_up(2, [4, 5, 8])


@pytest.mark.parametrize("is_native", [True, False])
def test_auto_measures_what_the_processor_has_and_reports_each(
    is_native: bool, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never int8, nor bfloat16 that would be float32 by name only; costs of a batch are sums."""
    monkeypatch.setattr("model.engines.has_native_bfloat16", lambda: is_native)
    classifier, found = warm(bundle, tmp_path)
    assert found.precision in (("float32", "bfloat16") if is_native else ("float32",))
    assert {"float32_ms", "hop4_difference", "hop4_ms"} <= set(found.report)
    assert ("bfloat16_ms" in found.report) is is_native
    assert "int8_ms" not in found.report
    assert "hop8_difference" not in found.report
    assert found.report["float32_difference"] <= 1e-5
    assert found.cost_s[2] == 2 * found.cost_s[1] > 0
    for hop in (4, 5, 8):
        assert (classifier.stepper(hop) is not None) == (hop in found.step_cost_s)
    classifier.close()
    assert classifier.stepper(4) is None


def test_full_windows_only_where_that_is_asked(bundle: Bundle, tmp_path: Path) -> None:
    """`mode: full` wants no stepper."""
    classifier, found = warm(bundle, tmp_path, mode="full", precision="float32")
    assert found.step_cost_s == {}
    classifier.close()


@pytest.mark.parametrize(("wrong", "slow"), [(True, False), (False, True)])
def test_a_step_that_is_wrong_or_slow_is_not_kept(
    wrong: bool, slow: bool, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full windows then, and the report says why."""
    monkeypatch.setattr(engine, "step_difference", lambda *_: float("inf") if wrong else 0.0)
    monkeypatch.setattr(engine, "step_cost", lambda *_: 1e3 if slow else 1e-9)
    classifier, found = warm(bundle, tmp_path, precision="float32")
    assert found.step_cost_s == {}
    assert classifier.stepper(4) is None
    assert ("hop4_ms" in found.report) == slow
    classifier.close()


def test_weights_that_no_graph_reproduces_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    """Activations beyond float32 leave no finite score: the engine fails at warm-up, not later."""
    weights = {name: array * np.float32(1e9) for name, array in bundle.weights.items()}
    broken = Bundle(bundle.manifest, weights, bundle.score_kernel, bundle.score_bias, "broken")
    with (
        pytest.raises(EngineFailedError, match="no precision agrees"),
        np.errstate(all="ignore"),
    ):
        warm(broken, tmp_path, precision="float32")


def test_a_second_start_measures_nothing_again(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The choice is remembered and checked by what it computes."""
    monkeypatch.setattr(engine, "step_cost", lambda *_, **__: 1e-9)
    first, found = warm(bundle, tmp_path, precision="float32")
    clips = np.random.default_rng(0).integers(0, 256, (2, 16, 32, 32, 3), np.uint8)
    expected = first.predict(clips)
    first.close()
    monkeypatch.setattr(engine, "reference_outputs", lambda *_: pytest.fail("measured again"))
    second, again = warm(bundle, tmp_path, precision="float32")
    assert again == found
    assert second.stepper(4) is not None
    np.testing.assert_array_equal(second.predict(clips)[0], expected[0])
    second.close()


def test_a_choice_that_computes_something_else_is_forgotten(bundle: Bundle, tmp_path: Path) -> None:
    """The engine measures anew and remembers that."""
    classifier, found = warm(bundle, tmp_path, precision="float32")
    classifier.close()
    config = ModelConfig(engine="openvino", precision="float32", cache_dir=tmp_path)
    memory = Memory(bundle, config, found.engine, "2 [4, 5, 8]")
    good = memory.recall()
    assert good is not None
    memory.keep(msgspec.structs.replace(good, golden=[[0.0] * 16]))
    classifier, _ = warm(bundle, tmp_path, precision="float32")
    classifier.close()
    again = memory.recall()
    assert again is not None
    np.testing.assert_allclose(again.golden, good.golden, rtol=1e-4, atol=1e-5)


def test_a_runtime_that_fails_ends_the_classifier(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first failure is told as such, everything later as unusable."""
    classifier, _ = warm(bundle, tmp_path, precision="float32", mode="full")

    def fail(clips: Any) -> Any:
        raise EngineFailedError("OpenVINO failed at inference: out of memory")

    monkeypatch.setattr(classifier, "_full", fail)
    clips = np.zeros((1, 16, 32, 32, 3), np.uint8)
    with pytest.raises(EngineFailedError, match="out of memory"):
        classifier.predict(clips)
    with pytest.raises(EngineFailedError, match="not warmed up"):
        classifier.predict(clips)


def test_a_start_that_remembers_loads_no_tensorflow(bundle: Bundle, tmp_path: Path) -> None:
    """It costs seconds, and only the judge needs it; nor does it need OpenCV."""
    warm(bundle, tmp_path, precision="float32")[0].close()
    code = """
import sys
from pathlib import Path
from model.bundle import UNTRAINED, untrained_bundle
from model.config import ModelConfig
from model.engines import open_classifier
facts = {"frames": 16, "size_px": 32, "units": 16, "name": "longer"}
bundle = untrained_bundle(UNTRAINED.model_copy(update=facts))
config = ModelConfig(engine="openvino", precision="float32", cache_dir=Path(sys.argv[1]))
open_classifier(bundle, config).warm_up(2, [4, 5, 8])
assert not {"tensorflow", "keras", "cv2", "nncf"} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


SIGNAL_AFTER_CLOSE = """
import gc, signal, sys
from pathlib import Path
from tests.model.engines.test_openvino import small_bundle, warm

warm(small_bundle(), Path(sys.argv[1]), precision="float32")[0].close()
gc.collect()
signal.signal(signal.SIGTERM, lambda *_: print("heard"))
signal.raise_signal(signal.SIGTERM)
"""


def test_a_signal_after_the_end_is_heard(tmp_path: Path) -> None:
    """Ctrl-C in a program that has closed the engine is no segmentation fault."""
    done = subprocess.run(
        [sys.executable, "-c", SIGNAL_AFTER_CLOSE, str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr[-500:]
