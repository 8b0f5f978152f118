"""Claims about model.evaluation.detection: figures over videos from what was matched in each."""

from __future__ import annotations

import numpy as np
import pytest

from model.evaluation.detection import direction_figures, figures_of
from model.evaluation.matching import Alarm, Directions, Matched, match
from model.evaluation.span import Span
from model.evaluation.truth import Course, Truth

EVENT = Span(10, 14)


def video(*alarms: tuple[float, float, float], has_event: bool = True) -> Matched:
    """A video of 100 s with one event and 90 s in which nothing moves, or none and 100 s."""
    course = Course((EVENT,), (Span(0, 8), Span(18, 100)))
    if not has_event:
        course = Course((), (Span(0, 100),))
    told = [Alarm("left", Span(start, end), detected) for start, detected, end in alarms]
    return match(told, course, Truth("v", 100.0, {}))


VIDEOS = [
    video((10, 11, 14)),
    video((10, 12, 14), (30, 31, 32)),
    video(),
    video((50, 51, 52), (70, 71, 72), has_event=False),
]


def test_the_figures_by_hand() -> None:
    """Three events, two told after 1 and 2 s; three false alarms in 370 s."""
    found = figures_of(VIDEOS, n_rounds=0)
    assert found.recall.value == pytest.approx(2 / 3)
    assert found.recall_covered.value == pytest.approx(2 / 3)
    assert found.precision.value == pytest.approx(2 / 5)
    assert found.f1.value == pytest.approx(2 * (2 / 3) * (2 / 5) / (2 / 3 + 2 / 5))
    assert found.false_per_hour.value == pytest.approx(3 * 3600 / 370)
    assert found.delay_p50_s.value == pytest.approx(1.5)
    assert found.delay_p90_s.value == pytest.approx(1.9)
    assert found.repeats.value == found.fragmented.value == 0
    assert found.counts["n_events"] == 3
    assert found.counts["empty_s"] == 370
    assert np.isnan(found.recall.low)


def test_intervals_are_drawn_by_video() -> None:
    """The recall of the worst and best draws; the figure lies between."""
    found = figures_of(VIDEOS, n_rounds=200)
    assert found.recall.low == 0.0
    assert found.recall.high == 1.0
    assert found.false_per_hour.low < found.false_per_hour.value < found.false_per_hour.high


def test_without_events_there_is_no_recall_and_without_alarms_no_precision() -> None:
    """NaN, not zero; the F1 of nothing told is 0 only where something was told."""
    quiet = figures_of([video(has_event=False)], n_rounds=0)
    assert np.isnan([quiet.recall.value, quiet.precision.value, quiet.f1.value]).all()
    assert quiet.false_per_hour.value == 0
    wrong = figures_of([video((30, 31, 32))], n_rounds=0)
    assert wrong.f1.value == 0
    assert np.isnan(figures_of([], n_rounds=0).recall.value)


def test_directions_are_counted_over_all_videos() -> None:
    """5 of 6."""
    found = direction_figures([Directions(3, 3, 3), Directions(2, 3, 3)])
    assert (found["n_right"], found["n_told"], found["n"]) == (5, 6, 6)
    assert found["accuracy"]["value"] == pytest.approx(5 / 6)
    assert np.isnan(direction_figures([])["accuracy"]["value"])


def test_figures_become_plain_values() -> None:
    """For JSON."""
    assert figures_of(VIDEOS, n_rounds=0).as_json()["recall"]["value"] == pytest.approx(2 / 3)
