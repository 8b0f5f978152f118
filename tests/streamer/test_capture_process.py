"""Claims about streamer.capture_process: it follows orders and never outlives its parent."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from streamer.clock import SystemClock
from streamer.config import ReaderConfig
from streamer.notes import (
    AddCamera,
    CloseCamera,
    Ended,
    FrameNote,
    FromCapture,
    Heartbeat,
    OpenOrder,
    RingSpec,
)
from streamer.process import ChildProcess
from streamer.ring import create_ring, remove_ring
from tests.conftest import eventually

SECRET = "canary-7f3a"


@pytest.fixture
def ring() -> Iterator[RingSpec]:
    spec = create_ring("door", 64, 32, 32)
    yield spec
    remove_ring(spec)


def child() -> ChildProcess[FromCapture]:
    return ChildProcess("streamer.capture_process", "capture:test", FromCapture, SystemClock())


def add(ring: RingSpec, source: object) -> AddCamera:
    config = ReaderConfig(camera="door", source=source, size_px=32)
    return AddCamera(camera="door", config=config.reveal_json(), ring=ring)


SCENE = {"kind": "synthetic", "name": "street", "width": 64, "height": 64}


async def test_it_opens_on_order_reports_frames_and_ends_on_order(ring: RingSpec) -> None:
    """Nothing happens before the order; the heartbeat carries the same counts as the end."""
    notes: list[FromCapture] = []
    async with child() as process:
        process.send(add(ring, SCENE))
        async for note in process.notes():
            notes.append(note)
            if isinstance(note, Heartbeat) and note.counters["door"].decoded == 0:
                process.send(OpenOrder(camera="door"))
            if isinstance(note, FrameNote) and note.seq == 5:
                process.send(CloseCamera(camera="door"))
            if isinstance(note, Ended):
                break
    assert isinstance(notes[0], Heartbeat)
    end = notes[-1]
    assert isinstance(end, Ended)
    assert end.reason == "closed"
    assert end.counters.decoded == end.counters.used + sum(end.counters.dropped.values())


async def test_no_credential_is_in_its_arguments_or_environment(ring: RingSpec) -> None:
    """The configuration comes over the link alone."""
    async with child() as process:
        process.send(add(ring, f"rtsp://user:{SECRET}@127.0.0.1:9/x"))
        await anext(process.notes())
        assert process.pid is not None
        seen = psutil.Process(process.pid)
        told = " ".join([*seen.cmdline(), *(f"{k}={v}" for k, v in seen.environ().items())])
        assert SECRET not in told


async def test_the_end_of_the_link_ends_it(ring: RingSpec) -> None:
    """A parent that is gone takes its children along, a running camera included."""
    async with child() as process:
        process.send(add(ring, SCENE))
        process.send(OpenOrder(camera="door"))
        async for note in process.notes():
            if isinstance(note, FrameNote):
                break
        assert process._writer is not None
        process._writer.close()
        assert await asyncio.wait_for(process.wait(), 5) == 0


async def test_ctrl_c_in_the_terminal_is_the_parents_business(ring: RingSpec) -> None:
    """SIGINT is ignored; the parent closes its children in order."""
    async with child() as process:
        process.send(add(ring, SCENE))
        await anext(process.notes())
        assert process.pid is not None
        os.kill(process.pid, signal.SIGINT)
        heard_at = process.last_heard_at
        task = asyncio.ensure_future(anext(process.notes()))
        await eventually(lambda: process.last_heard_at > heard_at)
        await task
        assert process.exit_code is None
