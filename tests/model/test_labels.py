"""The label set is what issue and bundles agree on."""

from __future__ import annotations

from model import labels


def test_labels_are_distinct_and_in_a_fixed_order() -> None:
    """Motion first, nuisances after; scores are read by position."""
    assert labels.LABELS == labels.MOTION + labels.NUISANCES
    assert len(set(labels.LABELS)) == 11
    assert labels.MOTION == ("left", "right", "up", "down", "approach", "recede", "in_place")
    assert labels.NUISANCES == ("lighting", "camera", "tamper", "background")
