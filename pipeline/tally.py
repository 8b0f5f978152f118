"""Totals from counts that start again at zero whenever a capture process is replaced.

In: cumulative `Counters` of one camera. Out: what is new, and totals. Invariant: totals never
decrease, and decoded = used + sum(dropped) holds for them as it does for every record that came in.
"""

from __future__ import annotations

from typing import Any, Literal

from streamer.notes import Counters

_NUMBERS = ("decoded", "used", "held", "decode_errors", "duplicates", "bytes", "decode_cpu_s")


class Tally:
    """Turns cumulative counts of successive processes into counts that only grow.

    Attributes:
        total: counts of all processes together.
        last: the newest record of the current process.
    """

    def __init__(self) -> None:
        self.total = Counters()
        self.last = Counters()

    def restart(self) -> None:
        """Say that the next record comes from a new process."""
        self.last = Counters()

    def add(self, counters: Counters) -> Counters:
        """Fold in a record and return what is new since the last one.

        A record is taken as a whole or not at all. One that went down is either late (a heartbeat
        overtook it) or from a new process nobody announced; a new process counts far lower, and no
        late record counts more pictures than its successor.
        """
        if _went_down(self.last, counters):
            if self.last.decoded <= 2 * counters.decoded <= 2 * self.last.decoded:
                return Counters()
            self.restart()
        fresh = _combine(counters, self.last, -1)
        self.last = counters
        self.total = _combine(self.total, fresh, 1)
        return fresh


def _went_down(before: Counters, now: Counters) -> bool:
    if any(getattr(now, name) < getattr(before, name) for name in _NUMBERS):
        return True
    return any(now.dropped.get(reason, 0) < count for reason, count in before.dropped.items())


def _combine(left: Counters, right: Counters, sign: Literal[1, -1]) -> Counters:
    numbers: dict[str, Any] = {
        name: getattr(left, name) + sign * getattr(right, name) for name in _NUMBERS
    }
    reasons = left.dropped.keys() | right.dropped.keys()
    dropped = {r: left.dropped.get(r, 0) + sign * right.dropped.get(r, 0) for r in reasons}
    return Counters(dropped=dropped, **numbers)
