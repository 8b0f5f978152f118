"""One source of time, the same in every process."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

from streamer.clock import Clock, SystemClock
from tests.conftest import FakeClock


def test_now_is_the_monotonic_clock() -> None:
    """Steps of the wall clock (NTP, summer time) cannot reach it."""
    before = time.monotonic()
    now = SystemClock().now()
    assert before <= now <= time.monotonic()


def test_instants_of_two_processes_are_comparable() -> None:
    """Capture times are stamped in one process and judged in another."""
    clock = SystemClock()
    before = clock.now()
    code = "from streamer.clock import SystemClock; print(SystemClock().now())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert before <= float(child.stdout) <= clock.now()


def test_wall_time_is_utc_and_knows_it() -> None:
    """Logs of machines in different places can be put side by side."""
    wall = SystemClock().wall()
    assert wall.utcoffset() == timedelta(0)
    assert abs(wall - datetime.now(UTC)) < timedelta(seconds=5)


async def test_a_sleep_lasts_at_least_as_long_as_asked() -> None:
    """On the same scale as now()."""
    clock = SystemClock()
    before = clock.now()
    await clock.sleep(0.02)
    assert clock.now() - before >= 0.019


def test_the_clocks_of_tests_are_clocks() -> None:
    """What runs on a fake clock runs on the real one."""
    clocks: list[Clock] = [SystemClock(), FakeClock()]
    assert all(isinstance(clock.now(), float) and clock.wall().tzinfo for clock in clocks)
