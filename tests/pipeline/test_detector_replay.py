"""The detector over any scores at any times."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import DetectorConfig
from pipeline.records import Event
from tests.pipeline.detector_bench import Bench

steps = st.lists(
    st.tuples(
        st.sampled_from(["motion", "window", "end_all", "new_run"]),
        st.floats(0.01, 4.0),
        st.floats(0.0, 1.0),
        st.booleans(),
    ),
    max_size=120,
)
configs = st.builds(
    DetectorConfig,
    smoothing_s=st.sampled_from([0.0, 0.3, 2.0]),
    min_duration_s=st.sampled_from([0.0, 0.3, 1.0]),
    quiet_s=st.sampled_from([0.0, 0.5, 1.5]),
    update_s=st.sampled_from([0.5, 5.0]),
)


def replay(
    config: DetectorConfig, course: list[tuple[str, float, float, bool]]
) -> list[list[Event]]:
    """Feed any course of scores and resets; return the events of each run, all ended."""
    bench = Bench(config)
    runs: list[list[Event]] = []
    now_s = 0.0
    for kind, step_s, score, flag in course:
        now_s += step_s
        if kind == "motion":
            bench.motion(now_s, score, is_warm=flag)
        elif kind == "window":
            bench.scores(now_s, run=len(runs), left=score, right=1 - score)
        else:
            bench.end_all(now_s, "source_lost" if kind == "end_all" else "reset")
            runs.append(bench.events)
            bench.events = []
            now_s = 0.0 if flag else now_s
    bench.end_all(now_s, "shutdown")
    return [*runs, bench.events]


@given(configs, steps)
def test_starts_and_ends_pair_up_and_never_overlap(
    config: DetectorConfig, course: list[tuple[str, float, float, bool]]
) -> None:
    """Whatever the scores and times: start, updates, end with one id; ordered times; one event a
    label at a time."""
    runs = replay(config, course)
    ids = [e.event_id for run in runs for e in run if e.phase == "start"]
    assert len(ids) == len(set(ids))
    for run in runs:
        by_label = defaultdict(list)
        for event in run:
            by_label[event.label].append(event)
        for events in by_label.values():
            check_one_label(events)


def check_one_label(events: list[Event]) -> None:
    open_id, free_from_s = None, float("-inf")
    for event in events:
        if event.phase == "start":
            assert open_id is None
            assert event.onset_s >= free_from_s
            open_id = event.event_id
        assert event.event_id == open_id
        assert event.onset_s <= event.detected_s
        assert event.peak >= event.score
        assert (event.ended_s is None, event.ended_by is None) == ((event.phase != "end"),) * 2
        if event.ended_s is not None:
            assert event.onset_s <= event.ended_s <= event.detected_s
            open_id, free_from_s = None, event.ended_s
    assert open_id is None


@given(steps)
def test_the_same_scores_give_the_same_events(course: list[tuple[str, float, float, bool]]) -> None:
    """The detector is pure."""
    assert replay(DetectorConfig(), course) == replay(DetectorConfig(), course)
