"""Which windows are classified next, and how many at once; pure.

In: windows as they become ready, the time, the measured cost of each batch size. Out: batches, and
the windows that will not be inferred, each with its outcome. A live camera has at most one pending
window (the newest), the camera served longest ago comes first, and no live window older than
max_age_s is ever given out. Invariant: offered = given out + displaced + expired + rejected +
pending, exactly.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline.config import BatchingConfig
from pipeline.records import InferenceOutcome, Window

Trigger = Literal["full", "timeout", "deadline", "idle", "drain"]
"""Why a batch was sent: it is as large as allowed; its wait for company was over; it would have
expired; waiting would not have paid; the pipeline is ending."""

Resolved = tuple[Window, InferenceOutcome]

# Company must make a window at least this much cheaper to be wanted: less is noise.
MIN_GAIN = 0.1


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows to be classified together.

    Attributes:
        windows: at least one, of different live cameras, the one served longest ago first.
        trigger: why now.
    """

    windows: tuple[Window, ...]
    trigger: Trigger


@dataclass(frozen=True, slots=True)
class _Pending:
    window: Window
    offered_at: float
    is_alone: bool = False


class Batcher:
    """The batching policy.

    A batch larger than one is formed when the measured costs say so: when it lowers the mean time
    until the pending windows are answered, or, under overload, when it raises throughput.

    Args:
        config: limits.
    """

    def __init__(self, config: BatchingConfig) -> None:
        self._config = config
        self._pending: dict[str, deque[_Pending]] = {}
        self._served: dict[str, int] = {}
        self._n_served = 0
        self._cost_s: dict[int, float] = {}
        self._is_overloaded = False
        self._is_draining = False

    def __len__(self) -> int:
        """Windows that wait."""
        return sum(len(queue) for queue in self._pending.values())

    def set_costs(self, cost_s: Mapping[int, float]) -> None:
        """Take the measured seconds by batch size; sizes between are interpolated."""
        self._cost_s = {size: cost for size, cost in cost_s.items() if size >= 1 and cost > 0}

    def offer(self, window: Window, now: float) -> list[Resolved]:
        """Take a window.

        Returns:
            the older window of the same live camera that it replaces, if one was pending.
        """
        queue = self._pending.setdefault(window.camera, deque())
        displaced: list[Resolved] = []
        if window.is_live:
            displaced = [(pending.window, "rejected") for pending in queue]
            queue.clear()
            self._is_overloaded = self._is_overloaded or bool(displaced)
        queue.append(_Pending(window, now))
        return displaced

    def retry(self, window: Window, now: float) -> bool:
        """Take back a window whose batch was lost; it will be given out again alone.

        Alone, because the window may be what killed the worker: its companions must not suffer.

        Returns:
            False when it is not worth it: too old, or its live camera has a newer one pending.
        """
        queue = self._pending.setdefault(window.camera, deque())
        if window.is_live and (queue or now >= self._expires_at(window)):
            return False
        queue.appendleft(_Pending(window, now, is_alone=True))
        return True

    def expire(self, now: float) -> list[Resolved]:
        """Give up the windows that are too old by now."""
        expired: list[Resolved] = []
        for queue in self._pending.values():
            for _ in range(len(queue)):
                pending = queue.popleft()
                if now >= self._expires_at(pending.window):
                    expired.append((pending.window, "expired"))
                else:
                    queue.append(pending)
        return expired

    def due(self, now: float, is_idle: bool) -> Batch | None:
        """Return the batch that should be sent now.

        Args:
            now: monotonic seconds.
            is_idle: the worker can take a batch.

        Returns:
            None while the worker is busy, nothing is pending, or waiting for company pays.
        """
        waiting = self._waiting(now)
        if not is_idle or not waiting:
            return None
        size = self._size(waiting, now)
        if waiting[0].is_alone:
            size = 1
        trigger = self._trigger(waiting, size, now)
        if trigger is None:
            return None
        chosen = waiting[:size]
        for pending in chosen:
            self._pending[pending.window.camera].popleft()
            self._n_served += 1
            self._served[pending.window.camera] = self._n_served
        self._is_overloaded = False
        return Batch(tuple(pending.window for pending in chosen), trigger)

    def next_due_at(self, now: float) -> float | None:
        """Return the instant at which time alone changes the answer of `due` or `expire`."""
        instants = [
            instant
            for queue in self._pending.values()
            for pending in queue
            for instant in (
                pending.offered_at + self._config.max_wait_s,
                self._expires_at(pending.window),
                self._deadline(pending.window),
            )
            if now < instant < math.inf
        ]
        return min(instants, default=None)

    def drain(self) -> None:
        """Wait for company no more: no further windows will come."""
        self._is_draining = True

    def reject_all(self) -> list[Resolved]:
        """Give up everything that is pending: there is no worker any more."""
        rejected: list[Resolved] = [
            (pending.window, "rejected") for queue in self._pending.values() for pending in queue
        ]
        self._pending.clear()
        return rejected

    def _waiting(self, now: float) -> list[_Pending]:
        """Oldest pending window of each camera that has not expired, served longest ago first."""
        heads = [
            queue[0]
            for queue in self._pending.values()
            if queue and now < self._expires_at(queue[0].window)
        ]
        heads.sort(key=lambda p: (self._served.get(p.window.camera, -1), p.offered_at))
        # A window that must go alone would otherwise shrink a batch it is not the first of.
        shared = [pending for pending in heads if not pending.is_alone]
        return heads[:1] if heads and heads[0].is_alone else shared

    def _size(self, waiting: list[_Pending], now: float) -> int:
        most = min(len(waiting), self._config.max_batch)
        if not self._cost_s:
            return most
        sizes = range(1, most + 1)
        if self._is_overloaded or self._cannot_wait_in_turn(waiting, now):
            # The smallest size that is about as cheap a window as the cheapest.
            best_s = min(self._cost(n) / n for n in sizes)
            return next(n for n in sizes if self._cost(n) / n * (1 - MIN_GAIN) <= best_s)
        return min(sizes, key=lambda n: self._mean_answer_s(len(waiting), n))

    def _cannot_wait_in_turn(self, waiting: list[_Pending], now: float) -> bool:
        """Some window would expire if all were classified one by one."""
        one_s = self._cost(1)
        return any(
            now + place * one_s > self._expires_at(pending.window)
            for place, pending in enumerate(waiting)
        )

    def _mean_answer_s(self, n_pending: int, size: int) -> float:
        """Mean time until an answer when n_pending windows are classified `size` at a time."""
        total = at = 0.0
        for start in range(0, n_pending, size):
            n = min(size, n_pending - start)
            at += self._cost(n)
            total += n * at
        return total / n_pending

    def _trigger(self, waiting: list[_Pending], size: int, now: float) -> Trigger | None:
        oldest_at = min(pending.offered_at for pending in waiting)
        reasons: tuple[tuple[bool, Trigger], ...] = (
            (size == self._config.max_batch, "full"),
            (self._is_draining, "drain"),
            (any(now >= self._deadline(pending.window) for pending in waiting), "deadline"),
            (waiting[0].is_alone or not self._company_pays(len(waiting)), "idle"),
            (now >= oldest_at + self._config.max_wait_s, "timeout"),
        )
        return next((trigger for is_met, trigger in reasons if is_met), None)

    def _company_pays(self, n_pending: int) -> bool:
        """Another camera could join, and that would make each window cheaper."""
        if n_pending >= min(self._config.max_batch, len(self._pending)):
            return False
        alone, together = self._cost(n_pending), self._cost(n_pending + 1)
        return together / (n_pending + 1) < (1 - MIN_GAIN) * alone / n_pending

    def _cost(self, size: int) -> float:
        """Seconds of a batch: as measured, on a line between neighbours, or in proportion."""
        if not self._cost_s:
            return 0.0
        if size in self._cost_s:
            return self._cost_s[size]
        below = max((n for n in self._cost_s if n < size), default=None)
        above = min((n for n in self._cost_s if n > size), default=None)
        if below is None or above is None:
            nearest = below or above or size
            return self._cost_s[nearest] * size / nearest
        share = (size - below) / (above - below)
        return self._cost_s[below] + share * (self._cost_s[above] - self._cost_s[below])

    def _expires_at(self, window: Window) -> float:
        if not window.is_live:
            return math.inf
        return window.timeline.captured_at + self._config.max_age_s

    def _deadline(self, window: Window) -> float:
        """Latest instant to begin so that the answer comes before the window expires."""
        return self._expires_at(window) - self._cost(1)
