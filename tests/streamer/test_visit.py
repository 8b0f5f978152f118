"""Visits: who comes when, and what hides them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from streamer.frame import Picture
from streamer.sprite import Sprite, sprite_of
from streamer.visit import Crossing, Hallway, SceneEvent, Visit, Visits

WHITE: Sequence[Sprite] = (sprite_of(np.full((60, 30, 4), 255, np.uint8)),)


def black() -> Picture:
    return np.zeros((180, 320, 3), np.uint8)


def plan(rng: np.random.Generator, start_s: float, limit_s: float) -> Visit:
    label = str(rng.choice(["left", "right"]))
    return Crossing(SceneEvent(label, "walker", start_s, start_s + limit_s), WHITE, 0.6, 0.3)


def columns(visit: Visit, share: float) -> tuple[int, int] | None:
    """First and last column the visitor covers at a share of its event."""
    picture = black()
    event = visit.event
    visit.draw(picture, event.start_s + share * (event.end_s - event.start_s))
    lit = np.nonzero(picture.max(axis=(0, 2)) > 100)[0]
    return (int(lit.min()), int(lit.max())) if lit.size else None


@pytest.mark.parametrize("label", ["left", "right"])
def test_a_crossing_goes_from_edge_to_edge(label: str) -> None:
    """It shows first at one edge and last at the other, and is gone at both ends."""
    visit = Crossing(SceneEvent(label, "walker", 2.0, 6.0), WHITE, 0.6, 0.3)
    seen = [columns(visit, share) for share in (0.0, 0.02, 0.5, 0.98, 1.0)]
    assert (seen[0], seen[4]) == (None, None)
    first, half, last = seen[1], seen[2], seen[3]
    assert first
    assert half
    assert last
    assert (first[0], last[1]) == (0, 319) if label == "right" else (first[1], last[0]) == (319, 0)
    assert sum(half) / 2 == pytest.approx(160, abs=3)


def test_a_person_comes_out_of_the_doorway_from_behind_the_wall() -> None:
    """At first hidden, then cut by the edge of the doorway, then whole."""
    visit = Hallway(SceneEvent("approach", "walker", 0.0, 6.0), WHITE)
    assert columns(visit, 0.0) is None
    cut, whole = columns(visit, 0.04), columns(visit, 0.14)
    assert cut
    assert whole
    assert cut[1] - cut[0] < whole[1] - whole[0]
    assert cut[1] <= round(320 * 0.58)


def test_a_person_is_gone_below_the_camera_at_the_end() -> None:
    """The head leaves the lower edge exactly at the end of the event."""
    visit = Hallway(SceneEvent("approach", "walker", 0.0, 6.0), WHITE)
    assert columns(visit, 0.97) is not None
    picture = black()
    visit.draw(picture, 6.0)
    assert np.count_nonzero(picture.max(axis=2) > 100) <= 320


def test_receding_is_approaching_backwards() -> None:
    """Half way both show the same."""
    there = Hallway(SceneEvent("approach", "walker", 0.0, 6.0), WHITE)
    back = Hallway(SceneEvent("recede", "walker", 0.0, 6.0), WHITE)
    assert columns(there, 0.3) == columns(back, 0.7)


def test_there_is_one_visit_a_cycle_and_a_pause() -> None:
    """The pause is at least PAUSE_S, and nobody comes in the first LEAD_S."""
    events = list(Visits(1, (plan,), period_s=10.0).events(100.0))
    assert len(events) == 10
    assert events[0].start_s == Visits.LEAD_S
    assert min(b.start_s - a.end_s for a, b in pairwise(events)) >= Visits.PAUSE_S - 1e-9


def test_chance_leaves_cycles_out() -> None:
    """About the share asked for, and which ones depends on the seed."""
    first, second = (list(Visits(s, (plan,), chance=0.5).events(1000.0)) for s in (1, 2))
    assert 30 < len(first) < 70
    assert first != second


def test_between_visits_the_picture_stays_as_it_is() -> None:
    """Nothing is drawn before the first visit and after each one."""
    visits = Visits(1, (plan,))
    event = next(iter(visits.events(10.0)))
    for t_s in (0.0, event.start_s - 0.01, event.end_s + 0.01):
        assert not visits.apply(black(), t_s).any()
    assert visits.apply(black(), (event.start_s + event.end_s) / 2).any()
