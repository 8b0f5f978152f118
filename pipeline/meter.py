"""Measuring a pipeline that runs: CPU and memory by process, and waiting for its states.

In: a `Pipeline` in the event loop at hand. Out: `ProcessCost`s of a span of time. Used by the
benches. Invariant: what the meter takes itself is not counted.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psutil

from pipeline.app import Pipeline
from pipeline.config import PipelineConfig
from pipeline.errors import ConfigError
from pipeline.status import StatusBoard
from streamer.clock import SystemClock

_EVERY_S = 1.0
_WARM_UP_S = 180.0
_MIB = 1 << 20

Condition = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class ProcessCost:
    """What one process took during the measured span.

    Attributes:
        name: control, worker or capture:<name>.
        cpu_share: CPU seconds a second (1 = one core).
        pss_mib: median proportional set size, MiB.
        pss_peak_mib: highest, MiB.
    """

    name: str
    cpu_share: float
    pss_mib: float
    pss_peak_mib: float


class Meter:
    """Samples CPU and memory of all processes of a pipeline.

    It runs in the control process but is no part of it: adding up a worker's pages takes 15 ms,
    more than a camera does in a second. What it took itself is left out.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._cpu: dict[str, tuple[float, float]] = {}
        self._pss: dict[str, list[float]] = {}
        self._own_s = 0.0

    def sample(self) -> None:
        """Look at every process now."""
        own_began_s = time.thread_time()
        for name, pid in {"control": os.getpid(), **self._pipeline.pids()}.items():
            process = psutil.Process(pid)
            times = process.cpu_times()
            used_s = times.user + times.system - (self._own_s if name == "control" else 0.0)
            self._cpu[name] = (self._cpu.get(name, (used_s, used_s))[0], used_s)
            self._pss.setdefault(name, []).append(process.memory_full_info().pss / _MIB)
        self._own_s += time.thread_time() - own_began_s

    def costs(self, seconds: float) -> list[ProcessCost]:
        """Return what each process took over the span between the first and the last sample."""
        return [
            ProcessCost(
                name=name,
                cpu_share=(last - first) / seconds,
                pss_mib=statistics.median(self._pss[name]),
                pss_peak_mib=max(self._pss[name]),
            )
            for name, (first, last) in self._cpu.items()
        ]


class Trial:
    """A pipeline that runs to be measured.

    Args:
        pipeline: not started yet.
        clock: time.
        task: its run.
    """

    def __init__(self, pipeline: Pipeline, clock: SystemClock, task: asyncio.Task[None]) -> None:
        self.pipeline = pipeline
        self.clock = clock
        self._task = task

    @property
    def status(self) -> StatusBoard:
        """Its live state."""
        return self.pipeline.status

    async def until(self, condition: Condition) -> float:
        """Wait for a state of the running pipeline; return the instant it was reached.

        Raises:
            ConfigError: it ended before, or took too long.
        """
        end = self.clock.now() + _WARM_UP_S
        while not condition():
            if self._task.done():
                self._task.result()
                raise ConfigError(_why_ended(self.status))
            if self.clock.now() > end:
                raise ConfigError(f"the pipeline was not running after {_WARM_UP_S:.0f} s")
            await self.clock.sleep(0.02)
        return self.clock.now()

    async def until_frames(self) -> float:
        """Wait until every camera has delivered a frame; return the instant."""
        return await self.until(lambda: _all_deliver(self.status))

    async def until_ready(self) -> float:
        """Wait until the worker is ready; return the instant."""
        return await self.until(lambda: self.status.worker.state == "ready")

    async def measure(self, seconds: float) -> tuple[list[ProcessCost], float]:
        """Sample for some seconds; return the costs and how long it really was."""
        meter, began_at = Meter(self.pipeline), self.clock.now()
        while self.clock.now() - began_at < seconds and not self._task.done():
            meter.sample()
            await self.clock.sleep(min(_EVERY_S, seconds))
        meter.sample()
        span_s = self.clock.now() - began_at
        return meter.costs(span_s), span_s


@asynccontextmanager
async def trial(config: PipelineConfig, factory: str = "") -> AsyncIterator[Trial]:
    """Run a pipeline for as long as the block; stop and drain it behind."""
    clock = SystemClock()
    # What is measured is what was asked for, not what the ladder of quality makes of it.
    analysis = config.analysis.model_copy(update={"degrade": False})
    config = config.model_copy(update={"analysis": analysis})
    pipeline = Pipeline(config, clock, [], factory)
    task = asyncio.get_running_loop().create_task(pipeline.run(), name="pipeline")
    try:
        yield Trial(pipeline, clock, task)
    finally:
        pipeline.stop()
        await asyncio.wait([task])
    task.result()


def _all_deliver(status: StatusBoard) -> bool:
    cameras = status.cameras.values()
    return bool(cameras) and all(camera.tally.total.used for camera in cameras)


def _why_ended(status: StatusBoard) -> str:
    failed = [camera for camera in status.summary().cameras if camera.is_failed]
    if failed:
        return f"{failed[0].id}: {failed[0].detail}"
    return "the sources ended before anything could be measured; use --loop or longer ones"
