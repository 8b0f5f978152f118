"""Claims about streamer.capture with a real child process: notes come, the end is clean."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import resource
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from streamer.capture import Capture, share_out
from streamer.clock import SystemClock
from streamer.config import ReaderConfig, ReconnectConfig
from streamer.connection import CaptureJob, Connection
from streamer.notes import Ended, FrameNote, FromCapture, Lost, Opened, RingSpec, StateNote
from streamer.reconnect import Backoff
from streamer.resolver import Resolver
from streamer.ring import create_ring, remove_ring
from tests.conftest import eventually

SILENCE_S = 3.0
SCENE = {"kind": "synthetic", "name": "street", "fps": 25.0, "width": 64, "height": 64}


@pytest.fixture
def rings() -> Iterator[list[RingSpec]]:
    specs = [create_ring(f"cam{i}", 64, 32, 32) for i in range(2)]
    yield specs
    for spec in specs:
        remove_ring(spec)


class Bench:
    """A capture with its cameras; notes by camera."""

    def __init__(self, rings: list[RingSpec], **source: Any) -> None:
        self.notes: dict[str, list[FromCapture]] = {f"cam{i}": [] for i in range(len(rings))}
        self.clock = SystemClock()
        opens, resolver = asyncio.Semaphore(4), Resolver()
        connections = [
            Connection(
                CaptureJob(
                    config=ReaderConfig(camera=camera, source=SCENE | source, size_px=32),
                    ring=ring,
                    deliver=self.notes[camera].append,
                ),
                self.backoff(),
                opens,
                resolver.resolve,
                self.clock,
            )
            for camera, ring in zip(self.notes, rings, strict=True)
        ]
        self.capture = Capture("test", connections, self.backoff(), SILENCE_S, self.clock)

    def backoff(self) -> Backoff:
        return Backoff(ReconnectConfig(initial_s=0.05, cap_s=0.1), random.Random(1))

    def of(self, camera: str, kind: type) -> list[Any]:
        return [note for note in self.notes[camera] if isinstance(note, kind)]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[Any]]:
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(stage, name=name) for name, stage in self.capture.stages()]
        everything = asyncio.gather(*tasks)
        try:
            yield everything  # type: ignore[misc]
        finally:
            self.capture.close()
            await asyncio.wait_for(everything, 10)


async def test_two_cameras_of_one_process_deliver_and_end_when_closed(
    rings: list[RingSpec],
) -> None:
    """Opened, frames, and one Ended each; the process is gone afterwards."""
    bench = Bench(rings)
    async with bench.running():
        await eventually(lambda: all(len(bench.of(c, FrameNote)) > 5 for c in bench.notes))
        pid = bench.capture.pid
        assert pid is not None
    for camera in bench.notes:
        assert len(bench.of(camera, Opened)) == 1
        (end,) = bench.of(camera, Ended)
        assert (end.reason, end.is_error) == ("closed", False)
        seqs = [note.seq for note in bench.of(camera, FrameNote)]
        assert seqs == sorted(set(seqs))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_killed_process_is_replaced_and_goes_on_in_the_same_ring(
    rings: list[RingSpec],
) -> None:
    """Sequence numbers go on, the run is a new one, the loss is told as that of the process."""
    bench = Bench(rings[:1])
    async with bench.running():
        await eventually(lambda: len(bench.of("cam0", FrameNote)) > 5)
        old = bench.capture.pid
        assert old is not None
        os.kill(old, signal.SIGKILL)
        n_before = len(bench.of("cam0", FrameNote))
        await eventually(lambda: len(bench.of("cam0", FrameNote)) > n_before + 5)
        assert bench.capture.pid != old
        assert bench.capture.n_restarts == 1
    (lost,) = bench.of("cam0", Lost)
    assert lost.is_process_lost
    assert "SIGKILL" in lost.message
    frames = bench.of("cam0", FrameNote)
    seqs = [note.seq for note in frames]
    assert seqs == sorted(set(seqs))
    assert frames[-1].run > frames[0].run
    assert [note.reset for note in frames if note.reset] == ["start", "reconnect"]


async def test_a_process_that_starts_slowly_is_not_killed(rings: list[RingSpec]) -> None:
    """It cannot speak before its libraries are loaded; later the same silence costs it its life."""
    bench = Bench(rings[:1])
    async with bench.running():
        await eventually(lambda: bench.capture.pid is not None)
        first = bench.capture.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        await asyncio.sleep(SILENCE_S + 1.5)
        os.kill(first, signal.SIGCONT)
        await eventually(lambda: len(bench.of("cam0", FrameNote)) > 5, timeout_s=60)
        assert (bench.capture.pid, bench.capture.n_restarts) == (first, 0)
        os.kill(first, signal.SIGSTOP)
        await eventually(lambda: bench.capture.n_restarts == 1, timeout_s=20)


async def test_a_camera_keeps_the_rate_it_was_given_when_its_process_is_replaced(
    rings: list[RingSpec],
) -> None:
    """The rate changes in place, its neighbour's does not; the next process is told again."""
    bench = Bench(rings)

    def intervals(camera: str) -> list[float]:
        notes = bench.of(camera, FrameNote)[-6:]
        return [round(b.media_s - a.media_s, 3) for a, b in itertools.pairwise(notes)]

    async with bench.running():
        await eventually(lambda: len(bench.of("cam0", FrameNote)) > 5)
        bench.capture.set_rate("cam0", 5.0)
        await eventually(lambda: intervals("cam0") == pytest.approx([0.2] * 5, abs=0.05))
        assert intervals("cam1") == pytest.approx([0.1] * 5, abs=0.05)
        pid = bench.capture.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        n_before = len(bench.of("cam0", FrameNote))
        await eventually(lambda: len(bench.of("cam0", FrameNote)) > n_before + 6)
        assert intervals("cam0") == pytest.approx([0.2] * 5, abs=0.05)
    resets = [note.reset for note in bench.of("cam0", FrameNote) if note.reset]
    assert resets == ["start", "config", "reconnect"]


