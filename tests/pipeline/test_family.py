"""Claims about pipeline.family: every family is documented, named by the scheme and bounded."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pipeline.family import COUNTERS, FAMILIES, GAUGES, HISTOGRAMS, Family

SCHEME = Path(__file__).parents[3] / "shared" / "METRICS.md"
# Added to the scheme so that decoded = used + dropped can be checked from outside.
BEYOND_SCHEME = {
    *("bresnet_source_frames_used", "bresnet_buffer_held_frames"),
    # How windows were computed: hits, resets by reason, memory.
    *("bresnet_incremental_steps", "bresnet_incremental_resets", "bresnet_incremental_state_bytes"),
    "bresnet_degradation_steps",
    # What disturbs a camera now: a covered one is no event, but somebody must know.
    "bresnet_nuisance_active",
}
FROM_CONFIGURATION = {"camera", "model", "worker", "event", "sink", "route", "code"}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_is_documented_and_its_labels_are_bounded(family: Family) -> None:
    """One sentence of help; a label has fixed values or takes configured names."""
    assert family.doc.endswith(".")
    assert "\n" not in family.doc
    for label, values in family.labels.items():
        assert values or label in FROM_CONFIGURATION


def test_names_are_unique_and_carry_no_suffix_that_the_type_adds() -> None:
    """_total and _info come from the type."""
    counts = Counter(family.name for family in FAMILIES)
    assert set(counts.values()) == {1}
    assert not [name for name in counts if name.endswith(("_total", "_info", "_created"))]


def test_names_say_their_unit() -> None:
    """Durations in seconds, sizes in bytes, shares as ratios."""
    units = ("_seconds", "_bytes", "_ratio", "_size", "_score")
    assert not [family.name for family in HISTOGRAMS if not family.name.endswith(units)]


def test_buckets_rise() -> None:
    """Each bound is above the one before."""
    for family in HISTOGRAMS:
        assert list(family.buckets) == sorted(set(family.buckets))
        assert family.buckets
    assert not [family for family in (*COUNTERS, *GAUGES) if family.buckets]


def test_every_family_is_in_the_scheme() -> None:
    """Names are final: what is exported is what the scheme lists."""
    if not SCHEME.is_file():
        pytest.skip("the metrics scheme (../shared/METRICS.md beside this repository) is not here")
    text = SCHEME.read_text()
    unknown = {family.name for family in FAMILIES if f"`{family.name}" not in text}
    assert unknown == BEYOND_SCHEME
