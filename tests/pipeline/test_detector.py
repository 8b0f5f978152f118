"""The detector: thresholds and times, one by one."""

from __future__ import annotations

from datetime import timedelta, timezone
from math import nan

import pytest

from pipeline.config import DetectorConfig
from pipeline.detector import MOTION, UNSEEN_S, Detector
from pipeline.records import EndReason
from tests.pipeline.detector_bench import LINE, WALL, Bench


def test_an_event_starts_goes_on_and_ends_once() -> None:
    """Ten seconds of motion are one start, one update and one end with the same id."""
    bench = Bench()
    bench.motions(0.0, 2.0, 0.0)
    bench.motions(2.0, 9.0, 0.9)
    bench.motions(9.0, 12.0, 0.0)
    assert bench.phases() == ["start", "update", "end"]
    assert {(e.event_id, e.camera, e.label) for e in bench.events} == {("e0", "door", MOTION)}
    start, update, end = bench.events
    assert start.onset_s == pytest.approx(2.0)
    assert (start.ended_s, start.ended_by) == (None, None)
    assert start.detected_s == pytest.approx(2.3)
    assert update.detected_s == pytest.approx(7.3)
    assert end.ended_s == pytest.approx(8.9)
    assert end.ended_by == "quiet"
    assert end.detected_s == pytest.approx(10.4)
    assert end.onset_s == start.onset_s


def test_the_onset_is_the_first_rise_above_off() -> None:
    """A score that climbs slowly is dated to where it left the ground, in capture time and in
    UTC."""
    bench = Bench()
    for index, score in enumerate([0.1, 0.1, 0.3, 0.4, 0.45, 0.6, 0.7, 0.8, 0.9]):
        bench.motion(float(index), score)
    (start,) = bench.events
    assert start.onset_s == 2.0
    assert start.onset_wall == "2026-01-01T12:00:02.000+00:00"


def test_an_earlier_rise_that_fell_back_is_not_the_onset() -> None:
    """Only the rise that led to the event counts."""
    bench = Bench()
    for index, score in enumerate([0.4, 0.1, 0.4, 0.9, 0.9]):
        bench.motion(float(index), score)
    assert bench.events[0].onset_s == 2.0


def test_the_onset_wall_is_utc_whatever_zone_the_caller_uses() -> None:
    """Events are compared across machines."""
    detector = Detector("door", DetectorConfig(min_duration_s=0), lambda: "x")
    wall = WALL.astimezone(timezone(timedelta(hours=9)))
    (start,) = detector.observe_motion(1.0, 1.0, True, wall, LINE)
    assert start.onset_wall == "2026-01-01T12:00:00.000+00:00"


def test_a_short_burst_starts_nothing() -> None:
    """Below the minimum duration nothing is told."""
    bench = Bench()
    bench.motions(0.0, 0.3, 0.9)
    bench.motions(0.3, 3.0, 0.0)
    assert bench.events == []


def test_a_short_dip_does_not_split_an_event() -> None:
    """Less quiet than quiet_s is the same event."""
    bench = Bench()
    bench.motions(0.0, 2.0, 0.9)
    bench.motions(2.0, 3.3, 0.0)
    bench.motions(3.3, 5.0, 0.9)
    bench.motions(5.0, 8.0, 0.0)
    assert bench.phases() == ["start", "update", "end"]
    assert bench.events[-1].ended_s == pytest.approx(4.9)


def test_between_the_thresholds_nothing_begins_and_nothing_ends() -> None:
    """A score between off and on keeps the state."""
    bench = Bench()
    bench.motions(0.0, 5.0, 0.4)
    assert bench.events == []
    bench.motions(5.0, 6.0, 0.9)
    bench.motions(6.0, 9.0, 0.4)
    assert bench.phases() == ["start"]


def test_a_blip_of_noise_does_not_prolong_an_event() -> None:
    """With smoothing a single high sample in the quiet time neither delays the end nor moves
    ended_s."""
    bench = Bench(DetectorConfig())
    bench.motions(0.0, 3.0, 0.9)
    bench.motions(3.0, 4.2, 0.0)
    bench.motion(4.2, 0.3)
    bench.motions(4.3, 6.0, 0.0)
    assert bench.phases() == ["start", "end"]
    assert bench.events[-1].ended_s == pytest.approx(2.9)
    assert bench.events[-1].detected_s < 4.8


def test_smoothing_is_the_same_at_any_rate() -> None:
    """The same course sampled at 5, 10 and 50 Hz starts at the same time, to one sample."""
    starts = []
    for step_s in (0.2, 0.1, 0.02):
        bench = Bench(DetectorConfig())
        bench.motions(0.0, 2.0, 0.0, step_s)
        bench.motions(2.0, 4.0, 0.8, step_s)
        starts.append(bench.events[0].detected_s)
    assert max(starts) - min(starts) <= 0.2 + 1e-6


def test_a_score_before_the_warm_up_starts_nothing() -> None:
    """A gate that has not learned its background is not believed."""
    bench = Bench()
    for index in range(50):
        bench.motion(index * 0.1, 1.0, is_warm=False)
    assert bench.events == []


def test_an_event_ends_when_the_gate_is_cold_again() -> None:
    """A cold gate cannot keep an event going."""
    bench = Bench()
    bench.motions(0.0, 1.0, 0.9)
    for index in range(20):
        bench.motion(1.0 + index * 0.1, 1.0, is_warm=False)
    assert bench.phases() == ["start", "end"]