async def test_a_rate_for_a_camera_that_has_ended_disturbs_nobody(rings: list[RingSpec]) -> None:
    """Its process was replaced meanwhile and does not know it: the neighbour goes on."""
    bench = Bench(rings)
    async with bench.running():
        await eventually(lambda: len(bench.of("cam0", FrameNote)) > 2)
        bench.capture._connections["cam1"].end("gone", is_error=False)
        pid = bench.capture.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        n_before = len(bench.of("cam0", FrameNote))
        await eventually(lambda: len(bench.of("cam0", FrameNote)) > n_before)
        bench.capture.set_rate("cam1", 5.0)
        n_before = len(bench.of("cam0", FrameNote))
        await eventually(lambda: len(bench.of("cam0", FrameNote)) > n_before + 5)
        assert bench.capture.n_restarts == 1


async def test_a_process_that_cannot_be_started_is_tried_again(rings: list[RingSpec]) -> None:
    """No free file descriptor for a while: the camera waits, nothing is raised."""
    bench = Bench(rings[:1])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with bench.running() as everything:
        await eventually(lambda: len(bench.of("cam0", FrameNote)) > 2)
        pid = bench.capture.pid
        assert pid is not None
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            os.kill(pid, signal.SIGKILL)
            await eventually(lambda: bench.capture.n_restarts > 2)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        n_before = len(bench.of("cam0", FrameNote))
        await eventually(lambda: len(bench.of("cam0", FrameNote)) > n_before)
        assert not everything.done()


async def test_a_finite_source_ends_the_capture_by_itself(rings: list[RingSpec]) -> None:
    """No stop is needed; the last state is ended."""
    bench = Bench(rings[:1], duration_s=0.5)
    async with bench.running() as everything:
        await asyncio.wait_for(asyncio.shield(everything), 15)
    (end,) = bench.of("cam0", Ended)
    assert (end.reason, end.is_error) == ("end of stream", False)
    assert bench.of("cam0", StateNote)[-1].state == "ended"


async def test_an_unknown_scene_ends_with_a_sentence(rings: list[RingSpec]) -> None:
    """What cannot be opened and is finite is told once, with the names that exist."""
    bench = Bench(rings[:1], name="moon")
    async with bench.running() as everything:
        await asyncio.wait_for(asyncio.shield(everything), 15)
    (end,) = bench.of("cam0", Ended)
    assert end.is_error
    assert "moon" in end.reason
    assert "street" in end.reason


def test_cameras_share_processes_as_configured() -> None:
    """Five cameras, two a process."""
    jobs = [object() for _ in range(5)]
    assert [len(share) for share in share_out(jobs, 2)] == [2, 2, 1]  # type: ignore[arg-type]
    assert [len(share) for share in share_out(jobs, 1)] == [1] * 5  # type: ignore[arg-type]
