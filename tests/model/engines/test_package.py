"""The list of engines, and how an unknown one is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from model import engines
from model.bundle import Bundle
from model.config import ModelConfig
from model.engines import available_engines, has_native_bfloat16, open_classifier
from model.errors import EngineUnavailableError


def test_tensorflow_is_always_there() -> None:
    """It is a dependency; its version is told without importing it."""
    assert "tensorflow" in available_engines()
    found = {engine.name: engine for engine in engines.engines()}
    version = found["tensorflow"].version
    assert version is not None
    assert version[0].isdigit()
    assert found["tensorflow"].precisions == ("float32", "bfloat16")


def test_an_engine_that_is_not_here_is_refused_in_one_sentence(small_bundle: Bundle) -> None:
    """The message names the key, the value and what works."""
    config = ModelConfig.model_construct(engine="abacus")  # type: ignore[arg-type]
    with pytest.raises(EngineUnavailableError) as refused:
        open_classifier(small_bundle, config)
    message = str(refused.value)
    assert message == (
        f"model.engine 'abacus' is not available here; engines that work: "
        f"{', '.join(available_engines())}"
    )


def test_runtimes_are_prepared_before_they_are_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras on TensorFlow, no banner, no telemetry; what the operator has set stands."""
    for name in ("KERAS_BACKEND", "ORT_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    engines.prepare()
    found = {name: os.environ[name] for name in ("KERAS_BACKEND", "ORT_DISABLE_TELEMETRY")}
    assert found == {"KERAS_BACKEND": "tensorflow", "ORT_DISABLE_TELEMETRY": "1"}
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


@pytest.mark.parametrize(
    ("machine", "own", "expected"),
    [
        ("x86_64", None, "1"),
        ("AMD64", None, "1"),
        ("x86_64", "0", "0"),
        ("aarch64", None, None),
    ],
)
def test_onednn_is_on_wherever_tensorflow_has_it_for_x86(
    monkeypatch: pytest.MonkeyPatch, machine: str, own: str | None, expected: str | None
) -> None:
    """Older processors too, where TensorFlow leaves it off; the operator's word stands."""
    monkeypatch.setattr("platform.machine", lambda: machine)
    name = "TF_ENABLE_ONEDNN_OPTS"
    monkeypatch.delenv(name, raising=False)
    if own is not None:
        monkeypatch.setenv(name, own)
    engines.prepare()
    found = os.environ.pop(name, None)
    assert found == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu avx512_bf16 sse", True), ("fpu amx_bf16", True), ("fpu avx512f bf16x", False)],
)
def test_native_bfloat16_is_a_cpu_flag(flags: str, expected: bool, tmp_path: Path) -> None:
    """Whole words of the flags line count."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor : 0\nflags : {flags}\n", encoding="utf-8")
    assert has_native_bfloat16(cpuinfo) is expected
    assert has_native_bfloat16(tmp_path / "absent") is False


def test_what_the_processor_only_emulates_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it has bfloat16 itself nothing is left out."""
    both = ("float32", "bfloat16")
    for is_native, expected in ((True, both), (False, ("float32",))):
        monkeypatch.setattr(engines, "has_native_bfloat16", lambda is_native=is_native: is_native)
        assert engines.worth_measuring(both) == expected


def test_a_precision_the_engine_lacks_is_refused_in_one_sentence(small_bundle: Bundle) -> None:
    """int8 is OpenVINO's alone."""
    config = ModelConfig(precision="int8")
    with pytest.raises(EngineUnavailableError) as refused:
        open_classifier(small_bundle, config)
    assert str(refused.value) == (
        "model.precision 'int8' is not available with model.engine 'tensorflow';"
        " it has auto, float32, bfloat16"
    )
