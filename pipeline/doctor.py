"""`bresnet doctor`: what this machine offers and what is missing, with the remedy.

In: the machine. Out: one `Check` a fact. Heavy libraries are tried in child processes with a time
limit, so that a crash in one of them is a finding and not the end.
Invariant: nothing is changed, and nothing but loopback is touched.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from model.machine import cpu_fields, package_version

PORT = 8080
"""Port of the HTTP server unless configured."""

PROBE_S = 90.0
"""Longest time a library may take to prove itself in its child process."""

_MIB = 1024 * 1024
_MIN_MEMORY_MIB = 2048
_MIN_SHM_MIB = 64
_PACKAGES = ("numpy", "av", "opencv-python-headless", "tensorflow", "keras", "fastapi", "uvicorn")
_CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")

_TENSORFLOW = """
import json, time
import tensorflow as tf
found = {"version": tf.__version__, "gpus": len(tf.config.list_physical_devices("GPU"))}
for name in ("float32", "bfloat16"):
    a = tf.cast(tf.random.stateless_uniform((512, 512), seed=(1, 2)), name)
    tf.linalg.matmul(a, a)
    started = time.perf_counter()
    value = tf.linalg.matmul(a, a)
    assert bool(tf.reduce_all(tf.math.is_finite(tf.cast(value, tf.float32))))
    found[name] = round(1000 * (time.perf_counter() - started), 2)
print(json.dumps(found))
"""
_OPENVINO = """
import json
from model.telemetry import switch_off
switch_off()
import openvino
core = openvino.Core()
print(json.dumps({
    "version": openvino.__version__.partition("-")[0],
    "devices": core.available_devices,
    "capabilities": core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
}))
"""
_VIDEO = """
import json
import av
names = ("h264", "hevc", "mjpeg", "mpeg4", "vp8", "vp9", "av1")
missing = [name for name in names if name not in av.codecs_available]
libraries = {name: ".".join(map(str, version)) for name, version in av.library_versions.items()}
print(json.dumps({"av": av.__version__, "libraries": libraries, "missing": missing}))
"""

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        name: what was looked at.
        verdict: ok; warn (works, with a limit); fail (does not work).
        value: what was found.
        hint: what to do about it; empty where nothing needs doing.
    """

    name: str
    verdict: Verdict
    value: str
    hint: str = ""


def diagnose(port: int = PORT) -> list[Check]:
    """Look at everything; takes some seconds, most of them TensorFlow's import.

    Args:
        port: TCP port on loopback that should be free.
    """
    checks: list[Callable[[], Iterable[Check]]] = [
        check_versions,
        check_cpu,
        check_memory,
        lambda: check_shared_memory(Path("/dev/shm")),  # noqa: S108 - that is what we look at
        check_tensorflow,
        check_openvino,
        check_video,
        lambda: check_webcams(Path("/dev")),
        lambda: check_port(port),
    ]
    return [finding for check in checks for finding in check()]


def report(checks: Sequence[Check], *, is_json: bool = False) -> str:
    """Return findings as one JSON array, or as aligned lines for people."""
    if is_json:
        return json.dumps([dataclasses.asdict(check) for check in checks], indent=2)
    width = max((len(check.name) for check in checks), default=0)
    lines = []
    for check in checks:
        lines.append(f"{check.verdict:<4}  {check.name:<{width}}  {check.value}")
        if check.hint:
            lines.append(f"      {'':<{width}}  -> {check.hint}")
    return "\n".join(lines)


def check_versions() -> Iterable[Check]:
    """Python and the libraries, by their package metadata."""
    is_supported = (3, 11) <= sys.version_info[:2] < (3, 14)
    hint = "" if is_supported else "install Python 3.11, 3.12 or 3.13"
    yield Check("python", "ok" if is_supported else "fail", platform.python_version(), hint)
    for name in _PACKAGES:
        version = package_version(name)
        if version is None:
            yield Check(name, "fail", "not installed", "run `pip install bresnet-stream`")
        else:
            yield Check(name, "ok", version)


def check_cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> Iterable[Check]:
    """Model, cores and the instruction sets that make inference fast."""
    fields = cpu_fields(cpuinfo)
    n_cores = len(os.sched_getaffinity(0))
    value = f"{fields.get('model name', platform.machine())}, {n_cores} usable cores"
    hint = "" if n_cores >= 2 else "one core decodes and infers; expect few windows a second"
    yield Check("cpu", "ok" if n_cores >= 2 else "warn", value, hint)
    flags = set(fields.get("flags", "").split())
    found = [flag for flag in _CPU_FLAGS if flag in flags]
    is_fast = "avx2" in flags or not flags
    hint = "" if is_fast else "this CPU has no AVX2: inference will be slow"
    yield Check("cpu features", "ok" if is_fast else "warn", " ".join(found) or "none known", hint)


