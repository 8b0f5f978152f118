"""Claims about the test tools themselves: the fake clock, the leak check, the order of tests."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import (
    COMPUTED_NICENESS,
    REPOSITORY,
    FakeClock,
    Holdings,
    pytest_runtest_setup,
    require_tool,
)


async def test_sleepers_wake_in_the_order_of_their_times(clock: FakeClock) -> None:
    """One advance wakes every sleeper at its own instant, even those that sleep again."""
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, delay_s: float) -> None:
        for _ in range(3):
            await clock.sleep(delay_s)
            woken.append((name, clock.now() - 1000))

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper("a", 1))
        group.create_task(sleeper("b", 1.4))
        await clock.advance(10)
    expected = [("a", 1.0), ("b", 1.4), ("a", 2.0), ("b", 2.8), ("a", 3.0), ("b", 4.2)]
    assert [(name, pytest.approx(at)) for name, at in expected] == woken
    assert clock.now() == 1010


async def test_nobody_wakes_early(clock: FakeClock) -> None:
    """A sleeper sleeps until the clock has reached its time."""
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        task = group.create_task(clock.sleep(5))
        await clock.advance(4.99)
        assert (task.done(), clock.n_sleeping) == (False, 1)
        await clock.advance(0.01)
        assert (task.done(), clock.n_sleeping) == (True, 0)


def test_time_does_not_run_backwards(clock: FakeClock) -> None:
    """`tick` moves forward only, wall time with it."""
    before = clock.wall()
    assert clock.tick(2.5) == 1002.5
    assert (clock.wall() - before).total_seconds() == 2.5
    with pytest.raises(ValueError, match="backwards"):
        clock.tick(-1)


def test_the_leak_check_sees_a_thread() -> None:
    """A running thread is named; nothing is after it has ended."""
    before, end = Holdings.now(), threading.Event()
    thread = threading.Thread(target=end.wait, name="reader:door")
    thread.start()
    assert Holdings.now().left_since(before) == {"threads": ["reader:door"]}
    end.set()
    thread.join()
    assert Holdings.now().left_since(before) == {}


def test_the_leak_check_sees_a_child_process_and_its_pipe() -> None:
    """A child is named with its command, and the pipe to it as an open file."""
    before = Holdings.now()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        left = Holdings.now().left_since(before)
        assert left["child processes"] == [f"{child.pid} cat"]
        assert len(left["open files"]) == 1
    assert Holdings.now().left_since(before) == {}


def test_the_leak_check_sees_a_file(tmp_path: Path) -> None:
    """An open file is named with its path."""
    before = Holdings.now()
    with (tmp_path / "events.jsonl").open("w") as file:
        left = Holdings.now().left_since(before)
        assert left == {"open files": [f"{file.fileno()} -> {file.name}"]}


@pytest.mark.parametrize("is_ours", [True, False], ids=["this process", "a process that is gone"])
def test_the_leak_check_sees_shared_memory(is_ours: bool) -> None:
    """A ring of this process, or of one that is gone, is named."""
    with subprocess.Popen(["true"]) as gone:
        pass
    before = Holdings.now()
    path = Path(f"/dev/shm/bresnet-{os.getpid() if is_ours else gone.pid}-0-leak-check")
    path.touch()
    try:
        assert Holdings.now().left_since(before) == {"shared memory": [path.name]}
    finally:
        path.unlink()


def test_a_missing_tool_skips_or_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where CI promised every tool its absence is a failure, elsewhere a skip; both say which."""
    assert Path(require_tool("sh")).exists()
    monkeypatch.delenv("BRESNET_REQUIRE_SYSTEM", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-tool"):
        require_tool("no-such-tool")
    monkeypatch.setenv("BRESNET_REQUIRE_SYSTEM", "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-tool"):
        require_tool("no-such-tool")


def test_no_two_tests_that_hang_on_clocks_run_at_once() -> None:
    """Of three files the two with clocks are one process's, in order; the third is another's."""
    files = [
        "tests/model/test_cost.py",
        "tests/streamer/test_pace.py",
        "tests/streamer/test_notes.py",
    ]
    options = ["-n", "2", "--dist", "loadscope", "--no-loadscope-reorder", "-v"]
    told = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *files],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    ran = re.findall(r"^\[(gw\d)\] .* PASSED tests/(\w+)/(\w+)", told, re.MULTILINE)
    clocked = [(process, file) for process, room, file in ran if room == "streamer"]
    assert len({process for process, _ in clocked}) == 1
    assert [file for file, _ in itertools.groupby(file for _, file in clocked)] == [
        "test_pace",
        "test_notes",
    ]
    assert {process for process, room, _ in ran if room == "model"} - {clocked[0][0]}


@pytest.mark.parametrize(
    ("file", "given_up"),
    [("tests/model/test_cost.py", [COMPUTED_NICENESS - 3]), ("tests/streamer/test_pace.py", [])],
)
def test_what_computes_gives_way(
    monkeypatch: pytest.MonkeyPatch, file: str, given_up: list[int]
) -> None:
    """From whatever niceness the run has, and only what computes; a process is asked once."""
    asked = [3]

    def nice(more: int) -> int:
        if more:
            asked.append(more)
        return sum(asked)

    monkeypatch.setattr("os.nice", nice)
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw1")
    item = SimpleNamespace(path=REPOSITORY / file)
    for _ in range(2):
        pytest_runtest_setup(item)  # type: ignore[arg-type] # all it looks at
    assert asked[1:] == given_up
