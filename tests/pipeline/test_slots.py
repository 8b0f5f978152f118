"""A state goes to the window that continues it, to no other, and never beyond the budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.slots import Found, Slots
from streamer.notes import RingSpec
from streamer.worker_notes import WindowRef

RING = RingSpec(path="/r", n_slots=64, size_px=8)


@dataclass(frozen=True)
class State:
    n_bytes: int
    name: str = ""


def window(camera: str = "a", first_seq: int = 0, **changes: Any) -> WindowRef:
    values = {"ring": RING, "run": 1, "hop": 4} | changes
    return WindowRef(window_id=0, camera=camera, first_seq=first_seq, **values)


def test_the_next_window_gets_the_state_and_may_replace_it() -> None:
    """One hop later, same run, same ring; the state stays until it is replaced."""
    slots = Slots(100)
    assert slots.find(window()) == "first"
    state = State(40)
    assert slots.keep(window(), state)
    assert slots.find(window(first_seq=4)) == Found(state, 1)
    assert slots.find(window(first_seq=4)) == Found(state, 1)
    later = State(40)
    assert slots.keep(window(first_seq=4), later)
    assert slots.find(window(first_seq=8)) == Found(later, 1)
    assert (len(slots), slots.n_bytes) == (1, 40)


@pytest.mark.parametrize(
    ("following", "reason"),
    [
        (window(first_seq=16), "gap"),
        (window(first_seq=0), "gap"),
        (window(first_seq=3), "gap"),
        (window(first_seq=6), "gap"),
        (window(first_seq=8, hop=8), "hop"),
        (window(first_seq=4, hop=8), "hop"),
        (window(first_seq=4, run=2), "run"),
        (window(first_seq=4, ring=msgspec.structs.replace(RING, path="/new")), "ring"),
        (window(first_seq=4, ring=msgspec.structs.replace(RING, size_px=16)), "ring"),
    ],
)
def test_any_other_window_gets_none_and_the_state_is_gone(
    following: WindowRef, reason: str
) -> None:
    """Another place, hop, run, ring or size: the reason is told once, then it is a first window."""
    slots = Slots(100)
    slots.keep(window(), State(40))
    assert slots.find(following) == reason
    assert slots.n_bytes == 0
    assert slots.find(window(first_seq=4)) == "first"


@pytest.mark.parametrize(("first_seq", "n_steps"), [(4, 1), (8, 2), (12, 3)])
def test_windows_left_out_are_stepped_over(first_seq: int, n_steps: int) -> None:
    """Up to two; all steps are run."""
    slots, state = Slots(100), State(40)
    slots.keep(window(), state)
    assert slots.find(window(first_seq=first_seq)) == Found(state, n_steps)


def test_only_frames_of_the_window_itself_are_stepped_over() -> None:
    """Three hops of 16 are more than its 32 frames."""
    slots = Slots(100)
    slots.keep(window(hop=16), State(40))
    assert isinstance(slots.find(window(first_seq=32, hop=16)), Found)
    assert slots.find(window(first_seq=48, hop=16)) == "gap"


def test_states_are_not_worth_making_where_windows_are_left_out_again_and_again() -> None:
    """One gap is bad luck, two in a row are a habit; two windows in a row end it."""
    slots = Slots(100)
    worth = []
    for at in (0, 4, 24, 44, 64, 68, 72, 92, 96):
        ref = window(first_seq=at)
        found = slots.find(ref)
        worth.append(slots.is_worth_keeping(ref))
        if isinstance(found, Found) or worth[-1]:
            slots.keep(ref, State(10))
    assert worth == [True, True, True, False, False, True, True, True, True]
    assert slots.is_worth_keeping(window("b"))


def test_cameras_do_not_share() -> None:
    """The same numbers at another camera are another stream."""
    slots = Slots(100)
    slots.keep(window("a"), State(40))
    assert slots.find(window("b", first_seq=4)) == "first"
    assert isinstance(slots.find(window("a", first_seq=4)), Found)


def test_a_newcomer_does_not_push_out_who_is_served() -> None:
    """Else both would be computed in full, forever."""
    slots = Slots(100)
    at = 0
    for _ in range(20):
        for camera in "ab":
            assert slots.keep(window(camera, first_seq=at), State(50))
        assert not slots.keep(window("c", first_seq=at), State(50))
        at += 4
        assert slots.find(window("c", first_seq=at)) == "memory"
        assert isinstance(slots.find(window("a", first_seq=at)), Found)
        assert isinstance(slots.find(window("b", first_seq=at)), Found)


def test_who_has_left_makes_room() -> None:
    """A slot unused for four turns of the others is given away."""
    slots = Slots(100)
    slots.keep(window("gone"), State(50))
    for turn in range(7):
        slots.keep(window("b", first_seq=4 * turn), State(50))
        assert slots.find(window("c", first_seq=4 * turn)) == "memory"
    slots.keep(window("b", first_seq=28), State(50))
    assert slots.find(window("c", first_seq=28)) == "first"
    assert slots.keep(window("c", first_seq=28), State(50))
    assert slots.find(window("gone", first_seq=4)) != "first"
    assert slots.n_bytes == 100


def test_without_memory_nothing_is_kept() -> None:
    """A budget below one state means full windows, told as such from the second one on."""
    slots = Slots(10)
    assert slots.find(window()) == "first"
    assert not slots.keep(window(), State(11))
    assert slots.find(window(first_seq=4)) == "memory"
    assert slots.n_bytes == 0


def test_forgetting_is_complete() -> None:
    """One camera, or all."""
    slots = Slots(100)
    for camera in "ab":
        slots.keep(window(camera), State(10))
    slots.drop("a")
    slots.drop("a")
    assert (len(slots), slots.n_bytes) == (1, 10)
    slots.clear()
    assert (len(slots), slots.n_bytes) == (0, 0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcde"), st.integers(0, 5), st.integers(0, 2), st.integers(1, 60)
        ),
        max_size=60,
    ),
    st.integers(0, 150),
)
def test_whatever_comes_only_the_right_state_is_handed_out(
    calls: list[tuple[str, int, int, int]], budget: int
) -> None:
    """Random windows of random cameras: never a state that was not left one hop before."""
    slots = Slots(budget)
    for camera, at, run, size in calls:
        ref = window(camera, first_seq=4 * at, run=run)
        found = slots.find(ref)
        if isinstance(found, Found):
            assert isinstance(found.state, State)
            assert 1 <= found.n_steps <= 3
            assert found.state.name == f"{camera} {4 * (at - found.n_steps)} {run}"
        slots.keep(ref, State(size, f"{camera} {4 * at} {run}"))
        kept = [slot.state.n_bytes for slot in slots._slots.values()]
        assert slots.n_bytes == sum(kept) <= budget
