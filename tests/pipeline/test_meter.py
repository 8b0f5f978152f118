"""Claims about pipeline.meter: it counts what the pipeline takes, and waits for its states."""

from __future__ import annotations

import math
import time

import psutil
import pytest

from pipeline.errors import ConfigError
from pipeline.meter import Meter, trial
from tests.product import READER, camera_config, config_of

SCENE = {"kind": "synthetic", "name": "street", "width": 160, "height": 120}


class Lone:
    """A pipeline without children, as far as a meter sees."""

    def pids(self) -> dict[str, int]:
        return {}


def test_the_meter_leaves_out_what_it_took_itself() -> None:
    """Sampling costs CPU; work of the process counts and sampling does not."""
    meter = Meter(Lone())
    meter.sample()
    began_s, before_s = time.thread_time(), time.process_time()
    for _ in range(200):
        meter.sample()
    own_s, used_s = time.thread_time() - began_s, time.process_time() - before_s
    (cost,) = meter.costs(1.0)
    assert (cost.name, cost.pss_mib > 1, cost.pss_peak_mib >= cost.pss_mib) == (
        "control",
        True,
        True,
    )
    assert cost.cpu_share <= used_s - 0.5 * own_s + 0.02


def test_work_between_samples_is_counted() -> None:
    """CPU seconds of the process over the span that is named."""
    meter = Meter(Lone())
    meter.sample()
    began_s = time.process_time()
    while time.process_time() - began_s < 0.1:
        math.factorial(1000)
    meter.sample()
    (cost,) = meter.costs(0.5)
    assert cost.cpu_share >= 0.15


async def test_a_trial_runs_until_the_block_ends() -> None:
    """Frames, then the worker, then a measured span; nothing is left behind."""
    async with trial(config_of(camera_config("c", SCENE)), READER) as run:
        assert not run.pipeline.config.analysis.degrade
        frames_at = await run.until_frames()
        assert await run.until_ready() >= frames_at or run.status.worker.state == "ready"
        costs, span_s = await run.measure(0.3)
        pids = run.pipeline.pids()
    assert span_s >= 0.3
    assert {cost.name for cost in costs} == {"control", "capture:c", "worker"}
    assert not [pid for pid in pids.values() if psutil.pid_exists(pid)]


async def test_a_state_that_never_comes_ends_with_the_pipeline() -> None:
    """A source that cannot be read is named; one that ended is too short."""
    with pytest.raises(ConfigError, match=r"no-such\.mp4"):
        async with trial(config_of(camera_config("c", "no-such.mp4")), READER) as run:
            await run.until(lambda: False)
    short = SCENE | {"duration_s": 0.2, "pace": "fast"}
    with pytest.raises(ConfigError, match="--loop"):
        async with trial(config_of(camera_config("c", short)), READER) as run:
            await run.until(lambda: False)


async def test_an_error_in_the_block_is_the_one_that_is_told() -> None:
    """The pipeline is stopped all the same."""

    async def fail() -> None:
        async with trial(config_of(camera_config("c", SCENE)), READER) as run:
            await run.until_frames()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
