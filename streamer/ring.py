"""The last frames of one camera in shared memory: written by its capture process, read in place.

A ring is a file in /dev/shm: one header page, then n_slots pictures, then n_frames - 1 mirror
pictures that repeat the first slots, so that any n_frames consecutive frames are one contiguous
view. The control process creates and removes the file and never maps it. Frames are numbered for
ever, also across capture processes.
Invariant: before a slot is touched `begin` counts the frame, after it is complete `head` does; a
window is intact as long as begin <= first_seq + n_slots. Both are aligned 8-byte words, never torn.
Their order is exact on x86-64, where stores are seen in order. On ARM a store may be seen late by
well under a microsecond: the note of a frame passes through two system calls before anybody reads
it, and a window is read long before its slots come round again.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import secrets
import struct
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from streamer.errors import RingError, WindowOverwrittenError
from streamer.notes import RingSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pictures = npt.NDArray[np.uint8]
    Words = npt.NDArray[np.uint64]

HEADER_BYTES = 4096
MAGIC = b"BRESRING"
VERSION = 1
PREFIX = "bresnet-"

_LAYOUT = struct.Struct("<8sIIII")
# begin and head on cache lines of their own, away from the layout that readers check once.
_BEGIN, _HEAD = 64 // 8, 128 // 8
_MEGABYTE = 1_000_000


def ring_bytes(n_slots: int, size_px: int, n_frames: int = 32) -> int:
    """Return the size of a ring's file in bytes."""
    return HEADER_BYTES + (n_slots + n_frames - 1) * size_px * size_px * 3


def create_ring(camera: str, n_slots: int, size_px: int, n_frames: int = 32) -> RingSpec:
    """Create the shared memory of one camera; its owner removes it with `remove_ring`.

    Args:
        camera: camera id, part of the file's name.
        n_slots: frames kept; more than n_frames.
        size_px: side of the square RGB pictures.
        n_frames: frames in a window.

    Returns:
        where the ring lives; readable and writable by this user only.

    Raises:
        RingError: the memory cannot be had; the message says how much is needed and free.
        ValueError: n_slots is not above n_frames, or a value is below 1.
    """
    if n_frames < 1 or size_px < 1 or n_slots <= n_frames:
        raise ValueError(
            f"need n_slots > n_frames >= 1, got {n_slots} slots, {n_frames} frames, {size_px} px"
        )
    folder = _folder()
    owner = f"{os.getpid()}-{_started_at(os.getpid())}"
    path = folder / f"{PREFIX}{owner}-{secrets.token_hex(6)}-{camera}"
    needed = ring_bytes(n_slots, size_px, n_frames)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as err:
        raise RingError(
            f"camera {camera}: cannot create shared memory in {folder}: {err.strerror}"
        ) from err
    try:
        # Reserving every page now makes a full /dev/shm an error here, not a SIGBUS at a write.
        os.posix_fallocate(fd, 0, needed)
        os.pwrite(fd, _LAYOUT.pack(MAGIC, VERSION, n_slots, size_px, n_frames), 0)
    except OSError as err:
        path.unlink(missing_ok=True)
        raise RingError(_too_small(camera, folder, needed, err)) from err
    finally:
        os.close(fd)
    return RingSpec(path=str(path), n_slots=n_slots, size_px=size_px, n_frames=n_frames)


def remove_ring(spec: RingSpec) -> None:
    """Remove the ring's name; processes that have it mapped keep their view. Idempotent."""
    Path(spec.path).unlink(missing_ok=True)


def reclaim_stale_rings() -> int:
    """Remove the rings of runs that ended without cleaning up; call once at start.

    A ring is stale when the process in its name is gone (or its number is a younger one's) and
    nobody has it mapped; the second check protects containers that share /dev/shm but no pids.

    Returns:
        how many were removed.
    """
    n_removed = 0
    for path in _folder().glob(f"{PREFIX}*-*-*-*"):
        pid, _, rest = path.name.removeprefix(PREFIX).partition("-")
        started_at = rest.partition("-")[0]
        if not pid.isdecimal() or _started_at(int(pid)) == started_at:
            continue
        if _remove_unless_used(path):
            n_removed += 1
    return n_removed


