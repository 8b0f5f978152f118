"""Courses: they pass their spot, go the way wished for, and stop as told."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.rendering.course import flight, ground_course, heading_of, seen_spot, speeds, thrown
from tests.streamer.rendering.staging import level_view

TIMES = np.arange(72) / 10


@pytest.mark.parametrize("seed", range(5))
def test_a_spot_is_in_the_picture_and_about_as_large_as_wished(seed: int) -> None:
    """Also from above."""
    view = level_view(3.0, 0.5)
    spot = seen_spot(np.random.default_rng(seed), view, 1.7, (0.3, 0.3))
    place, depth = view.project(spot)
    assert 0 < place[0] < 1
    assert 0 < place[1] < 1.2
    assert 1.7 / depth == pytest.approx(0.3, rel=0.8)
    assert spot[1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("wish", ["left", "right", "approach", "recede"])
def test_a_heading_goes_the_way_wished_for(wish: str) -> None:
    """On average over its chance, seen by the camera."""
    spot = np.array([1.0, 0.0, 5.0])
    rng = np.random.default_rng(0)
    angles = np.array([heading_of(rng, spot, wish) for _ in range(100)])
    step = np.array([np.cos(angles).mean(), 0, np.sin(angles).mean()])
    view = level_view()
    before, depth = view.project(spot)
    after, far = view.project(spot + 0.1 * step)
    shift = {"right": 1, "left": -1}.get(wish, 0)
    growth = {"approach": -1, "recede": 1}.get(wish, 0)
    assert np.sign(round(float(after[0] - before[0]), 2)) == shift
    if growth:
        assert np.sign(far - depth) == growth


def test_a_course_passes_its_spot_at_its_usual_speed() -> None:
    """Some moment of the clip is spent there."""
    spot = np.array([1.0, 0.0, 6.0])
    course = ground_course(np.random.default_rng(2), spot, 0.3, 1.5, TIMES, "through")
    assert np.linalg.norm(course.place - spot, axis=1).min() < 0.1
    steps = np.linalg.norm(np.diff(course.place, axis=0), axis=1) * 10
    assert np.median(steps) == pytest.approx(1.5, rel=0.05)


@pytest.mark.parametrize(
    ("manner", "first", "last"),
    [("stop", 1, 0), ("start", 0, 1), ("through", 1, 1), ("pause", 1, 1), ("stay", 0, 0)],
)
def test_manners_begin_and_end_as_their_names_say(manner: str, first: int, last: int) -> None:
    """1 moves, 0 stands; a pause stands between."""
    for seed in range(5):
        pace = speeds(np.random.default_rng(seed), manner, 7.2)
        assert (pace[0], pace[-1]) == pytest.approx((first, last))
        assert ((pace >= -1e-9) & (pace <= 1 + 1e-9)).all()


def test_what_is_thrown_lands_and_stays() -> None:
    """It never sinks into the ground, and comes to rest."""
    view = level_view(2.0, 0.3)
    rests = []
    for seed in range(12):
        course = thrown(np.random.default_rng(seed), view, np.array([0.0, 0, 5.0]), TIMES)
        assert course.place[0, 1] > 0.3
        assert course.place[:, 1].min() >= 0
        rests.append(np.ptp(course.place[-5:], axis=0).max() == 0)
    assert np.mean(rests) > 0.6


@pytest.mark.parametrize(
    ("wish", "axis", "sign"), [("left", 0, -1), ("right", 0, 1), ("up", 1, -1), ("down", 1, 1)]
)
def test_a_flight_goes_the_way_wished_for(wish: str, axis: int, sign: int) -> None:
    """In most of its chances."""
    ways = []
    for seed in range(20):
        at, nearer = flight(np.random.default_rng(seed), level_view(), TIMES, wish)
        ways.append(at[-1, axis] - at[0, axis])
        assert nearer == pytest.approx(1.0)
    assert (np.sign(ways) == sign).mean() > 0.8


def test_a_flight_that_approaches_comes_nearer() -> None:
    """Depth falls; receding it rises."""
    for wish, sign in (("approach", -1), ("recede", 1)):
        _, nearer = flight(np.random.default_rng(4), level_view(), TIMES, wish)
        assert np.sign(nearer[-1] - nearer[0]) == sign
