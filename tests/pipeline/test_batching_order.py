"""Claims about the order of pipeline.batching: deadlines, turns, modes, files."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from pipeline.batching import OVERLOAD_S, Batch, Batcher
from pipeline.config import BatchingConfig
from pipeline.records import Timeline, Window
from tests.records import window

IDS = itertools.count()
FULL = {1: 0.1, 4: 0.4}
STEPS = {8: {1: 0.02, 4: 0.05}}


def made(
    camera: str, captured_at: float, *, last_seq: int = 31, run: int = 0, is_live: bool = True
) -> Window:
    return window(
        next(IDS),
        camera=camera,
        run=run,
        first_seq=last_seq - 31,
        last_seq=last_seq,
        hop=8,
        is_live=is_live,
        timeline=Timeline(captured_at, captured_at, captured_at),
    )


def batcher(max_batch: int = 4, **config: float) -> Batcher:
    policy = Batcher(BatchingConfig.model_validate({"max_batch": max_batch} | config))
    policy.set_costs(FULL, STEPS)
    return policy


def next_of(policy: Batcher, now: float) -> Batch:
    batch = policy.due(now, is_idle=True)
    assert batch is not None
    return batch


def cameras(batch: Batch) -> list[str]:
    return [w.camera for w in batch.windows]


def test_the_earliest_deadline_comes_first() -> None:
    """Whoever was offered first: the older picture expires first."""
    policy = batcher()
    policy.offer(made("prompt", 0.0), 0.0)
    policy.offer(made("late", -0.4), 0.1)
    assert cameras(next_of(policy, 0.1)) == ["late"]


def test_a_window_takes_the_place_of_the_one_it_replaces() -> None:
    """It inherits deadline and wait: a camera with a short hop cannot fall behind for ever."""
    policy = batcher(max_wait_s=0.02)
    policy.set_costs({1: 0.010, 2: 0.011})
    policy.offer(made("a", 0.0), 0.0)
    next_of(policy, 0.02)
    policy.offer(made("b", 0.0), 0.0)
    for tick in range(1, 3):
        policy.offer(made("b", 0.01 * tick), 0.01 * tick)
    (b,) = policy._pending["b"]
    assert (b.since, b.due_at) == (0.0, 1.0)
    batch = next_of(policy, 0.02)
    assert (batch.trigger, cameras(batch)) == ("timeout", ["b"])


@pytest.mark.parametrize("latency_s", [0.0, 0.5])
def test_a_camera_whose_pictures_arrive_late_gets_its_share_and_no_more(latency_s: float) -> None:
    """Deadlines alone would always prefer it: once windows are lost, cameras take turns."""
    policy = batcher()
    policy.set_costs({1: 0.1})
    served: Counter[str] = Counter()
    now = 0.0
    while now < 30:
        for camera in "abc":
            age_s = latency_s if camera == "a" else 0.0
            policy.offer(made(camera, now - age_s), now)
        policy.expire(now)
        served.update(cameras(next_of(policy, now)))
        now += 0.1
    assert max(served.values()) / min(served.values()) <= 1.05


def test_turns_end_a_while_after_the_last_loss() -> None:
    """Then the earliest deadline comes first again."""
    policy = batcher()
    for at in (0.0, 0.1):
        policy.offer(made("a", at), at)
    next_of(policy, 0.1)
    after = 0.1 + OVERLOAD_S
    policy.offer(made("new", after), after)
    policy.offer(made("a", after - 0.5), after)
    assert cameras(next_of(policy, after)) == ["a"]


def test_a_batch_holds_windows_of_one_mode() -> None:
    """The worker would run them apart anyway; the mode is told."""
    policy = batcher(max_batch=4, max_wait_s=0.0)
    policy.set_costs({1: 0.1, 4: 0.11}, {8: {1: 0.02, 4: 0.03}})
    for camera in "ab":
        policy.offer(made(camera, 0.0), 0.0)
    assert next_of(policy, 0.0).mode == 0
    for camera in "abcd":
        policy.offer(made(camera, 0.8, last_seq=39), 0.8)
    batches = [next_of(policy, 0.8) for _ in range(2)]
    assert [(batch.mode, sorted(cameras(batch))) for batch in batches] == [
        (8, ["a", "b"]),
        (0, ["c", "d"]),
    ]


def test_a_cheap_step_does_not_wait_behind_full_windows_that_have_time() -> None:
    """Four full windows would take 0.4 s; the step is done in 0.02 s and they are still in time."""
    policy = batcher()
    policy.offer(made("stream", 0.0), 0.0)
    next_of(policy, 0.0)
    for camera in "abcd":
        policy.offer(made(camera, 0.7), 0.7)
    policy.offer(made("stream", 0.8, last_seq=39), 0.8)
    assert cameras(next_of(policy, 0.8)) == ["stream"]


def test_a_cheap_step_waits_where_a_full_window_would_come_too_late() -> None:
    """The full window's last moment to begin is now."""
    policy = batcher()
    policy.offer(made("stream", 0.0), 0.0)
    next_of(policy, 0.0)
    policy.offer(made("old", -0.195), 0.5)
    policy.offer(made("stream", 0.8, last_seq=39), 0.8)
    assert cameras(next_of(policy, 0.8)) == ["old"]


def test_steps_do_not_starve_full_windows_under_overload() -> None:
    """Whoever holds a stream would hold the worker for ever; turns go on in any mode."""
    policy = batcher(max_batch=1)
    served: Counter[str] = Counter()
    for tick in range(400):
        now = 0.02 * tick
        for k, camera in enumerate("abcd"):
            policy.offer(made(camera, now, last_seq=31 + 8 * tick + k), now)
        served.update(cameras(next_of(policy, now)))
    assert max(served.values()) / min(served.values()) <= 1.05


def test_a_cheap_step_waits_for_its_turn_under_overload() -> None:
    """Although the full window would have time: steps would get more than their share."""
    policy = batcher()
    policy.offer(made("stream", 0.0), 0.0)
    next_of(policy, 0.0)
    for at in (0.7, 0.75):
        policy.offer(made("other", at), at)
    policy.offer(made("stream", 0.8, last_seq=39), 0.8)
    assert cameras(next_of(policy, 0.8)) == ["other"]


def test_a_lost_worker_or_window_makes_the_next_window_full() -> None:
    """What the batcher expects follows what the worker has."""
    policy = batcher()
    first = made("a", 0.0)
    policy.offer(first, 0.0)
    next_of(policy, 0.0)
    policy.failed(first)
    policy.offer(made("a", 0.8, last_seq=39), 0.8)
    second = next_of(policy, 0.8)
    assert second.mode == 0
    policy.offer(made("a", 1.6, last_seq=47), 1.6)
    third = next_of(policy, 1.6)
    assert third.mode == 8
    assert policy.retry(third.windows[0], 1.7)
    assert next_of(policy, 1.7).mode == 0


def test_a_file_waits_behind_live_cameras_but_not_for_ever() -> None:
    """Its windows never expire, so it gives way; after max_age_s it has its place."""
    policy = batcher(max_age_s=1.0)
    policy.offer(made("file", 0.0, is_live=False), 0.0)
    policy.offer(made("live", 0.5), 0.5)
    assert cameras(next_of(policy, 0.5)) == ["live"]
    policy.offer(made("live", 1.1), 1.1)
    assert cameras(next_of(policy, 1.1)) == ["file"]
