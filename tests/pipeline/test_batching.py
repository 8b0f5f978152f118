"""Claims about pipeline.batching: exact accounts, bounded age, fairness, batches that pay."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.batching import Batch, Batcher
from pipeline.config import BatchingConfig
from pipeline.records import Timeline, Window

IDS = itertools.count()


def window(camera: str, captured_at: float, *, is_live: bool = True) -> Window:
    return Window(
        window_id=next(IDS),
        camera=camera,
        run=0,
        first_seq=0,
        last_seq=31,
        media_start_s=0.0,
        media_end_s=3.1,
        coverage=1.0,
        motion=0.0,
        is_degraded=False,
        timeline=Timeline(captured_at, captured_at, captured_at),
        is_live=is_live,
    )


def batcher(cost_s: dict[int, float] | None = None, **config: float) -> Batcher:
    made = Batcher(BatchingConfig.model_validate(config))
    made.set_costs(cost_s or {})
    return made


def cameras(batch: Batch | None) -> list[str]:
    assert batch is not None
    return [window.camera for window in batch.windows]


def test_the_newer_window_of_a_live_camera_replaces_the_older() -> None:
    """One pending window a camera; the older is told as rejected."""
    b = batcher()
    old, new = window("a", 0.0), window("a", 0.1)
    assert b.offer(old, 0.0) == []
    assert b.offer(new, 0.1) == [(old, "rejected")]
    assert b.offer(window("b", 0.1), 0.1) == []
    assert len(b) == 2


def test_windows_of_a_fast_source_queue_up_and_never_expire() -> None:
    """Nothing of a file read at full speed is displaced or too old."""
    b = batcher(max_batch=4)
    windows = [window("file", 0.0, is_live=False) for _ in range(3)]
    for each in windows:
        assert b.offer(each, 100.0) == []
    assert b.expire(1e9) == []
    given_out = [b.due(1e9, is_idle=True) for _ in range(3)]
    assert [batch.windows for batch in given_out if batch] == [(each,) for each in windows]


def test_nothing_is_due_while_the_worker_is_busy() -> None:
    """One batch in flight at a time."""
    b = batcher()
    b.offer(window("a", 0.0), 0.0)
    assert b.due(0.0, is_idle=False) is None
    assert b.due(0.0, is_idle=True) is not None
    assert b.due(0.0, is_idle=True) is None


def test_a_window_is_sent_at_once_where_company_would_not_pay() -> None:
    """Costs in proportion to the size, as on a CPU: waiting would only add latency."""
    b = batcher({1: 0.1, 2: 0.2, 4: 0.4})
    for camera in "abc":
        b.offer(window(camera, 0.0), 0.0)
    batch = b.due(0.0, is_idle=True)
    assert batch is not None
    assert batch.trigger == "idle"
    assert cameras(batch) == ["a"]


def test_a_window_waits_for_company_where_it_pays_but_not_longer_than_allowed() -> None:
    """A GPU-like cost: one camera waits for the other until max_wait_s is over."""
    b = batcher({1: 0.010, 2: 0.011, 4: 0.013}, max_wait_s=0.02)
    b.offer(window("a", 0.0), 0.0)
    b.offer(window("b", 0.0), 0.0)
    assert cameras(b.due(0.02, is_idle=True)) == ["a", "b"]
    b.offer(window("a", 1.0), 1.0)
    assert b.due(1.0, is_idle=True) is None
    assert b.next_due_at(1.0) == pytest.approx(1.02)
    batch = b.due(1.02, is_idle=True)
    assert batch is not None
    assert batch.trigger == "timeout"


def test_company_that_completes_the_cameras_ends_the_wait() -> None:
    """When every known camera has a window pending, there is nobody to wait for."""
    b = batcher({1: 0.010, 2: 0.011}, max_wait_s=0.02)
    for at in (0.0, 1.0):
        b.offer(window("a", at), at)
        b.offer(window("b", at), at)
        batch = b.due(at, is_idle=True)
        assert batch is not None
        assert (batch.trigger, len(batch.windows)) == ("idle", 2)


def test_a_full_batch_is_sent_at_once_and_the_rest_stays() -> None:
    """max_batch bounds the batch; the others come first next time."""
    b = batcher({1: 0.010, 2: 0.011}, max_batch=2)
    for camera in "abc":
        b.offer(window(camera, 0.0), 0.0)
    batch = b.due(0.0, is_idle=True)
    assert batch is not None
    assert (batch.trigger, cameras(batch)) == ("full", ["a", "b"])
    b.offer(window("a", 0.1), 0.1)
    b.offer(window("b", 0.1), 0.1)
    assert cameras(b.due(0.1, is_idle=True))[0] == "c"


def test_a_window_that_would_expire_meanwhile_does_not_wait() -> None:
    """The wait ends early enough for the answer: trigger deadline."""
    b = batcher({1: 0.2, 2: 0.21}, max_wait_s=1.0, max_age_s=1.0)
    b.offer(window("b", 0.0), 0.0)
    b.due(1.0, is_idle=True)
    b.offer(window("a", 10.0), 10.7)
    assert b.due(10.7, is_idle=True) is None
    assert b.next_due_at(10.7) == pytest.approx(10.8)
    batch = b.due(10.8, is_idle=True)
    assert batch is not None
    assert batch.trigger == "deadline"


def test_draining_waits_for_nobody() -> None:
    """At the end of the stream every batch is due at once."""
    b = batcher({1: 0.010, 2: 0.011}, max_wait_s=1.0)
    b.offer(window("b", 0.0), 0.0)
    b.offer(window("a", 0.0), 0.0)
    b.due(0.0, is_idle=True)
    b.offer(window("a", 0.0), 0.0)
    assert b.due(0.1, is_idle=True) is None
    b.drain()
    batch = b.due(0.1, is_idle=True)
    assert batch is not None
    assert batch.trigger == "drain"


def test_a_window_that_is_too_old_is_expired_and_never_given_out() -> None:
    """At the age limit exactly, `due` passes it over and `expire` tells it."""
    b = batcher(max_age_s=1.0)
    old = window("a", 0.0)
    b.offer(old, 0.5)
    assert b.expire(0.999) == []
    assert b.due(1.0, is_idle=True) is None
    assert b.expire(1.0) == [(old, "expired")]
    assert len(b) == 0
    assert b.next_due_at(1.0) is None


def test_overload_makes_batches_where_they_raise_throughput() -> None:
    """A displaced window shows that the worker cannot keep up: then the cheapest size is taken."""
    cost_s = {1: 0.10, 2: 0.18, 3: 0.27, 4: 0.32}
    b = batcher(cost_s, max_age_s=10.0)
    for camera in "abcd":
        b.offer(window(camera, 0.0), 0.0)
    assert len(cameras(b.due(0.0, is_idle=True))) == 1
    b.offer(window("b", 0.1), 0.1)
    b.offer(window("a", 0.1), 0.1)
    batch = b.due(0.1, is_idle=True)
    assert batch is not None
    assert (batch.trigger, len(batch.windows)) == ("full", 4)


def test_batches_are_made_when_taking_turns_would_let_windows_expire() -> None:
    """Four windows of 0.3 s in turn would take the last beyond one second; together they do not."""
    b = batcher({1: 0.3, 2: 0.55, 3: 0.7, 4: 0.72}, max_age_s=1.0)
    for camera in "abcd":
        b.offer(window(camera, 0.0), 0.2)
    assert len(cameras(b.due(0.2, is_idle=True))) == 4


def test_overload_makes_no_batches_where_they_are_no_cheaper() -> None:
    """On a CPU four windows cost four times one: a batch would only make every answer later."""
    b = batcher({1: 0.468, 2: 0.936, 4: 1.85}, max_age_s=1.0)
    for camera in "abcd":
        b.offer(window(camera, 0.0), 0.2)
        b.offer(window(camera, 0.1), 0.2)
    assert len(cameras(b.due(0.2, is_idle=True))) == 1


def test_costs_between_and_beyond_measured_sizes_are_estimated() -> None:
    """On a line between neighbours, in proportion outside."""
    b = batcher({2: 0.2, 4: 0.3})
    assert [b._cost(n) for n in (1, 2, 3, 4, 8)] == pytest.approx([0.1, 0.2, 0.25, 0.3, 0.6])


def test_a_window_is_retried_alone_and_only_while_worth_it() -> None:
    """Its companions must not die with it twice; a newer window or its age make it pointless."""
    b = batcher({1: 0.010, 2: 0.011, 4: 0.013})
    poison, mate = window("a", 0.0), window("b", 0.0)
    b.offer(window("c", 0.0), 0.0)
    b.offer(mate, 0.0)
    assert b.retry(poison, 0.1)
    batches = [b.due(0.2, is_idle=True) for _ in range(2)]
    assert [cameras(batch) for batch in batches] == [["c", "b"], ["a"]]
    b.offer(window("a", 0.3), 0.3)
    assert not b.retry(poison, 0.3)
    assert not b.retry(mate, 1.0)
    old = window("file", 0.0, is_live=False)
    b.offer(window("file", 1.0, is_live=False), 1.0)
    assert b.retry(old, 99.0)
    assert b.due(99.0, is_idle=True) == Batch((old,), "idle")


def test_what_is_left_without_a_worker_is_rejected() -> None:
    """Everything pending gets its outcome."""
    b = batcher()
    windows = [window("a", 0.0), window("b", 0.0)]
    for each in windows:
        b.offer(each, 0.0)
    assert b.reject_all() == [(each, "rejected") for each in windows]
    assert len(b) == 0


steps = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), st.sampled_from("abcde"), st.floats(0, 1.5), st.booleans()),
        st.tuples(st.just("due"), st.booleans(), st.floats(0, 0.3), st.booleans()),
    ),
    max_size=80,
)


@settings(max_examples=200, deadline=None)
@given(
    steps,
    st.integers(1, 5),
    st.dictionaries(st.integers(1, 5), st.floats(0.01, 1.0), max_size=4),
)
def test_every_window_is_accounted_for_exactly_once(
    actions: list[tuple[str, str | bool, float, bool]], max_batch: int, cost_s: dict[int, float]
) -> None:
    """offered = given out + displaced + expired + pending, always; no live one is too old."""
    b = batcher(cost_s, max_batch=max_batch, max_age_s=1.0)
    now = 100.0
    offered: Counter[int] = Counter()
    fates: Counter[int] = Counter()
    for kind, which, seconds, flag in actions:
        if kind == "offer":
            # A live camera and a file are never the same camera.
            made = window(f"{which}{flag}", now - seconds, is_live=flag)
            offered[made.window_id] += 1
            fates.update(w.window_id for w, _ in b.offer(made, now))
        else:
            now += seconds
            if flag:
                fates.update(w.window_id for w, _ in b.expire(now))
            batch = b.due(now, is_idle=bool(which))
            if batch is None:
                continue
            assert 1 <= len(batch.windows) <= max_batch
            assert len({w.camera for w in batch.windows}) == len(batch.windows)
            assert all(now - w.timeline.captured_at < 1.0 for w in batch.windows if w.is_live)
            fates.update(w.window_id for w in batch.windows)
    n_pending = len(b)
    left = [w.window_id for w, _ in b.reject_all()]
    assert n_pending == len(left)
    fates.update(left)
    assert fates == offered


@pytest.mark.parametrize("n_cameras", [3, 8, 16])
@pytest.mark.parametrize("exponent", [1.0, 0.8])
def test_overload_is_shared_fairly_and_stays_fresh(n_cameras: int, exponent: float) -> None:
    """D1: 60 s at 4 times the capacity: each camera gets its share (max/min <= 1.2), age < 1 s."""
    hop_s = 0.8
    one_s = 4 * hop_s / n_cameras
    cost_s = {size: one_s * size**exponent for size in (1, 2, 4)}
    b = batcher(cost_s, max_batch=4, max_age_s=1.0)
    # Neither in phase nor in a nice ratio, as cameras are.
    ready = [(hop_s * (k * 0.37 % 1.0), f"cam{k}") for k in range(n_cameras)]
    served: Counter[str] = Counter()
    n_offered = n_lost = 0
    now = busy_until = 0.0
    while now < 60.0:
        at, camera = min(ready)
        now = min(at, busy_until) if busy_until > now else at
        if at <= now:
            ready.remove((at, camera))
            ready.append((at + hop_s, camera))
            n_offered += 1
            n_lost += len(b.offer(window(camera, at - 0.05), now))
        n_lost += len(b.expire(now))
        batch = b.due(now, is_idle=now >= busy_until)
        if batch is not None:
            assert all(now - w.timeline.captured_at < 1.0 for w in batch.windows)
            served.update(w.camera for w in batch.windows)
            busy_until = now + b._cost(len(batch.windows))
    assert len(served) == n_cameras
    assert max(served.values()) / min(served.values()) <= 1.2
    assert n_offered == served.total() + n_lost + len(b)
    assert served.total() < n_offered / 2


def test_after_an_overload_nothing_is_dropped_any_more() -> None:
    """D1: within two seconds after the load is back to what the worker can do, drops end."""
    b = batcher({1: 0.1, 2: 0.2, 4: 0.4}, max_batch=4, max_age_s=1.0)
    lost_at: list[float] = []
    busy_until = 0.0
    for tick in range(2000):
        now = tick / 100
        period = 10 if now < 10 else 80
        for k in range(4):
            if (tick + 7 * k) % period == 0:
                lost_at += [now for _ in b.offer(window(f"cam{k}", now), now)]
        lost_at += [now for _ in b.expire(now)]
        batch = b.due(now, is_idle=now >= busy_until)
        if batch is not None:
            busy_until = now + b._cost(len(batch.windows))
    assert any(at < 10 for at in lost_at)
    assert not [at for at in lost_at if at > 12]
