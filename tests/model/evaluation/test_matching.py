"""Claims about model.evaluation.matching: the rule, by hand and on random alarms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.evaluation.matching import Alarm, Matched, directions, match
from model.evaluation.span import Span
from model.evaluation.truth import Course, Directed, Truth

EVENT, EMPTY = Span(10, 14), (Span(0, 9), Span(15, 60))
COURSE = Course((EVENT,), EMPTY)
TRUTH = Truth("v", 60.0, {"left": COURSE}, tolerance_s=0.5)


def alarm(onset_s: float, detected_s: float, ended_s: float, label: str = "left") -> Alarm:
    return Alarm(label, Span(onset_s, ended_s), detected_s)


def matched(*alarms: Alarm, watched_from_s: float = 0.0) -> Matched:
    return match(list(alarms), COURSE, TRUTH, watched_from_s)


def test_an_alarm_raised_inside_tells_the_event() -> None:
    """The delay counts from the start of the event."""
    found = matched(alarm(10.4, 11.2, 14.6))
    (fate,) = found.events
    assert (fate.is_told, fate.is_covered, fate.n_repeats, fate.n_pieces) == (True, True, 0, 1)
    assert fate.delay_s == pytest.approx(1.2)
    assert (found.n_hits, found.n_false, found.n_overstaying) == (1, 0, 0)
    assert found.n_raised_in_empty == found.n_reaching_into_empty == 0
    assert found.empty_s == 54
    assert found.watched_s == 60


@pytest.mark.parametrize(("detected_s", "is_told"), [(9.4, False), (9.5, True), (14.5, True)])
def test_the_tolerance_widens_the_event(detected_s: float, is_told: bool) -> None:
    """Half a second at either end, the ends included."""
    assert matched(alarm(9.2, detected_s, 14.6)).events[0].is_told is is_told


def test_an_early_alarm_has_no_negative_delay() -> None:
    """Labels made by eye are not that exact."""
    assert matched(alarm(9.5, 9.7, 12)).events[0].delay_s == 0.0


def test_an_alarm_told_too_late_covers_only() -> None:
    """Told at 15.2, back-dated to 13: a miss, but no false alarm."""
    found = matched(alarm(13, 15.2, 15.3))
    assert (found.events[0].is_told, found.events[0].is_covered) == (False, True)
    assert found.events[0].delay_s is None
    assert (found.n_hits, found.n_false) == (1, 0)


def test_an_alarm_where_nothing_moves_is_false() -> None:
    """One raised in an empty span."""
    found = matched(alarm(30, 31, 33))
    assert (found.n_hits, found.n_false, found.n_false_episodes) == (0, 1, 1)
    assert found.n_raised_in_empty == found.n_reaching_into_empty == 1
    assert not found.events[0].is_covered


def test_an_alarm_between_event_and_empty_span_is_undecided() -> None:
    """From 14.6 to 15.4: outside of the event, within the tolerance of the empty span."""
    found = matched(alarm(14.6, 14.8, 15.4))
    assert (found.n_hits, found.n_false, found.n_reaching_into_empty) == (0, 0, 0)


def test_false_alarms_of_a_moment_are_one_episode() -> None:
    """Three labels at once, and one 0.8 s later, are one; one 5 s later is another."""
    alarms = [
        alarm(30, 30.5, 31, "left"),
        alarm(30, 30.5, 32, "up"),
        alarm(32.8, 33, 33.2, "recede"),
        alarm(38, 38.5, 39, "left"),
    ]
    found = matched(*alarms)
    assert (found.n_false, found.n_false_episodes) == (4, 2)


def test_a_hit_that_goes_on_for_long_overstays() -> None:
    """1.5 s after the event is forgiven (1.0 and the tolerance), more is a false episode."""
    fine, late = matched(alarm(10, 11, 15.5)), matched(alarm(10, 11, 15.6))
    assert (fine.n_overstaying, fine.n_false_episodes) == (0, 0)
    assert (late.n_overstaying, late.n_false_episodes, late.n_false) == (1, 1, 0)
    assert late.n_reaching_into_empty == 1
    assert late.n_raised_in_empty == 0


def test_an_alarm_that_was_there_before_its_event_overstays() -> None:
    """Always on is no way to find everything: nothing is told and the empty spans are not free."""
    found = matched(alarm(1, 2, 59))
    assert not found.events[0].is_told
    assert (found.n_hits, found.n_overstaying, found.n_false_episodes) == (1, 1, 2)


def test_repeats_are_of_the_same_label() -> None:
    """Two labels of one event are no repeat; the second "left" is; a gap makes two pieces."""
    found = matched(alarm(10, 10.5, 11.5), alarm(10, 10.5, 11, "up"), alarm(13, 13.4, 14))
    assert found.events[0].n_repeats == 1
    assert found.events[0].n_pieces == 2


def test_what_nobody_could_see_does_not_count() -> None:
    """The first window was full after the event, or in its midst: no event, or no delay."""
    assert matched(watched_from_s=13.6).events == ()
    (fate,) = matched(alarm(12, 12.5, 13), watched_from_s=12.0).events
    assert fate.is_told
    assert fate.delay_s is None
    assert matched(watched_from_s=20.0).empty_s == 40


TIMES = st.floats(0, 60, allow_nan=False)
ALARMS = st.lists(
    st.lists(TIMES, min_size=3, max_size=3).map(lambda t: alarm(*sorted(t))), max_size=6
)


@given(ALARMS)
def test_hits_and_false_alarms_are_never_more_than_there_are_alarms(alarms: list[Alarm]) -> None:
    """And an event that is told is covered."""
    found = matched(*alarms)
    assert found.n_hits + found.n_false <= len(alarms)
    assert found.n_false_episodes <= 2 * len(alarms)
    assert found.n_raised_in_empty <= found.n_reaching_into_empty
    assert all(fate.is_covered or not fate.is_told for fate in found.events)


def directed(*events: tuple[float, float, str]) -> Truth:
    spans = [Directed(Span(start, end), frozenset({label})) for start, end, label in events]
    return Truth("v", 60.0, {}, tuple(spans), tolerance_s=0.5)


def test_a_direction_is_right_when_it_is_told_and_its_opposite_is_not() -> None:
    """Another axis beside it is no mistake."""
    truth = directed((10, 14, "left"))
    right = alarm(10, 11, 14, "left")
    assert directions([right, alarm(10, 11, 14, "up")], truth).n_right == 1
    assert directions([right, alarm(12, 13, 14, "right")], truth).n_right == 0
    found = directions([alarm(10, 11, 14, "up")], truth)
    assert (found.n_right, found.n_told, found.n) == (0, 1, 1)
    assert directions([], truth).n_told == 0


def test_an_opposite_that_somebody_else_explains_is_no_mistake() -> None:
    """Two cars meet."""
    truth = directed((10, 14, "left"), (12, 16, "right"))
    found = directions([alarm(10, 11, 14, "left"), alarm(12, 13, 16, "right")], truth)
    assert (found.n_right, found.n) == (2, 2)


def test_directions_of_before_the_first_window_do_not_count() -> None:
    """As events do not."""
    assert directions([], directed((1, 2, "left")), watched_from_s=3.1).n == 0
