"""Claims about pipeline.series: a registry of its own, bounded labels, series made and removed."""

from __future__ import annotations

import prometheus_client
import pytest

from pipeline.series import Series


@pytest.fixture
def series() -> Series:
    series = Series()
    series.create({"camera": ("door", "yard"), "event": ("motion",)})
    return series


def text(series: Series) -> str:
    return series.exposition(is_openmetrics=True)[0].decode()


def test_two_registries_know_nothing_of_each_other(series: Series) -> None:
    """Nor does the library's global one."""
    other = Series()
    series.inc("bresnet_source_frames", "door", n=7)
    assert 'bresnet_source_frames_total{camera="door"} 7.0' in text(series)
    assert "door" not in text(other)
    assert b"bresnet" not in prometheus_client.generate_latest()


def test_creating_again_keeps_what_was_counted(series: Series) -> None:
    """A camera that is known is not set back."""
    series.inc("bresnet_source_frames", "door", n=7)
    series.create({"camera": ("door",), "event": ("motion",)})
    assert 'bresnet_source_frames_total{camera="door"} 7.0' in text(series)


def test_series_wait_until_all_their_labels_are_known(series: Series) -> None:
    """No half-labelled series, and nothing that is not there yet (timestamps)."""
    shown = text(series)
    assert 'bresnet_events_total{camera="door",event="motion",phase="start"} 0.0' in shown
    assert "bresnet_sink_pending{" not in shown
    assert "bresnet_source_last_frame_timestamp_seconds{" not in shown


def test_removing_a_value_leaves_its_neighbour(series: Series) -> None:
    """Every family of every type, the state set included."""
    for camera in ("door", "yard"):
        series.info("bresnet_source", {"codec": "h264"}, camera)
        series.state(camera, "running")
        series.set("bresnet_source_up", 1, camera)
    before = text(series)
    series.remove("camera", "door")
    assert "door" not in text(series)
    assert text(series).count("yard") == before.count("yard") > 100


def test_a_stranger_among_fixed_values_becomes_other(series: Series) -> None:
    """However many strangers there are."""
    for name in ("a", "b", "c"):
        series.inc("bresnet_frames_dropped", "door", name)
    assert 'bresnet_frames_dropped_total{camera="door",reason="other"} 3.0' in text(series)


def test_a_clock_that_disagrees_by_a_little_makes_no_negative_time(series: Series) -> None:
    """A histogram's sum must not fall."""
    series.observe("bresnet_stage_duration_seconds", -0.001, "infer")
    assert 'bresnet_stage_duration_seconds_sum{stage="infer"} 0.0' in text(series)


def test_an_exemplar_travels_with_its_bucket(series: Series) -> None:
    """Ids belong there, not into labels."""
    exemplar = {"event_id": "e1"}
    series.observe("bresnet_alert_latency_seconds", 0.4, "door", "host", exemplar=exemplar)
    line = next(line for line in text(series).splitlines() if "event_id" in line)
    assert 'le="0.5"' in line


def test_a_wrong_number_of_labels_is_our_bug_and_told(series: Series) -> None:
    """Not silently another series."""
    with pytest.raises(ValueError, match="argument"):
        series.inc("bresnet_source_frames", "door", "extra")
