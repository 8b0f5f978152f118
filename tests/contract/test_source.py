"""What every Source must do: files, devices, rendered scenes and RTSP cameras alike."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from streamer.scenes import scene_names
from streamer.source import Source
from tests.clip_file import write_clip
from tests.contract.source_bench import AT_ONCE_S, Bench


def _file(bench: Bench) -> tuple[Source, threading.Event]:
    return bench.source(str(write_clip(bench.folder / "clip.mp4", 40, fps=20)))


def _rtsp_tcp(bench: Bench) -> tuple[Source, threading.Event]:
    return bench.source(bench.camera(fps=20.0).url)


def _webcam(bench: Bench) -> tuple[Source, threading.Event]:
    return bench.webcam()


def _synthetic(bench: Bench) -> tuple[Source, threading.Event]:
    return bench.source(f"synthetic:{scene_names()[0]}")


Make = Callable[[Bench], tuple[Source, threading.Event]]
EVERY_SOURCE = pytest.mark.parametrize("make", [_file, _rtsp_tcp, _webcam, _synthetic])


@EVERY_SOURCE
def test_frames_are_numbered_described_and_rgb(bench: Bench, make: Make) -> None:
    """Ten frames of any source look alike to the reader."""
    source, _ = make(bench)
    info = source.open()
    assert info.width >= 64
    assert info.height >= 48
    assert info.codec
    arrived_at = 0.0
    for index, frame in zip(range(10), source.frames(), strict=False):
        picture = frame.picture()
        assert picture.shape == (frame.height, frame.width, 3)
        assert (picture.dtype, frame.index) == (np.uint8, index)
        assert (frame.width, frame.height) == (info.width, info.height)
        assert frame.arrived_at >= arrived_at
        assert frame.decode_s >= 0.0
        assert frame.rotation_deg == 0
        arrived_at = frame.arrived_at


@EVERY_SOURCE
def test_the_first_frame_is_a_key_frame(bench: Bench, make: Make) -> None:
    """Otherwise the gate would drop every picture of that kind of source."""
    source, _ = make(bench)
    source.open()
    assert next(iter(source.frames())).is_keyframe


@EVERY_SOURCE
def test_the_stop_event_ends_the_frames_without_an_error(bench: Bench, make: Make) -> None:
    """Closing a camera is no loss."""
    source, stop = make(bench)
    source.open()
    frames = iter(source.frames())
    next(frames)
    stop.set()
    began_at = time.monotonic()
    assert len(list(frames)) <= 1
    assert time.monotonic() - began_at < AT_ONCE_S


@EVERY_SOURCE
def test_closing_is_idempotent_and_never_fails(bench: Bench, make: Make) -> None:
    """Before opening, while iterating, twice."""
    source, _ = make(bench)
    source.close()
    other, _ = make(bench)
    other.open()
    frames = iter(other.frames())
    next(frames)
    other.close()
    other.close()


@EVERY_SOURCE
def test_statistics_can_be_read_at_any_time_and_never_fall(bench: Bench, make: Make) -> None:
    """The heartbeat reads them from another thread, before opening and after closing."""
    source, _ = make(bench)
    seen = [source.statistics().bytes]
    source.open()
    for _, _frame in zip(range(5), source.frames(), strict=False):
        seen.append(source.statistics().bytes)
    source.close()
    seen.append(source.statistics().bytes)
    assert seen == sorted(seen)
    assert source.statistics().decode_errors == 0
