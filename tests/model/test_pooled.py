"""A plan that keeps pooled slices: what it says follows from the geometry of the network."""

from __future__ import annotations

import pytest

from model.plan import MARGINS
from model.pooled import TAIL_FRAMES, PooledPlan

SHAPES = [(frames, hop) for frames in (16, 20, 32, 64) for hop in range(4, frames - 11, 4)]


@pytest.mark.parametrize(("frames", "hop"), SHAPES)
def test_what_a_step_computes_saw_no_start_of_a_window(frames: int, hop: int) -> None:
    """From its first slice on, each stage reads only slices that are the same in both windows."""
    plan = PooledPlan(hop, frames)
    for behind, stage in enumerate(("stem", "stem1", "stem2")):
        assert plan.first_stem + behind >= MARGINS[stage][0]
    assert 2 * plan.first_stem == frames - hop - TAIL_FRAMES
    assert plan.n_old >= MARGINS["pool"][0]


@pytest.mark.parametrize(("frames", "hop"), SHAPES)
def test_old_and_new_pooled_slices_make_a_window(frames: int, hop: int) -> None:
    """The seam and the first new slice of stem2 are one pooled slice, and none is missing."""
    plan = PooledPlan(hop, frames)
    first_new = plan.first_stem + 2
    assert first_new % 2 == 1
    assert plan.n_old == (first_new - 1) // 2
    assert plan.seam - plan.moved == first_new - 1


@pytest.mark.parametrize(("frames", "hop"), SHAPES)
def test_what_is_kept_saw_no_end_of_a_window(frames: int, hop: int) -> None:
    """Pooled slices, the seam, and what a later window's first pooled slice is made of."""
    plan = PooledPlan(hop, frames)
    slices = frames // 2
    assert len(plan.kept) == plan.n_old - 1
    assert plan.kept.start == 1 + hop // 4
    assert plan.kept.stop <= plan.n_pooled - MARGINS["pool"][1]
    assert plan.seam < slices - MARGINS["stem2"][1]
    assert plan.left_at + 2 < slices - MARGINS["stem1"][1]
    assert plan.left_at + 1 < slices - MARGINS["stem"][1]


@pytest.mark.parametrize(("frames", "hop"), SHAPES)
def test_every_later_window_gets_its_left_slice_once(frames: int, hop: int) -> None:
    """A step computes that of one window, the last of those that are kept, from its own slices."""
    plan = PooledPlan(hop, frames)
    assert plan.lefts[0] == plan.moved
    assert plan.lefts[-1] == plan.left_at
    assert plan.left_at + plan.moved + 2 >= frames // 2 - MARGINS["stem1"][1]
    assert plan.left_at >= plan.first_stem


@pytest.mark.parametrize(
    ("hop", "frames"), [(0, 32), (24, 32), (6, 32), (4, 12), (4, 30), (-4, 32)]
)
def test_a_hop_that_does_not_fit_is_refused(hop: int, frames: int) -> None:
    """With both numbers."""
    with pytest.raises(ValueError, match=f"got hop {hop} of {frames} frames"):
        PooledPlan(hop, frames)
