"""What a step of a sliding window costs, in multiply-accumulates, before anything is built.

In: a plan, one of its steps, a picture size. Out: MACs by stage, of the operations as they are
listed: collapsed stem, 1x1x1 pairs as one matrix, taps that fall outside a window left out.
Invariant: `step_macs` of the first window at the largest hop is the cost of a full window, since
nothing of it is kept.
"""

from __future__ import annotations

from collections import Counter
from math import prod

from model import spec
from model.plan import Plan, Step


def step_macs(plan: Plan, step: Step, size: tuple[int, int] | None = None) -> dict[str, int]:
    """Count the multiply-accumulates of one window.

    Args:
        plan: hop and window length.
        step: `plan.first` or `plan.step`.
        size: picture (height, width), px; by default the published one.

    Returns:
        MACs for stem, stem1, stem2, block0 to block3 and head.
    """
    rows = {row.name: row for row in spec.layer_table(plan.frames, size or spec.SIZE_PX)}
    taps = Counter(o.product.stage for o in step.operations if o.product is not None)
    # Two frames a slice, and one more tap for all but the last, whose third is padding.
    taps["stem"] = 3 * len(step.stem) - 1
    macs, channels = {}, spec.CHANNELS
    for stage in spec.STEM:
        area = prod(rows[stage.name].output[1:3])
        macs[stage.name] = taps[stage.name] * area * 9 * channels * stage.filters
        channels = stage.filters
    area = prod(rows["pool"].output[1:3])
    for block in spec.BLOCKS:
        # Slices its 1x1x1 bottleneck, its features and its output are computed for.
        inner, features, outputs = _slices(block.name, plan, step)
        narrow = area * inner * channels * block.inner
        area = prod(rows[block.name].output[1:3])
        middle = spec.middle_filters((3, 3, 3), block.inner, block.inner)
        pair = (9 + 3) * block.inner * middle
        merge = (block.inner + channels) * block.outer
        macs[block.name] = narrow + area * (features * pair + outputs * merge)
        channels = block.outer
    return macs | {"head": rows["head"].macs}


def _slices(block: str, plan: Plan, step: Step) -> tuple[int, int, int]:
    every, new = plan.slices("block0"), sum(map(len, step.block0))
    if block == "block0":
        inner = new + 2 * (len(step.block0) - 1)  # each range needs its neighbours' features too
        return inner, inner, new
    return (new if block == "block1" else every), every, every
