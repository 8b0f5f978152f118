"""A scripted camera in a process of its own, for tests with many cameras or busy interpreters.

In: orders, one JSON object a line: {"set": {...}}, {"do": "rst"}, {"do": "refuse", "for_s": 40},
{"ledger": true}; an order may have several keys. Out: one JSON line an order, the ledger or {}.
Invariant: the process ends when its stdin does, so it never outlives the test.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
from collections import deque
from types import TracebackType
from typing import Any

import msgspec

from tests.camera import ScriptedCamera
from tests.camera_ledger import FrameSent, Ledger, Request, Session
from tests.camera_script import CameraOptions


class CameraProcess:
    """The parent's side: starts the process and has the same actions as `ScriptedCamera`.

    Args:
        options: what the camera is.
        port: TCP port on 127.0.0.1; 0 takes a free one.
        script: values of the first `Script`.
    """

    def __init__(self, options: CameraOptions | None = None, port: int = 0, **script: Any) -> None:
        self._options = options or CameraOptions()
        self._script = script
        self._process: subprocess.Popen[str] | None = None
        self.port = port

    def __enter__(self) -> CameraProcess:
        command = [sys.executable, "-m", "tests.camera", "--port", str(self.port)]
        command += ["--set", json.dumps(self._script)]
        command += ["--options", json.dumps(dataclasses.asdict(self._options))]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        line = self._read_line()
        self.port = int(line.removeprefix("ready "))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.communicate(timeout=30)

    @property
    def url(self) -> str:
        """Return the address, with the right credentials where the camera asks for some."""
        return self._options.url(self.port)

    @property
    def ledger(self) -> Ledger:
        """Return a copy of the truth about what was sent; instants are comparable with ours."""
        answer = self._order({"ledger": True})
        return Ledger(
            frames=deque(msgspec.convert(answer["frames"], list[FrameSent])),
            requests=msgspec.convert(answer["requests"], list[Request]),
            sessions=msgspec.convert(answer["sessions"], list[Session]),
            connects=answer["connects"],
            faults=[(at, what) for at, what in answer["faults"]],
            last_byte_at=answer["last_byte_at"],
        )

    def set(self, **changes: Any) -> None:
        """Change fields of the script; in effect when this returns."""
        self._order({"set": changes})

    def do(self, action: str, **arguments: Any) -> None:
        """Call a method of `ScriptedCamera`: fin, rst, refuse, power_cycle, jump, after, ..."""
        self._order({"do": action, **arguments})

    def _order(self, order: dict[str, Any]) -> dict[str, Any]:
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("the camera process does not run; use it inside its `with` block")
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._read_line())
        return answer

    def _read_line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the camera process ended with {self._process.wait()}")
        return line


def main() -> None:
    """Run one camera, obeying orders on stdin until it ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--set", default="{}", help="JSON: fields of the first script")
    parser.add_argument("--options", default="{}", help="JSON: fields of CameraOptions")
    arguments = parser.parse_args()
    options = CameraOptions(**json.loads(arguments.options))
    with ScriptedCamera(options, arguments.port, **_script(json.loads(arguments.set))) as camera:
        print(f"ready {camera.port}", flush=True)
        for line in sys.stdin:
            print(msgspec.json.encode(_obey(camera, json.loads(line))).decode(), flush=True)


def _obey(camera: ScriptedCamera, order: dict[str, Any]) -> dict[str, Any]:
    if "set" in order:
        camera.set(**_script(order["set"]))
    if "do" in order:
        arguments = {k: v for k, v in order.items() if k not in ("do", "set", "ledger")}
        getattr(camera, order["do"])(**_script(arguments))
    if not order.get("ledger"):
        return {}
    ledger = camera.ledger
    names = [field.name for field in dataclasses.fields(ledger)]
    return {name: getattr(ledger, name) for name in names} | {"frames": ledger.snapshot()}


def _script(values: dict[str, Any]) -> dict[str, Any]:
    return values | ({"size": tuple(values["size"])} if "size" in values else {})
