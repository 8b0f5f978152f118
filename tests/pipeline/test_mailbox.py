"""Claims about pipeline.mailbox: bounded, newest-wins, ends with its last sender."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.mailbox import Mailbox


async def test_items_come_out_in_order_and_iteration_ends_with_the_last_sender() -> None:
    """Two senders, the end comes only when both have left."""
    box: Mailbox[int] = Mailbox(10)
    with box:
        with box:
            box.put(1)
        box.put(2)
        assert not box.is_ended
    assert [item async for item in box] == [1, 2]
    assert box.is_ended


async def test_a_waiting_receiver_wakes_when_the_last_sender_leaves() -> None:
    """The end of the stream wakes a receiver that is already waiting."""
    box: Mailbox[int] = Mailbox(1)

    async def receive() -> list[int]:
        return [item async for item in box]

    with box:
        task = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        assert not task.done()
    assert await asyncio.wait_for(task, 1) == []


async def test_wait_says_whether_the_time_ran_out() -> None:
    """False on a time-out, True when something is there or the end has come."""
    box: Mailbox[int] = Mailbox(1)
    with box:
        assert await box.wait(0.001) is False
        box.put(1)
        assert await box.wait(0.001) is True
        assert box.pop() == 1
        assert box.pop() is None
    assert await box.wait(0.001) is True


def test_a_full_mailbox_drops_the_oldest_and_tells_it() -> None:
    """The drop is counted and handed over."""
    dropped: list[int] = []
    box: Mailbox[int] = Mailbox(2, dropped.append)
    for item in range(5):
        box.put(item)
    assert dropped == [0, 1, 2]
    assert (box.pop(), box.pop()) == (3, 4)


def test_a_capacity_below_one_is_refused() -> None:
    """The message names the value."""
    with pytest.raises(ValueError, match="got 0"):
        Mailbox(0)


@given(st.integers(1, 5), st.lists(st.booleans(), max_size=60))
def test_accepted_equals_received_plus_dropped_plus_depth(capacity: int, puts: list[bool]) -> None:
    """Conservation holds after any sequence of puts and pops."""
    box: Mailbox[int] = Mailbox(capacity)
    for index, is_put in enumerate(puts):
        if is_put:
            box.put(index)
        else:
            box.pop()
    s = box.statistics()
    assert s.accepted == s.received + s.dropped + s.depth
    assert s.depth <= capacity