class _Mapping:
    """The file mapped into this process; the base of writer and reader."""

    def __init__(self, spec: RingSpec, access: int) -> None:
        self.spec = spec
        self._words, self._pictures = self._attach(access)

    def _attach(self, access: int) -> tuple[Words, Pictures]:
        import numpy as np  # the control process imports this module and must stay without numpy

        spec = self.spec
        flags = os.O_RDWR if access == mmap.ACCESS_WRITE else os.O_RDONLY
        try:
            fd = os.open(spec.path, flags | os.O_NOFOLLOW)
        except OSError as err:
            raise RingError(f"the ring cannot be opened: {err.strerror}") from err
        try:
            # Tells `reclaim_stale_rings` of other runs that this is in use; the mapping keeps it.
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            _check_layout(fd, spec)
            mapped = mmap.mmap(
                fd, ring_bytes(spec.n_slots, spec.size_px, spec.n_frames), access=access
            )
        except OSError as err:
            raise RingError(f"the ring cannot be mapped: {err.strerror}") from err
        finally:
            os.close(fd)
        words = np.frombuffer(mapped, np.uint64, HEADER_BYTES // 8)
        pictures = np.frombuffer(mapped, np.uint8, offset=HEADER_BYTES)
        return words, pictures.reshape(-1, spec.size_px, spec.size_px, 3)

    def close(self) -> None:
        """Unmap as soon as the last view that was handed out is gone; idempotent."""
        # The arrays own the mapping; closing it under a view that is still held is a BufferError.
        vars(self).pop("_words", None)
        vars(self).pop("_pictures", None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class RingWriter(_Mapping):
    """The one writer of a ring; used by one thread of the capture process.

    `reserve` gives the place of the next frame, `commit` publishes it. Numbers go on where the last
    writer stopped.

    Args:
        spec: where the ring lives.

    Raises:
        RingError: the file is gone or does not fit the spec.
    """

    def __init__(self, spec: RingSpec) -> None:
        super().__init__(spec, mmap.ACCESS_WRITE)
        self._next = int(self._words[_HEAD])
        self._n_committed = 0

    @property
    def next_seq(self) -> int:
        """Number the next frame will have."""
        return self._next

    def reserve(self) -> Pictures:
        """Return the place of the next frame; asking twice gives the same place.

        Returns:
            uint8 (S, S, 3), RGB, writable; holds an old picture until it is overwritten.
        """
        self._words[_BEGIN] = self._next + 1
        place: Pictures = self._pictures[self._next % self.spec.n_slots]
        return place

    def commit(self) -> int:
        """Publish the frame written into the reserved place.

        Returns:
            its sequence number.
        """
        seq, slot = self._next, self._next % self.spec.n_slots
        self._words[_BEGIN] = seq + 1
        if slot < self.spec.n_frames - 1:
            self._pictures[slot + self.spec.n_slots] = self._pictures[slot]
        self._next = seq + 1
        self._n_committed += 1
        self._words[_HEAD] = self._next
        return seq

    def hold(self) -> int:
        """Publish the previous picture once more, for a source slower than the analysis.

        Returns:
            the sequence number of the repetition.

        Raises:
            RingError: this writer has not committed a picture yet.
        """
        if self._n_committed == 0:
            raise RingError("there is no previous picture to hold")
        previous = self._pictures[(self._next - 1) % self.spec.n_slots]
        self.reserve()[:] = previous
        return self.commit()


class RingReader(_Mapping):
    """Looks at windows of a ring without copying; its mapping is read-only.

    Args:
        spec: where the ring lives.

    Raises:
        RingError: the file is gone or does not fit the spec.
    """

    def __init__(self, spec: RingSpec) -> None:
        super().__init__(spec, mmap.ACCESS_READ)

    def window(self, first_seq: int, n_frames: int | None = None) -> Pictures:
        """Return consecutive frames as one view; call `check` when done with it.

        Args:
            first_seq: number of the oldest frame.
            n_frames: frames, at most the ring's n_frames (the default).

        Returns:
            uint8 (n_frames, S, S, 3), RGB, read-only view of the ring; the writer may overwrite it
            at any time.

        Raises:
            WindowOverwrittenError: a frame has been overwritten.
            RingError: a frame has not been written yet.
            ValueError: n_frames is not in 1..spec.n_frames, or first_seq is negative.
        """
        n = self.spec.n_frames if n_frames is None else n_frames
        if not 1 <= n <= self.spec.n_frames or first_seq < 0:
            raise ValueError(
                f"need 1 <= n_frames <= {self.spec.n_frames} and first_seq >= 0, "
                f"got {n}, {first_seq}"
            )
        head = int(self._words[_HEAD])
        if head < first_seq + n:
            raise RingError(f"frames up to {first_seq + n - 1} asked for, the newest is {head - 1}")
        self.check(first_seq)
        slot = first_seq % self.spec.n_slots
        return self._pictures[slot : slot + n]

    def check(self, first_seq: int) -> None:
        """Make sure that what was read from a window was not being overwritten meanwhile.

        Raises:
            WindowOverwrittenError: its oldest frame is being overwritten; throw the result away.
        """
        begin = int(self._words[_BEGIN])
        if begin > first_seq + self.spec.n_slots:
            raise WindowOverwrittenError(
                f"window at {first_seq} is overwritten: "
                f"the ring keeps {self.spec.n_slots} frames up to {begin - 1}"
            )


def _folder() -> Path:
    shared = Path("/dev/shm")  # noqa: S108 - files get random names, O_EXCL and mode 0600
    return shared if shared.is_dir() else Path(tempfile.gettempdir())


def _started_at(pid: int) -> str:
    """Start time of a process in clock ticks since boot; empty where there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The second field, the command, may hold blanks and brackets: count from its last bracket.
    return stat.rpartition(")")[2].split()[19]


def _remove_unless_used(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _check_layout(fd: int, spec: RingSpec) -> None:
    expected = _LAYOUT.pack(MAGIC, VERSION, spec.n_slots, spec.size_px, spec.n_frames)
    size = os.fstat(fd).st_size
    if os.pread(fd, _LAYOUT.size, 0) != expected or size != ring_bytes(
        spec.n_slots, spec.size_px, spec.n_frames
    ):
        raise RingError(
            f"the file is no ring of {spec.n_slots} places "
            f"with {spec.size_px} px pictures in version {VERSION}"
        )


def _too_small(camera: str, folder: Path, needed: int, err: OSError) -> str:
    if err.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        megabytes = needed / _MEGABYTE
        return f"camera {camera}: cannot reserve {megabytes:.0f} MB in {folder}: {err.strerror}"
    state = os.statvfs(folder)
    free = state.f_bavail * state.f_frsize / _MEGABYTE
    return (
        f"camera {camera}: needs {needed / _MEGABYTE:.0f} MB of shared memory, "
        f"{free:.0f} MB are free in {folder}; make it larger (docker: --shm-size), "
        "or lower analysis.ring_slots or the number of cameras"
    )
