"""Claims about pipeline.degradation: which rungs there are, when to climb, when to come down."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from pipeline.degradation import (
    DWELL_S,
    MAX_DWELL_S,
    SPAN_S,
    Degradation,
    FullQuality,
    Rung,
    build_ladder,
)

REVIEW_S = 0.25
FULL = FullQuality(hop=8, n_frames=32, rates=(10.0, 10.0), min_fps=5.0, max_age_s=1.0)


class Load:
    """Feeds a policy with a steady load.

    Args:
        full: what full quality is.
    """

    def __init__(self, full: FullQuality = FULL) -> None:
        self.now = 0.0
        self.policy = Degradation(full, 0.0)
        self.policy.set_costs({1: 0.1}, {})
        self.changes: list[int] = []

    def go(
        self,
        seconds: float,
        *,
        lost: int,
        ok: int,
        busy: float,
        live: float = 1.0,
        ready: bool = True,
    ) -> int:
        """Go on for some seconds, with so many windows and so busy a worker in each review."""
        until = self.now + seconds
        while self.now < until - 1e-9:
            self.now += REVIEW_S
            for index in range(lost + ok):
                self.policy.resolved(is_lost=index < lost)
            self.policy.busy(busy * REVIEW_S, live)
            if self.policy.review(self.now, is_ready=ready):
                self.changes.append(self.policy.level)
        return self.policy.level


@pytest.mark.parametrize(
    ("hop", "hops"),
    [(4, [4, 8, 16]), (8, [8, 16, 32]), (16, [16, 32]), (12, [12, 24, 32]), (32, [32])],
)
def test_the_hop_is_doubled_twice_up_to_the_window(hop: int, hops: list[int]) -> None:
    """Beyond the window's length frames would never be looked at; steps stay where they can."""
    ladder = build_ladder(replace(FULL, hop=hop))
    assert [rung.hop for rung in ladder if rung.divisor == 1] == hops


def test_the_rate_is_halved_as_far_as_it_may() -> None:
    """A camera below min_fps keeps its rate; with no camera to slow down there is no rung."""
    assert [rung.kind() for rung in build_ladder(FULL)] == ["hop", "hop", "hop", "fps", "turns"]
    fast = replace(FULL, rates=(25.0, 4.0))
    rungs = build_ladder(fast)
    assert [fast.fps(rung) for rung in rungs if rung.kind() == "fps"] == [[12.5, 4.0], [6.25, 4.0]]
    slow = replace(FULL, rates=(5.0,))
    assert [rung.kind() for rung in build_ladder(slow)] == ["hop", "hop", "hop", "turns"]


def test_at_the_top_every_camera_always_has_a_young_window() -> None:
    """Its windows are closer together than the age at which they expire."""
    for fps in (3.0, 10.0, 25.0):
        full = replace(FULL, rates=(fps,), min_fps=2.0)
        top = build_ladder(full)[-1]
        assert top.is_by_turns
        assert full.interval_s(top) < full.max_age_s


def test_losses_of_a_busy_worker_raise_the_level_in_seconds() -> None:
    """Half of the windows lost: the first rung is enough."""
    load = Load()
    assert load.go(SPAN_S, lost=1, ok=1, busy=1.0) == 1
    assert load.policy.rung == Rung(16)


def test_far_too_much_work_goes_straight_to_the_widest_hop_but_no_further() -> None:
    """Another rate costs every camera a refill of its ring: that is seen to be needed first."""
    load = Load()
    assert load.go(SPAN_S, lost=19, ok=1, busy=1.0) == 2


@pytest.mark.parametrize(
    ("lost", "ok", "busy"), [(0, 4, 1.0), (1, 40, 1.0), (1, 4, 0.5), (0, 0, 0.0)]
)
def test_the_level_stays_where_work_is_not_the_reason(lost: int, ok: int, busy: float) -> None:
    """Nothing lost, hardly anything lost, an idle worker (windows came all at once), no windows."""
    assert Load().go(60, lost=lost, ok=ok, busy=busy) == 0


