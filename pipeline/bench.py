"""`bresnet bench pipeline`: what the pipeline itself costs, on this machine, in one run.

In: sources and a duration. Out: CPU and memory (PSS) by process, time by stage, latencies, and the
share of a core that is neither decoding nor inference, as JSON and as a Markdown table.
Invariant: the first seconds (imports, warm-up) are not measured.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from pipeline.app import Pipeline
from pipeline.config import PipelineConfig
from pipeline.errors import ConfigError
from pipeline.log import configure
from pipeline.report import StageSummary
from pipeline.status import StatusBoard
from streamer.clock import SystemClock

_EVERY_S = 1.0
_WARM_UP_S = 180.0
_SETTLE_S = 2.0
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


@dataclass(frozen=True, slots=True)
class PipelineCost:
    """The result of one run.

    Attributes:
        machine: processor, cores and Python.
        n_cameras: cameras that ran.
        seconds: length of the measured span.
        fps_in: decoded frames a second and camera, mean.
        windows_hz: classified windows a second, all cameras.
        overhead_share: share of one core a camera that is neither decoding nor inference.
        decode_share: share of one core a camera spent decoding, or rendering a synthetic one.
        processes: cost of each.
        stages: latency of each stage, seconds.
        start_to_frames_s: from the start of the pipeline until every camera had delivered a frame.
        start_to_ready_s: until the worker was ready.
        dropped: frames dropped by reason.
        windows: possible windows by fate.
        inferred: submitted windows by fate.
    """

    machine: str
    n_cameras: int
    seconds: float
    fps_in: float
    windows_hz: float
    overhead_share: float
    decode_share: float
    processes: list[ProcessCost]
    stages: list[StageSummary]
    start_to_frames_s: float
    start_to_ready_s: float
    dropped: Mapping[str, int]
    windows: Mapping[str, int]
    inferred: Mapping[str, int]

    def to_json(self) -> str:
        """Return everything as JSON."""
        values = asdict(self) | {"stages": [stage.model_dump() for stage in self.stages]}
        return json.dumps(values, indent=2) + "\n"

    def to_markdown(self) -> str:
        """Return the tables a README shows."""
        lines = [
            f"{self.n_cameras} cameras, {self.fps_in:.1f} fps each, "
            f"{self.windows_hz:.1f} windows/s, {self.seconds:.0f} s on {self.machine}",
            "",
            "| process | CPU (cores) | memory (PSS) | peak |",
            "| --- | --- | --- | --- |",
        ]
        lines += [
            f"| {p.name} | {p.cpu_share:.3f} | {p.pss_mib:.0f} MiB | {p.pss_peak_mib:.0f} MiB |"
            for p in self.processes
        ]
        lines += ["", "| stage | p50 | p95 | p99 |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {s.stage} | {_ms(s.p50_s)} | {_ms(s.p95_s)} | {_ms(s.p99_s)} |" for s in self.stages
        ]
        lines += [
            "",
            f"own overhead a camera: {self.overhead_share:.1%} of one core"
            f" (decoding: {self.decode_share:.1%})",
            f"frames from every camera after {self.start_to_frames_s:.2f} s,"
            f" first scores possible after {self.start_to_ready_s:.1f} s",
        ]
        return "\n".join(lines) + "\n"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"


class _Meter:
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
        own_began_s = time.thread_time()
        for name, pid in {"control": os.getpid(), **self._pipeline.pids()}.items():
            process = psutil.Process(pid)
            times = process.cpu_times()
            used_s = times.user + times.system - (self._own_s if name == "control" else 0.0)
            self._cpu[name] = (self._cpu.get(name, (used_s, used_s))[0], used_s)
            self._pss.setdefault(name, []).append(process.memory_full_info().pss / _MIB)
        self._own_s += time.thread_time() - own_began_s

    def costs(self, seconds: float) -> list[ProcessCost]:
        return [
            ProcessCost(
                name=name,
                cpu_share=(last - first) / seconds,
                pss_mib=statistics.median(self._pss[name]),
                pss_peak_mib=max(self._pss[name]),
            )
            for name, (first, last) in self._cpu.items()
        ]


def bench_pipeline(config: PipelineConfig, *, seconds: float, json_path: Path | None = None) -> str:
    """Run a pipeline, measure it, and return the Markdown report.

    Args:
        config: what to run.
        seconds: length of the measured span, after frames flow and the worker is ready.
        json_path: where to write the figures as JSON too.

    Raises:
        ConfigError: the sources or the model cannot be used.
        OSError: the JSON file cannot be written.
    """
    configure("warning")
    cost = asyncio.run(_measure(config, seconds))
    if json_path is not None:
        json_path.write_text(cost.to_json())
    return cost.to_markdown()


async def _measure(config: PipelineConfig, seconds: float, factory: str = "") -> PipelineCost:
    clock = SystemClock()
    started_at = clock.now()
    pipeline = Pipeline(config, clock, [], factory)
    status = pipeline.status
    run = asyncio.get_running_loop().create_task(pipeline.run(), name="pipeline")
    try:
        frames_at = await _until(run, clock, status, lambda: _all_deliver(status))
        ready_at = await _until(run, clock, status, lambda: status.worker.state == "ready")
        await clock.sleep(_SETTLE_S)
        meter, before, began_at = _Meter(pipeline), status.summary(), clock.now()
        decode_before = pipeline.decode_cpu_s()
        while clock.now() - began_at < seconds and not run.done():
            meter.sample()
            await clock.sleep(_EVERY_S)
        meter.sample()
        after, span_s = status.summary(), clock.now() - began_at
        decode_s = pipeline.decode_cpu_s() - decode_before
    finally:
        pipeline.stop()
        await asyncio.wait([run])
    run.result()
    n_cameras = len(after.cameras)
    costs = meter.costs(span_s)
    ours = sum(cost.cpu_share for cost in costs if cost.name != "worker")
    return PipelineCost(
        machine=f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        n_cameras=n_cameras,
        seconds=span_s,
        fps_in=(after.frames_decoded - before.frames_decoded) / span_s / n_cameras,
        windows_hz=(after.inferred.get("ok", 0) - before.inferred.get("ok", 0)) / span_s,
        overhead_share=(ours - decode_s / span_s) / n_cameras,
        decode_share=decode_s / span_s / n_cameras,
        processes=costs,
        stages=after.stages,
        start_to_frames_s=frames_at - started_at,
        start_to_ready_s=ready_at - started_at,
        dropped=after.frames_dropped,
        windows=after.windows,
        inferred=after.inferred,
    )


def _all_deliver(status: StatusBoard) -> bool:
    cameras = status.cameras.values()
    return bool(cameras) and all(camera.tally.total.used for camera in cameras)


def _why_ended(status: StatusBoard) -> str:
    failed = [camera for camera in status.summary().cameras if camera.is_failed]
    if failed:
        return f"{failed[0].id}: {failed[0].detail}"
    return "the sources ended before anything could be measured; use --loop or longer ones"


async def _until(
    run: asyncio.Task[None], clock: SystemClock, status: StatusBoard, condition: Condition
) -> float:
    """Wait for a state of the running pipeline; return the instant it was reached."""
    end = clock.now() + _WARM_UP_S
    while not condition():
        if run.done():
            run.result()
            raise ConfigError(_why_ended(status))
        if clock.now() > end:
            raise ConfigError(f"the pipeline was not running after {_WARM_UP_S:.0f} s")
        await clock.sleep(0.02)
    return clock.now()
