"""A bounded channel between two stages of the event loop; the newest items win.

In: items put by senders that entered the mailbox. Out: the items in order, to one receiver. When
full, the oldest item is dropped, counted and handed to `on_drop`; nothing ever blocks upstream.
Invariant: accepted = received + dropped + depth, and iteration ends when the last sender has left
and it is empty.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class MailboxStatistics:
    """Counts since the mailbox was made.

    Attributes:
        accepted: items put.
        received: items taken.
        dropped: items lost to a full mailbox.
        depth: items waiting now.
    """

    accepted: int
    received: int
    dropped: int
    depth: int


class Outbox(Protocol[T_contra]):
    """The sending side of a mailbox: a stage that sends A may be given a mailbox of A and B."""

    def put(self, item: T_contra) -> None:
        """Add an item; never blocks."""

    def __enter__(self) -> object: ...

    def __exit__(self, *exc: object) -> None: ...


class Mailbox(Generic[T]):
    """Bounded, loop-confined, newest-wins.

    Args:
        capacity: most items that wait; >= 1.
        on_drop: told of each item that is dropped because the mailbox is full.

    Raises:
        ValueError: capacity below 1.
    """

    def __init__(self, capacity: int, on_drop: Callable[[T], None] | None = None) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be >= 1, got {capacity}")
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._on_drop = on_drop
        self._n_senders = 0
        self._was_opened = False
        self._wake = asyncio.Event()
        self._n_accepted = 0
        self._n_received = 0
        self._n_dropped = 0

    def __enter__(self) -> Self:
        self._n_senders += 1
        self._was_opened = True
        return self

    def __exit__(self, *exc: object) -> None:
        self._n_senders -= 1
        self._wake.set()

    def put(self, item: T) -> None:
        """Add an item; drop the oldest when full. Never blocks."""
        if len(self._items) == self._capacity:
            dropped = self._items.popleft()
            self._n_dropped += 1
            if self._on_drop is not None:
                self._on_drop(dropped)
        self._items.append(item)
        self._n_accepted += 1
        self._wake.set()

    def pop(self) -> T | None:
        """Return the oldest item, or None when there is none."""
        if not self._items:
            return None
        self._n_received += 1
        return self._items.popleft()

    @property
    def is_ended(self) -> bool:
        """No item waits and none can come: every sender that entered has left."""
        return not self._items and self._was_opened and self._n_senders == 0

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until an item is there or the mailbox has ended.

        Args:
            timeout_s: longest wait in seconds; None waits without limit.

        Returns:
            False when the time ran out first.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not self._items and not self.is_ended:
                    self._wake.clear()
                    await self._wake.wait()
        except TimeoutError:
            return False
        return True

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        await self.wait()
        if not self._items:
            raise StopAsyncIteration
        self._n_received += 1
        return self._items.popleft()

    def statistics(self) -> MailboxStatistics:
        """Return the counts."""
        return MailboxStatistics(
            self._n_accepted, self._n_received, self._n_dropped, len(self._items)
        )
