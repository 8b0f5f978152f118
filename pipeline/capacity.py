"""`bresnet bench capacity`: how many cameras this machine serves in time, by running them.

In: frames a second, hop and a limit for the time from capture to score. Out: the largest number of
cameras whose 99th percentile stays below it while no window is lost, and what each number tried
cost, as JSON and as a Markdown table. Each number is a run of the real pipeline with that many
cameras at their own speed, the motion gate off.
Invariant: a number counts only where every window that was due has been scored.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from model.config import ModelConfig
from model.machine import this_machine
from pipeline.app import Pipeline
from pipeline.capacity_report import Capacity, CapacityReport, Mode, Probe
from pipeline.config import HttpConfig, PipelineConfig, SinksConfig
from pipeline.configfile import RunOptions, from_sources
from pipeline.errors import ConfigError
from pipeline.latency import StageTimes
from pipeline.log import configure
from pipeline.meter import trial
from pipeline.records import Prediction
from pipeline.report import Summary
from pipeline.search import find_largest

_STEPS = "bresnet_incremental_steps_total"

CLIP_S = 20
CLIP_SIZE = (640, 360)
"""Of the rendered clip: seconds, and width and height in pixels."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What the cameras ask for.

    Attributes:
        fps: frames a second that are analysed.
        hop: frames between two windows.
        slo_s: limit of the 99th percentile from capture to score, seconds.
        engine: runtime; None for the default.
        precision: None for the default.
        size_px: side of the pictures; None for that of the built-in bundle.
        sources: SOURCE arguments, used in turns; a rendered clip where there are none.
        seconds: measured span of each try.
        settle_s: seconds before it, once the worker is ready.
        max_cameras: largest number that is tried.
    """

    fps: float = 25.0
    hop: int = 4
    slo_s: float = 0.3
    engine: str | None = None
    precision: str | None = None
    size_px: int | None = None
    sources: tuple[str, ...] = ()
    seconds: float = 20.0
    settle_s: float = 5.0
    max_cameras: int = 64


def bench_capacity(
    demand: Demand,
    modes: Sequence[Mode] = ("exact", "full"),
    *,
    json_path: Path | None = None,
    factory: str = "",
    tell: Callable[[str], None] = lambda _: None,
) -> str:
    """Search the largest number of cameras in each mode, and return the Markdown report.

    Args:
        demand: what they ask for.
        modes: what is compared.
        json_path: where to write the figures as JSON too.
        factory: `module:function` that loads the model; empty for the real one.
        tell: is told each result.

    Raises:
        ConfigError: the sources or the model cannot be used.
        OSError: the JSON file or the clip cannot be written.
    """
    configure("error")
    results = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bresnet-bench-")))
        bundle = _bundle(folder / "bundle", demand.size_px)
        models = {mode: _model_config(demand, mode, bundle) for mode in modes}
        if demand.sources:  # a mistake in the last one must not show after minutes
            _config(demand, demand.sources, models[modes[0]])
        sources = demand.sources or (str(_render(folder / "street.mp4", demand.fps)),)
        for mode, model in models.items():
            results.append(_search(demand, mode, sources, model, factory, tell))
    settings = {name: value for name, value in asdict(demand).items() if value is not None}
    settings["sources"] = len(demand.sources) or "rendered 640x360 H.264"
    report = CapacityReport(this_machine(), settings, results)
    if json_path is not None:
        json_path.write_text(report.to_json())
    return report.to_markdown()


def _search(
    demand: Demand,
    mode: Mode,
    sources: Sequence[str],
    model: ModelConfig,
    factory: str,
    tell: Callable[[str], None],
) -> Capacity:
    probes: list[Probe] = []

    def fits(n_cameras: int) -> bool:
        config = _config(demand, list(islice(cycle(sources), n_cameras)), model)
        probes.append(asyncio.run(_probe(demand, config, factory)))
        tell(f"{mode}: {probes[-1].line()}")
        return not probes[-1].complaint

    return Capacity(mode, find_largest(fits, demand.max_cameras), probes)


async def _probe(demand: Demand, config: PipelineConfig, factory: str) -> Probe:
    times = StageTimes()
    n_scored = 0

    def on_prediction(prediction: Prediction) -> None:
        nonlocal n_scored
        n_scored += 1
        times.add(prediction.timeline)

    async with trial(config, factory) as run:
        await run.until_frames()
        await run.until_ready()
        cameras = run.status.cameras.values()
        await run.until(lambda: all(camera.windows["submitted"] for camera in cameras))
        await run.clock.sleep(demand.settle_s)
        before, decode_before_s = run.status.summary(), run.pipeline.decode_cpu_s()
        n_steps_before = _n_steps(run.pipeline)
        run.pipeline.listen(on_prediction)
        costs, span_s = await run.measure(demand.seconds)
        n_in_time, stages = n_scored, times.report()
        n_steps = _n_steps(run.pipeline) - n_steps_before
        after, decode_s = run.status.summary(), run.pipeline.decode_cpu_s() - decode_before_s
        worker = run.status.worker.report()
    return Probe(
        n_cameras=len(config.cameras),
        engine=f"{worker.engine}, {worker.precision}",
        seconds=span_s,
        wanted_hz=len(config.cameras) * demand.fps / demand.hop,
        windows_hz=n_in_time / span_s,
        step_share=min(1.0, n_steps / max(1, n_in_time)),
        lost=_lost(before, after),
        processes=costs,
        decode_share=decode_s / span_s,
        stages=stages,
        slo_s=demand.slo_s,
    )


def _n_steps(pipeline: Pipeline) -> float:
    """Windows that were computed from their new frames so far, as the metrics tell."""
    text = pipeline.metrics.exposition(is_openmetrics=False)[0].decode()
    lines = (line for line in text.splitlines() if line.startswith(_STEPS))
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def _lost(before: Summary, after: Summary) -> dict[str, int]:
    """Count what should have been scored and was not; frames left out by rate are meant to be."""
    lost: dict[str, int] = {}
    for name, harmless in (
        ("inferred", {"ok"}),
        ("windows", {"submitted", "incomplete", "gated"}),
        ("frames_dropped", {"rate_limit"}),
    ):
        old, new = getattr(before, name), getattr(after, name)
        for fate in new.keys() - harmless:
            if (n := new[fate] - old.get(fate, 0)) > 0:
                lost[fate] = lost.get(fate, 0) + n
    return lost


def _config(demand: Demand, sources: Sequence[str], model: ModelConfig) -> PipelineConfig:
    options = RunOptions(
        loop=not any("://" in source for source in sources),
        gate="off",
        fps=demand.fps,
        hop=demand.hop,
    )
    parts = {"model": model, "http": HttpConfig(enabled=False), "sinks": SinksConfig(log=False)}
    return from_sources(sources, options).model_copy(update=parts)


def _model_config(demand: Demand, mode: Mode, bundle: str) -> ModelConfig:
    values: dict[str, Any] = {"bundle": bundle, "mode": "auto" if mode == "exact" else "full"}
    asked = {"engine": demand.engine, "precision": demand.precision}
    values |= {name: value for name, value in asked.items() if value is not None}
    try:
        return ModelConfig.model_validate(values)
    except ValidationError as err:
        first = err.errors()[0]
        raise ConfigError(f"--{first['loc'][0]} {first['input']!r}: {first['msg']}") from None


def _bundle(folder: Path, size_px: int | None) -> str:
    """Name the built-in bundle, or write one like it for another size of picture."""
    from model.bundle import UNTRAINED, save_bundle, untrained_bundle

    if size_px in (None, UNTRAINED.size_px):
        return UNTRAINED.name
    save_bundle(untrained_bundle(UNTRAINED.model_copy(update={"size_px": size_px})), folder)
    return str(folder)


def _render(path: Path, fps: float) -> Path:
    """Write the clip that all cameras show: a street, 640x360, H.264."""
    from streamer.encode import write_video
    from streamer.scenes import scene

    street, rate = scene("street", 0, *CLIP_SIZE), max(1, round(fps))
    write_video(path, (street.render(k / rate) for k in range(CLIP_S * rate)), rate)
    return path
