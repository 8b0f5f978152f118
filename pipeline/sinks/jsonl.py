"""Events as JSON lines in a file that rotates by size.

In: events. Out: `path`, and older lines in `path.1` (newest) to `path.N`. The file work runs in one
thread of its own, so that a slow disk never holds the event loop. Invariant: every line ends with a
newline and is whole: what a full disk or a crash left of a line is cut off before the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.config import JsonlConfig
from pipeline.errors import ConfigError, SinkError
from pipeline.records import Event
from pipeline.sinks.base import event_record

log = logging.getLogger(__name__)

SYNC_S = 1.0
"""Longest time written lines stay unsynced with fsync: interval."""

_BLOCK = 64 * 1024


class JsonlSink:
    """A rotating file of events; one process writes it.

    Args:
        config: path, size, files to keep, when to sync.
        sync: brings a descriptor's data to the disk.
    """

    name = "jsonl"

    def __init__(self, config: JsonlConfig, sync: Callable[[int], None] = os.fsync) -> None:
        self._config = config
        self._sync = sync
        self._fd = -1
        self._size = 0
        self._thread: ThreadPoolExecutor | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        try:
            self._open()
        except BlockingIOError as err:
            raise ConfigError(
                f"sinks.jsonl.path: {self._config.path} is being written by another process; "
                "give each run its own file"
            ) from err
        except OSError as err:
            raise ConfigError(
                f"sinks.jsonl.path: {self._config.path} cannot be written ({err.strerror}); "
                "name a file in a folder that exists and may be written"
            ) from err
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sink:jsonl")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        thread, self._thread = self._thread, None
        if thread is not None:
            try:
                await asyncio.get_running_loop().run_in_executor(thread, self._close)
            finally:
                # A hung disk must not hold the drain deadline up: the wait above can be cancelled.
                thread.shutdown(wait=False)

    async def deliver(self, event: Event) -> None:
        """Append one line.

        Raises:
            SinkError: disk full or gone; the file holds no part of the line.
        """
        if self._thread is None:
            raise SinkError(f"{self._config.path} is not open")
        line = json.dumps(event_record(event), separators=(",", ":")).encode() + b"\n"
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self._append, line)
        except OSError as err:
            raise SinkError(f"{self._config.path} takes no event: {err.strerror}") from err
        if self._config.fsync == "interval" and self._timer is None:
            self._timer = loop.call_later(SYNC_S, self._sync_later)

    def _sync_later(self) -> None:
        self._timer = None
        if self._thread is not None:
            self._thread.submit(self._sync_now)

    # ---- in the sink's own thread (and once, before it exists, in the loop) -------------------

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        fd = os.open(self._config.path, flags, 0o640)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            size = _whole_lines(fd)
            if size < os.fstat(fd).st_size:
                log.warning("%s ended in a torn line; cut off", self._config.path)
                os.ftruncate(fd, size)
        except BaseException:
            os.close(fd)
            raise
        self._fd, self._size = fd, size

    def _append(self, line: bytes) -> None:
        if self._size and self._size + len(line) > self._config.max_bytes:
            self._rotate()
        try:
            _write_all(self._fd, line)
            if self._config.fsync == "always":
                self._sync(self._fd)
        except OSError:
            with contextlib.suppress(OSError):  # the first error is the one to tell
                os.ftruncate(self._fd, self._size)
            raise
        self._size += len(line)

    def _rotate(self) -> None:
        path, fd = self._config.path, self._fd
        if path.exists():  # unless an earlier rotation got no further than this
            for n in range(self._config.keep - 1, 0, -1):
                if _numbered(path, n).exists():
                    _numbered(path, n).replace(_numbered(path, n + 1))
            path.replace(_numbered(path, 1))
        self._open()
        if self._config.fsync != "never":
            self._sync(fd)
        os.close(fd)

    def _sync_now(self) -> None:
        try:
            self._sync(self._fd)
        except OSError as err:
            log.warning("%s could not be synced: %s", self._config.path, err.strerror)

    def _close(self) -> None:
        if self._config.fsync != "never":
            self._sync_now()
        os.close(self._fd)
        self._fd = -1


def _numbered(path: Path, n: int) -> Path:
    return path.with_name(f"{path.name}.{n}")


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _whole_lines(fd: int) -> int:
    """Return the length of the file up to and with its last newline."""
    end = os.fstat(fd).st_size
    while end:
        start = max(0, end - _BLOCK)
        newline = os.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
