"""Each kind of configuration gets its own source, and choosing connects nothing."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from pydantic import TypeAdapter

from streamer.clock import SystemClock
from streamer.config import AnySource, CaptureConfig, SourceConfig
from streamer.opener import open_source

ADAPTER: TypeAdapter[AnySource] = TypeAdapter(SourceConfig)


def chosen(text: str, address: str = "") -> object:
    config = ADAPTER.validate_python(text)
    return open_source(config, CaptureConfig(), SystemClock(), threading.Event(), address)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("rtsp://door.invalid/x", "RtspVideo"),
        ("rtsps://door.invalid/x", "RtspVideo"),
        ("http://door.invalid/x", "HttpVideo"),
        ("https://door.invalid/x", "HttpVideo"),
        ("none.mp4", "FileVideo"),
        ("webcam:4711", "Webcam"),
        ("/dev/video4711", "Webcam"),
        ("synthetic:street", "SyntheticSourceReader"),
    ],
)
def test_every_kind_has_its_source(text: str, name: str) -> None:
    """Nothing of these exists: what is absent is found by open(), not by choosing."""
    source = chosen(text)
    assert type(source).__name__ == name
    source.close()  # type: ignore[attr-defined]


def test_the_resolved_address_reaches_the_camera() -> None:
    """And only RTSP uses it."""
    source = chosen("rtsp://door.invalid/x", "192.0.2.3")
    assert source._opening.url == "rtsp://192.0.2.3/x"  # type: ignore[attr-defined]


def test_importing_the_opener_loads_neither_libav_nor_the_renderer() -> None:
    """A process pays for what it opens only."""
    code = (
        "import sys, streamer.opener\n"
        "print([m for m in ('av', 'streamer.synthetic', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
