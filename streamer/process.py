"""A child process as the control process sees it: spawn, talk, listen, log, kill.

`ChildProcess` starts `python -m module --fd N`, sends notes and yields the notes of the child;
whatever the child prints becomes bounded, redacted log lines. The child's end is `ParentLink`.
Invariant: no method blocks the event loop, whatever the child does or omits.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import socket
import sys
import sysconfig
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Generic, Self

from streamer.clock import Clock
from streamer.errors import LinkError
from streamer.link import READ_BYTES, Framer, N, ParentLink, enter_child, pack
from streamer.notes import Note, Stop
from streamer.redact import redact

__all__ = ["ChildProcess", "LineLog", "ParentLink", "enter_child", "exit_text"]

MAX_UNSENT_BYTES = 4 << 20
MAX_LINE_CHARS = 4096
MAX_LINES_PER_S = 20
MAX_OUTPUT_BYTES_PER_S = 1 << 18
# Between the end of its link and its exit a child may still write its last words.
EXIT_GRACE_S = 0.5
LAST_WORDS_S = 0.2

_ROOT = Path(__file__).resolve().parents[1]
# What a child may need to find its libraries and its accelerator. Everything else, and every value
# that holds a configured secret, stays in the control process.
_PASSED_ON = re.compile(
    r"PATH|HOME|LANG|LC_\w+|TZ|TMPDIR|LD_LIBRARY_PATH|VIRTUAL_ENV|XDG_RUNTIME_DIR|SSL_CERT_\w+|"
    r"(PYTHON|CUDA_|NVIDIA_|TF_|KERAS_|XLA_|OMP_|MKL_|OPENBLAS_|ONEDNN_|KMP_|MALLOC_|COVERAGE_)\w*"
)
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_LEVEL = re.compile(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL) ")
# TensorFlow reports at every start, whatever it is told, that there is no GPU; what really fails
# comes as an exception, or as a line with F (fatal).
_ABSL_CHATTER = re.compile(r"[IWE]\d{4} \d\d:\d\d:\d\d|WARNING: All log messages before absl")


class LineLog:
    """Turns what a child prints into log lines that cannot flood, forge or tell a secret.

    Args:
        name: of the child; lines go to the logger `child:<name>`.
        clock: for the rate limit.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self._logger = logging.getLogger(f"child:{name}")
        self._clock = clock
        self._rest = b""
        self._second_at = clock.now()
        self._n_lines = 0
        self._n_suppressed = 0

    def feed(self, data: bytes) -> None:
        """Take printed bytes."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:READ_BYTES]
        for line in lines:
            self._take(line)

    def close(self) -> None:
        """Write what is left."""
        if self._rest:
            self._take(self._rest)
            self._rest = b""
        self._tell_suppressed()

    def _take(self, line: bytes) -> None:
        now = self._clock.now()
        if now - self._second_at >= 1.0:
            self._tell_suppressed()
            self._second_at, self._n_lines = now, 0
        if self._n_lines >= MAX_LINES_PER_S:
            self._n_suppressed += 1
            return
        self._n_lines += 1
        text = clean(line.rstrip(b"\r"))
        level = _LEVEL.match(text)
        if _ABSL_CHATTER.match(text):
            self._logger.debug("%s", text)
        elif level:
            number = logging.getLevelNamesMapping()[level.group(1)]
            self._logger.log(number, "%s", text[level.end() :])
        else:
            self._logger.info("%s", text)

    def _tell_suppressed(self) -> None:
        if self._n_suppressed:
            self._logger.warning("suppressed %d lines", self._n_suppressed)
            self._n_suppressed = 0


def clean(line: bytes) -> str:
    """Return a printed line fit for a log: redacted, control characters escaped, at most 4 KiB."""
    text = redact(line.decode("utf-8", "backslashreplace"))
    text = _UNPRINTABLE.sub(lambda match: ascii(match.group())[1:-1], text)
    return text if len(text) <= MAX_LINE_CHARS else text[: MAX_LINE_CHARS - 3] + "..."


class _Watcher(asyncio.SubprocessProtocol):
    """Callbacks of the event loop: output and exit of one child; needs no task."""

    def __init__(self, log: LineLog) -> None:
        self._log = log
        self._transport: asyncio.SubprocessTransport | None = None
        self._n_bytes = 0
        self._resume: asyncio.TimerHandle | None = None
        self.exited = asyncio.Event()
        self.output_ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)  # noqa: S101 - narrows for mypy
        self._transport = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._log.feed(data)
        self._n_bytes += len(data)
        # A child that prints without end would keep the loop busy: it waits for the next second.
        if self._resume is None:
            loop = asyncio.get_running_loop()
            self._resume = loop.call_later(1.0, self._next_second, fd)
        if self._n_bytes > MAX_OUTPUT_BYTES_PER_S:
            self._pipe(fd).pause_reading()

    def pipe_connection_lost(self, *_: object) -> None:
        if self._resume is not None:
            self._resume.cancel()
        self._log.close()
        self.output_ended.set()

    def process_exited(self) -> None:
        self.exited.set()

    def _next_second(self, fd: int) -> None:
        self._resume = None
        self._n_bytes = 0
        self._pipe(fd).resume_reading()

    def _pipe(self, fd: int) -> asyncio.ReadTransport:
        pipe = self._transport.get_pipe_transport(fd) if self._transport else None
        assert isinstance(pipe, asyncio.ReadTransport)  # noqa: S101 - narrows for mypy
        return pipe


class ChildProcess(Generic[N]):
    """One child process, as the control process sees it. Confined to the event loop.

    `start` must run in the thread that lives as long as the process (the kernel's parent-death
    signal follows the thread). `async with` starts it and kills it in the end.

    Args:
        module: what `python -m` runs; it gets `--fd N`.
        name: for logs, such as `capture:door`.
        kinds: the union of note types the child sends.
        clock: for `last_heard_at` and the log's rate limit.
        env: further environment of the child; never secrets.

    Attributes:
        last_heard_at: when it last sent anything, or was started; the clock's seconds.
        has_spoken: whether it has sent anything yet.
    """

    def __init__(
        self,
        module: str,
        name: str,
        kinds: object,
        clock: Clock,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._module = module
        self._framer: Framer[N] = Framer(kinds)
        self._clock = clock
        self._env = dict(env or {})
        self._watcher: _Watcher | None = None
        self._transport: asyncio.SubprocessTransport | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._pidfd = -1
        self._has_link_ended = False
        self.last_heard_at = 0.0
        self.has_spoken = False

    async def start(self) -> None:
        """Spawn the process; call once.

        Raises:
            LinkError: the system refused (no memory, too many processes or files).
        """
        self.last_heard_at = self._clock.now()
        watcher = _Watcher(LineLog(self.name, self._clock))
        try:
            ours, theirs = socket.socketpair()
        except OSError as err:
            raise LinkError(f"{self.name} cannot be started: {err.strerror}") from err
        try:
            with theirs:
                await self._spawn(watcher, theirs.fileno())
            self._reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        except BaseException as err:
            # Whatever happened, also a cancellation: no half-started child stays.
            ours.close()
            if self._transport is not None:
                self._transport.close()
            self._close_pidfd()
            if isinstance(err, OSError):
                raise LinkError(f"{self.name} cannot be started: {err.strerror}") from err
            raise

    async def _spawn(self, watcher: _Watcher, fd: int) -> None:
        self._transport, self._watcher = await asyncio.get_running_loop().subprocess_exec(
            lambda: watcher,
            sys.executable,
            # -P: a file of the current folder must not stand in for a library module.
            *("-P", "-m", self._module, "--fd", str(fd)),
            pass_fds=(fd,),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            env=child_environment(self._env),
        )
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):  # it has ended already
                self._pidfd = os.pidfd_open(self._transport.get_pid())

    @property
    def pid(self) -> int | None:
        """Process id; None before the start."""
        return self._transport.get_pid() if self._transport else None

    @property
    def exit_code(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._transport.get_returncode() if self._transport else None

    @property
    def exit_text(self) -> str:
        """How it ended, for people."""
        return exit_text(self.exit_code)

    def send(self, note: Note) -> bool:
        """Queue a note for the child; never blocks.

        Returns:
            False when it will not arrive: the child is gone, or has not read for 4 MiB of notes
            (its watchdog will kill it).
        """
        writer = self._writer
        if writer is None or writer.is_closing() or self.exit_code is not None:
            return False
        if writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            return False
        writer.write(pack(note))
        return True

    async def receive(self) -> list[N]:
        """Wait for the next notes; may be cancelled without losing any.

        Returns:
            at least one note; none only when the child has closed its end or exited.

        Raises:
            LinkError: the child sent something that is no note; kill it.
        """
        assert self._reader is not None, "start() comes first"  # noqa: S101 - a bug of ours
        notes: list[N] = []
        while not notes:
            try:
                data = await self._reader.read(READ_BYTES)
            except OSError:
                data = b""
            if not data:
                self._has_link_ended = True
                return []
            self.last_heard_at = self._clock.now()
            self.has_spoken = True
            notes = self._framer.feed(data)
        return notes

    async def notes(self) -> AsyncIterator[N]:
        """Yield what the child sends until it closes its end or exits.

        Raises:
            LinkError: the child sent something that is no note; kill it.
        """
        while batch := await self.receive():
            for note in batch:
                yield note

    async def wait(self) -> int:
        """Wait for the exit; return the exit code, negative for a signal."""
        assert self._watcher is not None, "start() comes first"  # noqa: S101 - a bug of ours
        await self._watcher.exited.wait()
        return self.exit_code or 0

    async def stop(self, grace_s: float) -> None:
        """Send `Stop`, give the child `grace_s` seconds to exit, then kill it. Idempotent."""
        if self._watcher is None:
            return
        self.send(Stop())
        await _wait(self._watcher.exited, grace_s)
        await self.kill()

    async def kill(self) -> None:
        """End the child at once and reap it. Idempotent."""
        if self._transport is None or self._watcher is None:
            return
        try:
            if self._has_link_ended:
                # It is ending by itself: its own exit code tells more than our signal would.
                await _wait(self._watcher.exited, EXIT_GRACE_S)
            self._signal()
            await self._watcher.exited.wait()
            # Its last words, often a traceback; a grandchild may hold the pipe open, so bounded.
            await _wait(self._watcher.output_ended, LAST_WORDS_S)
        finally:
            self._transport.close()
            self._close_pidfd()
            if self._writer is not None:
                self._writer.close()

    def _signal(self) -> None:
        """Send SIGKILL, but never reap: the exit code belongs to the event loop's watcher.

        `Popen.kill` polls first; when it wins that race, the watcher can only report code 255.
        """
        with contextlib.suppress(ProcessLookupError):
            if self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            elif self._transport is not None and self.exit_code is None:
                self._transport.kill()

    def _close_pidfd(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.kill()


async def _wait(event: asyncio.Event, limit_s: float) -> None:
    """Wait for an event, but not longer than a limit."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await event.wait()


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child: what it needs to run, nothing that holds a secret."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if _PASSED_ON.fullmatch(key) and redact(value) == value
    }
    if str(_ROOT) not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [kept.get("PYTHONPATH"), str(_ROOT)]))
    # Two arenas instead of eight a core: threads that decode would otherwise keep 64 MiB each.
    return {"MALLOC_ARENA_MAX": "2", "PYTHONUNBUFFERED": "1"} | kept | dict(extra)


def exit_text(code: int | None) -> str:
    """Say for people how a process ended."""
    if code is None:
        return "still running"
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"killed by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"killed by signal {-code}"
