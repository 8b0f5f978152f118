"""`bresnet bench pipeline`: what the pipeline itself costs, on this machine, in one run.

In: sources and a duration. Out: CPU and memory (PSS) by process, time by stage, latencies, and the
share of a core that is neither decoding nor inference, as JSON and as a Markdown table.
Invariant: the first seconds (imports, warm-up) are not measured.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from model.machine import Machine, this_machine
from pipeline.config import PipelineConfig
from pipeline.log import configure
from pipeline.meter import ProcessCost, trial
from pipeline.report import StageSummary
from streamer.clock import SystemClock

_SETTLE_S = 2.0


@dataclass(frozen=True, slots=True)
class PipelineCost:
    """The result of one run.

    Attributes:
        machine: where it ran.
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

    machine: Machine
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
    started_at = SystemClock().now()
    async with trial(config, factory) as run:
        frames_at = await run.until_frames()
        ready_at = await run.until_ready()
        await run.clock.sleep(_SETTLE_S)
        before, decode_before_s = run.status.summary(), run.pipeline.decode_cpu_s()
        costs, span_s = await run.measure(seconds)
        after, decode_s = run.status.summary(), run.pipeline.decode_cpu_s() - decode_before_s
    n_cameras = len(after.cameras)
    ours = sum(cost.cpu_share for cost in costs if cost.name != "worker")
    return PipelineCost(
        machine=this_machine(),
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
