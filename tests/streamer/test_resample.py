"""The resampler: counts true in time, no drift, jitter harmless, gaps reported."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamer.resample import Placement, Resampler

# A busy machine is no failure of the code under test.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def place(times: list[float], fps: float = 10.0, gap_s: float = 1.0) -> list[Placement]:
    """Offer every time to a new resampler."""
    resampler = Resampler(fps, gap_s)
    return [resampler.offer(t) for t in times]


def sampled(times: list[float], placements: list[Placement]) -> list[int]:
    """Return for each place filled the index of the picture in it."""
    places: list[int] = []
    for index, placement in enumerate(placements):
        places += [places[-1]] * placement.n_held if placement.n_held else []
        places += [index] * placement.n_new
    assert len(times) == len(placements)
    return places


@UNHURRIED
@given(
    fps=st.floats(1, 60),
    start=st.floats(-1e5, 1e5),
    steps=st.lists(st.floats(0.001, 0.99), min_size=1, max_size=400),
)
def test_places_follow_time_for_any_intervals(fps: float, start: float, steps: list[float]) -> None:
    """Any times without a gap: after each frame places == elapsed x fps + 1, give or take one."""
    resampler, at, n_places = Resampler(fps, 1.0), start, 0
    n_places += resampler.offer(at).n_places
    for step in steps:
        at += step
        placement = resampler.offer(at)
        n_places += placement.n_places
        assert not placement.gap
        assert placement.n_held >= 0
        assert placement.n_new >= 0
        assert placement.n_new > 0 or placement.n_held == 0
        assert abs(n_places - ((at - start) * fps + 1)) <= 1 + 1e-6


@pytest.mark.parametrize(
    "source_fps", [5.0, 7.5, 9.99, 10.01, 12.5, 14.985, 15.0, 25.0, 29.97, 30.0, 60.0]
)
def test_ten_thousand_frames_do_not_drift(source_fps: float) -> None:
    """10,000 frames at any rate fill exactly duration x 10 places, give or take one."""
    n_places = sum(p.n_places for p in place([i / source_fps for i in range(10_000)]))
    assert abs(n_places - (9_999 / source_fps * 10 + 1)) <= 1


@pytest.mark.parametrize("fps", [5.0, 10.0, 25.0, 29.97])
@UNHURRIED
@given(jitters=st.lists(st.floats(-0.3, 0.3), min_size=2, max_size=300))
def test_jitter_neither_drops_nor_holds_at_equal_rates(fps: float, jitters: list[float]) -> None:
    """Source and analysis at the same rate, +-30 % jitter: every frame fills exactly its one
    place."""
    times = [(i + jitter) / fps for i, jitter in enumerate(jitters)]
    assert set(place(times, fps)) == {Placement(n_held=0, n_new=1)}


@pytest.mark.parametrize("source_fps", [25.0, 29.97, 30.0, 50.0])
def test_a_faster_source_gives_each_place_its_nearest_frame(source_fps: float) -> None:
    """Downsampling to 10 fps: after the first places no picture is further than half a source
    interval away."""
    times = [i / source_fps for i in range(2000)]
    placements = place(times)
    assert all(p.n_held == 0 and p.n_new <= 1 for p in placements)
    for number, index in list(enumerate(sampled(times, placements)))[5:]:
        assert abs(times[index] - number / 10) <= 0.5 / source_fps + 1e-9


@pytest.mark.parametrize("source_fps", [1.0, 2.0, 5.0])
def test_a_slower_source_fills_places_with_the_nearer_neighbour(source_fps: float) -> None:
    """Upsampling to 10 fps: each place holds the picture nearest in time, half held and half
    new."""
    times = [i / source_fps for i in range(100)]
    placements = place(times, gap_s=1.5)
    assert all(p.n_new >= 1 for p in placements)
    for number, index in enumerate(sampled(times, placements)):
        assert abs(times[index] - number / 10) <= 0.5 / source_fps + 0.05 + 1e-9
    held = sum(p.n_held for p in placements)
    assert 0.39 < held / sum(p.n_places for p in placements) < 0.51


@UNHURRIED
@given(source_fps=st.floats(2, 60), seed=st.integers(0, 999))
def test_no_picture_is_further_than_a_place_and_half_an_interval_away(
    source_fps: float, seed: int
) -> None:
    """Any rate with +-30 % jitter: |picture - place| <= 0.75 places + half the longest interval."""
    rng = random.Random(seed)
    times = [(i + rng.uniform(-0.3, 0.3)) / source_fps for i in range(200)]
    bound = 0.075 + 0.8 / source_fps + 1e-9
    for number, index in enumerate(sampled(times, place(times))):
        assert abs(times[index] - times[0] - number / 10) <= bound


def test_one_lost_frame_is_bridged_by_its_neighbours() -> None:
    """At equal rates a missing frame costs one filled place, not a shift of everything after it."""
    times = [i / 10 for i in range(40) if i != 20]
    placements = place(times)
    assert sum(p.n_places for p in placements) == 40
    assert placements[20].n_places == 2
    assert [p.n_places for p in placements[21:]] == [1] * 18


def test_a_gap_begins_a_new_run_with_the_frame() -> None:
    """Longer than gap_s: gap is reported and nothing is filled up; exactly gap_s is still
    filled."""
    times = [0.0, 0.1, 0.2, 1.2, 2.3, 2.4]
    placements = place(times)
    assert placements[3].n_places == 10
    assert not placements[3].gap
    assert placements[4] == Placement(n_held=0, n_new=1, gap=True)
    assert placements[5] == Placement(n_held=0, n_new=1, gap=False)


def test_a_reset_begins_a_new_grid_without_calling_it_a_gap() -> None:
    """After reset() time may even go back, and the first frame fills one place."""
    resampler = Resampler(10.0, 1.0)
    resampler.offer(100.0)
    resampler.offer(100.05)
    resampler.reset()
    assert resampler.offer(3.0) == Placement(n_held=0, n_new=1, gap=False)
    assert resampler.offer(3.1) == Placement(n_held=0, n_new=1, gap=False)


def test_time_that_does_not_increase_is_refused_by_name() -> None:
    """Equal, earlier and non-finite times are errors that name the value."""
    resampler = Resampler(10.0, 1.0)
    resampler.offer(5.0)
    for bad in (5.0, 4.0, math.nan, math.inf):
        with pytest.raises(ValueError, match=str(bad)):
            resampler.offer(bad)
    assert resampler.offer(5.1).n_new == 1


@pytest.mark.parametrize(("fps", "gap_s"), [(0.0, 1.0), (-1.0, 1.0), (math.nan, 1.0), (10.0, 0.0)])
def test_impossible_rates_are_refused(fps: float, gap_s: float) -> None:
    """Rates and gaps that are not positive are errors."""
    with pytest.raises(ValueError, match="must be"):
        Resampler(fps, gap_s)
