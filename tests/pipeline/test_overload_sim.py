"""Claims about batching, ladder and windowing together, on a simulated clock.

Each claim has a counter-example beside it: the same simulation without the defence breaks it.
"""

from __future__ import annotations

import random

import pytest

from pipeline.batching import Batcher, Resolved
from pipeline.config import BatchingConfig
from pipeline.records import Window
from tests.pipeline.overload_sim import FPS, HOP, Record, Simulation, pending

MAX_AGE_S = 1.0
FAIR = 1.2
HOP_S = HOP / FPS


def linear(one_s: float) -> dict[int, float]:
    """Costs as on a CPU: a batch of n costs n windows."""
    return {1: one_s, 2: 2 * one_s, 4: 4 * one_s}


def steps(one_s: float) -> dict[int, dict[int, float]]:
    """Steps at hop 8 and 16, as measured for the exact incremental network."""
    return {8: linear(0.57 * one_s), 16: linear(0.84 * one_s)}


def assert_exact(simulation: Simulation, record: Record) -> None:
    """Every submitted window has one outcome, or waits for it."""
    assert all(len(fates) == 1 for fates in record.fates.values())
    assert set(record.fates) <= set(record.submitted)
    assert len(record.submitted) == len(set(record.submitted))
    assert len(record.submitted) == len(record.fates) + pending(simulation)


def is_fresh(record: Record) -> bool:
    """The p99 age of the newest frame at inference is within a second and a batch."""
    return record.p99_age_s() <= MAX_AGE_S + max(record.batches)


@pytest.mark.parametrize("n_cameras", [1, 2, 3, 4, 8, 16])
@pytest.mark.parametrize("in_phase", [True, False])
@pytest.mark.parametrize("has_steps", [True, False])
def test_four_times_too_much_work_stays_fresh_fair_and_settles(
    n_cameras: int, in_phase: bool, has_steps: bool
) -> None:
    """D1, for 3 minutes; the second camera's pictures arrive 0.3 s later than the others'."""
    one_s = 4 * HOP_S / n_cameras
    simulation = Simulation(
        linear(one_s),
        n_cameras,
        step_cost_s=steps(one_s) if has_steps else {},
        in_phase=in_phase,
        latency_s=[0.05, 0.35],
    )
    record = simulation.run(180)
    assert_exact(simulation, record)
    assert is_fresh(record)
    assert record.unfairness() <= FAIR
    assert record.n_wrong_modes == 0
    levels = [level for _, level in record.levels]
    assert levels == sorted(levels)
    assert record.level == 2
    assert record.levels[-1][0] < 20
    assert record.lost_since(60, simulation.ready_at) == 0


@pytest.mark.parametrize("n_cameras", [2, 8])
@pytest.mark.parametrize("times", [8, 16, 40])
def test_whatever_the_work_it_stays_fresh_and_exact_and_settles(times: int, n_cameras: int) -> None:
    """Up to turns; cameras are served fairly there, too, although windows outnumber the worker."""
    simulation = Simulation(linear(times * HOP_S / n_cameras), n_cameras, in_phase=True)
    record = simulation.run(600)
    assert_exact(simulation, record)
    assert is_fresh(record)
    settled_at = record.levels[-1][0]
    assert settled_at < 300
    simulation.run(settled_at + 1200)
    assert record.levels[-1][0] == settled_at
    assert record.unfairness(since=settled_at + 60) <= FAIR


@pytest.mark.parametrize("n_cameras", [1, 4, 16])
def test_when_the_work_is_gone_full_quality_comes_back(n_cameras: int) -> None:
    """Motion ends after a minute; a minute later everything is as configured."""
    simulation = Simulation(
        linear(4 * HOP_S / n_cameras), n_cameras, motion=lambda index, at: at < 60 or at > 150
    )
    assert simulation.run(60).level >= 2
    assert simulation.run(120).level == 0
    record = simulation.run(200)
    assert record.level == 2
    assert_exact(simulation, record)


