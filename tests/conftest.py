"""What every test shares: the leak check, a clock that tests advance, the clips, the tools.

`make test` runs in three processes. Tests of clocks, cameras and other processes come first and are
one group, so that no two of them run at once; `COMPUTED` tests run beside them at a low priority.

`nothing_leaks` runs around every test, sync or async: a test that leaves a task, thread, child
process, shared memory segment or open file behind fails. What existed before the test is none of
its business, so a server that outlives one test is a session or module fixture named in the
test's arguments.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import inspect
import itertools
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from xdist.scheduler import LoadScopeScheduling

from model.engines import has_native_bfloat16, prepare

REPOSITORY = Path(__file__).parents[1]
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
# Before any test module imports a runtime: tests run what the product runs, and call nobody either.
prepare()

EMULATED = "no bfloat16 in this processor: emulated, where sums are rounded too"
needs_bfloat16 = pytest.mark.skipif(not has_native_bfloat16(), reason=EMULATED)

COMPUTED = (
    "tests/model/training/",
    "tests/contract/test_engine.py",
    "tests/contract/test_training_backends.py",
    "tests/pipeline/test_training.py",
    "tests/system/test_product_steps.py",
    "tests/streamer/rendering/",
    "tests/pipeline/test_evaluations.py",
    "tests/pipeline/test_evaluation.py",
    "tests/pipeline/test_benches.py",
    "tests/pipeline/test_exam.py",
    "tests/pipeline/test_tuner.py",
    "tests/pipeline/test_overload_sim.py",
    "tests/flow/test_motion_on_clips.py",
    "tests/streamer/test_scenes.py",
    "tests/contract/test_stepper.py",
    "tests/model/",
)
"""Tests that bound no time by less than 10 s, those that take longest first."""
CLOCKED = "clocked"
COMPUTED_NICENESS = 10
"""A tenth of the processor where another test wants all of it."""

# What was asked to end needs a moment on a busy machine; what was not asked never ends.
SETTLE_S = 2.0
# Opened once by libraries and kept for the life of the process.
LIBRARY_FILES = ("/dev/urandom", "/dev/null", "/proc/", "/sys/")
FONTS = "/mpl-data/fonts/"


def computed_rank(path: Path) -> int:
    """Return the place of a test file among the `COMPUTED`, from 1; 0 where it is none of them."""
    name = path.relative_to(REPOSITORY).as_posix()
    return next((k for k, part in enumerate(COMPUTED, 1) if name.startswith(part)), 0)


class OneClock(LoadScopeScheduling):
    """Hands out whole files, and all tests that hang on clocks as one piece."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return file if computed_rank(REPOSITORY / file) else CLOCKED


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneClock:
    """Tell pytest-xdist how tests are handed out to processes."""
    return OneClock(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what hangs on clocks, then with what takes longest."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: computed_rank(item.path))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let tests that compute leave the processor to those that hang on clocks."""
    if "PYTEST_XDIST_WORKER" in os.environ and computed_rank(item.path):
        os.nice(max(0, COMPUTED_NICENESS - os.nice(0)))


class FakeClock:
    """A `streamer.clock.Clock` that stands still until a test moves it.

    `await clock.advance(5)` moves it and wakes every sleeper whose time has come, in the order of
    their times, and lets them run to their next wait. `tick` moves it and wakes nobody: for pure
    code.
    """

    def __init__(self, start_s: float = 1000.0) -> None:
        self._now = start_s
        self._wall = datetime(2026, 1, 1, tzinfo=UTC)
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        """Return the fake monotonic seconds."""
        return self._now

    def wall(self) -> datetime:
        """Return the fake UTC time; it moves with `now`."""
        return self._wall

    async def sleep(self, delay_s: float) -> None:
        """Wait until a test has advanced the clock by `delay_s` seconds."""
        if delay_s <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + delay_s, next(self._order), woken))
        await woken

    def tick(self, delay_s: float) -> float:
        """Move the clock without waking sleepers; return the new time."""
        if delay_s < 0:
            raise ValueError(f"time does not run backwards, got {delay_s}")
        self._now += delay_s
        self._wall += timedelta(seconds=delay_s)
        return self._now

    async def advance(self, delay_s: float) -> None:
        """Move the clock by `delay_s`, waking every sleeper at its own time on the way."""
        target = self._now + delay_s
        await settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            due, _, woken = heapq.heappop(self._sleepers)
            self.tick(max(0.0, due - self._now))
            if not woken.done():
                woken.set_result(None)
            await settle()
        self.tick(target - self._now)
        await settle()

    @property
    def n_sleeping(self) -> int:
        """How many tasks wait for this clock."""
        return sum(not woken.done() for _, _, woken in self._sleepers)


