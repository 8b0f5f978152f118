"""Plays: a rendered place at any time, and events that fit its pictures."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.play import PERIOD_S, Play, Spell, car, passer, side_px, worker
from streamer.truth import MOTION

SIZE = (160, 90)


def canvas() -> np.ndarray:
    return np.zeros((SIZE[1], SIZE[0], 3), np.uint8)


def pictures(play: Play, times: list[float]) -> np.ndarray:
    return np.stack([play.apply(canvas(), t) for t in times])


def test_any_order_of_times_gives_the_same_pictures() -> None:
    """Cycles are planned one by one."""
    times = [3.0, 45.2, 9.5]
    forward = pictures(Play(1, "street", (passer,), SIZE), times)
    backward = pictures(Play(1, "street", (passer,), SIZE), times[::-1])[::-1]
    assert np.array_equal(forward, backward)
    assert forward.std() > 3


def test_a_worker_moves_in_place_and_rests() -> None:
    """Pixels change while the event lasts, and not one before it."""
    play = Play(2, "room", (worker,), SIZE)
    events = list(play.events(PERIOD_S))
    assert {event.label for event in events} <= {"in_place", "up", "down"}
    assert "in_place" in {event.label for event in events}
    busy = np.diff(pictures(play, [8.0, 8.2, 8.4, 8.6]).astype(int), axis=0)
    quiet = np.diff(pictures(play, [1.0, 1.5, 2.0]).astype(int), axis=0)
    assert np.abs(busy).max() > 20
    assert np.abs(quiet).max() == 0


@pytest.mark.parametrize("role", [passer, car])
def test_passers_are_gone_at_both_ends_of_a_cycle(role) -> None:  # type: ignore[no-untyped-def]
    """So nobody vanishes before one's eyes, and somebody is there between."""
    seen = 0
    for seed in range(4):
        play = Play(seed, "above", (role,), SIZE)
        rows = pictures(play, [0.0, 2.0, 6.0, 8.0, 10.0, 12.0, 19.9])
        # Two moments in which nobody is there are equal.
        assert np.array_equal(rows[0], rows[-1])
        seen += int((rows != rows[0]).any())
    assert seen >= 3


def test_events_have_labels_of_motion_and_lie_in_order_of_their_cycles() -> None:
    """Also those of effects."""
    spell = Spell("background", "rain", lambda picture, strength, t: picture, 0.5)
    events = list(Play(3, "street", (passer,), SIZE, spell).events(60))
    assert {event.label for event in events} <= {*MOTION, "background"}
    assert [event.start_s for event in events if event.is_nuisance] == [7.0, 27.0, 47.0]
    assert all(event.end_s > event.start_s for event in events)


def test_a_spell_comes_and_goes() -> None:
    """Off, half, full, off; in each cycle."""
    spell = Spell("tamper", "cover", lambda picture, strength, t: picture, 1.0)
    assert [spell.strength(t) for t in (2.0, 7.5, 10.0, 12.5, 15.0)] == [0, 0.5, 1, 0.5, 0]
    assert spell.strength(30.0) == spell.strength(10.0)


def test_the_square_is_bounded() -> None:
    """Large pictures are rendered smaller and scaled up."""
    assert side_px((1920, 1080)) == 360
    assert side_px((90, 160)) == 160
