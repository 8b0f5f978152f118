"""The last door for our own bugs: a stage that raises is restarted, counted, then given up.

In: a way to make a stage's coroutine. Out: its normal end, or the last exception after too many
failures. Invariant: cancellation passes through untouched; operator errors are never retried.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from pipeline.errors import ConfigError
from streamer.clock import Clock

log = logging.getLogger(__name__)


async def supervise(
    name: str,
    make: Callable[[], Awaitable[None]],
    clock: Clock,
    *,
    max_failures: int = 3,
) -> None:
    """Run a stage; start it again when it fails.

    Args:
        name: of the stage, for logs and the count.
        make: returns a fresh awaitable of the stage.
        clock: waits one second, then two, ... between failures.
        max_failures: the failure after which the exception is passed on.

    Raises:
        ConfigError: at once, it is the operator's to fix.
        Exception: whatever the stage raised for the last time.
    """
    n_failures = 0
    while True:
        try:
            await make()
        except ConfigError:
            raise
        except Exception:  # door 4 of 4 (HOUSE.md 7): our bug; traceback, counted restart
            n_failures += 1
            log.exception("stage %s failed (%d of %d)", name, n_failures, max_failures)
            if n_failures >= max_failures:
                raise
            await clock.sleep(float(n_failures))
        else:
            return
