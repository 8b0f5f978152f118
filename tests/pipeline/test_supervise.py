"""Claims about pipeline.supervise: our bugs restart a stage, operators' mistakes do not."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.errors import ConfigError
from pipeline.supervise import supervise
from tests.conftest import FakeClock


class Flaky:
    """Fails n times, then returns."""

    def __init__(self, n_failures: int, error: type[Exception] = RuntimeError) -> None:
        self.left, self.error, self.n_calls = n_failures, error, 0

    async def __call__(self) -> None:
        self.n_calls += 1
        if self.left:
            self.left -= 1
            raise self.error("boom")


async def test_a_stage_that_fails_twice_is_started_a_third_time(clock: FakeClock) -> None:
    """Waits one second, then two."""
    stage = Flaky(2)
    task = asyncio.ensure_future(supervise("s", stage, clock))
    await clock.advance(1.0)
    assert stage.n_calls == 2
    await clock.advance(2.0)
    await asyncio.wait_for(task, 1)
    assert stage.n_calls == 3


async def test_after_too_many_failures_the_exception_comes_out(clock: FakeClock) -> None:
    """The third failure is final."""
    task = asyncio.ensure_future(supervise("s", Flaky(9), clock))
    await clock.advance(10.0)
    with pytest.raises(RuntimeError, match="boom"):
        await task


async def test_a_mistake_of_the_operator_is_not_tried_again(clock: FakeClock) -> None:
    """ConfigError passes at once."""
    stage = Flaky(1, ConfigError)
    with pytest.raises(ConfigError):
        await supervise("s", stage, clock)
    assert stage.n_calls == 1


async def test_cancellation_passes_through(clock: FakeClock) -> None:
    """A cancelled stage is not started again."""
    started: list[int] = []

    async def endless() -> None:
        started.append(1)
        await asyncio.Event().wait()

    task = asyncio.ensure_future(supervise("s", endless, clock))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert started == [1]
