"""Claims about pipeline.probe: the lag of the loop, and versions without imports."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import subprocess
import sys
from typing import TYPE_CHECKING

from pipeline.probe import LOOP_PERIOD_S, build_facts, package_version, watch_loop

if TYPE_CHECKING:
    from tests.conftest import FakeClock


async def test_the_lag_is_what_a_task_woke_too_late(clock: FakeClock) -> None:
    """A blocked loop shows as the time it was blocked."""
    lags: list[float] = []
    task = asyncio.ensure_future(watch_loop(clock, lags.append))
    await clock.advance(LOOP_PERIOD_S)
    assert lags == [0.0]
    clock.tick(LOOP_PERIOD_S + 0.3)  # nobody is woken meanwhile: the loop hangs
    await clock.advance(0)
    assert [round(lag, 6) for lag in lags] == [0.0, 0.3]
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def test_facts_name_python_and_what_is_installed() -> None:
    """Versions come from the package metadata."""
    facts = build_facts("1.2", "abc")
    assert facts["python"] == platform.python_version()
    assert (facts["version"], facts["commit"]) == ("1.2", "abc")
    assert package_version("no-such-distribution") is None


def test_learning_the_version_of_tensorflow_does_not_import_it() -> None:
    """The control process must never load it."""
    code = (
        "import sys; from pipeline.probe import build_facts; build_facts('', '');"
        "assert 'tensorflow' not in sys.modules and 'av' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
