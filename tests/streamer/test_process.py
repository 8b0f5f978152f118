"""Claims about streamer.process: a child is started, heard, bounded, killed and reaped."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from streamer.clock import SystemClock
from streamer.errors import LinkError
from streamer.notes import CloseCamera, Heartbeat, OpenOrder, StateNote
from streamer.process import ChildProcess, LineLog, child_environment, clean, exit_text
from streamer.redact import redact

Child = ChildProcess[StateNote | Heartbeat]


class ManualClock(SystemClock):
    """Time that the test moves."""

    t = 0.0

    def now(self) -> float:
        return self.t


@pytest.fixture
async def child() -> AsyncIterator[Child]:
    async with Child(
        "tests.streamer.child", "test:one", StateNote | Heartbeat, SystemClock()
    ) as made:
        yield made


async def states(child: Child, n: int) -> list[StateNote]:
    """Return the next n state notes, heartbeats left out."""
    found: list[StateNote] = []
    async for note in child.notes():
        if isinstance(note, StateNote):
            found.append(note)
            if len(found) == n:
                break
    return found


async def remaining(child: Child) -> list[StateNote | Heartbeat]:
    return [note async for note in child.notes()]


async def test_a_child_starts_answers_beats_and_stops(child: Child) -> None:
    """Notes both ways, a named heartbeat thread, `Stop` ends it with code 0 and without a kill."""
    (ready,) = await states(child, 1)
    assert ready.detail == "MainThread,heartbeat:child"
    async for note in child.notes():
        assert isinstance(note, Heartbeat)
        assert note.cpu_s > 0
        break
    assert SystemClock().now() - child.last_heard_at < 5
    await child.stop(5)
    assert child.exit_code == 0
    assert child.exit_text == "exited with code 0"
    assert child.send(OpenOrder(camera="late")) is False
    await child.stop(5)
    await child.kill()


async def test_many_notes_at_once_all_arrive_in_order(child: Child) -> None:
    """5000 notes of 1 kB, far more than a socket buffer, come through whole."""
    await states(child, 1)
    assert child.send(CloseCamera(camera="5000"))
    assert [note.camera for note in await states(child, 5000)] == [str(n) for n in range(5000)]


async def test_notes_end_when_the_child_dies(child: Child) -> None:
    """A crash ends the iteration by itself and the exit is told in words."""
    await states(child, 1)
    child.send(OpenOrder(camera="exit=70"))
    await remaining(child)
    assert await child.wait() == 70
    assert child.exit_text == "exited with code 70"


@pytest.mark.parametrize("turn", range(10))
async def test_the_cause_of_an_exit_is_never_lost(child: Child, turn: int) -> None:
    """Killing a child that is just dying, or has left its link, must not hide why it ended."""
    await states(child, 1)
    if turn % 2:
        child.send(OpenOrder(camera="leave=70"))
    else:
        assert child.pid is not None
        os.kill(child.pid, signal.SIGSEGV)
    while await child.receive():
        pass
    await child.kill()
    assert child.exit_code == (70 if turn % 2 else -signal.SIGSEGV)


async def test_a_stopped_child_is_killed_and_reaped(child: Child) -> None:
    """SIGSTOP cannot prevent the kill; no zombie stays; kill twice is fine."""
    await states(child, 1)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGSTOP)
    await child.stop(0.1)
    await child.kill()
    assert child.exit_text == "killed by signal 9 (SIGKILL)"
    assert not psutil.pid_exists(child.pid)


async def test_send_never_blocks_and_is_bounded_when_the_child_does_not_read(child: Child) -> None:
    """A hung child costs at most the buffer: then `send` says False."""
    await states(child, 1)
    child.send(OpenOrder(camera="hang"))
    note = OpenOrder(camera="x", address="y" * 100_000)
    sent = 0
    while child.send(note):
        sent += 1
        assert sent < 100
    assert sent >= 40


async def test_something_that_is_no_note_is_a_link_error(child: Child) -> None:
    """A child that writes garbage is told apart from one that ends."""
    await states(child, 1)
    child.send(OpenOrder(camera="garbage"))
    with pytest.raises(LinkError, match="not a message"):
        await remaining(child)


async def test_output_becomes_bounded_redacted_escaped_log_lines(
    child: Child, caplog: pytest.LogCaptureFixture
) -> None:
    """100 lines at once: 20 in the log, the rest counted, no secret, no escape sequence."""
    caplog.set_level(logging.DEBUG, "child:test:one")
    await states(child, 1)
    child.send(OpenOrder(camera="print=100"))
    child.send(OpenOrder(camera="exit=0"))
    await remaining(child)
    await child.kill()
    lines = [r.getMessage() for r in caplog.records if r.name == "child:test:one"]
    assert len(lines) == 21
    assert lines[0] == "line 0 rtsp://***@cam/1 \\x1b[31m"
    assert lines[-1] == "suppressed 80 lines"


async def test_a_child_that_prints_without_end_neither_floods_nor_slows_the_loop(
    child: Child, caplog: pytest.LogCaptureFixture
) -> None:
    """10 MB at once: it is made to wait, the loop turns freely, the kill works, few lines."""
    caplog.set_level(logging.DEBUG, "child:test:one")
    await states(child, 1)
    child.send(OpenOrder(camera="print=200000"))
    loop, slowest = asyncio.get_running_loop(), 0.0
    until = loop.time() + 1.5
    while (now := loop.time()) < until:
        await asyncio.sleep(0.01)
        slowest = max(slowest, loop.time() - now - 0.01)
    assert slowest < 0.1
    child.send(CloseCamera(camera="1"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await states(child, 1)
    await child.kill()
    assert len([r for r in caplog.records if r.name == "child:test:one"]) <= 3 * 21


async def test_a_start_that_fails_or_is_cancelled_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No interpreter: one sentence. Cancelled half-way: no process, socket or thread stays."""
    made = Child("tests.streamer.child", "test:cancel", StateNote | Heartbeat, SystemClock())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await made.start()
    await made.kill()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    made = Child("tests.streamer.child", "test:none", StateNote | Heartbeat, SystemClock())
    with pytest.raises(LinkError, match="test:none cannot be started: No such file"):
        await made.start()


