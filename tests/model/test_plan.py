"""What a hop must compute anew: the geometry, counted by hand and against the definition.

That running a plan gives the full window's numbers is in test_incremental.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

from model.plan import Plan, Step
from model.slice import Product, Slice, Value

HOPS = tuple(range(4, 32, 4))


def frames_of(stage: str, index: int) -> set[int]:
    """The frames a slice looks at, in a stream without ends; from the kernels, not the plan."""
    if stage == "stem":
        return {2 * index, 2 * index + 1, 2 * index + 2}
    if stage == "pool":
        return frames_of("stem2", 2 * index) | frames_of("stem2", 2 * index + 1)
    before = {"stem1": "stem", "stem2": "stem1", "block0": "pool"}[stage]
    return set().union(*(frames_of(before, index + n) for n in (-1, 0, 1)))


def taps(step: Step) -> Counter[str]:
    """Products convolved, by stage."""
    return Counter(o.product.stage for o in step.operations if o.product is not None)


def results(step: Step) -> list[Value]:
    return [*step.stem, *(operation.result for operation in step.operations)]


@pytest.mark.parametrize("stage", ["stem", "stem1", "stem2", "pool", "block0"])
@pytest.mark.parametrize("frames", [12, 24, 32, 64])
def test_the_interior_is_what_sees_no_frame_outside_the_window(stage: str, frames: int) -> None:
    """Edge-free slices are those whose frames all lie in the window, by the kernels' definition."""
    plan = Plan(4, frames)
    inside = [n for n in range(plan.slices(stage)) if frames_of(stage, n) <= set(range(frames))]
    assert list(plan.interior(stage)) == inside


@pytest.mark.parametrize(
    ("stage", "first", "last"),
    [("stem", 0, 14), ("stem1", 1, 13), ("stem2", 2, 12), ("pool", 1, 5), ("block0", 2, 4)],
)
def test_the_interior_of_32_frames_is_the_published_one(stage: str, first: int, last: int) -> None:
    """MODEL, section 3; behind block0 only one slice of block1 is left."""
    assert Plan(4).interior(stage) == range(first, last + 1)


@pytest.mark.parametrize(
    ("hop", "stage", "fresh"),
    [
        (4, "stem", range(13, 15)),
        (4, "stem2", range(11, 13)),
        (4, "pool", range(5, 6)),
        (4, "block0", range(4, 5)),
        (8, "stem1", range(10, 14)),
        (8, "block0", range(3, 5)),
        (16, "stem2", range(5, 13)),
        (16, "block0", range(2, 5)),
    ],
)
def test_fresh_slices_are_those_the_window_before_did_not_reach(
    hop: int, stage: str, fresh: range
) -> None:
    """The rest of the interior was there, `hop` frames further on."""
    plan = Plan(hop)
    assert plan.fresh(stage) == fresh
    assert plan.reused(stage) == range(plan.interior(stage).start, fresh.start)


@pytest.mark.parametrize(
    ("hop", "stem1", "stem2"), [(4, 8, 13), (8, 14, 19), (12, 20, 25), (16, 26, 31)]
)
def test_a_step_convolves_each_new_slice_once_a_tap(hop: int, stem1: int, stem2: int) -> None:
    """Three taps a fresh slice; two for the last slice, whose next one lies outside, and for the
    first of a window; three for the last but one where both neighbours are needed."""
    plan = Plan(hop)
    assert taps(plan.step) == {"stem1": stem1, "stem2": stem2}
    fresh = hop // 2
    assert stem1 == 3 * fresh + 2
    assert stem2 == 3 * fresh + 3 + 2 + 2


@pytest.mark.parametrize("hop", HOPS)
def test_no_product_is_computed_twice(hop: int) -> None:
    """Neither within a step nor in two steps one after the other."""
    plan = Plan(hop)
    for step in (plan.first, plan.step):
        products = [o.product for o in step.operations if o.product is not None]
        assert len(set(products)) == len(products)
        assert len(set(results(step))) == len(results(step))
    before = {value.moved(-hop) for value in results(plan.step)}
    assert before.isdisjoint(results(plan.step))


@pytest.mark.parametrize(
    ("hop", "frames"), [(hop, frames) for frames in (12, 24, 32, 48) for hop in range(4, frames, 4)]
)
def test_a_plan_can_be_run_in_order(hop: int, frames: int) -> None:
    """Every input stands before its operation or in the state, and the window is complete."""
    plan = Plan(hop, frames)
    for step, at_hand in ((plan.first, ()), (plan.step, plan.step.takes)):
        known: set[Value] = {*at_hand, *step.stem}
        for operation in step.operations:
            assert known.issuperset(operation.inputs), operation
            known.add(operation.result)
        assert known.issuperset(plan.pooled())


@pytest.mark.parametrize("hop", HOPS)
def test_the_state_is_closed(hop: int) -> None:
    """What a step takes is in the state; state and new values hold the next state, nothing more."""
    plan = Plan(hop)
    state = set(plan.state)
    assert state.issuperset(plan.step.takes)
    offered = {value.moved(-hop) for value in (*state, *plan.step.keeps)}
    assert offered >= state
    assert {value.moved(-hop) for value in plan.step.keeps} <= state


@pytest.mark.parametrize("hop", HOPS)
def test_every_value_that_is_kept_is_read_later(hop: int) -> None:
    """A slice nobody reads again would be memory for nothing."""
    plan = Plan(hop)
    for value in plan.state:
        steps: Iterable[int] = range(32 // hop + 2)
        assert any(value.moved(-n * hop) in plan.step.takes for n in steps), value


def test_a_step_reads_no_frame_but_the_new_ones_and_two_before() -> None:
    """The fresh stem slices begin two frames before the hop."""
    for hop in HOPS:
        stem = Plan(hop).step.stem
        seen = set().union(*(frames_of("stem", s.index) for s in stem)) & set(range(32))
        assert seen == set(range(30 - hop, 32))
        assert stem[-1] == Slice("stem", 15, "right", 0)


def test_a_left_edge_never_reads_the_frames_before_its_window() -> None:
    """The tap that fell outside is left out, also where the slice it would have read is known."""
    plan = Plan(4)
    for operation in plan.step.operations:
        result = operation.result
        if isinstance(result, Slice) and result.edge == "left" and result.stage == "stem1":
            assert all(isinstance(a, Product) and a.tap != 0 for a in operation.addends)


@pytest.mark.parametrize("hop", [0, 2, 5, -4, 32, 36])
def test_a_hop_off_the_networks_stride_is_refused(hop: int) -> None:
    """4 frames are one slice behind the pool; a window that shares nothing is no slide."""
    with pytest.raises(ValueError, match=f"hop must be a multiple of 4 from 4 to 28, got {hop}"):
        Plan(hop)


@pytest.mark.parametrize("frames", [8, 30, 0])
def test_a_window_without_interior_is_refused(frames: int) -> None:
    """Below 12 frames a slice sees both ends at once."""
    with pytest.raises(ValueError, match=f"frames must be .* at least 12, got {frames}"):
        Plan(4, frames)