def test_what_is_lost_without_a_worker_is_no_overload() -> None:
    """A restart must not cost quality, nor may what was lost in it count afterwards."""
    load = Load()
    assert load.go(30, lost=4, ok=0, busy=1.0, ready=False) == 0
    assert load.go(SPAN_S, lost=0, ok=4, busy=1.0) == 0


def test_all_rungs_are_climbed_while_it_is_still_too_much_and_the_top_is_kept() -> None:
    """From rung to rung no faster than the effect can be seen."""
    load = Load()
    assert load.go(300, lost=9, ok=1, busy=1.0) == 4
    assert load.changes == [2, 3, 4]


def test_the_level_comes_down_one_by_one_when_the_work_is_gone() -> None:
    """Each rung is left after its dwell, down to full quality."""
    load = Load()
    load.go(300, lost=9, ok=1, busy=1.0)
    load.changes.clear()
    assert load.go(120, lost=0, ok=1, busy=0.05) == 0
    assert load.changes == [3, 2, 1, 0]


def test_a_rung_is_kept_while_the_one_below_would_be_too_much() -> None:
    """Half busy at hop 16 is all busy at hop 8."""
    load = Load()
    load.go(SPAN_S, lost=1, ok=1, busy=1.0)
    assert load.go(600, lost=0, ok=2, busy=0.5) == 1
    assert load.go(60, lost=0, ok=2, busy=0.3) == 0


def test_the_work_of_files_does_not_keep_the_level_up() -> None:
    """They take what is left; only the live share of the worker's time counts."""
    load = Load()
    load.go(SPAN_S, lost=1, ok=1, busy=1.0)
    assert load.go(60, lost=0, ok=2, busy=1.0, live=0.2) == 0


def test_turns_end_although_windows_are_lost_when_the_work_below_fits() -> None:
    """At the top more windows are handed in than are wanted: losses are normal there."""
    load = Load()
    load.go(300, lost=9, ok=1, busy=1.0)
    assert load.policy.rung.is_by_turns
    assert load.go(DWELL_S + SPAN_S, lost=1, ok=9, busy=1.0) == 3


def test_a_rung_that_did_not_hold_is_tried_later_and_later() -> None:
    """A load that always comes back costs a change in minutes, not in seconds."""
    load = Load()
    load.go(SPAN_S, lost=1, ok=1, busy=1.0)
    waits = []
    for _ in range(8):
        began_at = load.now
        while load.policy.level == 1:
            load.go(REVIEW_S, lost=0, ok=2, busy=0.3)
        waits.append(load.now - began_at)
        load.go(SPAN_S + 1, lost=1, ok=1, busy=1.0)
        assert load.policy.level == 1
    assert waits[0] < DWELL_S + 3
    assert all(later > 1.5 * earlier for earlier, later in itertools.pairwise(waits[:5]))
    assert waits[-1] <= MAX_DWELL_S + 3


def test_a_wider_hop_without_steps_that_saves_nothing_is_passed_over() -> None:
    """Steps at hop 8 cost half: full windows at hop 16 would be the same work."""
    load = Load()
    load.policy.set_costs({1: 0.1}, {8: {1: 0.05}})
    assert load.go(SPAN_S, lost=1, ok=3, busy=1.0) == 2
    assert load.policy.rung == Rung(32)


def test_after_a_change_of_the_rate_nothing_is_judged_before_the_rings_are_full() -> None:
    """For 32 frames no window comes: that looks like no work at all, and is no reason to go."""
    load = Load()
    while load.policy.level < 3:
        load.go(REVIEW_S, lost=9, ok=1, busy=1.0)
    refill_s, interval_s, span_s = 32 / 5.0, 32 / 5.0, 2 * 32 / 5.0
    assert load.go(refill_s + interval_s + span_s - 1, lost=0, ok=0, busy=0.0) == 3
    assert load.go(2, lost=0, ok=0, busy=0.0) == 2
