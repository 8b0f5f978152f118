"""Runtimes that call home are told not to, before they are imported.

A pipeline that watches cameras sends nothing anywhere that its operator did not ask for. OpenVINO
reports every import to an analytics service, and ONNX Runtime every session; neither asks.
Invariant: after `switch_off`, importing and using them opens no connection and no file for it.
"""

from __future__ import annotations

import os
import sys


def switch_off() -> None:
    """Switch telemetry off in this process and its children; before the runtimes are imported.

    OpenVINO and NNCF then take the stubs they bring for installations without the package that
    sends. What was imported before keeps what it has.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    # None makes the import fail, which both handle.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