async def test_the_child_inherits_neither_secrets_nor_the_current_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Variables outside the list, and values that hold a configured secret, stay behind."""
    monkeypatch.setenv("CAMERA_PASSWORD", "x")
    monkeypatch.setenv("TF_TEST", "rtsp://user:correcthorse@cam/")
    monkeypatch.setenv("OMP_TEST", "canary-value")
    redact.remember(["canary-value"])
    async with Child(
        "tests.streamer.child",
        "test:env",
        StateNote | Heartbeat,
        SystemClock(),
        env={"OPENCV_LOG_LEVEL": "ERROR"},
    ) as child:
        child.send(OpenOrder(camera="environment"))
        _, note = await states(child, 2)
    facts = dict(line.split("=", 1) for line in note.detail.splitlines() if "=" in line)
    assert not {"CAMERA_PASSWORD", "TF_TEST", "OMP_TEST"} & set(facts)
    assert facts["OPENCV_LOG_LEVEL"] == "ERROR"
    assert facts["MALLOC_ARENA_MAX"] == "2"
    assert facts["PATH"] == os.environ["PATH"]
    assert facts["path0"] not in ("", str(Path.cwd())) or "PYTHONPATH" in facts
    assert "correcthorse" not in note.detail
    assert "canary" not in note.detail


def test_the_environment_of_a_child_overrides_but_never_invents(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The caller's values win over inherited ones, inherited ones over our defaults."""
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    assert child_environment({})["MALLOC_ARENA_MAX"] == "4"
    assert child_environment({"MALLOC_ARENA_MAX": "1"})["MALLOC_ARENA_MAX"] == "1"


async def test_a_program_that_cannot_start_ends_with_its_traceback_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A module that does not exist: notes end at once, exit code 1, the reason is in the log."""
    caplog.set_level(logging.INFO)
    async with ChildProcess[Heartbeat](
        "tests.streamer.absent", "test:absent", Heartbeat, SystemClock()
    ) as child:
        assert [note async for note in child.notes()] == []
        assert await child.wait() == 1
    assert "No module named tests.streamer.absent" in caplog.text


PARENT = """
import asyncio, sys
from streamer.clock import SystemClock
from streamer.notes import Heartbeat, OpenOrder, StateNote
from streamer.process import ChildProcess

