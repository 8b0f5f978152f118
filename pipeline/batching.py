"""Which windows are classified next, and how many at once; pure.

In: windows as they become ready, the time, the measured cost of each (batch size, mode). Out:
batches of one mode, and the windows that will not be inferred, each with its outcome. A live camera
has at most one pending window, the newest, in the place of the one it replaced. The earliest
deadline comes first while every window is served; once windows are lost, cameras take turns.
Invariant: offered = given out + displaced + expired + rejected + pending, exactly, and no live
window older than max_age_s is ever given out.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from pipeline.config import BatchingConfig
from pipeline.cost import FULL, Costs
from pipeline.records import InferenceOutcome, Window

Trigger = Literal["full", "timeout", "deadline", "idle", "drain"]
"""Why a batch was sent: it is as large as allowed; its wait for company was over; it would have
expired; waiting would not have paid; the pipeline is ending."""

Resolved = tuple[Window, InferenceOutcome]

# Company must make a window at least this much cheaper to be wanted: less is noise.
MIN_GAIN = 0.1

OVERLOAD_S = 2.0
"""Cameras take turns for so long after a live window was lost: deadlines alone would always prefer
the camera whose pictures arrive latest."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows to be classified together.

    Attributes:
        windows: at least one, of different cameras, the most urgent first, all of one mode.
        trigger: why now.
        mode: the hop they are steps of, or `FULL`, as far as can be told from here.
    """

    windows: tuple[Window, ...]
    trigger: Trigger
    mode: int = FULL


@dataclass(frozen=True, slots=True)
class _Pending:
    """A window that waits.

    Attributes:
        window: the window.
        since: instant from which its camera has waited, also with windows that it replaced.
        due_at: its deadline, or that of the first window it replaced. One of a `fast` source has
            one for its place only: until then live windows go first.
        is_alone: must be given out by itself.
    """

    window: Window
    since: float
    due_at: float
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
        self._costs = Costs()
        self._overloaded_until = -math.inf
        self._is_draining = False

    def __len__(self) -> int:
        """Windows that wait."""
        return sum(len(queue) for queue in self._pending.values())

    def set_costs(
        self,
        cost_s: Mapping[int, float],
        step_cost_s: Mapping[int, Mapping[int, float]] = MappingProxyType({}),
    ) -> None:
        """Take what a new worker measured; sizes between are interpolated.

        Args:
            cost_s: seconds of full windows by batch size.
            step_cost_s: seconds of steps by hop, then by batch size.
        """
        self._costs.set(cost_s, step_cost_s)

    def offer(self, window: Window, now: float) -> list[Resolved]:
        """Take a window.

        Returns:
            the older window of the same live camera that it replaces, if one was pending.
        """
        queue = self._pending.setdefault(window.camera, deque())
        since, due_at = now, self._due_at(window, now)
        displaced: list[Resolved] = []
        if window.is_live and queue:
            displaced = [(pending.window, "rejected") for pending in queue]
            since, due_at = queue[0].since, queue[0].due_at
            queue.clear()
            self._overloaded_until = now + OVERLOAD_S
        queue.append(_Pending(window, since, due_at))
        return displaced

    def retry(self, window: Window, now: float) -> bool:
        """Take back a window whose batch was lost; it will be given out again alone.

        Alone, because the window may be what killed the worker: its companions must not suffer.

        Returns:
            False when it is not worth it: too old, or its live camera has a newer one pending.
        """
        self._costs.forget_streams()
        queue = self._pending.setdefault(window.camera, deque())
        if window.is_live and (queue or now >= self._expires_at(window)):
            return False
        queue.appendleft(_Pending(window, now, self._due_at(window, now), is_alone=True))
        return True

    def failed(self, window: Window) -> None:
        """Note that the worker had no scores for a window: its camera's next one is no step."""
        self._costs.failed(window.camera)

    def expire(self, now: float) -> list[Resolved]:
        """Give up the windows that are too old by now."""
        expired: list[Resolved] = []
        for queue in self._pending.values():
            for _ in range(len(queue)):
                pending = queue.popleft()
                if now >= self._expires_at(pending.window):
                    expired.append((pending.window, "expired"))
                    self._overloaded_until = now + OVERLOAD_S
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
        group = self._group(waiting, now)
        mode = self._costs.mode(group[0].window)
        size = 1 if group[0].is_alone else self._size(group, mode, now)
        trigger = self._trigger(waiting, group, size, now)
        if trigger is None:
            return None
        for pending in group[:size]:
            self._pending[pending.window.camera].popleft()
            self._n_served += 1
            self._served[pending.window.camera] = self._n_served
            self._costs.given(pending.window)
        return Batch(tuple(pending.window for pending in group[:size]), trigger, mode)

    def next_due_at(self, now: float) -> float | None:
        """Return the instant at which time alone changes the answer of `due` or `expire`."""
        instants = [
            instant
            for queue in self._pending.values()
            for pending in queue
            for instant in (
                pending.since + self._config.max_wait_s,
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
        """Oldest pending window of each camera that has not expired, the most urgent first."""
        heads = [
            queue[0]
            for queue in self._pending.values()
            if queue and now < self._expires_at(queue[0].window)
        ]
        heads.sort(key=lambda pending: self._urgency(pending, now))
        # A window that must go alone would otherwise shrink a batch it is not the first of.
        shared = [pending for pending in heads if not pending.is_alone]
        return heads[:1] if heads and heads[0].is_alone else shared

    def _urgency(self, pending: _Pending, now: float) -> tuple[bool, float, float]:
        """Sort key: a `fast` source lets live ones go first for a while; then deadline, or turn."""
        can_wait = not pending.window.is_live and now < pending.due_at
        if now < self._overloaded_until:
            return can_wait, self._served.get(pending.window.camera, -1), pending.since
        return can_wait, pending.due_at, pending.since

    def _group(self, waiting: list[_Pending], now: float) -> list[_Pending]:
        """Return the windows of the mode that comes next, the most urgent first.

        That of the first window; or cheaper ones before it, if every other window can still begin
        in time after them.
        """
        groups: dict[int, list[_Pending]] = {}
        for pending in waiting:
            groups.setdefault(self._costs.mode(pending.window), []).append(pending)
        first = self._costs.mode(waiting[0].window)
        cheapest = min(groups, key=lambda mode: self._cost(1, mode))
        if cheapest == first or now < self._overloaded_until:
            return groups[first]
        at = now + self._cost(min(len(groups[cheapest]), self._config.max_batch), cheapest)
        for pending in waiting:
            mode = self._costs.mode(pending.window)
            if mode != cheapest:
                if at > pending.due_at:
                    return groups[first]
                at += self._cost(1, mode)
        return groups[cheapest]

    def _size(self, group: list[_Pending], mode: int, now: float) -> int:
        most = min(len(group), self._config.max_batch)
        if not self._costs.is_known:
            return most
        sizes = range(1, most + 1)
        if now < self._overloaded_until or self._cannot_wait_in_turn(group, mode, now):
            # The smallest size that is about as cheap a window as the cheapest.
            best_s = min(self._cost(n, mode) / n for n in sizes)
            return next(n for n in sizes if self._cost(n, mode) / n * (1 - MIN_GAIN) <= best_s)
        return min(sizes, key=lambda n: self._mean_answer_s(len(group), n, mode))

    def _cannot_wait_in_turn(self, group: list[_Pending], mode: int, now: float) -> bool:
        """Some window would expire if all were classified one by one."""
        one_s = self._cost(1, mode)
        return any(
            now + place * one_s > self._expires_at(pending.window)
            for place, pending in enumerate(group)
        )

    def _mean_answer_s(self, n_pending: int, size: int, mode: int) -> float:
        """Mean time until an answer when n_pending windows are classified `size` at a time."""
        total = at = 0.0
        for start in range(0, n_pending, size):
            n = min(size, n_pending - start)
            at += self._cost(n, mode)
            total += n * at
        return total / n_pending

    def _trigger(
        self, waiting: list[_Pending], group: list[_Pending], size: int, now: float
    ) -> Trigger | None:
        since = min(pending.since for pending in group)
        # Nobody waits for company while other windows could be computed meanwhile.
        is_idle = group[0].is_alone or len(group) < len(waiting) or not self._company_pays(group)
        reasons: tuple[tuple[bool, Trigger], ...] = (
            (size == self._config.max_batch, "full"),
            (self._is_draining, "drain"),
            (any(now >= self._deadline(pending.window) for pending in waiting), "deadline"),
            (is_idle, "idle"),
            (now >= since + self._config.max_wait_s, "timeout"),
        )
        return next((trigger for is_met, trigger in reasons if is_met), None)

    def _company_pays(self, group: list[_Pending]) -> bool:
        """Another camera could join, and that would make each window cheaper."""
        n, mode = len(group), self._costs.mode(group[0].window)
        if n >= min(self._config.max_batch, len(self._pending)):
            return False
        together_s, alone_s = self._cost(n + 1, mode), self._cost(n, mode)
        return together_s / (n + 1) < (1 - MIN_GAIN) * alone_s / n

    def _cost(self, size: int, mode: int = FULL) -> float:
        return self._costs.seconds(size, mode)

    def _due_at(self, window: Window, now: float) -> float:
        return self._expires_at(window) if window.is_live else now + self._config.max_age_s

    def _expires_at(self, window: Window) -> float:
        if not window.is_live:
            return math.inf
        return window.timeline.captured_at + self._config.max_age_s

    def _deadline(self, window: Window) -> float:
        """Latest instant to begin so that the answer comes before the window expires."""
        return self._expires_at(window) - self._cost(1, self._costs.mode(window))
