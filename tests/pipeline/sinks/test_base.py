"""Claims about pipeline.sinks.base: one stable JSON shape for events."""

from __future__ import annotations

import json

import pytest

from pipeline.records import Region, Timeline
from pipeline.sinks.base import SCHEMA, event_record
from tests.pipeline.factories import event

KEYS = [
    "schema", "event_id", "phase", "camera", "label", "onset_s", "detected_s", "ended_s",
    "ended_by", "onset_wall", "score", "peak", "region", "latency", "timeline",
]  # fmt: skip


def test_the_shape_is_pinned() -> None:
    """Keys in order, JSON types only, and back again."""
    record = event_record(event("end"))
    assert list(record) == KEYS
    assert record["schema"] == SCHEMA == 1
    assert json.loads(json.dumps(record)) == record
    assert (record["ended_s"], record["ended_by"]) == (6.0, "quiet")


def test_a_place_travels_with_the_event() -> None:
    """Box in shares of the picture, times in capture seconds, the picture by its name."""
    region = Region(0.1, 0.2, 0.3, 0.4, 1.5, 2.5, "door-e1.png")
    record = event_record(event("update", region=region))
    assert record["region"] == {
        "left": 0.1,
        "top": 0.2,
        "right": 0.3,
        "bottom": 0.4,
        "start_s": 1.5,
        "end_s": 2.5,
        "overlay": "door-e1.png",
    }
    assert event_record(event("start"))["region"] is None


def test_latencies_are_derived_from_the_timeline() -> None:
    """Capture to score and decision, and from the onset half a second earlier."""
    latency = event_record(event())["latency"]
    assert latency == pytest.approx(
        {"capture_to_score_s": 0.3, "capture_to_decision_s": 0.31, "onset_to_decision_s": 0.81}
    )


def test_what_is_unknown_is_null_not_a_made_up_number() -> None:
    """An event that no frame caused has no latency."""
    record = event_record(event("end", timeline=Timeline(0.0, 0.0, 0.0, decided_at=5.0)))
    assert set(record["latency"].values()) == {None}
    assert record["timeline"]["captured_at"] is None
    assert record["timeline"]["decided_at"] == 5.0
