"""The back-off: bounded for ever, quick for young outages, slow for refused passwords."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamer.config import ReconnectConfig
from streamer.errors import LossKind
from streamer.reconnect import Backoff

# A busy machine is no failure of the code under test.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

DAY_S = 86_400.0
KINDS: list[LossKind] = [
    "timeout",
    "refused",
    "auth",
    "not_found",
    "dns",
    "server",
    "codec",
    "error",
]


def backoff(seed: int = 0, config: ReconnectConfig | None = None) -> Backoff:
    """A seeded back-off with the default bounds."""
    return Backoff(config or ReconnectConfig(), random.Random(seed))


@UNHURRIED
@given(
    seed=st.integers(0, 2**32),
    initial_s=st.floats(0.01, 60),
    cap_s=st.floats(0.01, 3600),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=300),
)
def test_no_wait_exceeds_its_cap_whatever_happens(
    seed: int, initial_s: float, cap_s: float, kinds: list[LossKind]
) -> None:
    """Any bounds, any sequence of losses: 0 <= wait <= cap of its class."""
    config = ReconnectConfig(
        initial_s=initial_s, cap_s=cap_s, auth_initial_s=initial_s, auth_cap_s=cap_s / 2
    )
    policy = backoff(seed, config)
    for kind in kinds:
        assert 0 <= policy.next_delay_s(kind) <= (cap_s / 2 if kind == "auth" else cap_s)


@pytest.mark.parametrize("seed", range(5))
def test_a_day_of_refusals_ends_in_waits_below_the_cap(seed: int) -> None:
    """A2: after 24 h dead the wait is at most 15 s, so a camera is back within 16 s of its
    return."""
    policy, elapsed_s, waits = backoff(seed), 0.0, list[float]()
    while elapsed_s < DAY_S:
        waits.append(policy.next_delay_s("refused"))
        elapsed_s += waits[-1]
    assert max(waits) <= 15.0
    # Full jitter: the whole range is used, so that a thousand cameras do not come back at once.
    assert min(waits[20:]) < 0.5
    assert 7.0 < sum(waits[20:]) / len(waits[20:]) < 8.0


def test_waits_survive_a_hundred_thousand_losses() -> None:
    """The exponent does not overflow."""
    policy = backoff()
    assert max(policy.next_delay_s("timeout") for _ in range(100_000)) <= 15.0
    assert max(policy.next_delay_s("auth") for _ in range(2000)) <= 60.0


def test_a_camera_back_after_forty_seconds_is_tried_within_five() -> None:
    """A1: 1000 outages of 40 s: every next try comes within 5 s of the return, 95 % within 4.8
    s."""
    late_s = []
    for seed in range(1000):
        policy, at = backoff(seed), 0.0
        while at < 40.0:
            at += policy.next_delay_s("refused")
        late_s.append(at - 40.0)
    assert max(late_s) <= 5.0
    assert sorted(late_s)[950] <= 4.8


@pytest.mark.parametrize("seed", range(20))
def test_a_refused_password_is_tried_at_most_twelve_times_in_ten_minutes(seed: int) -> None:
    """A3: in every stretch of 600 s at most 12 tries, and never more than 60 s between two."""
    policy, tries = backoff(seed), [0.0]
    while tries[-1] < 3 * 3600:
        tries.append(tries[-1] + policy.next_delay_s("auth"))
    for start in tries:
        assert sum(start <= at < start + 600 for at in tries) <= 12
    assert max(b - a for a, b in itertools.pairwise(tries)) <= 60


def test_a_refused_password_waits_longer_than_a_refused_connection() -> None:
    """The first waits: about 5 s after `auth`, at most 0.5 s after `refused`; the counts are
    separate."""
    policy = backoff()
    assert policy.next_delay_s("refused") <= 0.5
    assert 4.8 <= policy.next_delay_s("auth") <= 5.0
    assert policy.next_delay_s("refused") <= 1.0
    assert 19.0 <= policy.next_delay_s("auth") <= 20.0


@pytest.mark.parametrize(
    ("uptime_s", "is_first_again"), [(29.9, False), (30.0, True), (3600.0, True)]
)
def test_only_healthy_time_starts_over(uptime_s: float, is_first_again: bool) -> None:
    """30 s of frames reset the back-off, 29.9 s do not: a camera that flaps stays slowed down."""
    longest = 0.0
    for seed in range(200):
        policy = backoff(seed)
        for _ in range(10):
            policy.next_delay_s("timeout")
        policy.healthy(uptime_s)
        longest = max(longest, policy.next_delay_s("timeout"))
    assert (longest <= 0.5) is is_first_again


def test_equal_seeds_wait_equally() -> None:
    """The policy draws on nothing but its generator."""
    first, second = backoff(9), backoff(9)
    assert [first.next_delay_s(k) for k in KINDS * 5] == [second.next_delay_s(k) for k in KINDS * 5]
