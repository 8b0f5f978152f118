"""The stream's own time, made trustworthy and tied to this machine's clock.

In: each frame's PTS as the stream states it (or None) and the instant it arrived. Out: a `Stamp`.
Invariant: captured_at never lies after arrived_at and never goes back; media_s always grows.

A PTS is believed while its step fits the time that has passed; wraps are undone first. One that
does not fit is suspect and stamped by arrival, as are missing and repeated ones. If the next one
goes on from the suspect, the stream's clock jumped: the time line is joined without a seam and the
jump reported once; if not, it was one bad value. Capture = PTS + the least (arrival - PTS) of the
last 20 s: that takes out network delay and follows a camera's clock that runs wrong.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

WINDOW_S: Final = 20.0
"""Seconds of the minimum filter: longer than an HTTP segment, 2 ms of drift at 100 ppm."""
AHEAD_S: Final = 1.5
"""A PTS may run ahead of the clock by this much, as the first frames out of a buffer do."""
BEHIND_S: Final = 1.0
"""A PTS may lie behind the newest by this much (out of order) before it counts as a jump."""
N_BEHIND: Final = 8
"""So many frames in a row behind the newest PTS are no disorder but a small jump back."""
BEHIND_FOR_S: Final = 0.7
"""And so are frames behind it for this long."""
SLIP_S: Final = 0.2
"""A clock that has stood still may then be behind the frames stamped by arrival by this much."""
WRAPS_S: Final = ((1 << 32) / 90_000, (1 << 33) / 90_000)
MAX_PTS_S: Final = 4e9
"""Larger values (a date of 2096 in seconds) are nonsense; below, MIN_STEP_S is still resolved."""
HOLE_S: Final = 86_400.0
"""Longest step forward in a file that counts as a hole and not as a jump."""
MIN_STEP_S: Final = 1e-6
LONG_STEP_S: Final = 10.0
DEFAULT_STEP_S: Final = 0.04


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a frame was captured.

    Attributes:
        media_s: on the stream's own time line, seconds; strictly increasing.
        captured_at: on the monotonic clock, seconds; never after the arrival.
        is_discontinuity: the stream's clock jumped before this frame.
        is_suspect: its PTS did not fit; whether that was a jump or one bad value, the next frame
            will tell.
    """

    media_s: float
    captured_at: float
    is_discontinuity: bool = False
    is_suspect: bool = False


@dataclass(frozen=True, slots=True)
class _Mark:
    """A PTS (wraps undone or not), its arrival, its media time, and how late it was for its PTS."""

    pts_s: float
    arrived_at: float
    media_s: float
    late_s: float


class _LeastDelay:
    """The smallest arrival minus media time of the last WINDOW_S seconds; O(1) a frame."""

    def __init__(self) -> None:
        self._delays: deque[tuple[float, float]] = deque()

    @property
    def least_s(self) -> float:
        """Return the smallest delay; at least one frame must have been added."""
        return self._delays[0][1]

    def add(self, arrived_at: float, media_s: float) -> None:
        """Take in a frame."""
        delay_s = arrived_at - media_s
        delays = self._delays
        while delays and delays[-1][1] >= delay_s:
            delays.pop()
        delays.append((arrived_at, delay_s))
        while delays[0][0] < arrived_at - WINDOW_S:
            delays.popleft()

    def clear(self) -> None:
        """Forget everything: the two clocks have a new relation."""
        self._delays.clear()


