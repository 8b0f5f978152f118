"""Truth: what geometry means in labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamer.truth import (
    LABELS,
    MOTION,
    NUISANCES,
    RATES,
    Track,
    decided,
    frame_labels,
    graded,
    object_labels,
    object_rates,
    object_states,
    rate,
)

N = 40
TIMES = np.arange(N) / 10.0


def track(velocity: tuple[float, float] = (0.0, 0.0), growth: float = 0.0, **given: float) -> Track:
    """An object of 0.4 heights in plain view that does one thing all the time."""
    centre = np.array([0.5, 0.5]) + TIMES[:, None] * np.array(velocity)
    return Track(
        centre=centre,
        height=np.full(N, given.get("height", 0.4)),
        scale=np.exp(growth * TIMES),
        part_speed=np.full(N, given.get("part_speed", 0.0)),
        area=np.full(N, given.get("area", 0.05)),
        visible=np.full(N, given.get("visible", 1.0)),
    )


def labelled(*tracks: Track, nuisances: np.ndarray | None = None) -> dict[str, float]:
    """Label values in the middle of the clip."""
    none = np.zeros((N, len(NUISANCES)))
    labels = frame_labels(tracks, none if nuisances is None else nuisances, TIMES)
    assert labels.shape == (N, len(LABELS))
    assert labels.dtype == np.float32
    return dict(zip(LABELS, labels[N // 2].tolist(), strict=True))


def positive(labels: dict[str, float]) -> set[str]:
    return {name for name, value in labels.items() if value == 1}


def undecided(labels: dict[str, float]) -> set[str]:
    return {name for name, value in labels.items() if np.isnan(value)}


def test_rates_are_those_of_the_geometry() -> None:
    """Heights a second to the right and down, shares of the size, the fastest part."""
    none = np.zeros((N, len(NUISANCES)))
    going, resting = track((0.2, -0.1), growth=-0.3, part_speed=0.15), track()
    found = object_rates([going, resting], none, TIMES)
    assert found.shape == (2, N, len(RATES))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], np.tile([0.2, -0.1, -0.3, 0.15], (N, 1)), atol=1e-6)
    np.testing.assert_array_equal(found[1], 0)
    assert object_rates([], none, TIMES).shape == (0, N, len(RATES))


def test_rates_of_what_nobody_sees_are_unknown() -> None:
    """Too small, hidden, or behind a camera that moves or a lens that may be covered."""
    nuisances = np.zeros((N, len(NUISANCES)))
    for given in ({"area": 1e-4}, {"visible": 0.2}):
        assert np.isnan(object_rates([track((0.2, 0.0), **given)], nuisances, TIMES)).all()
    nuisances[:10, NUISANCES.index("camera")] = 1
    nuisances[10:20, NUISANCES.index("tamper")] = 0.5
    nuisances[20:, NUISANCES.index("lighting")] = 1
    found = object_rates([track((0.2, 0.0))], nuisances, TIMES)
    assert np.isnan(found[0, :20]).all()
    assert np.isfinite(found[0, 20:]).all()


@pytest.mark.parametrize(
    ("velocity", "expected"),
    [
        ((-0.1, 0), {"left"}),
        ((0.1, 0), {"right"}),
        ((0, -0.1), {"up"}),
        ((0, 0.1), {"down"}),
        ((0.1, 0.1), {"right", "down"}),
        ((-0.1, -0.1), {"left", "up"}),
    ],
)
def test_a_direction_is_within_60_degrees_of_its_axis(
    velocity: tuple[float, float], expected: set[str]
) -> None:
    """Diagonals go two ways; nothing else is said, and nothing is undecided."""
    labels = labelled(track(velocity))
    assert positive(labels) == expected
    assert not undecided(labels)


def test_between_60_and_75_degrees_the_lesser_direction_is_undecided() -> None:
    """At 68 degrees from down an honest observer cannot say whether it also goes down."""
    angle = np.radians(90 - 68)
    labels = labelled(track((0.1 * np.cos(angle), 0.1 * np.sin(angle))))
    assert positive(labels) == {"right"}
    assert undecided(labels) == {"down"}


def test_slow_is_undecided_and_slower_is_still() -> None:
    """0.03 heights a second moves, 0.012 is open, 0.004 is nothing; a small object counts its own
    height."""
    assert positive(labelled(track((0.031, 0)))) == {"right"}
    assert "right" in undecided(labelled(track((0.012, 0), height=0.9)))
    assert not positive(labelled(track((0.004, 0)))) | undecided(labelled(track((0.004, 0))))
    assert positive(labelled(track((0.021, 0), height=0.1))) == {"right"}


def test_growth_of_the_scale_is_approach_and_shrinking_is_recede() -> None:
    """15 % a second counts, 3 % does not, between is open."""
    assert positive(labelled(track(growth=0.2))) == {"approach"}
    assert positive(labelled(track(growth=-0.2))) == {"recede"}
    assert undecided(labelled(track(growth=0.1))) == {"approach"}
    assert not undecided(labelled(track(growth=0.02)))


def test_edges_that_growth_pushes_leave_directions_open() -> None:
    """A large object that comes fast seems to go every way; a small one does not."""
    large, small = (labelled(track(growth=0.5, height=h)) for h in (0.8, 0.2))
    assert positive(large) == positive(small) == {"approach"}
    assert undecided(large) == {"left", "right", "up", "down"}
    assert not undecided(small)


def test_speed_alone_leaves_no_other_direction_open() -> None:
    """However fast, 76 degrees off an axis is not along it."""
    fast = labelled(track((0.2, 0.8)))
    assert positive(fast) == {"down"}
    assert undecided(fast) == set()


def test_parts_that_move_are_in_place_only_while_the_body_stays() -> None:
    """Waving is in place; swinging arms while walking are not."""
    assert positive(labelled(track(part_speed=0.1))) == {"in_place"}
    assert positive(labelled(track((0.1, 0), part_speed=0.1))) == {"right"}
    assert undecided(labelled(track(part_speed=0.03))) == {"in_place"}


def test_to_and_fro_leads_nowhere() -> None:
    """A body that sways at 1.4 Hz moves in place, neither left nor right."""
    base = track()
    sway = base.centre + np.stack([0.02 * np.sin(2 * np.pi * 1.4 * TIMES), 0 * TIMES], -1)
    states = object_states(
        Track(sway, base.height, base.scale, base.part_speed, base.area, base.visible), TIMES
    )
    names = list(MOTION)
    middle = slice(8, N - 8)
    assert not (states[middle, : names.index("in_place")] == 1).any()
    assert (states[middle, names.index("in_place")] > 0).mean() > 0.9


def test_small_or_hidden_objects_are_undecided_and_invisible_ones_nothing() -> None:
    """Below 0.3 % of the picture or 30 % visible nobody can be sure; below 3 pixels it is gone."""
    assert undecided(labelled(track((0.1, 0), area=0.002))) == {"right"}
    assert undecided(labelled(track((0.1, 0), visible=0.2))) == {"right"}
    gone = labelled(track((0.1, 0), area=0.0001))
    assert not positive(gone) | undecided(gone)


def test_any_object_that_does_it_outweighs_one_that_is_undecided() -> None:
    """One walker far away and one near: right is 1."""
    near, far = track((0.1, 0)), track((0.1, 0), area=0.002)
    assert positive(labelled(near, far)) == {"right"}
    assert positive(labelled(near, track((-0.1, 0)))) == {"left", "right"}


@pytest.mark.parametrize("name", ["camera", "tamper"])
def test_motion_is_undecided_while_the_camera_itself_moves(name: str) -> None:
    """With an object all motion is open; without one it is a clear no."""
    nuisances = np.zeros((N, len(NUISANCES)))
    nuisances[:, NUISANCES.index(name)] = 1
    assert undecided(labelled(track((0.1, 0)), nuisances=nuisances)) == set(MOTION)
    quiet = labelled(track(), nuisances=nuisances)
    assert positive(quiet) == {name}
    assert not undecided(quiet)


def test_light_does_not_touch_motion() -> None:
    """A lamp is switched while somebody walks: both are told."""
    nuisances = np.zeros((N, len(NUISANCES)))
    nuisances[:, NUISANCES.index("lighting")] = 1
    assert positive(labelled(track((0.1, 0)), nuisances=nuisances)) == {"right", "lighting"}


def test_a_rate_is_the_change_per_second_also_when_frames_are_held() -> None:
    """Held frames repeat time and value alike."""
    held = np.floor(TIMES * 5) / 5
    assert rate(3 * TIMES, TIMES) == pytest.approx(3.0)
    assert rate(3 * held, held)[3:-3] == pytest.approx(3.0)


def test_states_become_labels() -> None:
    """0, 0.5 and 1 become 0, NaN and 1."""
    states = graded(np.array([0.0, 0.1, 0.15, 0.2, 1.0]), 0.1, 0.2)
    assert states.tolist() == [0, 0, 0.5, 1, 1]
    assert np.isnan(decided(states)[2])


def test_the_frame_rate_does_not_change_what_is_told() -> None:
    """To and fro at 20 frames a second is as little travel as at 10."""
    fine = np.arange(2 * N) / 20.0
    sway = 0.5 + np.stack([0.02 * np.sin(2 * np.pi * 1.4 * fine), 0 * fine], -1)
    one = np.ones_like(fine)
    states = object_states(Track(sway, 0.4 * one, one, 0 * one, 0.05 * one, one), fine)
    assert not (states[16:-16, :6] == 1).any()


def test_each_object_has_its_own_labels() -> None:
    """Left and right of two walkers stay apart; the frame's label is 1 where any object's is."""
    tracks = (track((0.1, 0)), track((-0.1, 0)), track((0.1, 0), area=0.002))
    nuisances = np.zeros((N, len(NUISANCES)))
    nuisances[:10, NUISANCES.index("camera")] = 1
    found = object_labels(tracks, nuisances, TIMES)
    assert found.shape == (3, N, len(MOTION))
    left, right = MOTION.index("left"), MOTION.index("right")
    assert found[:2, N // 2, [left, right]].tolist() == [[0, 1], [1, 0]]
    assert np.isnan(found[2, N // 2, right])
    assert np.isnan(found[:, :10]).all()
    frames = frame_labels(tracks, nuisances, TIMES)[:, : len(MOTION)]
    np.testing.assert_array_equal((found == 1).any(axis=0), frames == 1)
    np.testing.assert_array_equal((found == 0).all(axis=0), frames == 0)
    assert object_labels((), nuisances, TIMES).shape == (0, N, len(MOTION))


def test_a_size_that_changes_by_less_than_the_slowest_motion_is_undecided() -> None:
    """20 % a second of a quarter of the picture moves two edges by 2.5 %; of two fifths by 4 %."""
    assert undecided(labelled(track(growth=-0.2, height=0.25))) == {"recede"}
    assert positive(labelled(track(growth=-0.2, height=0.4))) == {"recede"}


def test_motion_that_changes_hardly_a_pixel_is_undecided() -> None:
    """Less than 0.3 % of the picture: nobody could see it; where nobody measured, it counts."""
    seen = track((0.1, 0), part_speed=0.1)
    for stirred, told in ((0.004, {"right"}), (0.001, set())):
        labels = labelled(replace(seen, stirred=np.full(N, stirred)))
        assert positive(labels) == told
        assert ("right" in undecided(labels)) == (not told)
    assert positive(labelled(seen)) == {"right"}


def test_parts_out_of_sight_leave_a_gesture_open() -> None:
    """Of an arm whose hand is hidden something may be seen; one that rests is nothing."""
    base = track()
    assert undecided(labelled(replace(base, hidden_speed=np.full(N, 0.2)))) == {"in_place"}
    assert not undecided(labelled(replace(base, hidden_speed=np.full(N, 0.01))))
    waves = track(part_speed=0.1)
    assert positive(labelled(replace(waves, hidden_speed=np.full(N, 0.2)))) == {"in_place"}


def test_what_fills_the_picture_may_be_a_hand_before_the_lens() -> None:
    """Then nobody knows whether the camera moves or is covered; what the object does stays told."""
    labels = labelled(track((0.1, 0), area=0.6))
    assert positive(labels) == {"right"}
    assert undecided(labels) == {"camera", "tamper"}
    assert not undecided(labelled(track((0.1, 0), area=0.4)))
    covered = np.tile([0.0, 0.0, 1.0, 0.0], (N, 1))
    assert "tamper" in positive(labelled(track((0.1, 0), area=0.6), nuisances=covered))
