"""Names for what a sliding window computes: activations and partial sums of one instant.

In: nothing. Out: values that can be compared and stored. A `Slice` is one stage at one instant, a
`Product` one tap of a kernel applied to it, a `Sum` the products of one instant added up, an
`Operation` how one of them is made. Invariant: two values are equal exactly if every window that
holds them computes the same numbers, so equal values are computed once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Edge = Literal["none", "left", "right"]
"""Which end of its window a value saw."""

BLOCK1_PARTS = ("block1/bottleneck", "block1/average")
"""What block1 makes of an edge-free slice of block0: smaller than the slice, so these are kept."""

FRAMES_A_SLICE = {"stem": 2, "stem1": 2, "stem2": 2, "pool": 4, "block0": 4} | dict.fromkeys(
    BLOCK1_PARTS, 4
)
"""Frames from one slice to the next."""


@dataclass(frozen=True, slots=True, order=True)
class Slice:
    """Activations of one stage at one instant.

    Attributes:
        stage: the stage that computed it.
        index: in slices of the stage, from the start of the window at hand.
        edge: the window end it saw.
        window_at: first frame of the window whose end it saw; 0 for edge-free values.
    """

    stage: str
    index: int
    edge: Edge = "none"
    window_at: int = 0

    def moved(self, frames: int) -> Slice:
        """The same value, seen from a window that starts `frames` earlier."""
        index = self.index + frames // FRAMES_A_SLICE[self.stage]
        at = self.window_at + frames if self.edge != "none" else 0
        return replace(self, index=index, window_at=at)


@dataclass(frozen=True, slots=True, order=True)
class Product:
    """One tap of a stage's kernel applied to a slice: 0 past, 1 now with the bias, 2 next."""

    stage: str
    tap: int
    source: Slice

    def moved(self, frames: int) -> Product:
        """The same value, seen from a window that starts `frames` earlier."""
        return replace(self, source=self.source.moved(frames))


@dataclass(frozen=True, slots=True, order=True)
class Sum:
    """Two or three products of one instant, in the order of their taps."""

    terms: tuple[Product, ...]

    def moved(self, frames: int) -> Sum:
        """The same value, seen from a window that starts `frames` earlier."""
        return Sum(tuple(term.moved(frames) for term in self.terms))


Value = Slice | Product | Sum


@dataclass(frozen=True, slots=True)
class Operation:
    """result = activation(product + sum of the addends).

    Attributes:
        result: what it computes.
        product: a tap to convolve, or None for an addition alone.
        addends: values to add; the two slices of a `max`.
        activation: `relu` for a finished slice, `none` for a partial sum, `max` for the pool.
    """

    result: Value
    product: Product | None
    addends: tuple[Value, ...]
    activation: Literal["none", "relu", "max"]

    @property
    def inputs(self) -> tuple[Value, ...]:
        """All values it reads."""
        return self.addends if self.product is None else (self.product.source, *self.addends)
