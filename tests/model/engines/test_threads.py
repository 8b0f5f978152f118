"""The number of threads is measured where there is a choice, and never costs a start."""

from __future__ import annotations

import os
import subprocess

import psutil
import pytest

from model.bundle import UNTRAINED, Manifest
from model.engines import threads
from model.engines.threads import choose_threads, measured, thread_counts

SMALL = UNTRAINED.model_copy(update={"frames": 8, "size_px": 32, "units": 16})


@pytest.mark.parametrize(
    ("usable", "physical", "counts"),
    [(8, 4, (8, 4)), (4, 4, (4,)), (2, 4, (2,)), (2, None, (2,)), (1, 1, (1,))],
)
def test_only_cores_with_two_threads_leave_a_choice(
    usable: int, physical: int | None, counts: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logical processors we may use first, then the physical cores among them."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(usable)))
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: physical)
    assert thread_counts() == counts


@pytest.mark.parametrize(
    ("costs", "chosen"),
    [
        ({8: 1.0, 4: 0.8}, 4),
        ({8: 1.0, 4: 0.97}, None),
        ({8: 0.8, 4: 1.0}, None),
        ({8: float("inf"), 4: 1.0}, 4),
        ({8: float("inf"), 4: float("inf")}, None),
    ],
)
def test_fewer_threads_must_be_clearly_faster(costs: dict[int, float], chosen: int | None) -> None:
    """Noise does not count, nor does a measurement that failed."""
    assert choose_threads(SMALL, (8, 4), lambda manifest, n: costs[n]) == chosen


def test_without_a_choice_nothing_is_measured() -> None:
    """That would only cost time."""

    def refuse(manifest: Manifest, n: int) -> float:
        raise AssertionError

    assert choose_threads(SMALL, (2,), refuse) is None


def test_a_process_of_its_own_measures() -> None:
    """Seconds of a small window on one thread."""
    assert 0 < measured(SMALL, 1) < 60


@pytest.mark.parametrize(
    "error",
    [
        subprocess.CalledProcessError(1, "x"),
        subprocess.TimeoutExpired("x", 1),
        OSError("no such program"),
        ValueError("no number"),
    ],
)
def test_a_failed_measurement_is_infinitely_slow(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong, the start goes on."""

    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(threads.subprocess, "run", fail)
    assert measured(SMALL, 1) == float("inf")
