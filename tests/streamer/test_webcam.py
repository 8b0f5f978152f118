"""Capture devices; where a machine has none, libav's test device stands in."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from streamer.clock import SystemClock
from streamer.config import CaptureConfig, WebcamSource
from streamer.errors import SourceLostError, SourceOpenError
from streamer.webcam import Webcam, device_options

CAPTURE = CaptureConfig()


def webcam(device: str, format_name: str = "v4l2") -> Webcam:
    config = WebcamSource(device=device)
    return Webcam(config, CAPTURE, SystemClock(), threading.Event(), format_name=format_name)


def failure(device: str) -> SourceOpenError:
    source = webcam(device)
    with pytest.raises(SourceOpenError) as raised:
        source.open()
    source.close()
    return raised.value


def test_a_device_is_read_until_it_is_stopped() -> None:
    """A real libav device: described, live, with numbered frames."""
    source = webcam("testsrc2=size=320x240:rate=30", "lavfi")
    info = source.open()
    frames = []
    for frame in source.frames():
        frames.append((frame.index, frame.picture().shape))
        if len(frames) == 5:
            source._stop.set()
    source.close()
    assert frames == [(k, (240, 320, 3)) for k in range(5)]
    assert (info.width, info.height, info.fps, info.is_live) == (320, 240, 30.0, True)


def test_a_device_that_ends_is_unplugged() -> None:
    """Cameras do not end by themselves."""
    source = webcam("testsrc2=duration=0.1", "lavfi")
    source.open()
    with pytest.raises(SourceLostError, match="plug it in again") as loss:
        list(source.frames())
    source.close()
    assert loss.value.kind == "unplugged"


def test_a_picture_above_the_limit_is_refused() -> None:
    """Devices obey the same limit as streams."""
    config = WebcamSource(device="color=size=1280x720")
    capture = CaptureConfig(max_pixels=640 * 480)
    source = Webcam(config, capture, SystemClock(), threading.Event(), format_name="lavfi")
    source.open()
    with pytest.raises(SourceLostError, match="1280x720") as raised:
        next(source.frames())
    source.close()
    assert raised.value.kind == "rejected"


def test_an_absent_device_is_one_sentence() -> None:
    """It names the device and what to do."""
    error = failure("/dev/video4711")
    assert error.kind == "unplugged"
    assert str(error).startswith("webcam /dev/video4711 is not there; ")


def test_a_file_is_no_device(tmp_path: Path) -> None:
    """Neither a plain file nor a pipe is opened as a camera; the pipe does not hang."""
    (tmp_path / "plain").touch()
    os.mkfifo(tmp_path / "pipe")
    for name in ("plain", "pipe"):
        error = failure(str(tmp_path / name))
        assert error.kind == "rejected"
        assert "is no capture device" in str(error)


def test_another_device_is_no_camera() -> None:
    """The driver's answer is translated: /dev/null takes no video commands."""
    error = failure("/dev/null")
    assert error.kind in ("rejected", "unplugged")
    assert str(error).startswith("webcam /dev/null is ")


def test_size_and_rate_are_asked_for_only_where_given() -> None:
    """The driver's default stands otherwise."""
    assert device_options(WebcamSource()) == {}
    config = WebcamSource(width=1280, height=720, fps=29.97)
    assert device_options(config) == {"video_size": "1280x720", "framerate": "29.97"}
