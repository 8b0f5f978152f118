"""Claims about pipeline.latency: stages from a timeline, percentiles, bounded memory."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.latency import STAGES, StageTimes, onset_at, percentile, stage_times
from pipeline.records import Timeline
from tests.pipeline.factories import TIMELINE, event


def test_the_stages_of_a_scored_window_add_up_to_the_whole() -> None:
    """No time is counted twice and none is lost."""
    times = stage_times(TIMELINE)
    assert set(times) == {*STAGES, "total"}
    assert sum(times[stage] for stage in STAGES) == pytest.approx(times["total"])


def test_stages_not_passed_are_absent() -> None:
    """A window that was never inferred has no inference time."""
    assert set(stage_times(Timeline(1.0, 2.0, 3.0))) == {"receive", "ring"}


@given(st.lists(st.floats(0, 100), min_size=1, max_size=50), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_one_of_the_values_with_enough_below_it(
    values: list[float], share: float
) -> None:
    """At least the share of the values is not above it."""
    ordered = sorted(values)
    found = percentile(ordered, share)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= share * len(ordered)
    assert percentile([], share) is None


def test_the_summary_covers_the_last_samples_in_the_order_of_the_data() -> None:
    """Memory is bounded; the total and the decision come last."""
    stages = StageTimes()
    for n in range(5000):
        stages.add(dataclasses.replace(TIMELINE, scored_at=1000.10 + n))
    stages.decided(TIMELINE)
    rows = {row.stage: row for row in stages.report()}
    assert list(rows) == [*STAGES, "total", "decision"]
    assert rows["infer"].n == 4096
    assert rows["infer"].p50_s == pytest.approx(5000 - 4096 / 2, abs=1)
    assert rows["decision"].p99_s == pytest.approx(0.31)


def test_the_onset_lies_as_long_before_the_deciding_frame_as_on_the_stream() -> None:
    """Stream time and our clock differ by a constant within a run."""
    assert onset_at(event(onset_s=2.0, detected_s=2.5)) == TIMELINE.captured_at - 0.5
