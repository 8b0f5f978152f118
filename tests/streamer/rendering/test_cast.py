"""Casting: every role makes a figure of all frames that suits its name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamer.rendering.cast import CASTS, TRAVELLERS, Set, chosen, floater, gesturer, stander
from tests.streamer.rendering.staging import level_view

TIMES = np.arange(40) / 10


def cast_set(seed: int, split: str = "train", kind: str = "") -> Set:
    return Set(np.random.default_rng(seed), level_view(2.5, 0.4), TIMES, split, kind)


@pytest.mark.parametrize("split", ["train", "holdout"])
@pytest.mark.parametrize("name", [*CASTS, "stander"])
def test_each_role_makes_finite_points_for_each_frame(name: str, split: str) -> None:
    """Whatever chance says."""
    for seed in range(4):
        figure = chosen(cast_set(seed, split), name)
        assert figure.points.shape[0] == len(TIMES)
        assert np.isfinite(figure.points).all()
        assert figure.core.max() < figure.points.shape[1]


def test_standers_do_not_move_and_gesturers_do_not_travel() -> None:
    """The two roles that must be told apart."""
    swings = []
    for seed in range(6):
        assert np.ptp(stander(cast_set(seed)).points, axis=0).max() == 0
        figure = gesturer(cast_set(seed))
        body = figure.points[:, figure.core].mean(axis=1)
        assert np.ptp(body, axis=0).max() < 0.5
        swings.append(np.ptp(figure.points[:, figure.parts], axis=0).max())
    assert np.median(swings) > 0.15


def test_the_kind_of_place_changes_who_comes() -> None:
    """Hardly a car drives through a living room."""
    counts = {}
    for kind in ("room", "street"):
        names = [chosen(cast_set(seed, kind=kind)).name for seed in range(60)]
        counts[kind] = sum(name in ("sedan", "suv", "van", "truck") for name in names)
    assert counts["room"] < counts["street"]


@pytest.mark.parametrize("name", list(TRAVELLERS))
def test_travellers_go_the_way_wished_for(name: str) -> None:
    """Whoever is asked to go away is farther at the end, in all but a few turning courses."""
    for wish, sign in (("approach", -1), ("recede", 1)):
        farther = []
        for seed in range(20):
            of = replace(cast_set(seed), wish=wish)
            figure = chosen(of, name)
            depth = of.view.project(figure.points[:, figure.core].mean(axis=1))[1]
            farther.append(sign * (depth[-1] - depth[0]) > 0)
        assert np.mean(farther) >= 0.8, (wish, farther)


def test_hands_float_too() -> None:
    """A hand that comes into the picture and leaves it does not grow."""
    hands = []
    for seed in range(40):
        of = cast_set(seed)
        figure = floater(of)
        if figure.name == "hand":
            hands.append(of.view.project(figure.points[:, figure.core].mean(axis=1)))
    assert 3 <= len(hands) <= 16
    for place, depth in hands:
        assert np.ptp(place, axis=0).max() > 0.3
        assert np.ptp(np.log(depth)) < 0.15


def test_floaters_grow_and_go_independently() -> None:
    """Of what goes up some grow, some shrink and some do neither, and some go nowhere."""
    seen = set()
    for seed in range(80):
        of = cast_set(seed)
        figure = floater(of)
        place, depth = of.view.project(figure.points[:, figure.core].mean(axis=1))
        way = place[-1] - place[0]
        growth = np.log(depth[0] / depth[-1])
        course = "up" if way[1] < -0.1 else "still" if np.hypot(*way) < 0.02 else "other"
        seen.add((course, 0 if abs(growth) < 0.1 else int(np.sign(growth))))
    assert {(course, sign) for course in ("up", "still") for sign in (-1, 0, 1)} <= seen
