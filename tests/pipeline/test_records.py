"""Window, Prediction, Event and Timeline as values."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline.records import Event, Prediction, Timeline, Window

TIMELINE = Timeline(captured_at=1.0, arrived_at=1.1, placed_at=1.2)
WINDOW = Window(
    window_id=7,
    camera="door",
    run=2,
    first_seq=100,
    last_seq=131,
    media_start_s=0.0,
    media_end_s=3.1,
    coverage=1.0,
    motion=0.4,
    is_degraded=False,
    timeline=TIMELINE,
)
PREDICTION = Prediction(
    window=WINDOW,
    labels=("walk",),
    scores=(0.9,),
    model="untrained",
    is_trained=False,
    batch_size=1,
    timeline=TIMELINE,
)
EVENT = Event(
    event_id="e1",
    phase="start",
    camera="door",
    label="motion",
    onset_s=1.0,
    detected_s=1.3,
    ended_s=None,
    ended_by=None,
    onset_wall="2026-01-01T00:00:00Z",
    score=0.6,
    peak=0.6,
)


@pytest.mark.parametrize("record", [TIMELINE, WINDOW, PREDICTION, EVENT])
def test_records_never_change_and_carry_nothing_else(record: object) -> None:
    """A stage hands its own copy on: nobody downstream sees a value move, or hangs one on."""
    name = dataclasses.fields(record)[0].name  # type: ignore[arg-type]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, name, None)
    assert not hasattr(record, "__dict__")


def test_a_stage_is_added_to_a_timeline_by_copying_it() -> None:
    """The new instant is in the copy only, and the stages that are to come read 0."""
    ready = dataclasses.replace(TIMELINE, ready_at=1.3)
    assert (TIMELINE.ready_at, ready.ready_at) == (0.0, 1.3)
    assert dataclasses.astuple(ready)[4:] == (0.0, 0.0, 0.0, 0.0)


def test_the_stages_of_a_timeline_stand_in_the_order_they_are_passed() -> None:
    """Latency by stage is the difference of neighbours, so their order is part of the contract."""
    names = [field.name for field in dataclasses.fields(Timeline)]
    assert names == [
        "captured_at",
        "arrived_at",
        "placed_at",
        "ready_at",
        "dispatched_at",
        "started_at",
        "scored_at",
        "decided_at",
    ]


def test_an_event_that_runs_has_no_end() -> None:
    """`ended_s` and `ended_by` come together with the phase `end`."""
    end = dataclasses.replace(EVENT, phase="end", ended_s=4.0, ended_by="quiet")
    assert (EVENT.ended_s, EVENT.ended_by) == (None, None)
    assert end.event_id == EVENT.event_id
    assert end.timeline == Timeline(0.0, 0.0, 0.0)
