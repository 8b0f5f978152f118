"""What a step costs, exact or causal, in multiply-accumulates, before anything is built.

In: a plan and one of its steps, or a causal hop; a picture size. Out: MACs by stage, of the fused
network: collapsed stem, 1x1x1 pairs as one matrix, taps that fall outside a window left out.
Invariant: `step_macs` of the first window at the largest hop is the cost of a full window, since
nothing of it is kept; `causal_macs` grows with the hop alone, since nothing is computed twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod

from model import spec
from model.plan import Plan, Step
from model.pooled import TAIL_FRAMES, PooledPlan


def step_macs(plan: Plan, step: Step, size: tuple[int, int] | None = None) -> dict[str, int]:
    """Count the multiply-accumulates of one window.

    Args:
        plan: hop and window length.
        step: `plan.first` or `plan.step`.
        size: picture (height, width), px; by default the published one.

    Returns:
        MACs for stem, stem1, stem2, block0 to block3 and head.
    """
    taps = Counter(o.product.stage for o in step.operations if o.product is not None)
    # Two frames a slice, and one more tap for all but the last, whose third is padding.
    taps["stem"] = 3 * len(step.stem) - 1
    slices = {block.name: _slices(block.name, plan, step) for block in spec.BLOCKS}
    return _fused_macs(spec.layer_table(plan.frames, size or spec.SIZE_PX), taps, slices)


def pooled_macs(plan: PooledPlan, size: tuple[int, int] | None = None) -> dict[str, int]:
    """Count the multiply-accumulates of a step that computes the stem again from frames.

    Args:
        plan: hop and window length.
        size: picture (height, width), px; by default the published one.

    Returns:
        MACs for stem, stem1, stem2, block0 to block3 and head.
    """
    n_stem = (TAIL_FRAMES + plan.hop) // 2
    # Each stage has a slice less than the one before, the last without its third tap. The left
    # edge of a later window is one slice of stem1 with two taps, two of stem2 with two and three.
    taps = {"stem": 3 * n_stem - 1, "stem1": 3 * (n_stem - 1) - 1 + 2}
    taps["stem2"] = 3 * (n_stem - 2) - 1 + 5
    slices = {block.name: (plan.n_pooled,) * 3 for block in spec.BLOCKS}
    return _fused_macs(spec.layer_table(plan.frames, size or spec.SIZE_PX), taps, slices)


def _fused_macs(
    table: Sequence[spec.LayerRow],
    taps: Mapping[str, int],
    slices: Mapping[str, tuple[int, int, int]],
) -> dict[str, int]:
    """MACs by stage.

    Args:
        table: of the network.
        taps: of the stem's stages, over all slices that are computed.
        slices: of each block; see `_block_macs`.
    """
    rows = {row.name: row for row in table}
    macs, channels = {}, spec.CHANNELS
    for stage in spec.STEM:
        area = prod(rows[stage.name].output[1:3])
        macs[stage.name] = taps[stage.name] * area * 9 * channels * stage.filters
        channels = stage.filters
    area = prod(rows["pool"].output[1:3])
    for block in spec.BLOCKS:
        areas = (area, prod(rows[block.name].output[1:3]))
        macs[block.name] = _block_macs(block, channels, areas, slices[block.name])
        area = areas[1]
        channels = block.outer
    return macs | {"head": rows["head"].macs}


def causal_macs(hop: int, size: tuple[int, int] | None = None) -> dict[str, int]:
    """Count the multiply-accumulates of one step of the causal network.

    Args:
        hop: frames of a step, a multiple of 4.
        size: picture (height, width), px; by default the published one.

    Returns:
        MACs for stem, stem1, stem2, block0 to block3 and head.
    """
    table = spec.layer_table(hop, size or spec.SIZE_PX, temporal_padding="causal")
    rows = {row.name: row for row in table}
    macs, channels = {}, spec.CHANNELS
    for stage in spec.STEM:
        row = rows[stage.name]
        macs[stage.name] = prod(row.output[:3]) * prod(stage.kernel) * channels * stage.filters
        channels = stage.filters
    n, *sides = rows["pool"].output[:3]
    area = prod(sides)
    for block in spec.BLOCKS:
        areas = (area, prod(rows[block.name].output[1:3]))
        macs[block.name] = _block_macs(block, channels, areas, (n, n, n))
        channels, area = block.outer, areas[1]
    return macs | {"head": rows["head"].macs}


def _block_macs(
    block: spec.BlockStage, channels: int, areas: tuple[int, int], slices: tuple[int, int, int]
) -> int:
    """MACs of a block.

    Args:
        block: the block.
        channels: that it reads.
        areas: pixels of a slice it reads, and of one it makes.
        slices: its 1x1x1 bottleneck, its features and its output are computed for.
    """
    inner, features, outputs = slices
    narrow = areas[0] * inner * channels * block.inner
    middle = spec.middle_filters((3, 3, 3), block.inner, block.inner)
    pair = (9 + 3) * block.inner * middle
    merge = (block.inner + channels) * block.outer
    return narrow + areas[1] * (features * pair + outputs * merge)


def _slices(block: str, plan: Plan, step: Step) -> tuple[int, int, int]:
    every, new = plan.slices("block0"), sum(map(len, step.block0))
    if block == "block0":
        inner = new + 2 * (len(step.block0) - 1)  # each range needs its neighbours' features too
        return inner, inner, new
    return (new if block == "block1" else every), every, every