async def main():
    child = ChildProcess("tests.streamer.child", "orphan", StateNote | Heartbeat, SystemClock())
    await child.start()
    async for note in child.notes():
        if isinstance(note, StateNote):
            break
    child.send(OpenOrder(camera=sys.argv[1]))
    await asyncio.sleep(0.2)
    print(child.pid, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.mark.parametrize("order", ["idle", "hang", "stuck"])
def test_a_child_dies_with_its_parent(order: str) -> None:
    """I2: 2 s after kill -9 of the parent a child is gone, also one that holds its own GIL."""
    root = Path(__file__).parents[2]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, order], cwd=root, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        orphan = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    until = time.monotonic() + 2
    while orphan.is_running() and orphan.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until, "the child outlived its parent by 2 s"
        time.sleep(0.01)


@pytest.mark.parametrize(("order", "code"), [("idle", 0), ("hang", 1)])
async def test_the_end_of_the_link_alone_ends_the_child(
    child: Child, order: str, code: int
) -> None:
    """Where no kernel helps: a child that reads ends in order, one that hangs by its heartbeat."""
    await states(child, 1)
    child.send(OpenOrder(camera=order))
    await asyncio.sleep(0.1)  # the order must be out before the link ends
    assert child._writer is not None
    child._writer.close()
    async with asyncio.timeout(3):
        assert await child.wait() == code


def test_a_terminal_interrupt_reaches_only_the_parent() -> None:
    """The child runs in its own session, so that Ctrl-C in the terminal is the parent's alone."""

    async def sessions() -> tuple[int, int]:
        async with Child(
            "tests.streamer.child", "test:session", StateNote | Heartbeat, SystemClock()
        ) as child:
            await states(child, 1)
            assert child.pid is not None
            os.kill(child.pid, signal.SIGINT)
            child.send(CloseCamera(camera="1"))
            await states(child, 1)
            return os.getsid(child.pid), child.pid

    session, pid = asyncio.run(sessions())
    assert session == pid


def test_the_line_log_counts_per_second_and_reads_levels(caplog: pytest.LogCaptureFixture) -> None:
    """A new second brings new lines and tells the suppressed ones; a level at the start is kept."""
    caplog.set_level(logging.DEBUG, "child:x")
    clock = ManualClock()
    log = LineLog("x", clock)
    log.feed(b"WARNING a.b: careful\nhalf ")
    log.feed(b"line\r\n" + b"n\n" * 30)
    clock.t = 1.5
    log.feed(b"again\nrest")
    log.close()
    got = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert got[:3] == [("WARNING", "a.b: careful"), ("INFO", "half line"), ("INFO", "n")]
    assert got[20:] == [("WARNING", "suppressed 12 lines"), ("INFO", "again"), ("INFO", "rest")]


def test_what_tensorflow_says_at_every_start_is_for_debugging_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Start-up lines of its logger are debug; a fatal one is not hidden."""
    caplog.set_level(logging.DEBUG, "child:x")
    log = LineLog("x", ManualClock())
    log.feed(b"WARNING: All log messages before absl::InitializeLog() is called are...\n")
    log.feed(b"E0000 00:00:1795177791.612424 24945 cuda_platform.cc:52] failed call to cuInit\n")
    log.feed(b"F0000 00:00:1795177791.612424 24945 tensor.cc:9] Check failed: 1 == 2\n")
    assert [record.levelname for record in caplog.records] == ["DEBUG", "DEBUG", "INFO"]


def test_a_line_is_capped_after_it_was_redacted() -> None:
    """A secret across the cut is still replaced; bytes that are no text and direction marks too."""
    redact.remember(["swordfish-99"])
    line = clean(b"x" * 4090 + b"swordfish-99" + b"y" * 9000)
    assert len(line) == 4096
    assert "sword" not in line
    assert clean("a\u202eb\tc".encode() + b"\xff") == "a\\u202eb\\tc\\xff"


def test_exits_are_told_in_words() -> None:
    """Codes, named and unnamed signals."""
    assert exit_text(None) == "still running"
    assert exit_text(-9) == "killed by signal 9 (SIGKILL)"
    assert exit_text(-63) == "killed by signal 63"


def test_importing_the_control_side_stays_light() -> None:
    """Neither numpy nor OpenCV, PyAV, pydantic or TensorFlow come with streamer.process."""
    code = (
        "import sys; import streamer.process\n"
        "heavy = {'numpy', 'cv2', 'av', 'pydantic', 'tensorflow'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True
    )
    assert done.stdout.strip() == "[]"
