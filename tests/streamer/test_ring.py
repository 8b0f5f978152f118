"""Claims about streamer.ring: contiguous views, overwrites detected, memory had or refused."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer import ring
from streamer.errors import RingError, WindowOverwrittenError
from streamer.notes import RingSpec
from streamer.ring import (
    RingReader,
    RingWriter,
    create_ring,
    reclaim_stale_rings,
    remove_ring,
    ring_bytes,
)

SIZE = 4


@pytest.fixture
def spec() -> Iterator[RingSpec]:
    made = create_ring("door", 8, SIZE, n_frames=5)
    yield made
    remove_ring(made)


def put(writer: RingWriter, value: int) -> int:
    writer.reserve()[:] = value % 251
    return writer.commit()


def values(view: np.ndarray) -> list[int]:
    assert (view == view[:, :1, :1, :1]).all()
    return [int(v) for v in view[:, 0, 0, 0]]


@settings(max_examples=40, deadline=None)
@given(
    n_frames=st.integers(1, 6),
    extra=st.integers(1, 7),
    n_written=st.integers(0, 60),
)
def test_every_window_that_still_exists_is_one_contiguous_view_of_the_right_frames(
    n_frames: int, extra: int, n_written: int
) -> None:
    """For any layout and number of frames: right content, no copy, everything older refused."""
    made = create_ring("door", n_frames + extra, SIZE, n_frames)
    try:
        with RingWriter(made) as writer, RingReader(made) as reader:
            for n in range(n_written):
                assert put(writer, n) == n
            for first in range(n_written - n_frames + 1):
                if first < n_written - made.n_slots:
                    with pytest.raises(WindowOverwrittenError):
                        reader.window(first)
                    continue
                view = reader.window(first)
                assert values(view) == [n % 251 for n in range(first, first + n_frames)]
                assert view.flags.c_contiguous
                assert not view.flags.owndata
                assert not view.flags.writeable
    finally:
        remove_ring(made)


def test_a_window_is_refused_from_the_moment_its_oldest_slot_is_reserved(spec: RingSpec) -> None:
    """Reserving the slot, not committing it, ends a window: no torn picture is taken for whole."""
    with RingWriter(spec) as writer, RingReader(spec) as reader:
        for n in range(8):
            put(writer, n)
        view = reader.window(0)
        reader.check(0)
        place = writer.reserve()
        place[0, 0, 0] = 99
        assert view[0, 0, 0, 0] == 99
        with pytest.raises(WindowOverwrittenError, match="keeps 8 frames"):
            reader.check(0)
        with pytest.raises(WindowOverwrittenError):
            reader.window(0)
        assert values(reader.window(1)) == [1, 2, 3, 4, 5]


def test_a_frame_that_is_not_complete_is_not_given_out(spec: RingSpec) -> None:
    """A window up to a reserved but uncommitted frame is an error, not old content."""
    with RingWriter(spec) as writer, RingReader(spec) as reader:
        for n in range(4):
            put(writer, n)
        writer.reserve()[:] = 4
        with pytest.raises(RingError, match="the newest is 3"):
            reader.window(0)
        writer.commit()
        assert values(reader.window(0)) == [0, 1, 2, 3, 4]
        assert values(reader.window(2, 2)) == [2, 3]
        with pytest.raises(ValueError, match="n_frames <= 5"):
            reader.window(0, 6)
        with pytest.raises(ValueError, match="first_seq >= 0"):
            reader.window(-1)


def test_hold_repeats_the_previous_picture_and_needs_one(spec: RingSpec) -> None:
    """A held place has its own number and the same content, mirror included."""
    with RingWriter(spec) as writer, RingReader(spec) as reader:
        with pytest.raises(RingError, match="no previous picture"):
            writer.hold()
        for n in range(7):
            put(writer, n)
        assert [writer.hold() for _ in range(4)] == [7, 8, 9, 10]
        assert values(reader.window(6)) == [6, 6, 6, 6, 6]


def test_a_new_writer_goes_on_where_the_last_one_stopped(spec: RingSpec) -> None:
    """Numbers survive the death of a writer within a frame; its torn frame is written again."""
    with RingWriter(spec) as first:
        for n in range(9):
            put(first, n)
        first.reserve()[0] = 200
    with RingWriter(spec) as second, RingReader(spec) as reader:
        assert second.next_seq == 9
        with pytest.raises(RingError, match="no previous picture"):
            second.hold()
        put(second, 9)
        assert values(reader.window(5)) == [5, 6, 7, 8, 9]


def test_a_view_outlives_the_reader_that_gave_it(spec: RingSpec) -> None:
    """Closing under an exported view neither raises nor frees its memory."""
    with RingWriter(spec) as writer:
        for n in range(5):
            put(writer, n)
        reader = RingReader(spec)
        view = reader.window(0)
        reader.close()
        reader.close()
        put(writer, 5)
        assert values(view) == [0, 1, 2, 3, 4]
    assert spec.path in Path("/proc/self/maps").read_text()
    del view
    assert spec.path not in Path("/proc/self/maps").read_text()


def test_a_ring_is_private_and_named_after_its_owner(spec: RingSpec) -> None:
    """Mode 0600, a random part in the name, pid and camera readable, pages reserved."""
    path = Path(spec.path)
    state = path.stat()
    assert stat.S_IMODE(state.st_mode) == 0o600
    assert path.name.startswith(f"bresnet-{os.getpid()}-")
    assert path.name.endswith("-door")
    assert state.st_size == ring_bytes(8, SIZE, 5)
    assert state.st_blocks * 512 >= state.st_size


def test_too_little_shared_memory_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    """A real 1 MiB tmpfs on /dev/shm: needed and free MB are named, no SIGBUS, no file left."""
    code = (
        "import os; from pathlib import Path\n"
        "from streamer.ring import create_ring; from streamer.errors import RingError\n"
        "try: create_ring('door', 64, 256)\n"
        "except RingError as err: print(err)\n"
        "print(os.listdir('/dev/shm'))\n"
    )
    command = f'mount -t tmpfs -o size=1m tmpfs /dev/shm && "{sys.executable}" -c "{code}"'
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", command],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mount namespace may be made here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    message, left = done.stdout.splitlines()
    assert "door: needs 19 MB of shared memory, 1 MB are free in /dev/shm" in message
    assert "ring_slots" in message
    assert left == "[]"


def test_a_size_that_no_file_system_can_give_is_refused_too() -> None:
    """posix_fallocate decides, whatever the size of /dev/shm here."""
    before = set(Path("/dev/shm").iterdir())
    with pytest.raises(RingError, match=r"camera door: needs \d+ MB of shared memory"):
        create_ring("door", 10_000_000, 1024)
    assert set(Path("/dev/shm").iterdir()) == before
    with pytest.raises(ValueError, match="n_slots > n_frames"):
        create_ring("door", 5, SIZE, n_frames=5)


def test_a_file_that_is_no_such_ring_is_refused(spec: RingSpec, tmp_path: Path) -> None:
    """Other layout, size or version, no file, a symbolic link: RingError that tells no name."""
    wrong = [
        RingSpec(path=spec.path, n_slots=9, size_px=SIZE, n_frames=5),
        RingSpec(path=str(tmp_path / "absent"), n_slots=8, size_px=SIZE, n_frames=5),
    ]
    link = tmp_path / "link"
    link.symlink_to(spec.path)
    wrong.append(RingSpec(path=str(link), n_slots=8, size_px=SIZE, n_frames=5))
    cut = tmp_path / "cut"
    cut.write_bytes(Path(spec.path).read_bytes()[:-1])
    wrong.append(RingSpec(path=str(cut), n_slots=8, size_px=SIZE, n_frames=5))
    old = tmp_path / "old"
    old.write_bytes(Path(spec.path).read_bytes().replace(ring.MAGIC, b"OTHERONE"))
    wrong.append(RingSpec(path=str(old), n_slots=8, size_px=SIZE, n_frames=5))
    for bad in wrong:
        for attach in (RingReader, RingWriter):
            with pytest.raises(RingError) as caught:
                attach(bad)
            assert bad.path not in str(caught.value)


def test_rings_of_dead_runs_are_reclaimed_and_others_are_not(spec: RingSpec) -> None:
    """Dead owner, reused pid: gone. Living owner, foreign file, mapped by somebody: stay."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    folder = Path(spec.path).parent
    stale = [
        folder / f"bresnet-{dead.pid}-12345-abcdef-front-door",
        folder / f"bresnet-{os.getpid()}-1-abcdef-yard",
    ]
    used = folder / f"bresnet-{dead.pid}-12345-fedcba-used"
    foreign = folder / "bresnet-notes-of-a-user"
    for path in (*stale, used, foreign):
        path.write_bytes(b"x" * mmap.PAGESIZE)
    try:
        with used.open("rb") as mapped:
            fcntl.flock(mapped, fcntl.LOCK_SH)
            assert reclaim_stale_rings() >= 2
        assert not any(path.exists() for path in stale)
        assert used.exists()
        assert foreign.exists()
        assert Path(spec.path).exists()
        assert reclaim_stale_rings() == 1
    finally:
        for path in (*stale, used, foreign):
            path.unlink(missing_ok=True)


