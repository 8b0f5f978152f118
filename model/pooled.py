"""A sliding window that keeps pooled slices and recent frames, and nothing of what lies between.

In: hop and window length. Out: a `PooledPlan`: which frames and slices one step reads, computes and
keeps. Unlike `model.plan`, which multiplies least, it moves least memory: what new slices need of
the two large stages before them is computed again from ten old frames, because that is cheaper than
writing and reading it where multiplications are fast (DECISIONS). Invariant: a step pools the same
slices a full window would; a slice that saw a window's padding is used in that window alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from model import spec

TAIL_FRAMES = 10
"""Old frames a step reads. Its first new stem2 slice needs one more slice on its left side from
each of stem2, stem1 and stem, and three are new at each hop only because they saw the end of the
window before."""


@dataclass(frozen=True)
class PooledPlan:
    """What is known before any pixel about sliding a window by `hop` frames.

    Slices are two frames up to the pool and four behind it, numbered from the start of the window
    at hand. The last slices of a stage see the window's end: one of stem, two of stem1, three of
    stem2, two pooled ones. The first slice of stem1, two of stem2 and one pooled slice see its
    start.

    Args:
        hop: frames between windows, a multiple of 4, at most `frames` - 12.
        frames: length of a window, a multiple of 4.

    Raises:
        ValueError: hop or frames do not fit; then too little is shared to be worth keeping.
    """

    hop: int
    frames: int = spec.FRAMES

    def __post_init__(self) -> None:
        if self.hop % 4 or self.frames % 4 or not 4 <= self.hop <= self.frames - 12:
            raise ValueError(
                f"hop and frames must be multiples of 4, hop from 4 to frames - 12,"
                f" got hop {self.hop} of {self.frames} frames"
            )

    @property
    def moved(self) -> int:
        """Slices of stem, stem1 and stem2 from one window to the next."""
        return self.hop // 2

    @property
    def first_stem(self) -> int:
        """First slice of stem that a step computes; each stage behind it starts one later."""
        return self.frames // 2 - self.moved - 5

    @property
    def n_pooled(self) -> int:
        """Pooled slices in a window."""
        return self.frames // 4

    @property
    def n_old(self) -> int:
        """Pooled slices a step takes over: one that saw the window's start, the rest edge-free."""
        return (self.first_stem + 1) // 2

    @property
    def left_at(self) -> int:
        """Slice at which that later window starts whose left pooled slice a step computes.

        It is the latest whose first three stem1 slices do not see the end of the window at hand.
        """
        return (self.frames // 2 - 5) // self.moved * self.moved

    @property
    def lefts(self) -> tuple[int, ...]:
        """Slices at which the later windows start whose left pooled slices are kept."""
        return tuple(range(self.moved, self.left_at + 1, self.moved))

    @property
    def kept(self) -> range:
        """Edge-free pooled slices the next window takes over."""
        first = 1 + self.hop // 4
        return range(first, first + self.n_old - 1)

    @property
    def seam(self) -> int:
        """Slice of stem2 the next window's first new pooled slice shares with its own."""
        return self.frames // 2 - 4