def test_time_that_does_not_advance_is_ignored() -> None:
    """A repeated or earlier time changes nothing."""
    bench = Bench()
    bench.motions(5.0, 6.0, 0.0)
    for _ in range(20):
        assert bench.motion(5.5, 1.0) == []
    assert bench.detector.active() == ()


def test_a_score_that_is_no_number_is_ignored() -> None:
    """One NaN must not poison the smoothing for ever."""
    bench = Bench(DetectorConfig())
    bench.motion(0.0, nan)
    bench.motions(0.1, 2.0, 0.9)
    assert bench.phases() == ["start"]


def test_untrained_scores_raise_no_event() -> None:
    """A bundle without training is noise."""
    bench = Bench()
    for index in range(10):
        bench.scores(float(index), is_trained=False, left=1.0)
    assert bench.events == []


def test_labels_are_independent() -> None:
    """Two labels overlap freely and have their own ids."""
    bench = Bench()
    for index in range(4):
        bench.scores(index * 0.8, left=0.9, right=0.1 if index < 2 else 0.9)
    bench.motions(0.0, 3.2, 0.9)
    started = [(e.label, e.event_id) for e in bench.events if e.phase == "start"]
    assert [label for label, _ in started] == ["left", "right", MOTION]
    assert len({event_id for _, event_id in started}) == 3
    assert [label for label, _ in bench.detector.active()] == ["left", "right", MOTION]


def test_labels_use_their_own_thresholds() -> None:
    """score_on, not motion_on, begins the event of a label."""
    bench = Bench()
    for index in range(4):
        bench.scores(index * 0.8, left=0.55)
    assert bench.events == []
    for index in range(4, 8):
        bench.scores(index * 0.8, left=0.65)
    assert bench.phases() == ["start"]


def test_a_label_without_windows_ends_by_the_time_of_the_frames() -> None:
    """When the gate closes no window is scored any more; the frames' time ends what the windows
    began."""
    bench = Bench()
    for index in range(4):
        bench.scores(index * 0.8, left=0.9)
    bench.motions(2.4, 2.4 + UNSEEN_S, 0.0)
    assert bench.phases() == ["start"]
    bench.motions(2.4 + UNSEEN_S, 2.4 + UNSEEN_S + 0.5, 0.0)
    assert bench.phases() == ["start", "end"]
    assert (bench.events[-1].label, bench.events[-1].ended_by) == ("left", "quiet")
    assert bench.events[-1].ended_s == pytest.approx(2.4)


@pytest.mark.parametrize("reason", ["source_lost", "end_of_stream", "reset", "shutdown"])
def test_end_all_ends_what_is_active_where_it_last_was(reason: EndReason) -> None:
    """The reason is told, the end is not dated to the loss, and a second call tells nothing."""
    bench = Bench()
    bench.motions(0.0, 2.0, 0.9)
    for index in range(3):
        bench.scores(index * 0.8, left=0.9)
    ends = bench.end_all(60.0, reason)
    assert {(e.label, e.phase, e.ended_by) for e in ends} == {
        (MOTION, "end", reason),
        ("left", "end", reason),
    }
    assert max(e.ended_s or 0 for e in ends) < 2.0
    assert bench.end_all(60.0, reason) == []
    assert bench.detector.active() == ()


def test_a_new_run_may_begin_at_an_earlier_time() -> None:
    """After a reset the time line starts again and nothing of the old one counts."""
    bench = Bench()
    bench.motions(100.0, 102.0, 0.9)
    bench.end_all(0.0, "reset")
    bench.motions(0.0, 0.2, 0.9)
    assert bench.phases() == ["start", "end"]
    bench.motions(0.2, 2.0, 0.9)
    assert bench.phases() == ["start", "end", "start"]
    assert bench.events[-1].onset_s == 0.0
    assert bench.events[1].detected_s == pytest.approx(101.9)
    assert bench.events[1].ended_s == pytest.approx(101.9)


def test_a_window_of_an_ended_run_is_ignored() -> None:
    """A batch that was in flight during the reset does not begin an event on the old time line."""
    bench = Bench(DetectorConfig(smoothing_s=0, min_duration_s=0))
    bench.scores(100.0, run=3, left=0.1)
    bench.end_all(100.0, "reset")
    assert bench.scores(100.8, run=3, left=0.9) == []
    assert [e.phase for e in bench.scores(1.0, run=4, left=0.9)] == ["start"]


def test_a_window_of_a_newer_run_ends_the_labels_of_the_older_one() -> None:
    """An event never spans two runs even where nobody called end_all."""
    bench = Bench(DetectorConfig(smoothing_s=0, min_duration_s=0))
    bench.scores(100.0, run=0, left=0.9)
    told = bench.scores(1.0, run=1, left=0.9)
    assert [(e.phase, e.ended_by) for e in told] == [("end", "reset"), ("start", None)]


def test_a_label_named_motion_belongs_to_the_gate() -> None:
    """A model cannot feed the machine of the motion gate."""
    bench = Bench()
    for index in range(5):
        bench.scores(float(index), motion=1.0)
    assert bench.events == []


def test_the_peak_never_falls_and_updates_carry_the_current_score() -> None:
    """score goes down with the smoothed score, peak stays."""
    bench = Bench()
    bench.motions(0.0, 2.0, 0.9)
    bench.motions(2.0, 7.0, 0.6)
    update = bench.events[-1]
    assert (update.phase, update.score, update.peak) == ("update", 0.6, 0.9)
    assert bench.detector.active() == ((MOTION, 0.6),)
