"""A stop event for code that waits on one: waiting moves the fake clock and takes no time.

In: a fake clock. Out: a `threading.Event`.
Invariant: a wait on a set event returns at once, as with the real one.
"""

from __future__ import annotations

import threading

from tests.conftest import FakeClock


class TickingEvent(threading.Event):
    """An event whose waits let the fake clock run.

    Attributes:
        waits_s: how long each wait would have taken at most.
    """

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock
        self.waits_s: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Move the clock by `timeout`; return whether the event is set."""
        self.waits_s.append(timeout or 0.0)
        if not self.is_set():
            self._clock.tick(timeout or 0.0)
        return self.is_set()
