"""The one source of time.

Every component takes a `Clock`, so that tests advance time instead of sleeping. Instants are
monotonic seconds and comparable across the processes of one machine (CLOCK_MONOTONIC); wall time is
for people only.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Monotonic time and an asynchronous sleep."""

    def now(self) -> float:
        """Return monotonic seconds, the same scale in every process of this machine."""
        ...

    def wall(self) -> datetime:
        """Return the wall time in UTC; for people only, it may jump."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Suspend the calling task for `delay_s` seconds."""
        ...


async def sleep_unless(clock: Clock, delay_s: float, event: asyncio.Event) -> None:
    """Sleep `delay_s` seconds of `clock`, but not longer than until `event` is set."""
    loop = asyncio.get_running_loop()
    waits = [loop.create_task(clock.sleep(delay_s)), loop.create_task(event.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        """Return CLOCK_MONOTONIC in seconds."""
        return time.monotonic()

    def wall(self) -> datetime:
        """Return the wall time in UTC."""
        return datetime.now(UTC)

    async def sleep(self, delay_s: float) -> None:
        """Sleep `delay_s` seconds in the running event loop."""
        await asyncio.sleep(delay_s)
