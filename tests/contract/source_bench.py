"""Opens sources for the contract tests, and closes what was opened."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from streamer.clock import SystemClock
from streamer.config import AnySource, CaptureConfig, parse_source
from streamer.opener import open_source
from streamer.source import Source
from streamer.webcam import Webcam
from tests.camera import ScriptedCamera
from tests.camera_script import CameraOptions

CAPTURE = CaptureConfig()
NOTICED_S = 3.5
"""Within this time every silent fault must be noticed (RELIABILITY.md A6)."""
AT_ONCE_S = 1.0
CANARY = "Canary-Pw-1"


@dataclass
class Bench:
    """Opens sources, and closes what was opened.

    Attributes:
        folder: for files.
        opened: sources to close.
        held: servers to stop.
    """

    folder: Path
    opened: list[Source] = field(default_factory=list)
    held: ExitStack = field(default_factory=ExitStack)

    def source(
        self, config: AnySource | str, capture: CaptureConfig = CAPTURE, address: str = ""
    ) -> tuple[Source, threading.Event]:
        if isinstance(config, str):
            config = _config(config)
        stop = threading.Event()
        source = open_source(config, capture, SystemClock(), stop, address)
        self.opened.append(source)
        return source, stop

    def webcam(self) -> tuple[Source, threading.Event]:
        stop = threading.Event()
        config = _config("/dev/video0").model_copy(update={"device": "testsrc2=size=160x120"})
        source = Webcam(config, CAPTURE, SystemClock(), stop, format_name="lavfi")  # type: ignore[arg-type]
        self.opened.append(source)
        return source, stop

    def camera(self, options: CameraOptions | None = None, **script: object) -> ScriptedCamera:
        return self.held.enter_context(ScriptedCamera(options, **script))


def _config(text: str) -> AnySource:
    adapter: TypeAdapter[AnySource] = TypeAdapter(AnySource)
    return adapter.validate_python(parse_source(text))
