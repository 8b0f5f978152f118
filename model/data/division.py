"""Splits a data set so that no group is on two sides, with the labels shared out evenly.

In: a manifest, the wanted shares, a seed, and groups whose place is fixed. Out: a manifest in which
each segment has a split.
Invariant: all segments of a group, and all of a video, are in one split; the same seed gives the
same split.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from model.data.manifest import SPLITS, Manifest, Segment, Split
from model.errors import DataError


def divide(
    manifest: Manifest,
    shares: Mapping[Split, float],
    seed: int = 0,
    fixed: Mapping[str, Split] | None = None,
) -> Manifest:
    """Give each segment a split.

    Args:
        manifest: what to divide; splits it has are replaced.
        shares: wanted share of the segments of each label in each split; only ratios count.
        seed: breaks ties between groups of the same size.
        fixed: split of groups by name, whatever the shares.

    Returns:
        a new manifest.

    Raises:
        DataError: a fixed group does not exist, or there are fewer groups than splits.
    """
    fixed = dict(fixed or {})
    names = {segment.group_or_path for segment in manifest.segments}
    unknown = sorted(set(fixed) - names)
    if unknown:
        raise DataError(f"group {unknown[0]!r} does not exist; groups are {_some(names)}")
    wanted = [split for split in SPLITS if shares.get(split, 0) > 0]
    blocks = _blocks(manifest)
    if len(blocks) < len(wanted):
        raise DataError(
            f"{len(blocks)} groups cannot fill {len(wanted)} splits without being torn; name fewer "
            "splits, or record more people or places"
        )
    assigned = _assigned(manifest, blocks, shares, np.random.default_rng(seed), fixed)
    return Manifest(
        manifest.root,
        manifest.labels,
        [
            msgspec.structs.replace(segment, split=assigned[segment.group_or_path])
            for segment in manifest.segments
        ],
    )


def _some(names: set[str]) -> str:
    listed = ", ".join(sorted(names)[:10])
    return listed if len(names) <= 10 else f"{listed} and {len(names) - 10} more"


def _blocks(manifest: Manifest) -> list[list[str]]:
    """Return the groups, those that share a video joined into one block."""
    home: dict[str, str] = {}

    def find(name: str) -> str:
        while home.setdefault(name, name) != name:
            name = home[name]
        return name

    for segment in manifest.segments:
        # A blank cannot begin a group's own name twice: the two kinds of names never meet.
        home[find(f"video {segment.path}")] = find(f"group {segment.group_or_path}")
    blocks: dict[str, list[str]] = defaultdict(list)
    for name in sorted({segment.group_or_path for segment in manifest.segments}):
        blocks[find(f"group {name}")].append(name)
    return list(blocks.values())


def _assigned(
    manifest: Manifest,
    blocks: list[list[str]],
    shares: Mapping[Split, float],
    rng: np.random.Generator,
    fixed: Mapping[str, Split],
) -> dict[str, Split]:
    counts = _counts(manifest)
    sizes = [np.sum([counts[name] for name in block], axis=0) for block in blocks]
    goal = np.outer([max(shares.get(split, 0.0), 0.0) for split in SPLITS], np.sum(sizes, axis=0))
    goal /= max(sum(shares.values()), 1e-9)
    have = np.zeros_like(goal)
    ties = rng.permutation(len(blocks))
    order = sorted(range(len(blocks)), key=lambda at: (-sizes[at].sum(), ties[at]))
    # Those whose place is given first, then the largest, while there is most room for them.
    order.sort(key=lambda at: not any(name in fixed for name in blocks[at]))
    found: dict[str, Split] = {}
    for at in order:
        places = {fixed[name] for name in blocks[at] if name in fixed}
        if len(places) > 1:
            raise DataError(f"groups {', '.join(blocks[at])} share videos; put them in one split")
        index = SPLITS.index(places.pop()) if places else _best(goal, have, sizes[at])
        have[index] += sizes[at]
        found |= dict.fromkeys(blocks[at], SPLITS[index])
    return found


def _best(
    goal: npt.NDArray[np.float64], have: npt.NDArray[np.float64], size: npt.NDArray[np.float64]
) -> int:
    """Return the split that lacks most, by label, of what the block would bring."""
    lack = (goal - have) / np.maximum(goal, 1e-9)
    weights = size / size.sum()
    scores = np.where(goal.sum(axis=1) > 0, lack @ weights, -np.inf)
    return int(np.argmax(scores))


def _counts(manifest: Manifest) -> dict[str, npt.NDArray[np.float64]]:
    """Return how many segments of each label a group has; those without a label come last."""
    at = {label: index for index, label in enumerate(manifest.labels)}
    counts: dict[str, npt.NDArray[np.float64]] = defaultdict(lambda: np.zeros(len(at) + 1))
    for segment in manifest.segments:
        for index in _places(segment, at):
            counts[segment.group_or_path][index] += 1
    return counts


def _places(segment: Segment, at: Mapping[str, int]) -> list[int]:
    return [at[label] for label in segment.labels] or [len(at)]