async def settle(n_rounds: int = 20) -> None:
    """Let every task that can run reach its next wait; no time passes."""
    for _ in range(n_rounds):
        await asyncio.sleep(0)


async def eventually(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait for something another process or thread will do (system tests only)."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            source = inspect.getsource(condition).strip()
            raise AssertionError(f"not true within {timeout_s} s: {source}")
        await asyncio.sleep(0.02)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def require_system(is_there: bool, what: str) -> None:
    """Skip the test, or fail it where .ci/run promised that everything is installed."""
    if is_there:
        return
    if os.environ.get("BRESNET_REQUIRE_SYSTEM") == "1":
        pytest.fail(
            f"{what} is missing, and BRESNET_REQUIRE_SYSTEM=1 forbids to skip", pytrace=False
        )
    pytest.skip(f"{what} is not installed here; .ci/run installs it")


def require_tool(name: str) -> str:
    """Return the path of a command, or skip (in CI: fail) the test."""
    path = shutil.which(name)
    require_system(path is not None, f"the command {name}")
    assert path is not None
    return path


@pytest.fixture(scope="session", autouse=True)
def own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what the product remembers between starts out of the user's own cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real clips; tests of it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real clips (../shared/data beside this repository) are not here")
    return SHARED_DATA


@dataclass(frozen=True)
class Holdings:
    """What this process holds at one instant."""

    threads: frozenset[threading.Thread]
    children: frozenset[psutil.Process]
    segments: frozenset[str]
    files: frozenset[tuple[int, str]]

    @classmethod
    def now(cls) -> Holdings:
        return cls(
            threads=frozenset(
                thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")
            ),
            children=frozenset(_children()),
            segments=frozenset(_orphaned_segments()),
            files=frozenset(_open_files()),
        )

    def left_since(self, before: Holdings) -> dict[str, list[str]]:
        """Name what is held now and was not held before, by kind."""
        new = {
            "threads": [t.name for t in self.threads - before.threads],
            "child processes": [_describe(p) for p in self.children - before.children],
            "shared memory": sorted(self.segments - before.segments),
            "open files": [f"{fd} -> {target}" for fd, target in self.files - before.files],
        }
        return {kind: names for kind, names in new.items() if names}


def _children() -> list[psutil.Process]:
    """Our descendants; the whole table of processes is read only where there is one (2 ms)."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return []
    return psutil.Process().children(recursive=True)


def _describe(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:200]}"
    except psutil.Error:
        return f"{process.pid} (gone)"


def _orphaned_segments() -> Iterator[str]:
    """Our rings, and those whose process is gone; programs beside the tests may have theirs."""
    for path in Path("/dev/shm").glob("bresnet-*"):
        owner = path.name.split("-")[1]
        if not owner.isdecimal() or int(owner) == os.getpid() or not psutil.pid_exists(int(owner)):
            yield path.name


def _open_files() -> Iterator[tuple[int, str]]:
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue  # the descriptor of this very listing
        if not target.startswith(LIBRARY_FILES) and FONTS not in target:
            yield int(entry.name), target


def _wait_for_rest(before: Holdings) -> dict[str, list[str]]:
    """Give what is ending the time to end, then name what is left."""
    left = Holdings.now().left_since(before)
    end = time.monotonic() + SETTLE_S
    while left and time.monotonic() < end:
        gc.collect()
        time.sleep(0.02)
        left = Holdings.now().left_since(before)
    return left


@pytest.fixture
async def no_task_is_left() -> AsyncIterator[None]:
    """Fail an async test that leaves a task behind (requested by `nothing_leaks`)."""
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, f"the test left tasks behind: {sorted(t.get_name() for t in left if t)}"


@pytest.fixture(autouse=True)
def nothing_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a task, thread, child process, shared memory or open file behind."""
    if request.node.get_closest_marker("asyncio") or inspect.iscoroutinefunction(request.function):
        request.getfixturevalue("no_task_is_left")
    before = Holdings.now()
    yield
    left = _wait_for_rest(before)
    assert not left, f"the test left behind: {left}"
