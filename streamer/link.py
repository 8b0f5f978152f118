"""The link between the control process and a child: notes over a socket pair, and the child's end.

A note travels as four bytes of length and msgpack. `Framer` cuts the bytes back into notes for both
ends; `ParentLink` reads and sends notes in the child, beats its heart and ends it with its parent.
Invariant: a child never outlives the control process: the kernel kills it (Linux), and the end of
the link ends it everywhere.
"""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import msgspec

from streamer.errors import LinkError
from streamer.notes import Counters, Heartbeat, Note

MAX_NOTE_BYTES = 1 << 20
READ_BYTES = 1 << 16
ORPHAN_GRACE_S = 1.0

_PR_SET_PDEATHSIG = 1

N = TypeVar("N", bound=Note)


def pack(note: Note) -> bytes:
    """Return a note as it travels.

    Raises:
        LinkError: the note is larger than 1 MiB.
    """
    body = msgspec.msgpack.encode(note)
    if len(body) > MAX_NOTE_BYTES:
        raise LinkError(f"a {type(note).__name__} of {len(body)} bytes is too large for a link")
    return len(body).to_bytes(4, "big") + body


class Framer(Generic[N]):
    """Turns a byte stream back into notes; pure.

    Args:
        kinds: the union of note types that may come.
    """

    def __init__(self, kinds: object) -> None:
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(kinds)
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[N]:
        """Take bytes, return the notes that are complete now.

        Raises:
            LinkError: something that is no such note; the stream is unusable afterwards.
        """
        buffer = self._buffer
        buffer += data
        notes: list[N] = []
        start = 0
        while len(buffer) - start >= 4:
            end = start + 4 + int.from_bytes(buffer[start : start + 4], "big")
            if end - start - 4 > MAX_NOTE_BYTES:
                raise LinkError(f"a note of {end - start - 4} bytes was announced, at most 1 MiB")
            if end > len(buffer):
                break
            try:
                notes.append(self._decoder.decode(bytes(buffer[start + 4 : end])))
            except msgspec.DecodeError as err:
                raise LinkError(f"not a message of this link: {err}") from err
            start = end
        del buffer[:start]
        return notes


class ParentLink(Generic[N]):
    """The child's end of its link; `send` may be called from any thread.

    Args:
        fd: the connected socket that was inherited.
        kinds: the union of note types that may come.
    """

    def __init__(self, fd: int, kinds: object) -> None:
        self._socket = socket.socket(fileno=fd)
        self._framer: Framer[N] = Framer(kinds)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._heart: threading.Thread | None = None

    @property
    def parent_pid(self) -> int:
        """Process that made the link (Linux; 0 elsewhere)."""
        option = getattr(socket, "SO_PEERCRED", None)
        if option is None:
            return 0
        peer = self._socket.getsockopt(socket.SOL_SOCKET, option, 12)
        return int(struct.unpack("3i", peer)[0])

    def receive(self) -> Iterator[N]:
        """Yield notes, blocking; ends when the parent is gone or closed the link.

        Raises:
            LinkError: something that is no note came.
        """
        while True:
            try:
                data = self._socket.recv(READ_BYTES)
            except OSError:
                return
            if not data:
                return
            yield from self._framer.feed(data)

    def send(self, note: Note) -> None:
        """Send a note; blocks while the parent does not read.

        Raises:
            LinkError: the parent is gone, or the note is too large.
        """
        data = pack(note)
        try:
            with self._lock:
                self._socket.sendall(data)
        except OSError as err:
            raise LinkError(f"the control process is gone: {err.strerror}") from err

    def start_heartbeat(
        self,
        name: str,
        every_s: float = 0.5,
        counters: Callable[[], dict[str, Counters]] = dict,
    ) -> None:
        """Beat from a thread `heartbeat:<name>` until the link is closed.

        Args:
            name: for the thread's name.
            every_s: seconds between beats.
            counters: called for each beat, in that thread.
        """
        self._heart = threading.Thread(
            target=self._beat, args=(every_s, counters), name=f"heartbeat:{name}", daemon=True
        )
        self._heart.start()

    def _beat(self, every_s: float, counters: Callable[[], dict[str, Counters]]) -> None:
        while not self._closing.wait(every_s):
            beat = Heartbeat(
                sent_at=time.monotonic(), cpu_s=time.process_time(), counters=counters()
            )
            try:
                self.send(beat)
            except LinkError:
                # The main thread saw the end of the link too; if it hangs, nobody else ends us.
                if not self._closing.wait(ORPHAN_GRACE_S):
                    os._exit(1)

    def close(self) -> None:
        """Stop the heartbeat and close the socket; idempotent."""
        self._closing.set()
        if self._heart is not None:
            self._heart.join(ORPHAN_GRACE_S)
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def enter_child(kinds: object, argv: Sequence[str]) -> ParentLink[Any]:
    """Make this process a child: find the link in `argv`, die with the parent, log by printing.

    Ctrl-C in the terminal is the parent's business and ignored here.

    Args:
        kinds: the union of note types that may come.
        argv: arguments of the process, without its name: `--fd N`.

    Raises:
        SystemExit: the arguments name no link: a person started this program.
    """
    if len(argv) != 2 or argv[0] != "--fd" or not argv[1].isdecimal():
        sys.stderr.write("this program is started by bresnet; run `bresnet --help`\n")
        raise SystemExit(2)
    link: ParentLink[Any] = ParentLink(int(argv[1]), kinds)
    os.set_inheritable(int(argv[1]), False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(link.parent_pid)
    faulthandler.enable()
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.INFO)
    return link


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel to kill this process when its parent dies (Linux; elsewhere the link tells).

    Args:
        parent_pid: the process that must be alive; when it is not any more, this process exits.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # The parent may have died before the kernel knew.
    if os.getppid() != parent_pid:
        os._exit(1)
