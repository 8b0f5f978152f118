"""Claims about model.telemetry: the runtimes keep to themselves, and still work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

# Every attempt to find or reach a host is noted; threads that send would be there at the end.
PROBE = """
import json, socket, sys, threading
calls = []
def note(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        calls.append(event)
sys.addaudithook(note)
from model.telemetry import switch_off
switch_off()
import {module}
{work}
files = __import__("os").popen("ls -l /proc/%d/fd" % __import__("os").getpid()).read()
print(json.dumps([calls, len(threading.enumerate()), "onnxruntime.db" in files]))
"""
OPENVINO = """
import numpy as np
from openvino import opset15 as ops
x = ops.parameter([1, 4], np.float32)
model = openvino.Model([ops.relu(x)], [x])
assert (openvino.Core().compile_model(model, "CPU")(np.ones((1, 4), np.float32))[0] == 1).all()
"""
ONNXRUNTIME = "assert 'CPUExecutionProvider' in onnxruntime.get_available_providers()"


@pytest.mark.parametrize(("module", "work"), [("openvino", OPENVINO), ("onnxruntime", ONNXRUNTIME)])
def test_a_runtime_calls_nobody(module: str, work: str, tmp_path: Path) -> None:
    """No look-up, no connection, no sending thread, no file of unsent reports."""
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    environment.pop("CI", None)
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(module=module, work=work)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        cwd=REPOSITORY,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [[], 1, False]
    assert not list(tmp_path.rglob("*onnxruntime*"))
