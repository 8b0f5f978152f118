"""Back-off between the lives of a process."""

from __future__ import annotations

import itertools

from pipeline.restart import RestartPolicy


def test_the_back_off_doubles_to_its_cap_and_starts_anew_after_a_healthy_minute() -> None:
    """E4: 0.5 s to 30 s, never less, never more; 60 s of health forgive everything."""
    policy = RestartPolicy(0.5, 30.0)
    assert [policy.wait_s(0.0) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert policy.wait_s(59.9) == 30
    assert policy.wait_s(60.0) == 0.5
    assert policy.wait_s(0.0) == 1


def test_fifteen_crashes_in_a_row_never_start_more_than_one_worker_in_half_a_second() -> None:
    """E4 on a simulated clock: starts are at least 0.5 s apart, the 16th comes within 31 s."""
    policy = RestartPolicy(0.5, 30.0)
    starts = [0.0]
    for _ in range(15):
        starts.append(starts[-1] + policy.wait_s(0.0))
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert min(gaps) >= 0.5
    assert max(gaps) <= 31