class TimestampMapper:
    """Stamps the frames of one source, from its open to its close.

    Args:
        is_paced: frames arrive in real time (cameras, files played in real time). Without, as for
            files read as quickly as possible, arrival says nothing about media time: only PTS
            count, and captured_at = arrived_at.
    """

    def __init__(self, *, is_paced: bool = True) -> None:
        self._is_paced = is_paced
        self._delays = _LeastDelay()
        self._shift_s = 0.0
        self._newest: _Mark | None = None
        self._suspect: _Mark | None = None
        self._n_behind = 0
        self._last: Stamp | None = None
        self._last_arrived_at = 0.0
        self._step_s = DEFAULT_STEP_S

    def map(self, pts_s: float | None, arrived_at: float) -> Stamp:
        """Stamp the next frame.

        Args:
            pts_s: presentation time in the stream's seconds; None where it has none.
            arrived_at: instant (monotonic seconds) the decoder returned it; never before the
                previous one's.

        Returns:
            its stamp.
        """
        media_s, is_jump, before = None, False, self._suspect
        if pts_s is not None and abs(pts_s) <= MAX_PTS_S:
            media_s, is_jump = self._place(pts_s, arrived_at)
        captured_at = arrived_at
        if media_s is None:
            media_s = self._by_arrival(arrived_at)
        elif self._is_paced:
            captured_at = media_s + self._delays.least_s
        if self._last is not None:
            media_s = max(media_s, self._last.media_s + MIN_STEP_S)
            captured_at = max(captured_at, self._last.captured_at)
        # Of values that never fit only the first is suspect: they are no PTS at all.
        is_suspect = before is None and self._suspect is not None
        self._last = Stamp(media_s, min(captured_at, arrived_at), is_jump, is_suspect)
        self._last_arrived_at = arrived_at
        return self._last

    def _place(self, pts_s: float, arrived_at: float) -> tuple[float | None, bool]:
        """Return the media time of a PTS (None: not to be believed), and whether it jumped."""
        newest = self._newest
        if newest is None:
            return self._begin(pts_s, arrived_at), False
        step_s = self._fitting_step(pts_s, newest, arrived_at)
        if step_s is None:
            return self._doubt(pts_s, arrived_at)
        self._suspect = None
        if step_s == 0.0:
            return None, False
        return self._step(newest, step_s, pts_s, arrived_at)

    def _begin(self, pts_s: float, arrived_at: float) -> float:
        if self._last is not None and pts_s <= self._last.media_s:
            self._shift_s = self._by_arrival(arrived_at) - pts_s
        return self._believe(pts_s, arrived_at)

    def _step(
        self, newest: _Mark, step_s: float, pts_s: float, arrived_at: float
    ) -> tuple[float, bool]:
        media_s = newest.media_s + step_s
        if step_s > 0.0:
            if self._last is not None and self._last.media_s - media_s > SLIP_S:
                # The stream's clock stood still and goes on: time stamped by arrival is not undone.
                return self._join(pts_s, arrived_at), False
            # Wraps are undone in step_s: the shift takes them over.
            self._shift_s = media_s - pts_s
            return self._believe(pts_s, arrived_at), False
        self._n_behind += 1
        if self._is_stuck_behind(newest, arrived_at):
            return self._join(pts_s, arrived_at), True
        return media_s, False

    def _fitting_step(self, pts_s: float, mark: _Mark, arrived_at: float) -> float | None:
        """Return the step from `mark` with wraps undone, or None where no reading of it fits."""
        step_s = pts_s - mark.pts_s
        if -BEHIND_S <= step_s <= self._largest_step_s(mark, arrived_at, is_wrap=False):
            return step_s
        for wrap_s in WRAPS_S:
            for undone_s in (step_s + wrap_s, step_s - wrap_s):
                most_s = self._largest_step_s(mark, arrived_at, is_wrap=True)
                if -BEHIND_S <= undone_s <= most_s:
                    return undone_s
        return None

    def _largest_step_s(self, mark: _Mark, arrived_at: float, *, is_wrap: bool) -> float:
        if self._is_paced:
            return arrived_at - mark.arrived_at + mark.late_s + AHEAD_S
        # In a file a long step forward is a hole, which is for the resampler to report.
        return LONG_STEP_S if is_wrap else HOLE_S

    def _is_stuck_behind(self, newest: _Mark, arrived_at: float) -> bool:
        waited_s = arrived_at - newest.arrived_at if self._is_paced else 0.0
        return self._n_behind > N_BEHIND or waited_s > BEHIND_FOR_S

    def _doubt(self, pts_s: float, arrived_at: float) -> tuple[float | None, bool]:
        """Handle a PTS that does not fit: a jump, if it goes on from the last suspect."""
        suspect = self._suspect
        if suspect is not None:
            step_s = self._fitting_step(pts_s, suspect, arrived_at)
            if step_s is not None and step_s > 0.0:
                return self._join(pts_s, arrived_at), True
        self._suspect = _Mark(pts_s, arrived_at, 0.0, 0.0)
        return None, False

    def _join(self, pts_s: float, arrived_at: float) -> float:
        """Continue the time line by arrival, with a new relation of the clocks."""
        self._shift_s = self._by_arrival(arrived_at) - pts_s
        self._delays.clear()
        self._suspect = None
        return self._believe(pts_s, arrived_at)

    def _believe(self, pts_s: float, arrived_at: float) -> float:
        media_s = pts_s + self._shift_s
        late_s = 0.0
        if self._newest is not None and self._newest.media_s < media_s:
            self._step_s = min(media_s - self._newest.media_s, LONG_STEP_S)
        if self._is_paced:
            self._delays.add(arrived_at, media_s)
            late_s = arrived_at - media_s - self._delays.least_s
        self._newest = _Mark(pts_s, arrived_at, media_s, late_s)
        self._n_behind = 0
        return media_s

    def _by_arrival(self, arrived_at: float) -> float:
        """Return the media time of a frame of which only the arrival is known."""
        if self._last is None:
            return 0.0
        if not self._is_paced:
            return self._last.media_s + self._step_s
        if self._newest is not None:
            return self._newest.media_s + arrived_at - self._newest.arrived_at
        return self._last.media_s + arrived_at - self._last_arrived_at
