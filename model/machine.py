"""What figures were measured on: processor, memory and the versions of what did the work.

In: the machine. Out: one immutable `Machine` that goes into every result file.
Invariant: nothing heavy is imported to learn a version, and nothing names the machine or its user.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psutil

CPUINFO = Path("/proc/cpuinfo")

_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
"""Instruction sets that decide how fast a network is."""

_PACKAGES = (
    *("bresnet-stream", "tensorflow", "keras", "numpy", "openvino", "nncf"),
    *("onnxruntime", "onnx", "tf2onnx", "av"),
)


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine, for people who compare figures.

    Attributes:
        processor: model name.
        flags: the instruction sets it has of those that matter.
        n_cores: cores this process may use.
        memory_bytes: of the machine.
        python: version.
        versions: of the packages that are installed.
    """

    processor: str
    flags: tuple[str, ...]
    n_cores: int
    memory_bytes: int
    python: str
    versions: Mapping[str, str]

    def __str__(self) -> str:
        flags = f" ({', '.join(self.flags)})" if self.flags else ""
        return (
            f"{self.n_cores} cores of {self.processor}{flags},"
            f" {self.memory_bytes / 2**30:.0f} GiB, Python {self.python}"
        )


def this_machine(cpuinfo: Path = CPUINFO) -> Machine:
    """Describe the machine this runs on."""
    fields = cpu_fields(cpuinfo)
    found = set(fields.get("flags", "").split())
    return Machine(
        processor=fields.get("model name") or platform.machine(),
        flags=tuple(flag for flag in _FLAGS if flag in found),
        n_cores=len(os.sched_getaffinity(0)),
        memory_bytes=psutil.virtual_memory().total,
        python=platform.python_version(),
        versions={name: v for name in _PACKAGES if (v := package_version(name)) is not None},
    )


def cpu_fields(cpuinfo: Path = CPUINFO) -> dict[str, str]:
    """Return the fields of the first CPU; empty where the system tells nothing."""
    try:
        first = cpuinfo.read_text(errors="replace").partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def package_version(name: str) -> str | None:
    """Return the version of an installed distribution without importing it; None where absent."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
