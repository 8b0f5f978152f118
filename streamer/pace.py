"""Delivers stored frames at the times at which a camera would have delivered them.

In: frames with the times their file states. Out: the same frames with rising times, each when it
is due; the stop event ends a wait early.
Invariant: never hurries to catch up: after a pause of the process the line starts again at "now".
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

# A step back by less than this is one false time stamp, by more the begin of another recording.
_RESTART_S: Final = 1.0


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


class Timeline:
    """Gives the frames of a file rising times: fills missing and false ones, joins loop passes.

    Args:
        fps: frames per second where the file states no times, and over the seam.
    """

    def __init__(self, fps: float) -> None:
        self._interval_s = 1.0 / fps
        self._last_s: float | None = None
        self._offset_s: float | None = 0.0

    def begin_pass(self) -> None:
        """Let the next frame follow the last one by one frame interval."""
        self._offset_s = None

    def follow(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Yield the frames with strictly rising times."""
        for frame in frames:
            yield replace(frame, pts_s=self._time_s(frame.pts_s))

    def _time_s(self, pts_s: float | None) -> float:
        next_s = 0.0 if self._last_s is None else self._last_s + self._interval_s
        self._last_s = next_s if pts_s is None else self._joined(pts_s, next_s)
        return self._last_s

    def _joined(self, pts_s: float, next_s: float) -> float:
        if self._offset_s is None:
            self._offset_s = next_s - pts_s
        time_s = pts_s + self._offset_s
        if self._last_s is None or time_s > self._last_s:
            return time_s
        if time_s < self._last_s - _RESTART_S:
            # Recordings put one behind the other: the second one begins at 0 again.
            self._offset_s = next_s - pts_s
        return next_s
