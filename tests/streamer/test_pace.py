"""Stored frames at the times of a camera."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from streamer.frame import Frame
from streamer.pace import Pace, Timeline
from tests.conftest import FakeClock
from tests.ticking_event import TickingEvent


def frame(pts_s: float | None) -> Frame:
    return Frame(0, pts_s, 0.0, 2, 2, lambda: np.zeros((2, 2, 3), np.uint8))


def times(pts: Sequence[float | None], fps: float = 10.0) -> list[float | None]:
    return [f.pts_s for f in Timeline(fps).follow(frame(p) for p in pts)]


def test_frames_come_when_they_are_due(clock: FakeClock) -> None:
    """The first at once, each later one after the difference of their times."""
    pace = Pace(clock, TickingEvent(clock))
    arrivals = [f.arrived_at - 1000.0 for f in pace.deliver(map(frame, (5.0, 5.5, 7.0)))]
    assert arrivals == pytest.approx([0.0, 0.5, 2.0])


def test_the_time_decoding_took_is_not_waited_again(clock: FakeClock) -> None:
    """The pace is one line, not a sum of waits."""
    pace = Pace(clock, TickingEvent(clock))
    pace.wait(0.0)
    clock.tick(0.3)
    pace.wait(0.5)
    assert clock.now() - 1000.0 == pytest.approx(0.5)


def test_after_a_pause_of_the_process_frames_do_not_come_in_a_burst(clock: FakeClock) -> None:
    """A stopped and continued process goes on at the pace of the camera."""
    pace = Pace(clock, TickingEvent(clock))
    pace.wait(0.0)
    clock.tick(30.0)
    resumed_at = clock.now()
    for k in range(1, 4):
        pace.wait(k * 0.1)
    assert clock.now() - resumed_at == pytest.approx(0.2)


def test_a_set_stop_event_ends_the_delivery(clock: FakeClock) -> None:
    """No frame comes after it, not even one that is due."""
    stop = TickingEvent(clock)
    frames = Pace(clock, stop).deliver(map(frame, (0.0, 0.0, 1.0)))
    next(frames)
    stop.set()
    assert list(frames) == []


def test_waits_are_short_slices(clock: FakeClock) -> None:
    """So that a heartbeat or a debugger never finds a thread gone for long."""
    stop = TickingEvent(clock)
    pace = Pace(clock, stop)
    pace.wait(0.0)
    pace.wait(8.0)
    assert max(stop.waits_s) <= 0.5


def test_stated_times_stay_as_they_are() -> None:
    """Uneven ones, too."""
    assert times([3.0, 3.1, 3.5]) == [3.0, 3.1, 3.5]


def test_missing_times_follow_the_frame_rate() -> None:
    """Raw streams state none at all, others none for some frames."""
    assert times([None, None, 0.5, None]) == pytest.approx([0.0, 0.1, 0.5, 0.6])


def test_a_small_step_back_is_one_false_time() -> None:
    """The line goes on and meets the stated times again."""
    assert times([0.0, 0.1, 0.1, 0.05, 0.5]) == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.5])


def test_recordings_put_together_are_one_line() -> None:
    """The second recording begins at 0 again and follows the first."""
    assert times([8.0, 8.1, 0.0, 0.1]) == pytest.approx([8.0, 8.1, 8.2, 8.3])


def test_passes_are_joined_by_one_frame_interval() -> None:
    """Whatever time a pass begins with."""
    line = Timeline(10.0)
    first = [f.pts_s for f in line.follow(map(frame, (2.0, 2.1)))]
    line.begin_pass()
    second = [f.pts_s for f in line.follow(map(frame, (2.0, 2.1)))]
    assert first + second == pytest.approx([2.0, 2.1, 2.2, 2.3])