@pytest.mark.parametrize("times", [4, 16])
def test_when_the_machine_is_free_again_full_quality_comes_back(times: float) -> None:
    """Another program took the cores for two minutes; afterwards nothing is lost."""
    one_s = 0.5 * HOP_S / 4
    simulation = Simulation(linear(one_s), 4)
    assert simulation.run(20).level == 0
    simulation.set_costs(linear(2 * times * one_s))
    assert simulation.run(140).level >= 2
    simulation.set_costs(linear(one_s))
    record = simulation.run(260)
    assert record.level == 0
    simulation.run(320)
    assert record.lost_since(260, simulation.ready_at) == 0
    assert_exact(simulation, record)


def test_steps_keep_their_streams_where_the_hop_is_widened() -> None:
    """Twice too much for steps at hop 8: at hop 16 nearly every window is a step again."""
    one_s = 1.6 * HOP_S / 4
    simulation = Simulation(linear(one_s), 4, step_cost_s=steps(one_s), in_phase=True)
    record = simulation.run(180)
    assert record.level == 1
    assert record.n_wrong_modes == 0
    assert record.n_steps > 0.8 * len(record.served)
    assert record.unfairness() <= FAIR


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("times", [1.0, 1.6])
def test_a_load_that_wavers_about_an_edge_does_not_make_the_level_flap(
    times: float, seed: int
) -> None:
    """Each of 4 cameras moves or not, anew every 5 s, for half an hour: a change in minutes."""
    rng = random.Random(seed)
    moves = [[rng.random() < 0.75 for _ in range(360)] for _ in range(4)]
    simulation = Simulation(
        linear(times / 0.75 * HOP_S / 4), 4, motion=lambda index, at: moves[index][int(at / 5)]
    )
    record = simulation.run(1799)
    assert len(record.levels) <= 10
    assert is_fresh(record)
    assert_exact(simulation, record)


# ---- the same without a defence --------------------------------------------------------------


def test_without_expiry_and_newest_wins_the_age_grows_without_bound() -> None:
    """Windows that queue up: minutes old at the end. The claim above can fail."""
    simulation = Simulation(linear(HOP_S), 4, is_live=False)
    record = simulation.run(180)
    assert not is_fresh(record)
    assert record.p99_age_s() > 60


class DeadlineOnly(Batcher):
    """No turns: the earliest deadline always comes first, and no place is inherited."""

    def offer(self, window: Window, now: float) -> list[Resolved]:
        queue = self._pending.get(window.camera)
        displaced = [(p.window, "rejected") for p in queue] if queue else []
        if queue:
            queue.clear()
        super().offer(window, now)
        return displaced  # type: ignore[return-value]

    def expire(self, now: float) -> list[Resolved]:
        expired = super().expire(now)
        self._overloaded_until = float("-inf")
        return expired


@pytest.mark.parametrize("has_turns", [True, False])
def test_without_turns_the_camera_with_the_latest_pictures_takes_the_worker(
    has_turns: bool,
) -> None:
    """With the ladder off, so that the overload lasts."""
    config = BatchingConfig(max_batch=4, max_age_s=MAX_AGE_S)
    simulation = Simulation(
        linear(4 * HOP_S / 16),
        16,
        latency_s=[0.05, 0.65],
        is_degrading=False,
        batcher=Batcher(config) if has_turns else DeadlineOnly(config),
    )
    assert (simulation.run(180).unfairness() <= FAIR) is has_turns


def test_without_the_ladder_most_windows_are_lost_for_ever() -> None:
    """Fresh and fair all the same, but three of four windows are formed in vain."""
    simulation = Simulation(linear(HOP_S), 4, is_degrading=False)
    record = simulation.run(180)
    assert record.level == 0
    assert is_fresh(record)
    assert record.lost_since(60, simulation.ready_at) > 300
