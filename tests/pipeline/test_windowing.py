"""Claims about pipeline.windowing: every hop, never over a run, gated with lead-up."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pipeline.windowing import GatePolicy, Possible, Windowing
from tests.records import frame_note

OFF = GatePolicy(is_on=False, threshold=0.25, hold_s=2.0)
SKIP = GatePolicy(is_on=True, threshold=0.25, hold_s=2.0)


def windowing(gate: GatePolicy = OFF, hop: int = 8) -> Windowing:
    return Windowing(
        camera="door", n_frames=32, hop=hop, gate=gate, window_ids=itertools.count(), is_live=True
    )


def outcomes(found: list[Possible]) -> list[str]:
    return [possible.outcome for possible in found]


def test_the_first_window_ends_at_frame_32_and_the_next_ones_a_hop_later() -> None:
    """No window is late or early, whatever the hop."""
    for hop in (1, 3, 4, 8, 16, 20, 32):
        policy = windowing(hop=hop)
        ends = [
            possible.window.last_seq
            for seq in range(100)
            for possible in policy.take(frame_note(seq), 0.0)
            if possible.window is not None
        ]
        assert ends == list(range(31, 100, hop)), hop


def test_windows_before_32_frames_are_told_as_incomplete() -> None:
    """Each hop before the ring is full is accounted for."""
    policy = windowing(hop=8)
    told = [o for seq in range(32) for o in outcomes(policy.take(frame_note(seq), 0.0))]
    assert told == ["incomplete", "incomplete", "incomplete", "submitted"]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(1, 32))
def test_no_window_spans_two_runs(lengths: list[int], hop: int) -> None:
    """Whatever the lengths of the runs, a window's frames are consecutive and of one run."""
    policy = windowing(hop=hop)
    seq, runs = 0, {}
    for run, length in enumerate(lengths):
        for index in range(length):
            note = frame_note(seq, run=run, reset="reconnect" if index == 0 else None)
            runs[seq] = run
            for possible in policy.take(note, 0.0):
                if possible.window is not None:
                    w = possible.window
                    assert w.last_seq - w.first_seq == 31
                    assert {runs[s] for s in range(w.first_seq, w.last_seq + 1)} == {w.run}
            seq += 1


def test_a_lost_note_begins_anew_instead_of_joining_what_is_not_adjacent() -> None:
    """A hole in the sequence numbers is a break even when the run number is the same."""
    policy = windowing(hop=8)
    for seq in range(31):
        policy.take(frame_note(seq), 0.0)
    told = [p for seq in range(40, 71) for p in policy.take(frame_note(seq), 0.0)]
    assert all(possible.window is None for possible in told)


def test_held_places_lower_the_coverage() -> None:
    """A source at half the analysis rate fills half of the window with distinct frames."""
    policy = windowing(hop=32)
    found: list[Possible] = []
    for index in range(16):
        note = frame_note(2 * index + 1, n_places=2, n_held=1, reset="start" if not index else None)
        found += policy.take(note, 0.0)
    assert outcomes(found) == ["submitted"]
    assert found[0].coverage == 0.5


def test_a_still_scene_is_gated_and_motion_opens_with_a_window_that_holds_the_lead_up() -> None:
    """The window at the opening ends at the very frame that moved, not at the next hop."""
    policy = windowing(SKIP, hop=8)
    told = [p for seq in range(50) for p in policy.take(frame_note(seq), 0.0)]
    assert set(outcomes(told)) == {"incomplete", "gated"}
    assert not policy.is_gate_open
    (opening,) = policy.take(frame_note(50, motion=0.9), 0.0)
    assert opening.outcome == "submitted"
    assert opening.window is not None
    assert (opening.window.first_seq, opening.window.last_seq) == (19, 50)
    assert opening.window.motion == 0.9


def test_the_gate_stays_open_for_the_hold_and_closes_after_it() -> None:
    """Two seconds after the last motion windows are gated again."""
    policy = windowing(SKIP, hop=1)
    for seq in range(40):
        policy.take(frame_note(seq), 0.0)
    policy.take(frame_note(40, motion=0.9), 0.0)
    later = {seq: outcomes(policy.take(frame_note(seq), 0.0)) for seq in range(41, 70)}
    assert later[60] == ["submitted"]
    assert later[61] == ["gated"]


def test_a_gate_that_is_still_learning_hides_nothing() -> None:
    """Without a learned background every window is submitted, and its score does not count."""
    policy = windowing(SKIP, hop=8)
    told = [
        p
        for seq in range(32)
        for p in policy.take(frame_note(seq, is_motion_warm=False, motion=1.0), 0.0)
    ]
    assert told[-1].outcome == "submitted"
    assert told[-1].window is not None
    assert told[-1].window.motion == 0.0


def ends(policy: Windowing, first: int, last: int, *, run: int = 0) -> list[int]:
    return [
        possible.window.last_seq
        for seq in range(first, last)
        for possible in policy.take(frame_note(seq, run=run, reset=None), 0.0)
        if possible.window is not None
    ]


@given(
    st.sampled_from([(8, 16), (8, 32), (32, 8), (16, 4)]), st.integers(0, 40), st.floats(0, 0.99)
)
def test_another_hop_takes_effect_at_once(hops: tuple[int, int], at: int, phase: float) -> None:
    """No later than the new hop after the change, at each hop from there; the window says so."""
    policy = windowing(hop=hops[0])
    ends(policy, 0, 40 + at)
    policy.set_hop(hops[1], phase)
    later = ends(policy, 40 + at, 240)
    assert later[0] <= 40 + at + hops[1]
    assert {b - a for a, b in itertools.pairwise(later)} == {hops[1]}
    (window,) = [p.window for s in range(240, 240 + hops[1]) for p in policy.take(frame_note(s), 0)]
    assert window is not None
    assert window.hop == hops[1]


def test_cameras_of_different_phases_end_their_windows_apart() -> None:
    """In a new run, too, and when the same light opens all gates at the same frame."""
    policies = {phase: windowing(SKIP, hop=8) for phase in (0.0, 0.5)}
    found = {}
    for phase, policy in policies.items():
        policy.set_hop(16, phase)
        for seq in range(50):
            policy.take(frame_note(seq, run=1), 0.0)
        moving = [
            p for s in range(50, 90) for p in policy.take(frame_note(s, run=1, motion=1.0), 0)
        ]
        found[phase] = [p.window.last_seq for p in moving if p.window is not None]
    assert found[0.0][0] == found[0.5][0] == 50
    assert found[0.5][1] - found[0.0][1] in (-8, 8)
    fresh = {0.0: windowing(hop=8), 0.5: windowing(hop=8)}
    for phase, policy in fresh.items():
        policy.set_hop(16, phase)
    assert ends(fresh[0.0], 0, 64)[0] == 31
    assert ends(fresh[0.5], 0, 64)[0] == 39
