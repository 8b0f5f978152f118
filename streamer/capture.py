"""The control side of one capture process: spawn, route notes, watch, kill, replace.

In: cameras to capture (`CaptureJob`). Out: their notes, delivered in the event loop. Runs as three
kinds of tasks of the pipeline's TaskGroup: the pump (process life and notes), the watch (silence)
and one `Connection` a camera. Invariant: a hung or crashed process is replaced and only its own
cameras notice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

from streamer.clock import Clock, sleep_unless
from streamer.connection import CaptureJob, Connection
from streamer.errors import LinkError
from streamer.notes import (
    AddCamera,
    Advance,
    FromCapture,
    Heartbeat,
    OpenOrder,
    SetRate,
    Stop,
)
from streamer.process import ChildProcess
from streamer.reconnect import Backoff

log = logging.getLogger(__name__)

_WATCH_S = 0.25
# A new process loads its libraries before it can speak; 3 s were too few for fifteen of them beside
# a cold worker on two cores: each was killed again and again.
_START_S = 30.0
# A watch that wakes this late was away itself and must not blame the child.
_AWAY_S = 1.0
# Closing sends TEARDOWN to the cameras; a child that needs longer is hung and is killed.
_CLOSE_S = 2.0


class Capture:
    """One capture process and its cameras.

    Args:
        name: of the process, for logs.
        connections: its cameras.
        backoff: waits between two starts of the process.
        silence_s: a process that sends nothing for so long is replaced; a new one has 30 s.
        clock: time.
    """

    def __init__(
        self,
        name: str,
        connections: Sequence[Connection],
        backoff: Backoff,
        silence_s: float,
        clock: Clock,
    ) -> None:
        self.name = name
        self.n_restarts = 0
        self._connections = {connection.camera: connection for connection in connections}
        self._backoff = backoff
        self._silence_s = silence_s
        self._clock = clock
        self._child: ChildProcess[FromCapture] | None = None
        self._closing = asyncio.Event()
        self._is_done = False
        self._closing_at = 0.0
        self._rates: dict[str, float] = {}

    @property
    def pid(self) -> int | None:
        """Return the process id while the process runs."""
        return self._child.pid if self._child is not None else None

    def stages(self) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        """Return the tasks, each with its name."""
        return [
            (f"capture:{self.name}", self.run()),
            (f"watch:{self.name}", self.watch()),
            *((f"connection:{c.camera}", c.run()) for c in self._connections.values()),
        ]

    def close(self) -> None:
        """Ask for the end of all cameras; never waits."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._closing_at = self._clock.now()
        if self._child is not None:
            self._child.send(Stop())

    def advance(self, camera: str, until_seq: int) -> None:
        """Let a `fast` source fill its ring up to this sequence number."""
        if self._child is not None:
            self._child.send(Advance(camera=camera, until_seq=until_seq))

    def set_rate(self, camera: str, analysis_fps: float) -> None:
        """Sample a camera at another rate, also after the process was replaced."""
        self._rates[camera] = analysis_fps
        # A process that replaced another one was never told of cameras that had ended.
        if self._child is not None and not self._connections[camera].is_ended:
            self._child.send(SetRate(camera=camera, analysis_fps=analysis_fps))

    async def run(self) -> None:
        """Keep a process running until every camera has ended or the capture is closed."""
        try:
            while not self._is_finished():
                started_at = self._clock.now()
                reason = await self._live()
                if self._is_finished():
                    break
                self.n_restarts += 1
                log.warning("capture process replaced: process=%s reason=%s", self.name, reason)
                for connection in self._connections.values():
                    connection.process_lost(reason)
                self._backoff.healthy(self._clock.now() - started_at)
                delay_s = self._backoff.next_delay_s("error")
                await sleep_unless(self._clock, delay_s, self._closing)
        finally:
            self._is_done = True
            for connection in self._connections.values():
                connection.end("closed", is_error=False)

    def _is_finished(self) -> bool:
        return self._closing.is_set() or all(c.is_ended for c in self._connections.values())

    async def _live(self) -> str:
        """Run one process to its end; return how it ended."""
        child: ChildProcess[FromCapture] = ChildProcess(
            "streamer.capture_process", self.name, FromCapture, self._clock
        )
        try:
            await child.start()
            self._child = child
            self._introduce(child)
            async for note in child.notes():
                self._route(note)
                if all(c.is_ended for c in self._connections.values()):
                    await child.stop(_CLOSE_S)
                    break
        except LinkError as err:
            # No process to be had, or one that talks nonsense: this capture's cameras wait for the
            # next try, nobody else notices.
            return str(err)
        finally:
            self._child = None
            await child.kill()
        return child.exit_text

    def _introduce(self, child: ChildProcess[FromCapture]) -> None:
        for connection in self._connections.values():
            if connection.is_ended:
                continue
            job, camera = connection.job, connection.camera
            child.send(
                AddCamera(
                    camera=camera,
                    config=job.config.reveal_json(),
                    ring=job.ring,
                    first_run=connection.next_run,
                )
            )
            if camera in self._rates:
                child.send(SetRate(camera=camera, analysis_fps=self._rates[camera]))
            connection.process_started(partial(_order_open, child, camera))

    def _route(self, note: FromCapture) -> None:
        if isinstance(note, Heartbeat):
            for connection in self._connections.values():
                connection.take(note)
            return
        addressed = self._connections.get(note.camera)
        if addressed is not None:
            addressed.take(note)

    async def watch(self) -> None:
        """Kill the process when it is silent, hangs in a decoder, or does not close."""
        while not self._is_done:
            due = self._clock.now() + _WATCH_S
            await self._clock.sleep(_WATCH_S)
            child, now = self._child, self._clock.now()
            if now - due > _AWAY_S:
                self._forgive(now - due)
                continue
            if child is not None and (reason := self._why_kill(child, now)):
                log.warning("capture process killed: process=%s reason=%s", self.name, reason)
                await child.kill()

    def _forgive(self, seconds: float) -> None:
        """The machine slept or this process was stopped: no child is to blame for that."""
        if self._child is not None:
            self._child.last_heard_at += seconds
        for connection in self._connections.values():
            connection.forgive(seconds)

    def _why_kill(self, child: ChildProcess[FromCapture], now: float) -> str:
        if self._closing.is_set():
            return "does not close" if now - self._closing_at > _CLOSE_S else ""
        limit_s = self._silence_s if child.has_spoken else _START_S
        if now - child.last_heard_at > limit_s:
            return f"no sign of life for {now - child.last_heard_at:.1f} s"
        stuck = [c.camera for c in self._connections.values() if c.is_stuck(now)]
        return f"no picture from {', '.join(stuck)}" if stuck else ""


def _order_open(child: ChildProcess[FromCapture], camera: str, address: str) -> None:
    child.send(OpenOrder(camera=camera, address=address))


def share_out(jobs: Sequence[CaptureJob], cameras_per_process: int) -> list[list[CaptureJob]]:
    """Return the cameras of each capture process, at most `cameras_per_process` in each."""
    return [
        list(jobs[start : start + cameras_per_process])
        for start in range(0, len(jobs), cameras_per_process)
    ]
