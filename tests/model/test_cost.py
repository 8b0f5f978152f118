"""The cost of a step: against an independent count, and against the published tables."""

from __future__ import annotations

import pytest

from model import spec
from model.cost import causal_macs, pooled_macs, step_macs
from model.plan import Plan
from model.pooled import PooledPlan

GIGA = 1e9


def full_macs(size: tuple[int, int] | None = None) -> dict[str, int]:
    plan = Plan(28)
    return step_macs(plan, plan.first, size)


def pair_macs(hop: int) -> float:
    """A step that keeps values but no products, with (2+1)D pairs: counted by hand, in GMACs.

    Spatial halves run on slices that are new or at an edge, temporal taps on those inside the
    window; `d` and `e` are the slices of a hop before and behind the pool.
    """
    d, e = hop // 2, hop // 4
    area = 128 * 128
    macs = area * (hop * 9 * 3 * 22 + (3 * d + 2) * 22 * 32)
    macs += area * ((d + 1) * 9 * 32 * 72 + (3 * d + 2 + 3 + 2) * 72 * 32)
    macs += area * ((d + 1 + 2) * 9 * 32 * 116 + (3 * d + (2 + 3) + (3 + 3 + 2)) * 116 * 64)
    fresh0, area = min(e, 3), 64 * 64  # block0 has 3 edge-free slices, its averages 4
    macs += area * (min(e, 5) + 3) * (64 * 13 + 13 * 16 + 9 * 16 * 36)
    macs += area * ((3 * (fresh0 + 5) - 2) * 36 * 16 + (fresh0 + 5) * (16 * 16 + 16 * 256))
    macs += area * (min(e, 4) + 4) * (64 * 52 + 52 * 256)
    later = sum(
        row.macs for row in spec.layer_table() if row.name in ("block1", "block2", "block3")
    )
    later -= 6 * 2_359_296  # taps outside the window, 2 a block
    later -= (3 - fresh0) * (64 * 64 * (256 * 29 + 29 * 32) + 32 * 32 * 9 * 32 * 72)
    later -= max(0, 2 - e) * 32 * 32 * (256 * 171 + 171 * 512)
    return (macs + later + 2048 * 256) / GIGA


@pytest.mark.parametrize(("hop", "published"), [(4, 12.14), (8, 15.29), (16, 21.24)])
def test_the_geometry_gives_the_published_cost_of_cached_values(hop: int, published: float) -> None:
    """MODEL, section 3: 12.14, 15.29 and 21.24 GMACs, from the same edges and fresh slices."""
    assert pair_macs(hop) == pytest.approx(published, abs=0.03)


@pytest.mark.parametrize(
    ("hop", "expected", "published"), [(4, 11.05, 11.17), (8, 14.01, 14.33), (16, 19.70, 20.29)]
)
def test_shared_products_cost_no_more_than_the_published_minimum(
    hop: int, expected: float, published: float
) -> None:
    """MODEL's figures with cached tap products, which count pairs, are not exceeded."""
    plan = Plan(hop)
    found = sum(step_macs(plan, plan.step).values()) / GIGA
    assert found == pytest.approx(expected, abs=0.01)
    assert found <= published


def test_a_full_window_is_the_fused_network() -> None:
    """Collapsed stem: 46 taps of 48 a convolution, 27 x C in x C out a pixel for all three."""
    macs = full_macs()
    area = 128 * 128
    assert macs["stem"] == area * 47 * 9 * 3 * 32
    assert macs["stem1"] == area * 46 * 9 * 32 * 32
    assert macs["stem2"] == area * 46 * 9 * 32 * 64
    assert macs["block0"] == 8 * 64 * 64 * (64 * 16 + 12 * 16 * 36 + (16 + 64) * 256)
    assert macs["block3"] == 8 * (16 * 16 * 1024 * 128 + 64 * (12 * 128 * 288 + 1152 * 2048))
    assert macs["head"] == 2048 * 256
    assert sum(macs.values()) / GIGA == pytest.approx(27.54, abs=0.01)


def test_the_cost_falls_with_the_hop_and_with_the_picture() -> None:
    """Never above the full window, and proportional to the area but for the head."""
    costs = [sum(step_macs(p, p.step).values()) for p in map(Plan, range(4, 32, 4))]
    assert costs == sorted(costs)
    assert costs[-1] < sum(full_macs().values())
    assert full_macs((128, 256))["stem2"] * 2 == full_macs()["stem2"]


@pytest.mark.parametrize(
    ("hop", "expected", "published"), [(4, 3.56, 3.60), (8, 7.12, 7.20), (16, 14.23, 14.4)]
)
def test_a_causal_step_costs_no_more_than_published(
    hop: int, expected: float, published: float
) -> None:
    """MODEL counts pairs; as it is run, with one kernel or matrix for most, it is a little less."""
    pairs = sum(row.macs for row in spec.layer_table(hop, temporal_padding="causal")) / GIGA
    assert pairs == pytest.approx(published, abs=0.01)
    found = sum(causal_macs(hop).values()) / GIGA
    assert found == pytest.approx(expected, abs=0.01)
    assert found <= published


def test_a_causal_step_does_its_share_of_a_window_and_nothing_twice() -> None:
    """Eight hops of 4 are a window with all taps, as its state stands in for the padding."""
    step, window = causal_macs(4, (128, 192)), causal_macs(32, (128, 192))
    assert {name: 8 * macs for name, macs in step.items() if name != "head"} == {
        name: macs for name, macs in window.items() if name != "head"
    }
    full = full_macs((128, 192))
    assert window["stem1"] * 46 == full["stem1"] * 48
    assert all(window[b.name] == full[b.name] for b in spec.BLOCKS)
    assert step["head"] == full["head"]


@pytest.mark.parametrize("hop", [4, 8, 16])
def test_a_step_from_frames_multiplies_more_in_the_stem(hop: int) -> None:
    """By hand for every tap; behind the pool nothing is at hand, as in a full window."""
    found, area, n = pooled_macs(PooledPlan(hop)), 128 * 128, 5 + hop // 2
    assert found["stem"] == (3 * n - 1) * area * 9 * 3 * 32
    assert found["stem1"] == (3 * (n - 1) - 1 + 2) * area * 9 * 32 * 32
    assert found["stem2"] == (3 * (n - 2) - 1 + 2 + 3) * area * 9 * 32 * 64
    full = full_macs()
    assert {name: found[name] for name in full if "b" in name} == {
        name: macs for name, macs in full.items() if "b" in name
    }
    assert sum(found.values()) > sum(step_macs(Plan(hop), Plan(hop).step).values())


def test_a_step_from_frames_grows_with_the_picture() -> None:
    """Four times the pixels, four times the work, but for the head."""
    small, large = (pooled_macs(PooledPlan(4), (side, side)) for side in (64, 128))
    assert small["head"] == large["head"]
    assert all(large[name] == 4 * small[name] for name in small if name != "head")
