"""A camera that fails on command: an RTSP server on the loopback whose behaviour tests change while
it runs.

In: a `Script` (how it behaves) and actions (break connections, refuse, jump in time), from any
thread. Out: coded pictures that carry their identity (tests/frame_code.py), and a `Ledger` of what
was sent when.
Invariant: one thread with its own event loop owns everything; leaving the `with` block leaves
nothing behind.

As a process of its own (`python -m tests.camera`) it is driven by tests/camera_process.py.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import random
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

from tests.camera_clip import Clip, encode_clip
from tests.camera_ledger import Ending, Ledger
from tests.camera_rtsp import CameraState, Connection, Shot
from tests.camera_script import CameraOptions, Script

CLOCK_HZ: Final = 90_000
START_TIMEOUT_S: Final = 30.0


class ScriptedCamera:
    """A seeded RTSP camera with a fault script; a context manager, usable from sync and async
    tests.

    Args:
        options: what the camera is.
        port: TCP port on 127.0.0.1; 0 takes a free one.
        script: values of the first `Script`.
    """

    def __init__(self, options: CameraOptions | None = None, port: int = 0, **script: Any) -> None:
        self._options = options or CameraOptions()
        self._state = CameraState(self._options, Script(**script), port=port)
        self._clip: Clip = encode_clip(self._options.clip_spec(self._state.script))
        self._rng = random.Random(self._options.seed)
        self._serial = 0
        self._index = 0
        self._ticks = float(self._rng.randrange(1 << 31))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        self._hole: list[socket.socket] = []
        self._handlers: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._started: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread: threading.Thread | None = None

    # ---- what tests use --------------------------------------------------------------------------

    def __enter__(self) -> ScriptedCamera:
        self._thread = threading.Thread(target=self._run, name="scripted-camera", daemon=True)
        self._thread.start()
        self._started.result(START_TIMEOUT_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._loop is not None and self._thread is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(START_TIMEOUT_S)

    @property
    def port(self) -> int:
        """Return the TCP port on 127.0.0.1."""
        return self._state.port

    @property
    def url(self) -> str:
        """Return the address, with the right credentials where the camera asks for some."""
        return self._options.url(self.port)

    @property
    def ledger(self) -> Ledger:
        """Return the truth about what was sent."""
        return self._state.ledger

    @property
    def script(self) -> Script:
        """Return how the camera behaves now."""
        return self._state.script

    def set(self, **changes: Any) -> None:
        """Change fields of the script; in effect when this returns (encodes new pictures first, if
        needed)."""
        script = dataclasses.replace(self._state.script, **changes)
        clip = encode_clip(self._options.clip_spec(script))
        self._call(lambda: self._apply(script, clip, changes))

    def after(self, delay_s: float, **changes: Any) -> None:
        """Change fields of the script `delay_s` seconds from now."""
        encode_clip(self._options.clip_spec(dataclasses.replace(self._state.script, **changes)))
        self._call(lambda: self._later(delay_s, lambda: self._apply_late(changes)))

    def fin(self) -> None:
        """Close every connection in order."""
        self._call(lambda: self._break("fin"))

    def rst(self) -> None:
        """Abort every connection."""
        self._call(lambda: self._break("rst"))

    def refuse(self, for_s: float) -> None:
        """Refuse new connections for `for_s` seconds, then listen again on the same port."""
        self._call(lambda: self._close_listener("refuse"))
        self._call(lambda: self._later(for_s, self._reopen))

    def power_cycle(self, dead_s: float) -> None:
        """Abort every connection, and be gone for `dead_s` seconds."""
        self.refuse(dead_s)
        self.rst()

    def blackhole(self, for_s: float) -> None:
        """Let connection attempts go unanswered (no SYN-ACK) for `for_s` seconds; existing ones go
        on."""
        self._call(self._open_hole)
        self._call(lambda: self._later(for_s, self._reopen))

    def jump(self, seconds: float) -> None:
        """Let the RTP timestamps jump."""

        def act() -> None:
            self._ticks += seconds * CLOCK_HZ
            self._note(f"jump {seconds:+g}")

        self._call(act)

    def wrap(self, in_s: float = 1.0) -> None:
        """Let the 32-bit RTP timestamp jump to `in_s` seconds before its end, so that it then
        wraps."""

        def act() -> None:
            self._ticks = float((1 << 32) - round(in_s * CLOCK_HZ))
            self._note("wrap")

        self._call(act)

    def wait_frames(self, n: int, timeout_s: float = 10.0) -> None:
        """Block until `n` more pictures were sent.

        Raises:
            TimeoutError: they were not within `timeout_s`.
        """
        wanted, until = len(self.ledger.frames) + n, time.monotonic() + timeout_s
        while len(self.ledger.frames) < wanted:
            if time.monotonic() > until:
                raise TimeoutError(
                    f"camera sent {len(self.ledger.frames)} of {wanted} pictures in {timeout_s} s"
                )
            time.sleep(0.005)

    # ---- the camera's thread ---------------------------------------------------------------------

    def _call(self, act: Callable[[], None]) -> None:
        if self._loop is None or self._loop.is_closed():
            raise RuntimeError("the scripted camera does not run; use it inside its `with` block")
        done: concurrent.futures.Future[None] = concurrent.futures.Future()

        async def run() -> None:
            act()

        done = asyncio.run_coroutine_threadsafe(run(), self._loop)
        done.result(START_TIMEOUT_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as err:
            if self._started.done():
                raise
            self._started.set_exception(err)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._listen()
        async with asyncio.TaskGroup() as group:
            pump = group.create_task(self._pump(), name="camera-pump")
            self._started.set_result(None)
            await self._stop.wait()
            pump.cancel()
        self._close_listener("stop")
        self._break("stopped")
        for task in self._handlers:
            task.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._handle, "127.0.0.1", self._state.port, backlog=128
        )
        self._state.port = self._server.sockets[0].getsockname()[1]

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            # Cancelled only at the end, and `asyncio.streams` would log that as an error.
            with contextlib.suppress(asyncio.CancelledError):
                await Connection(self._state, reader, writer).serve()
        finally:
            self._handlers.discard(task)

    async def _pump(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self._shoot()
            due = max(due + 1 / self._state.script.fps, loop.time() - 1.0)
            late_s = self._rng.random() * self._state.script.jitter_s
            await asyncio.sleep(max(0.0, due + late_s - loop.time()))

    def _shoot(self) -> None:
        script, n_frames = self._state.script, self._clip.spec.n_frames
        serial, self._serial = self._serial, self._serial + 1
        if not script.is_frozen and serial % script.repeat == 0:
            self._index = (self._index + 1) % (1 << 24)
        self._ticks += CLOCK_HZ / script.fps if script.timestamps != "stuck" else 0.0
        if script.is_silent:
            return
        swap = (1 if serial % 2 == 0 else -1) if script.timestamps == "swapped" else 0
        shot = Shot(
            serial=serial,
            clip=self._clip,
            index=self._index % n_frames,
            is_frozen=script.is_frozen,
            needs_intra=script.is_frozen or script.repeat > 1,
            rtp_timestamp=int(self._ticks + swap * CLOCK_HZ / script.fps) & 0xFFFFFFFF,
        )
        for connection in list(self._state.connections):
            connection.send(shot)

    def _note(self, what: str) -> None:
        self.ledger.faults.append((time.monotonic(), what))

    def _apply(self, script: Script, clip: Clip, changes: dict[str, Any]) -> None:
        self._state.script, self._clip = script, clip
        self._note(f"set {changes}")

    def _apply_late(self, changes: dict[str, Any]) -> None:
        script = dataclasses.replace(self._state.script, **changes)
        self._apply(script, encode_clip(self._options.clip_spec(script)), changes)

    def _later(self, delay_s: float, act: Callable[[], object]) -> None:
        asyncio.get_running_loop().call_later(delay_s, act)

    def _break(self, ending: Ending) -> None:
        for connection in list(self._state.connections):
            connection.end(ending)
        self._note(ending)

    def _close_listener(self, why: str) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for sock in self._hole:
            sock.close()
        self._hole.clear()
        self._note(why)

    def _reopen(self) -> None:
        self._close_listener("reopen")
        if not self._stop.is_set():
            task = asyncio.get_running_loop().create_task(self._listen(), name="camera-listen")
            self._handlers.add(task)
            task.add_done_callback(self._handlers.discard)

    def _open_hole(self) -> None:
        """A listener whose queue is full and that never accepts: the kernel drops further SYNs."""
        self._close_listener("blackhole")
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(0)
        self._hole.append(listener)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._hole.append(filler)


if __name__ == "__main__":
    from tests.camera_process import main

    main()
