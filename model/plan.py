"""What one hop of a sliding window must compute anew, derived from the geometry of the network.

In: hop and window length. Out: a `Plan`: the operations of the first window (`first`) and of every
later one (`step`), slice by slice in time, and what is kept between them. Values are named by what
they depend on: an edge-free slice is the same in every window that holds it, a slice that saw a
window's padding belongs to that window. Every convolution over time is a sum of three products
(one a tap), so that a slice at an edge is the shared sum without the tap that fell outside.
Invariant: no value is computed twice; an engine that runs the operations as they stand returns what
the full window would, because the same products are added.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeGuard

from model import spec
from model.slice import (
    BLOCK1_PARTS,
    FRAMES_A_SLICE,
    Operation,
    Product,
    Slice,
    Sum,
    Value,
)

MARGINS = {"stem": (0, 1), "stem1": (1, 2), "stem2": (2, 3), "pool": (1, 2), "block0": (2, 3)}
"""Slices at the start and at the end of a window that see its padding: a kernel of 3 adds one at
each side, the stem (padded behind only) one at the end, and the pool halves, rounded up. From
block2 on, all slices of 32 frames do."""

SOURCE = {"stem1": "stem", "stem2": "stem1", "pool": "stem2"}
TAIL_FRAMES = 2
"""Old frames the first new stem slice needs beside the new ones."""


@dataclass(frozen=True, slots=True)
class Step:
    """Operations of one window, in an order that can be run.

    Attributes:
        stem: stem slices to compute from the frames, the last one at the window's end.
        operations: the rest of the stem, up to the pool.
        block0: slices of block0 to compute; those between two ranges are at hand.
        takes: values of the state that are read.
        keeps: values computed here that a later window reads, named as seen from this window.
    """

    stem: tuple[Slice, ...]
    operations: tuple[Operation, ...]
    block0: tuple[range, ...]
    takes: tuple[Value, ...]
    keeps: tuple[Value, ...]


class Plan:
    """All that is known before any pixel about sliding a window by `hop` frames.

    Args:
        hop: frames between windows, a multiple of 4 below `frames`.
        frames: length of a window, a multiple of 4, at least 12 (below, a slice can see both
            ends at once).

    Raises:
        ValueError: hop or frames do not fit the network's stride of 4 frames.
    """

    def __init__(self, hop: int, frames: int = spec.FRAMES) -> None:
        if frames % 4 or frames < 12:
            raise ValueError(f"frames must be a multiple of 4, at least 12, got {frames}")
        if hop % 4 or not 4 <= hop < frames:
            raise ValueError(f"hop must be a multiple of 4 from 4 to {frames - 4}, got {hop}")
        self.hop = hop
        self.frames = frames

    def slices(self, stage: str) -> int:
        """Slices of a stage in one window."""
        return self.frames // FRAMES_A_SLICE[stage]

    def interior(self, stage: str) -> range:
        """Slices of a window that see neither end."""
        left, right = MARGINS[stage]
        return range(left, self.slices(stage) - right)

    def fresh(self, stage: str) -> range:
        """Edge-free slices that the window before did not have."""
        inside, moved = self.interior(stage), self.hop // FRAMES_A_SLICE[stage]
        return range(max(inside.start, inside.stop - moved), inside.stop)

    def reused(self, stage: str) -> range:
        """Edge-free slices that the window before had too."""
        return range(self.interior(stage).start, self.fresh(stage).start)

    def pooled(self, window: int = 0) -> tuple[Slice, ...]:
        """What the blocks of a window read; windows are counted from the one at hand."""
        first = window * self.hop // FRAMES_A_SLICE["pool"]
        return tuple(
            self._slice("pool", first + n, window * self.hop) for n in range(self.slices("pool"))
        )

    @cached_property
    def state(self) -> tuple[Value, ...]:
        """All values kept between windows, named as the next window sees them."""
        return tuple(sorted((v.moved(-self.hop) for v in self.first.keeps), key=repr))

    @cached_property
    def first(self) -> Step:
        """The first window of a stream, with everything later windows reuse."""
        needed = self._reach(self.pooled(n) for n in range(self._span))
        return self._listed([value for value in needed if self._due(value) <= 0])

    @cached_property
    def step(self) -> Step:
        """Any later window."""
        needed = self._reach(self.pooled(n) for n in range(-self._span, self._span))
        return self._listed([value for value in needed if self._due(value) == 0])

    @property
    def _span(self) -> int:
        """Windows before and after the one at hand that can share a value with it, and one more."""
        return self.frames // self.hop + 2

    def _slice(self, stage: str, index: int, window_at: int) -> Slice:
        """Name a slice as the window that starts at this frame has it."""
        inside, place = self.interior(stage), index - window_at // FRAMES_A_SLICE[stage]
        if place in inside:
            return Slice(stage, index)
        return Slice(stage, index, "left" if place < inside.start else "right", window_at)

    def _seen_from(self, value: Slice) -> int:
        """First frame of a window that has it: its own, or any that has it inside."""
        if value.edge != "none":
            return value.window_at
        return FRAMES_A_SLICE[value.stage] * (value.index - self.interior(value.stage).start)

    def _products(self, value: Slice) -> tuple[Product, ...]:
        """The taps that fall inside the window."""
        source, window_at = SOURCE[value.stage], self._seen_from(value)
        first = window_at // FRAMES_A_SLICE[value.stage]
        return tuple(
            Product(value.stage, tap, self._slice(source, at, window_at))
            for tap, at in enumerate(range(value.index - 1, value.index + 2))
            if first <= at < first + self.slices(source)
        )

    @cached_property
    def _readers(self) -> dict[Value, set[Value]]:
        """Every value of a long stream, with the values made of it."""
        readers: dict[Value, set[Value]] = defaultdict(set)
        todo: list[Value] = [s for n in range(-self._span, self._span) for s in self.pooled(n)]
        seen = set(todo)
        while todo:
            value = todo.pop()
            for part in self._parts(value):
                readers[part].add(value)
                if part not in seen:
                    seen.add(part)
                    todo.append(part)
        return readers

    def _parts(self, value: Value) -> tuple[Value, ...]:
        """What a value is made of, one operation down."""
        if isinstance(value, Product):
            return (value.source,)
        if isinstance(value, Sum):
            *before, last = value.terms
            return (before[0] if len(before) == 1 else Sum(tuple(before)), last)
        if value.stage == "pool":
            at, window_at = 2 * value.index, self._seen_from(value)
            return tuple(self._slice("stem2", n, window_at) for n in (at, at + 1))
        return () if value.stage == "stem" else (Sum(self._products(value)),)

    def _due(self, value: Value) -> int:
        """The window that computes a value: the first that can, for a product the first reader."""
        if isinstance(value, Product):
            return min(self._due(reader) for reader in self._readers[value])
        if isinstance(value, Sum):
            return max(self._due(term.source) for term in value.terms)
        if value.edge == "right":
            return value.window_at // self.hop
        # A left edge too is known as soon as its frames are, before its window has begun: nothing
        # but the sums of taps has to be kept for it.
        stride, after = FRAMES_A_SLICE[value.stage], MARGINS[value.stage][1]
        return -((self.frames - stride * (value.index + after + 1)) // self.hop)

    def _is_fused(self, value: Value) -> bool:
        """A product read once is added where it is convolved, and never stands by itself."""
        return isinstance(value, Product) and len(self._readers[value]) == 1

    def _operation(self, value: Value) -> Operation:
        """How a value is computed."""
        if isinstance(value, Product):
            return Operation(value, value, (), "none")
        if isinstance(value, Slice) and value.stage == "pool":
            return Operation(value, None, self._parts(value), "max")
        terms = self._parts(value)
        if isinstance(value, Slice):
            terms = self._parts(terms[0])
        product = next((t for t in reversed(terms) if self._is_fused(t)), None)
        return Operation(
            value,
            product if isinstance(product, Product) else None,
            tuple(term for term in terms if term is not product),
            "relu" if isinstance(value, Slice) else "none",
        )

    def _reach(self, windows: Iterable[tuple[Slice, ...]]) -> list[Value]:
        """All values these windows need, each after those it is computed from."""
        done: dict[Value, None] = {}

        def visit(value: Value) -> None:
            if value not in done:
                for part in self._inputs(value):
                    visit(part)
                done[value] = None

        for window in windows:
            for pooled in window:
                visit(pooled)
        return list(done)

    def _inputs(self, value: Value) -> tuple[Value, ...]:
        return () if _is_stem(value) else self._operation(value).inputs

    def _listed(self, values: list[Value]) -> Step:
        """The operations that compute these values, and how they fit between their neighbours."""
        own = set(values)
        read = dict.fromkeys(part for value in values for part in self._inputs(value))
        read |= dict.fromkeys(self.pooled())
        windows = [self.pooled(n) for n in range(1, self._span)]
        later = (value for value in self._reach(windows) if self._due(value) > 0)
        needed = {part for value in later for part in self._inputs(value)}.union(*windows)
        reused = range(0) if own.issuperset(read) else self.reused("block0")
        return Step(
            tuple(sorted(value for value in values if _is_stem(value))),
            tuple(self._operation(value) for value in values if not _is_stem(value)),
            _without(range(self.slices("block0")), reused),
            tuple(part for part in read if part not in own) + _parts_of_block1(reused),
            tuple(value for value in values if value in needed) + self._handed_on(reused),
        )

    def _handed_on(self, reused: range) -> tuple[Slice, ...]:
        """What block1 makes of new slices that the next window has too."""
        inside, moved = self.interior("block0"), self.hop // FRAMES_A_SLICE["block0"]
        new = range(max(inside.start, reused.stop), inside.stop)
        return _parts_of_block1(n for n in new if n - moved >= inside.start)


def _is_stem(value: Value) -> TypeGuard[Slice]:
    """A slice made from frames, not from other values."""
    return isinstance(value, Slice) and value.stage == "stem"


def _parts_of_block1(slices: Iterable[int]) -> tuple[Slice, ...]:
    own = tuple(slices)
    return tuple(Slice(part, n) for part in BLOCK1_PARTS for n in own)


def _without(whole: range, part: range) -> tuple[range, ...]:
    if not part:
        return (whole,)
    return range(whole.start, part.start), range(part.stop, whole.stop)
