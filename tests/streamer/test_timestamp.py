"""Stamps under B4 of the fault catalogue: jumps, wraps, holes, disorder, drift, jitter."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamer.timestamp import Stamp, TimestampMapper

# A busy machine is no failure of the code under test.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

START_AT = 5_000.0
TICK = 1 / 90_000
Frames = list[tuple[float | None, float]]


def camera(n: int, fps: float = 25.0, latency_s: float = 0.0) -> Frames:
    """`n` frames of a perfect camera: PTS from 0, arrival `latency_s` after capture."""
    return [(i / fps, START_AT + i / fps + latency_s) for i in range(n)]


def stamp(frames: Iterable[tuple[float | None, float]], *, is_paced: bool = True) -> list[Stamp]:
    """Stamp every frame with a new mapper."""
    mapper = TimestampMapper(is_paced=is_paced)
    return [mapper.map(pts_s, arrived_at) for pts_s, arrived_at in frames]


def check(frames: Frames, stamps: list[Stamp]) -> None:
    """The invariants: media time grows, capture never goes back and never lies after the
    arrival."""
    for (_, arrived_at), one in zip(frames, stamps, strict=True):
        assert one.captured_at <= arrived_at
    for a, b in itertools.pairwise(stamps):
        assert b.media_s > a.media_s
        assert b.captured_at >= a.captured_at


def errors_s(frames: Frames, stamps: list[Stamp]) -> list[float]:
    """Seconds between capture and arrival, frame by frame."""
    return [at - one.captured_at for (_, at), one in zip(frames, stamps, strict=True)]


def n_jumps(stamps: list[Stamp]) -> int:
    """How often a discontinuity was reported."""
    return sum(one.is_discontinuity for one in stamps)


def test_a_perfect_camera_keeps_its_own_time() -> None:
    """Media time is the PTS; capture is the arrival less what the network added."""
    frames = camera(100)
    stamps = stamp(frames)
    assert [s.media_s for s in stamps] == pytest.approx([pts for pts, _ in frames])
    assert [s.captured_at for s in stamps] == pytest.approx([at for _, at in frames])
    assert n_jumps(stamps) == 0


@pytest.mark.parametrize("jump_s", [10.0, -10.0, 100.0, -100.0, 2**31 * TICK, -(2**31) * TICK])
@pytest.mark.parametrize("fps", [10.0, 25.0])
def test_a_jump_is_reported_once_and_leaves_no_trace_in_time(jump_s: float, fps: float) -> None:
    """B4: strictly increasing, one discontinuity, error <= 0.2 s (at once, not only after 1 s), no
    seam."""
    frames = [
        (pts + jump_s if pts is not None and i >= 50 else pts, at)
        for i, (pts, at) in enumerate(camera(150, fps))
    ]
    stamps = stamp(frames)
    check(frames, stamps)
    assert n_jumps(stamps) == 1
    assert stamps[50].is_discontinuity or stamps[51].is_discontinuity
    assert max(errors_s(frames, stamps)) <= 0.2
    steps = [b.media_s - a.media_s for a, b in itertools.pairwise(stamps)]
    assert steps == pytest.approx([1 / fps] * 149, abs=0.002)


@pytest.mark.parametrize("n_bits", [32, 33])
def test_a_wrap_is_no_jump(n_bits: int) -> None:
    """A 32- or 33-bit counter at 90 kHz that starts again from 0 goes on without a seam."""
    full_s = 2**n_bits * TICK
    frames: Frames = [((pts or 0.0) + full_s - 2, at) for pts, at in camera(100)]
    wrapped: Frames = [((pts or 0.0) % full_s, at) for pts, at in frames]
    stamps = stamp(wrapped)
    check(wrapped, stamps)
    assert n_jumps(stamps) == 0
    assert [s.media_s for s in stamps] == pytest.approx([pts for pts, _ in frames])


def test_missing_pts_are_bridged_by_arrival() -> None:
    """B4: six frames without PTS, and a first one without: times as if they had theirs, no jump."""
    frames: Frames = [
        (None if i == 0 or 40 <= i < 46 else pts, at) for i, (pts, at) in enumerate(camera(100))
    ]
    stamps = stamp(frames)
    check(frames, stamps)
    assert n_jumps(stamps) == 0
    assert [s.media_s for s in stamps] == pytest.approx([i / 25 for i in range(100)], abs=1e-5)
    assert max(errors_s(frames, stamps)) <= 0.2


@pytest.mark.parametrize("missing", [None, math.nan, math.inf, 7.0])
def test_a_stream_without_usable_pts_runs_on_arrival(missing: float | None) -> None:
    """Never a PTS, nonsense, or always the same one: media time follows the clock, no jump."""
    frames: Frames = [(missing, at) for _, at in camera(100)]
    stamps = stamp(frames)
    check(frames, stamps)
    assert n_jumps(stamps) == 0
    assert stamps[-1].media_s - stamps[0].media_s == pytest.approx(99 / 25)
    assert max(errors_s(frames, stamps)) == 0


def test_duplicate_pts_stay_apart_and_do_no_harm() -> None:
    """Each PTS twice, 1 ms apart: strictly increasing, original times for the originals."""
    frames: Frames = []
    for pts, at in camera(60):
        frames += [(pts, at), (pts, at + 0.001)]
    stamps = stamp(frames)
    check(frames, stamps)
    assert n_jumps(stamps) == 0
    assert [s.media_s for s in stamps[::2]] == pytest.approx([i / 25 for i in range(60)])


@pytest.mark.parametrize(
    "order", [(1, 0), (3, 0, 1, 2), (4, 2, 0, 1, 3)], ids=["swapped", "b-frames", "b-pyramid"]
)
@pytest.mark.parametrize("fps", [10.0, 25.0])
def test_pictures_out_of_order_are_no_jump(order: tuple[int, ...], fps: float) -> None:
    """B4: PTS in decode order: strictly increasing, never a discontinuity, error <= 0.2 s +
    reordering."""
    n = len(order)
    frames: Frames = [
        ((i // n * n + order[i % n]) / fps, START_AT + i / fps) for i in range(30 * n)
    ]
    stamps = stamp(frames)
    check(frames, stamps)
    assert n_jumps(stamps) == 0
    assert max(errors_s(frames, stamps)[25:]) <= 0.2 + (n - 1) / fps


@pytest.mark.parametrize("back_s", [0.15, 0.5, 0.9])
def test_a_small_step_back_is_over_within_a_second(back_s: float) -> None:
    """Too small to stand out from disorder: at most one discontinuity, and error <= 0.2 s after 1
    s."""
    frames: Frames = [
        ((pts or 0.0) - (back_s if i >= 50 else 0.0), at) for i, (pts, at) in enumerate(camera(200))
    ]
    stamps = stamp(frames)
    check(frames, stamps)
    assert n_jumps(stamps) <= 1
    assert max(errors_s(frames, stamps)[75:]) <= 0.2


def test_a_single_wild_value_is_ignored() -> None:
    """One PTS an hour off: no discontinuity, the neighbours keep their times."""
    frames: Frames = [(pts if i != 50 else 3600.0, at) for i, (pts, at) in enumerate(camera(100))]
    stamps = stamp(frames)
    check(frames, stamps)
    assert n_jumps(stamps) == 0
    assert [s.media_s for s in stamps] == pytest.approx([i / 25 for i in range(100)], abs=1e-5)


def test_only_the_first_value_that_does_not_fit_is_suspect() -> None:
    """It may be the first frame after a jump; the next one tells, and nonsense goes on without."""
    jump = stamp([(pts + 100 if i >= 50 else pts, at) for i, (pts, at) in enumerate(camera(60))])  # type: ignore[operator]
    assert [i for i, s in enumerate(jump) if s.is_suspect] == [50]
    assert [i for i, s in enumerate(jump) if s.is_discontinuity] == [51]
    wild = [1e3 * (-7) ** (i % 9) if i >= 50 else pts for i, (pts, _) in enumerate(camera(90))]
    nonsense = stamp([(pts, at) for pts, (_, at) in zip(wild, camera(90), strict=True)])
    assert [i for i, s in enumerate(nonsense) if s.is_suspect] == [50]


@pytest.mark.parametrize("still_s", [0.5, 3.0, 60.0])
def test_a_clock_that_stood_still_and_goes_on_costs_nothing(still_s: float) -> None:
    """B4: the same PTS for a while, then on from there: true time throughout, no jump."""
    n_still = round(still_s * 10)
    frames: Frames = [
        (i / 10 if i < 50 else max(4.9, (i - n_still) / 10), at)
        for i, (_, at) in enumerate(camera(100 + n_still, 10.0))
    ]
    stamps = stamp(frames)
    check(frames, stamps)
    assert n_jumps(stamps) == 0
    assert [s.media_s for s in stamps] == pytest.approx([i / 10 for i in range(len(stamps))])
    assert max(errors_s(frames, stamps)) <= 0.2


def test_two_jumps_are_two() -> None:
    """Forward by 100 s and back again 2 s later: two discontinuities, one time line."""
    frames: Frames = [
        ((pts or 0.0) + (100 if 50 <= i < 100 else 0), at)
        for i, (pts, at) in enumerate(camera(150))
    ]
    stamps = stamp(frames)
    check(frames, stamps)
    assert n_jumps(stamps) == 2
    assert stamps[-1].media_s == pytest.approx(149 / 25, abs=0.01)


def test_network_delay_is_taken_out() -> None:
    """Up to 150 ms of random delay: capture is within 10 ms of the truth once the filter has seen
    some."""
    rng = random.Random(3)
    frames: Frames = [(pts, at + rng.uniform(0, 0.15)) for pts, at in camera(500)]
    frames = [(pts, max(at, frames[max(i - 1, 0)][1])) for i, (pts, at) in enumerate(frames)]
    stamps = stamp(frames)
    check(frames, stamps)
    truth = [START_AT + i / 25 for i in range(500)]
    off = [abs(s.captured_at - t) for s, t in zip(stamps, truth, strict=True)]
    assert max(off[100:]) < 0.01
    # Media time is the camera's own, so it carries no jitter at all.
    assert [s.media_s for s in stamps] == pytest.approx([i / 25 for i in range(500)])


@pytest.mark.parametrize("fps", [0.25, 25.0])
def test_a_burst_after_a_hold_up_is_no_jump(fps: float) -> None:
    """TCP held up, then everything at once: capture stays true, nothing is reported."""
    frames = camera(int(40 * fps), fps)
    held: Frames = [
        (pts, max(at, START_AT + 31.9) if at >= START_AT + 20 else at) for pts, at in frames
    ]
    stamps = stamp(held)
    check(held, stamps)
    assert n_jumps(stamps) == 0
    assert [s.captured_at for s in stamps] == pytest.approx([at for _, at in frames])


def test_a_jump_during_a_hold_up_does_not_carry_the_delay_on() -> None:
    """The last frame before the jump was 2 s late, those after it are not: error <= 0.2 s."""
    frames: Frames = [
        (pts, at + 2.0) if i < 100 else ((pts or 0.0) + 100.0, at + 2.04)
        for i, (pts, at) in enumerate(camera(200))
        if i >= 50
    ]
    frames = camera(50) + frames
    stamps = stamp(frames)
    check(frames, stamps)
    assert n_jumps(stamps) == 1
    assert errors_s(frames, stamps)[99] == pytest.approx(2.0)
    assert max(errors_s(frames, stamps)[102:]) <= 0.2


@pytest.mark.parametrize("fps", [1.0, 10.0, 25.0])
def test_a_buffer_played_out_at_the_start_is_no_jump(fps: float) -> None:
    """The first second of pictures arrives at once (probing): no discontinuity."""
    frames: Frames = [(pts, max(at, START_AT + 1.0)) for pts, at in camera(100, fps)]
    stamps = stamp(frames)
    check(frames, stamps)
    assert n_jumps(stamps) == 0


@pytest.mark.parametrize("ppm", [100, -100, 500, -500])
def test_a_clock_that_runs_wrong_is_followed(ppm: float) -> None:
    """Two hours at 5 fps, camera clock 100 and 500 ppm off: capture within 15 ms of arrival, no
    jump."""
    frames: Frames = [(i / 5 * (1 + ppm * 1e-6), START_AT + i / 5) for i in range(2 * 3600 * 5)]
    stamps = stamp(frames)
    check(frames, stamps)
    assert n_jumps(stamps) == 0
    assert max(errors_s(frames, stamps)) < 0.015


def test_a_pause_of_the_stream_is_time_like_any_other() -> None:
    """30 s without frames and PTS that say so: media time shows the hole, nothing is reported."""
    frames: Frames = [
        ((pts or 0.0) + (30 if i >= 50 else 0), at + (30 if i >= 50 else 0))
        for i, (pts, at) in enumerate(camera(100))
    ]
    stamps = stamp(frames)
    check(frames, stamps)
    assert n_jumps(stamps) == 0
    assert stamps[50].media_s - stamps[49].media_s == pytest.approx(30.04)


@UNHURRIED
@given(
    fps=st.sampled_from([1.0, 5.0, 10.0, 25.0, 30.0]),
    seed=st.integers(0, 10_000),
    base_s=st.floats(-1e5, 1e5),
    latency_s=st.floats(0, 5),
    jitter_s=st.floats(0, 0.3),
)
def test_any_honest_camera_is_stamped_without_a_jump(
    fps: float, seed: int, base_s: float, latency_s: float, jitter_s: float
) -> None:
    """Any rate, start value, latency and jitter: invariants hold, media steps are exact."""
    rng = random.Random(seed)
    arrivals = [at + rng.uniform(0, jitter_s) for _, at in camera(120, fps, latency_s)]
    arrivals = list(itertools.accumulate(arrivals, max))
    frames: Frames = [(base_s + i / fps, at) for i, at in enumerate(arrivals)]
    stamps = stamp(frames)
    check(frames, stamps)
    assert n_jumps(stamps) == 0
    steps = [b.media_s - a.media_s for a, b in itertools.pairwise(stamps)]
    assert steps == pytest.approx([1 / fps] * 119, abs=1e-6)
    assert max(errors_s(frames, stamps)) <= jitter_s + 1e-6


@UNHURRIED
@given(
    values=st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(allow_nan=True), st.floats(-60, 60)), st.floats(0, 5)
        ),
        max_size=200,
    ),
    is_paced=st.booleans(),
)
def test_no_input_breaks_the_invariants(
    values: list[tuple[float | None, float]], is_paced: bool
) -> None:
    """Whatever a stream claims: media time grows and stays finite, capture is sane."""
    elapsed = itertools.accumulate((step for _, step in values), initial=START_AT)
    frames: Frames = [(pts, at) for (pts, _), at in zip(values, elapsed, strict=False)]
    stamps = stamp(frames, is_paced=is_paced)
    assert all(math.isfinite(s.media_s) for s in stamps)
    check(frames, stamps)


@UNHURRIED
@given(
    jumps=st.lists(st.sampled_from([10.0, -10.0, 100.0, -100.0, 23_860.9]), min_size=1, max_size=5),
    seed=st.integers(0, 1000),
)
def test_any_jumps_are_each_reported_once_and_time_stays_true(
    jumps: list[float], seed: int
) -> None:
    """A jump every 2 s with jitter: as many discontinuities as jumps; media time follows the
    clock."""
    rng = random.Random(seed)
    frames: Frames = []
    for i in range(50 * (len(jumps) + 1)):
        offset = sum(jumps[: i // 50])
        frames.append((i / 25 + offset, START_AT + i / 25 + rng.uniform(0, 0.03)))
    stamps = stamp(frames)
    check(frames, stamps)
    assert n_jumps(stamps) == len(jumps)
    assert max(errors_s(frames, stamps)) <= 0.2
    elapsed = stamps[-1].media_s - stamps[0].media_s
    assert elapsed == pytest.approx((len(frames) - 1) / 25, abs=0.05 * len(jumps))


# ---- files read as fast as possible --------------------------------------------------------------


def fast(pts: Iterable[float | None]) -> Frames:
    """Frames that arrive 1 ms apart."""
    return [(p, START_AT + i * 0.001) for i, p in enumerate(pts)]


def test_a_fast_file_keeps_its_pts_and_captures_on_arrival() -> None:
    """Media time is the PTS whatever the arrival; captured_at is the arrival."""
    frames = fast(i / 25 for i in range(1000))
    stamps = stamp(frames, is_paced=False)
    assert [s.media_s for s in stamps] == pytest.approx([i / 25 for i in range(1000)])
    assert [s.captured_at for s in stamps] == [at for _, at in frames]
    assert n_jumps(stamps) == 0


@pytest.mark.parametrize(
    ("change", "expected_jumps"),
    [
        (lambda i: i / 25 + (100 if i >= 50 else 0), 0),
        (lambda i: i / 25 - (100 if i >= 50 else 0), 1),
        (lambda i: (i / 25 + 2**33 * TICK - 2) % (2**33 * TICK), 0),
        (lambda i: (i % 50) / 25 + 500, 1),
        (lambda i: None if i in (0, 30, 31) else i / 25, 0),
        (lambda i: 1.0, 0),
        (lambda i: (i ^ 1) / 25, 0),
    ],
    ids=["hole", "back", "wrap", "starts-again", "missing", "stuck", "swapped"],
)
def test_odd_pts_in_fast_files(change: Callable[[int], float | None], expected_jumps: int) -> None:
    """Holes stay holes, wraps vanish, steps back are one discontinuity, the rest is bridged."""
    frames = fast(change(i) for i in range(100))
    stamps = stamp(frames, is_paced=False)
    check(frames, stamps)
    assert n_jumps(stamps) == expected_jumps
    span_s = stamps[-1].media_s - stamps[0].media_s
    assert span_s == pytest.approx(103.96 if change(60) == 102.4 else 3.96, abs=0.1)