def check_memory() -> Iterable[Check]:
    """Memory for a worker (1.2 GB) and some cameras (90 MB each)."""
    memory = psutil.virtual_memory()
    free = memory.available // _MIB
    is_enough = free >= _MIN_MEMORY_MIB
    hint = "" if is_enough else f"free {_MIN_MEMORY_MIB} MiB: the worker alone takes 1200"
    value = f"{free} of {memory.total // _MIB} MiB available"
    yield Check("memory", "ok" if is_enough else "warn", value, hint)


def check_shared_memory(path: Path) -> Iterable[Check]:
    """Room for the rings, 18 MiB a camera."""
    if not path.is_dir():
        yield Check(
            "shared memory", "warn", f"{path} is not there", "rings use the temporary folder"
        )
        return
    usage = shutil.disk_usage(path)
    free = usage.free // _MIB
    is_enough = free >= _MIN_SHM_MIB
    hint = "" if is_enough else "give the container more, for example --shm-size=1g"
    value = f"{free} of {usage.total // _MIB} MiB free in {path}"
    yield Check("shared memory", "ok" if is_enough else "fail", value, hint)


def check_tensorflow() -> Iterable[Check]:
    """Import, and a matrix product in each precision, in a child process."""
    found = try_in_child(_TENSORFLOW)
    if isinstance(found, str):
        yield Check("engine tensorflow", "fail", found, "reinstall TensorFlow for this CPU")
        return
    value = f"{found['version']}, {found['gpus']} GPUs"
    yield Check("engine tensorflow", "ok", value)
    for precision in ("float32", "bfloat16"):
        yield Check(f"precision {precision}", "ok", f"512x512 matmul {found[precision]} ms")


def check_openvino() -> Iterable[Check]:
    """The optional engine."""
    if package_version("openvino") is None:
        hint = "optional, faster on most CPUs: pip install 'bresnet-stream[openvino]'"
        yield Check("engine openvino", "warn", "not installed", hint)
        return
    found = try_in_child(_OPENVINO)
    if isinstance(found, str):
        yield Check("engine openvino", "warn", found, "reinstall openvino")
    else:
        devices = ", ".join(map(str, found["devices"]))  # type: ignore[call-overload]
        able = ", ".join(map(str, found["capabilities"]))  # type: ignore[call-overload]
        value = f"{found['version']}, devices {devices}, CPU able of {able}"
        yield Check("engine openvino", "ok", value)
    if package_version("nncf") is None:
        hint = "only needed for model.precision int8: pip install 'bresnet-stream[openvino]'"
        yield Check("precision int8", "warn", "nncf is not installed", hint)
    else:
        yield Check("precision int8", "ok", f"nncf {package_version('nncf')}")


def check_video() -> Iterable[Check]:
    """The video libraries inside PyAV, in a child process."""
    found = try_in_child(_VIDEO)
    if isinstance(found, str):
        yield Check("video", "fail", found, "reinstall av")
        return
    libraries = found["libraries"]
    avcodec = libraries.get("libavcodec", "?") if isinstance(libraries, dict) else "?"
    missing = found["missing"]
    hint = f"no decoder for {missing}: install the binary wheel of av" if missing else ""
    value = f"PyAV {found['av']}, libavcodec {avcodec}"
    yield Check("video", "warn" if missing else "ok", value, hint)


def check_webcams(devices: Path) -> Iterable[Check]:
    """V4L2 devices, and whether we may read them."""
    found = sorted(devices.glob("video[0-9]*"))
    if not found:
        yield Check("webcams", "warn", "none found", "only needed for webcam:N sources")
    for device in found:
        is_readable = os.access(device, os.R_OK | os.W_OK)
        hint = "" if is_readable else "join the group `video`, or pass --device to the container"
        value = "readable" if is_readable else "no permission"
        yield Check(f"webcam {device.name}", "ok" if is_readable else "fail", value, hint)


def check_port(port: int) -> Iterable[Check]:
    """The HTTP port on loopback."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as err:
        hint = "stop the program that has it, or set http.port"
        yield Check(f"port {port}", "warn", str(err.strerror), hint)
    else:
        yield Check(f"port {port}", "ok", "free")


def try_in_child(code: str, timeout_s: float = PROBE_S) -> dict[str, object] | str:
    """Run Python code in a child and return the JSON object of its last line, or what went wrong.

    Args:
        code: prints one JSON object.
        timeout_s: the child is killed after that.
    """
    # Only what a library needs: the environment may hold secrets of the configuration.
    passed = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "VIRTUAL_ENV")
    env = {name: os.environ[name] for name in passed if name in os.environ}
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and code
            [sys.executable, "-P", "-c", code],
            env=env | {"TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {timeout_s:.0f} s"
    except OSError as err:
        return f"cannot be tried: {err.strerror}"
    return _answer(done)


def _answer(done: subprocess.CompletedProcess[str]) -> dict[str, object] | str:
    if done.returncode < 0:
        return f"crashed with signal {-done.returncode}"
    lines = done.stdout.strip().splitlines()
    if done.returncode > 0 or not lines:
        errors = done.stderr.strip().splitlines()
        return errors[-1][:200] if errors else f"exit status {done.returncode}"
    found: dict[str, object] = json.loads(lines[-1])
    return found
