"""Claims about model.trace: the operations of several calls become those of one."""

from __future__ import annotations

from model.trace import Node, medians


def test_an_operation_has_the_median_of_its_calls() -> None:
    """One call that was disturbed does not count."""
    calls = [Node("stem/0", "Conv", seconds) for seconds in (1.0, 9.0, 2.0)]
    assert medians(calls, 3) == [Node("stem/0", "Conv", 2.0)]


def test_what_a_call_runs_twice_counts_twice() -> None:
    """Its times add up within a call."""
    assert medians([Node("a", "Add", 1.0)] * 6, 3) == [Node("a", "Add", 2.0)]


def test_names_and_kinds_are_kept_apart() -> None:
    """Two operations may share a name."""
    nodes = [Node("a", "Add", 1.0), Node("a", "Pool", 2.0), Node("b", "Add", 4.0)]
    assert medians(nodes, 1) == nodes
