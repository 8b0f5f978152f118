"""What a scripted camera did and when: the truth that tests take their figures from.

In: records from the camera's thread. Out: snapshots for the test's thread. All instants are
monotonic seconds.
Invariant: records are only appended, by one thread, in the order things happened.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Ending = Literal["teardown", "fin", "rst", "peer", "expired", "stopped"]


@dataclass(frozen=True, slots=True)
class FrameSent:
    """One picture handed to one session's socket.

    Attributes:
        serial: the camera's running picture number; never repeats.
        counter: the frame code in the picture; None where it shows none (black).
        sent_at: instant its last byte was written.
        session: RTSP session it went to.
        rtp_timestamp: 32 bits, 90 kHz.
        size: width and height.
        content: what it shows: static, moving, black or frozen.
        is_key: it is a keyframe.
        n_corrupt: its packets with flipped bytes.
        n_lost: its packets that were not sent.
    """

    serial: int
    counter: int | None
    sent_at: float
    session: str
    rtp_timestamp: int
    size: tuple[int, int]
    content: str
    is_key: bool
    n_corrupt: int = 0
    n_lost: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """One RTSP request and the answer (0: none was given)."""

    at: float
    connection: int
    method: str
    status: int
    has_authorization: bool = False


@dataclass(slots=True)
class Session:
    """One RTSP session, from SETUP until the camera forgot it.

    Attributes:
        id: the Session header.
        opened_at: instant of SETUP.
        closed_at: instant it was forgotten; None while it counts against max_sessions.
        ending: how.
    """

    id: str
    opened_at: float
    closed_at: float | None = None
    ending: Ending | None = None


@dataclass(slots=True)
class Ledger:
    """Everything one camera did.

    Attributes:
        frames: pictures sent (the newest 200,000).
        requests: RTSP requests.
        sessions: RTSP sessions.
        connects: instants of accepted TCP connections.
        faults: instants and names of every change of the script and every action.
        last_byte_at: instant of the last byte sent on any connection; None before the first.
    """

    frames: deque[FrameSent] = field(default_factory=lambda: deque(maxlen=200_000))
    requests: list[Request] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    connects: list[float] = field(default_factory=list)
    faults: list[tuple[float, str]] = field(default_factory=list)
    last_byte_at: float | None = None

    def sent(self, counter: int, before: float | None = None) -> FrameSent | None:
        """Return the newest sent picture with this code (sent before the instant `before`)."""
        for frame in reversed(self.snapshot()):
            if frame.counter == counter and (before is None or frame.sent_at <= before):
                return frame
        return None

    def snapshot(self) -> list[FrameSent]:
        """Return the pictures sent so far; safe from any thread."""
        return list(self.frames.copy())

    def first_frame_after(self, at: float) -> FrameSent | None:
        """Return the first picture sent after the instant `at`."""
        return next((frame for frame in self.snapshot() if frame.sent_at > at), None)

    def open_sessions(self) -> list[Session]:
        """Return the sessions that count against max_sessions."""
        return [session for session in list(self.sessions) if session.closed_at is None]

    def endings(self, within_s: float = 5.0) -> list[Ending | None]:
        """Return how the sessions ended; the camera's thread may note it after a client closed."""
        noted_by = time.monotonic() + within_s
        while any(s.ending is None for s in self.sessions) and time.monotonic() < noted_by:
            time.sleep(0.01)
        return [session.ending for session in list(self.sessions)]

    def peak_sessions(self) -> int:
        """Return the largest number of sessions open at one instant."""
        level = peak = 0
        for _, step in sorted(self._steps()):
            level += step
            peak = max(peak, level)
        return peak

    def _steps(self) -> Iterator[tuple[float, int]]:
        for session in list(self.sessions):
            yield session.opened_at, 1
            if session.closed_at is not None:
                yield session.closed_at, -1
