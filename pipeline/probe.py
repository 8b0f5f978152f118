"""What the control process knows about itself: what it runs on, and how late its event loop is.

In: package metadata and a clock. Out: facts for metrics, and one lag every half second.
Invariant: nothing heavy is imported to learn a version.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable

from streamer.clock import Clock

LOOP_PERIOD_S = 0.5
"""Seconds between two looks at the event loop's lag."""


async def watch_loop(clock: Clock, tell: Callable[[float], None]) -> None:
    """Measure for ever how late the event loop wakes a task; runs as task `probe:loop`.

    Args:
        clock: time.
        tell: takes each lag in seconds (`Metrics.loop_lag`).
    """
    while True:
        due_at = clock.now() + LOOP_PERIOD_S
        await clock.sleep(LOOP_PERIOD_S)
        tell(clock.now() - due_at)


def build_facts(version: str, commit: str) -> dict[str, str]:
    """Return what the product runs on."""
    return {
        "version": version,
        "commit": commit,
        "python": platform.python_version(),
        "tensorflow": package_version("tensorflow") or "",
    }


def package_version(name: str) -> str | None:
    """Return the version of an installed distribution without importing it; None where absent."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