def test_an_attached_ring_counts_as_used(spec: RingSpec) -> None:
    """Writer and reader hold the lock that reclaiming asks for, as long as they are mapped."""
    with Path(spec.path).open("rb") as other, RingWriter(spec):
        with pytest.raises(OSError, match="Resource") as caught:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert caught.value.errno == errno.EAGAIN
    with Path(spec.path).open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_control_side_needs_no_numpy() -> None:
    """Creating and removing a ring loads neither numpy nor anything heavy."""
    code = (
        "import sys; from streamer.ring import create_ring, remove_ring\n"
        "remove_ring(create_ring('door', 40, 32))\n"
        "print(sorted({'numpy', 'cv2', 'av', 'pydantic', 'tensorflow'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_reader_in_another_process_sees_whole_frames_or_is_told(spec: RingSpec) -> None:
    """A reader that races a writer at full speed never accepts a window with wrong content."""
    code = (
        "import sys, msgspec; from streamer.notes import RingSpec\n"
        "from streamer.ring import RingWriter\n"
        "spec = msgspec.json.decode(sys.argv[1], type=RingSpec)\n"
        "with RingWriter(spec) as writer:\n"
        "    for n in range(30000):\n"
        "        writer.reserve()[:] = n % 251; writer.commit()\n"
    )
    arguments = [sys.executable, "-c", code, msgspec.json.encode(spec).decode()]
    child = subprocess.Popen(arguments, cwd=Path(__file__).parents[2])
    n_good = n_overwritten = first = 0
    with RingReader(spec) as reader:
        while first < 29_990:
            try:
                copy = reader.window(first).copy()
                reader.check(first)
            except WindowOverwrittenError:
                n_overwritten += 1
                first += 4
                continue
            except RingError:
                assert child.poll() in (None, 0)
                continue
            assert values(copy) == [n % 251 for n in range(first, first + 5)]
            n_good += 1
            first += 4
    assert child.wait() == 0
    assert n_good > 0
