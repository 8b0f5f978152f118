"""Scenes: the same always, and what they tell is what they show."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from streamer.scenes import NUISANCES, Scene, SceneEvent, scene, scene_names

SMALL = (320, 180)
CHANGE = 25
"""Grey levels that no noise of a scene reaches."""


def changed_share(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> float:
    """Share of pixels that differ by more than noise."""
    difference = np.abs(first.astype(np.int16) - second.astype(np.int16)).max(axis=2)
    return float(np.mean(difference > CHANGE))


def objects(shown: Scene, duration_s: float) -> list[SceneEvent]:
    return [event for event in shown.events(duration_s) if not event.is_nuisance]


@pytest.mark.parametrize("name", scene_names())
def test_a_scene_renders_pictures_of_the_size_asked_for(name: str) -> None:
    """Any size from 64 x 64, also upright, gives uint8 RGB with some texture."""
    for width, height in ((64, 64), (180, 320), SMALL):
        picture = scene(name, 1, width, height).render(4.0)
        assert picture.shape == (height, width, 3)
        assert picture.dtype == np.uint8
        assert picture.std() > 3


@pytest.mark.parametrize("name", scene_names())
def test_a_picture_depends_on_name_seed_size_and_time_alone(name: str) -> None:
    """Rendered in another order, by another object, or twice: the same pixels and the same
    events."""
    times = [0.0, 5.0, 31.48, 5.04, 600.0]
    first, second = scene(name, 7, *SMALL), scene(name, 7, *SMALL)
    forward = [first.render(t) for t in times]
    backward = [second.render(t) for t in reversed(times)][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forward, backward, strict=True))
    assert first.events(60) == second.events(60)
    assert not np.array_equal(forward[1], scene(name, 8, *SMALL).render(times[1]))


def test_the_caller_owns_the_picture() -> None:
    """Painting over a picture changes no later one."""
    shown = scene("street", 0, *SMALL)
    before = shown.render(4.0)
    shown.render(4.0)[:] = 0
    assert np.array_equal(shown.render(4.0), before)


@pytest.mark.parametrize("name", scene_names())
def test_events_are_ordered_and_inside_the_duration(name: str) -> None:
    """Starts rise, ends follow starts, nothing reaches beyond what was asked for."""
    events = scene(name, 3, *SMALL).events(47.5)
    assert [e.start_s for e in events] == sorted(e.start_s for e in events)
    assert all(0 <= e.start_s < e.end_s <= 47.5 for e in events)
    assert all(e.is_nuisance == (e.label in NUISANCES) for e in events)


@pytest.mark.parametrize("name", scene_names())
def test_a_longer_list_begins_with_the_shorter_one(name: str) -> None:
    """Events do not depend on how far one looks ahead, but for those that are cut."""
    shown = scene(name, 3, *SMALL)
    short = [e for e in shown.events(60) if e.end_s < 60]
    longer = shown.events(120)
    assert all(event in longer for event in short)


@pytest.mark.parametrize("name", ["street", "corridor"])
def test_something_comes_about_every_ten_seconds_with_a_pause_between(name: str) -> None:
    """Motion events can begin and end: at least 3 s without anybody between two visits."""
    visits = objects(scene(name, 5, *SMALL), 120)
    assert 11 <= len(visits) <= 12
    assert min(b.start_s - a.end_s for a, b in pairwise(visits)) >= 3.0


@pytest.mark.parametrize("name", ["street", "corridor"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_somebody_is_seen_exactly_during_an_event(name: str, seed: int) -> None:
    """Just before and just after nothing differs from the empty place, within it something does."""
    shown = scene(name, seed, *SMALL)
    empty = shown.render(0.0)
    for event in objects(shown, 60):
        length_s = event.end_s - event.start_s
        inside = [event.start_s + share * length_s for share in (0.25, 0.5, 0.75)]
        assert all(changed_share(shown.render(t), empty) > 0.001 for t in inside)
        for outside in (event.start_s - 0.04, event.end_s + 0.04):
            assert changed_share(shown.render(outside), empty) == 0


def middle(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> float:
    """Mean column of the pixels that differ."""
    difference = np.abs(first.astype(np.int16) - second.astype(np.int16)).max(axis=2)
    return float(np.nonzero(difference > CHANGE)[1].mean())


@pytest.mark.parametrize("seed", range(4))
def test_left_goes_left_and_right_goes_right(seed: int) -> None:
    """The label is the direction in the picture."""
    shown = scene("street", seed, *SMALL)
    empty = shown.render(0.0)
    for event in objects(shown, 60):
        length_s = event.end_s - event.start_s
        early, late = (
            middle(shown.render(event.start_s + share * length_s), empty) for share in (0.3, 0.7)
        )
        assert (late > early) == (event.label == "right")


def test_who_approaches_grows_and_who_recedes_shrinks() -> None:
    """The label is what the size does, and both happen."""
    shown = scene("corridor", 2, *SMALL)
    empty = shown.render(0.0)
    labels = set()
    for event in objects(shown, 100):
        length_s = event.end_s - event.start_s
        early, late = (
            changed_share(shown.render(event.start_s + share * length_s), empty)
            for share in (0.3, 0.8)
        )
        assert (late > early) == (event.label == "approach")
        labels.add(event.label)
    assert labels == {"approach", "recede"}


@pytest.mark.parametrize("name", ["empty", "lights"])
def test_nobody_comes_to_scenes_without_visitors(name: str) -> None:
    """All events of these scenes are nuisances."""
    assert objects(scene(name, 0, *SMALL), 600) == []


def test_the_garden_is_empty_most_of_the_time() -> None:
    """Leaves always sway; people are there less than a fifth of the time."""
    shown = scene("garden-windy", 0, *SMALL)
    there_s = sum(event.end_s - event.start_s for event in objects(shown, 1800))
    assert 0 < there_s < 360
    assert SceneEvent("background", "leaves", 0.0, 60.0) in shown.events(60)


def test_an_unknown_name_lists_the_known_ones() -> None:
    """The sentence names the value and what to use instead."""
    with pytest.raises(ValueError, match=r"no scene 'steet'.*street, corridor, garden-windy"):
        scene("steet")


def test_a_size_without_room_is_refused() -> None:
    """Below 64 pixels there is nothing to see."""
    with pytest.raises(ValueError, match="63 x 360"):
        scene("street", 0, 63, 360)
