"""One machine: what the detector's tests do not see from outside."""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline.config import DetectorConfig
from pipeline.limits import rules_of
from pipeline.records import Timeline
from pipeline.track import Moment, Track

LIMITS = rules_of(DetectorConfig(smoothing_s=0, min_duration_s=0.2)).label


def at(media_s: float) -> Moment:
    return Moment(media_s, datetime(2026, 1, 1, tzinfo=UTC), Timeline(0.0, 0.0, 0.0))


def follow(track: Track, start_s: float, n: int, score: float) -> None:
    for index in range(n):
        track.take(score, at(start_s + index / 10))


def test_a_start_that_is_blocked_begins_where_it_was_let_go() -> None:
    """Scores that were not believed are not its onset; one rise is blocked once."""
    track = Track(LIMITS)
    follow(track, 0.0, 5, 0.9)
    assert track.may_start()
    assert [track.block(), track.block()] == [True, False]
    follow(track, 0.5, 5, 0.9)
    event = track.start("e", "door", "left", at(0.9))
    assert event.onset_s == 0.5


def test_another_rise_is_another_block() -> None:
    """The score fell below off in between."""
    track = Track(LIMITS)
    follow(track, 0.0, 5, 0.9)
    assert track.block()
    follow(track, 0.5, 2, 0.1)
    follow(track, 0.7, 5, 0.9)
    assert track.block()


def test_an_event_in_silence_can_be_told_later() -> None:
    """It keeps its onset and its peak; the decision is dated to now."""
    track = Track(LIMITS)
    follow(track, 0.0, 3, 0.95)
    silent = track.start("e", "door", "motion", at(0.2), is_told=False)
    assert not track.is_told
    follow(track, 0.3, 30, 0.7)
    told = track.tell(silent, at(3.2))
    assert track.is_told
    assert (told.phase, told.onset_s, told.detected_s) == ("start", 0.0, 3.2)
    assert (told.score, told.peak) == (0.7, silent.peak)


def test_high_and_low_are_about_smoothed_and_raw_scores() -> None:
    """A nuisance counts from its first smoothed score above on, until its last raw one."""
    track = Track(rules_of(DetectorConfig(smoothing_s=1.0)).label)
    track.take(0.7, at(0.0))
    assert track.is_high()
    track.take(0.1, at(0.1))
    assert track.is_low()
    assert track.smoothed > 0.6
