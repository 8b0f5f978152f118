"""Names of values: what makes two of them the same."""

from __future__ import annotations

import pytest

from model.slice import Operation, Product, Slice, Sum


@pytest.mark.parametrize(
    ("stage", "moved"), [("stem", 7), ("stem1", 7), ("stem2", 7), ("pool", 5), ("block0", 5)]
)
def test_a_slice_moves_by_its_own_stride(stage: str, moved: int) -> None:
    """8 frames are 4 slices of the stem and 2 behind the pool."""
    assert Slice(stage, 3).moved(8) == Slice(stage, moved)
    assert Slice(stage, moved).moved(-8) == Slice(stage, 3)


def test_a_slice_at_an_edge_takes_its_window_along() -> None:
    """The same slice of two windows is two values, and an edge-free one has no window."""
    left = Slice("stem2", 1, "left", 0)
    assert left.moved(4) == Slice("stem2", 3, "left", 4)
    assert left != Slice("stem2", 1)
    assert Slice("stem2", 13, "right", 0) != Slice("stem2", 13, "right", 4)
    assert Slice("pool", 1).moved(4).window_at == 0


def test_products_and_sums_move_with_their_sources() -> None:
    """A partial sum that is kept is found again under its new name."""
    now = Sum((Product("stem1", 0, Slice("stem", 12)), Product("stem1", 1, Slice("stem", 13))))
    later = now.moved(-4)
    assert later.terms[0] == Product("stem1", 0, Slice("stem", 10))
    assert later.terms[1].source == Slice("stem", 11)
    assert later.moved(4) == now


def test_an_operation_reads_the_source_of_its_product_and_its_addends() -> None:
    """A fused product is not a value that must exist before."""
    product = Product("stem1", 2, Slice("stem", 14))
    partial = Sum((Product("stem1", 0, Slice("stem", 12)), Product("stem1", 1, Slice("stem", 13))))
    fused = Operation(Slice("stem1", 13), product, (partial,), "relu")
    assert fused.inputs == (Slice("stem", 14), partial)
    assert Operation(Slice("stem1", 13), None, (partial, product), "relu").inputs == (
        partial,
        product,
    )
