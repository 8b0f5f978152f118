"""The runtimes that can hold a network, by name.

In: a bundle and a `ModelConfig`. Out: a `Classifier`, not warmed up yet. Finding out what is
installed imports none of them. Invariant: an engine is refused here, in one sentence that lists
those that work, before anything is loaded.
"""

from __future__ import annotations

import importlib
import os
import platform
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from model.bundle import Bundle
from model.classifier import Classifier
from model.config import ModelConfig
from model.engines.banner import without_banner
from model.errors import EngineUnavailableError
from model.telemetry import switch_off

_ENGINES = {
    "tensorflow": ("model.engines.tensorflow", "TensorFlowClassifier"),
    "openvino": ("model.engines.openvino", "OpenVinoClassifier"),
}
"""Engine name, which is that of its distribution too -> module, class."""

_ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
"""Must stand before TensorFlow is imported: nothing about GPUs it did not find, and Keras on the
same runtime. What fails comes as an exception whatever the level."""

_X86 = {"x86_64", "AMD64"}
_ONEDNN = {"TF_ENABLE_ONEDNN_OPTS": "1"}
"""Kernels of oneDNN on every x86 processor: by itself TensorFlow takes them only where there are
AVX-512 VNNI, bfloat16 or AMX (its release notes 2.9), and elsewhere others that take up to twice as
long. On ARM its own choice stands, since nobody measured there."""

PRECISIONS = {
    "tensorflow": ("float32", "bfloat16"),
    "openvino": ("float32", "bfloat16", "int8"),
}


@dataclass(frozen=True, slots=True)
class Engine:
    """What is known of a runtime without loading it.

    Attributes:
        name: as in the configuration.
        version: of the installed distribution, None where it is not installed.
        precisions: that it can be asked for; `auto` chooses among those but int8 at warm-up.
    """

    name: str
    version: str | None
    precisions: tuple[str, ...]


def engines() -> list[Engine]:
    """List all runtimes this project knows, installed or not."""
    return [Engine(name, _version(name), PRECISIONS[name]) for name in _ENGINES]


def available_engines() -> list[str]:
    """Name the runtimes that are installed."""
    return [engine.name for engine in engines() if engine.version is not None]


def has_native_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Tell whether this CPU multiplies bfloat16 itself; elsewhere it is emulated and slow."""
    try:
        text = cpuinfo.read_text(encoding="utf-8")
    except OSError:
        return False
    return any(flag in text.split() for flag in ("avx512_bf16", "amx_bf16", "bf16"))


def worth_measuring(precisions: tuple[str, ...]) -> tuple[str, ...]:
    """Leave out what this CPU only emulates: it costs seconds of warm-up and is never faster."""
    if has_native_bfloat16():
        return precisions
    return tuple(precision for precision in precisions if precision != "bfloat16")


def prepare() -> None:
    """Set what must stand before any runtime is imported; every import of one comes behind it."""
    wanted = _ENVIRONMENT | (_ONEDNN if platform.machine() in _X86 else {})
    for key, value in wanted.items():
        os.environ.setdefault(key, value)
    switch_off()


def open_classifier(bundle: Bundle, config: ModelConfig) -> Classifier:
    """Create the classifier a configuration asks for.

    Raises:
        EngineUnavailableError: the engine is unknown or not installed, or lacks the precision.
    """
    if config.engine not in available_engines():
        known = ", ".join(available_engines()) or "none; install bresnet-stream anew"
        raise EngineUnavailableError(
            f"model.engine {config.engine!r} is not available here; engines that work: {known}"
        )
    if config.precision not in ("auto", *PRECISIONS[config.engine]):
        raise EngineUnavailableError(
            f"model.precision {config.precision!r} is not available with model.engine"
            f" {config.engine!r}; it has auto, {', '.join(PRECISIONS[config.engine])}"
        )
    module, name = _ENGINES[config.engine]
    prepare()
    with without_banner():
        loaded = importlib.import_module(module)
    classifier: Classifier = getattr(loaded, name)(bundle, config)
    return classifier


def _version(distribution: str) -> str | None:
    if util.find_spec(distribution) is None:
        return None
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"
