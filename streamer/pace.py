"""Delivers stored frames at the times at which a camera would have delivered them.

In: presentation times. Out: a wait until each is due, ended early by the stop event.
Invariant: never hurries to catch up: after a pause of the process the time line starts again at
"now".
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from streamer.clock import Clock
from streamer.frame import Frame

# Longer waits than this are a broken time stamp, not a slow camera.
_MAX_WAIT_S: Final = 10.0
# Above this much behind (decoding too slow, process stopped) the late frames would come as a burst.
_MAX_LATE_S: Final = 1.0
# The stop event ends a wait at once; this only bounds one wait call.
_SLICE_S: Final = 0.5


class Pace:
    """Maps presentation times to instants; used by one thread.

    Args:
        clock: time.
        stop: ends a wait when set.
    """

    def __init__(self, clock: Clock, stop: threading.Event) -> None:
        self._clock = clock
        self._stop = stop
        self._origin: float | None = None

    def deliver(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Yield each frame when it is due, as arrived then; ends when the stop event is set."""
        for frame in frames:
            if not self.wait(frame.pts_s or 0.0):
                return
            yield replace(frame, arrived_at=self._clock.now())

    def wait(self, pts_s: float) -> bool:
        """Wait until `pts_s` is due; return False when the stop event is set."""
        now = self._clock.now()
        if self._origin is None or not -_MAX_LATE_S <= self._origin + pts_s - now <= _MAX_WAIT_S:
            self._origin = now - pts_s
        due_at = self._origin + pts_s
        while (left_s := due_at - self._clock.now()) > 0:
            if self._stop.wait(min(left_s, _SLICE_S)):
                return False
        return not self._stop.is_set()
