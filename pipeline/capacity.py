"""`bresnet bench capacity`: how many cameras this machine serves in time, by running them.

In: frames a second, hop and a limit for the time from capture to score. Out: the largest number of
cameras whose 99th percentile stays below it while no window is lost, and what each number tried
cost, as JSON and as a Markdown table. Each number is a run of the real pipeline with that many
cameras at their own speed, the motion gate off.
Invariant: a number counts only where every window that was due has been scored.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from model.config import ModelConfig
from model.machine import Machine, this_machine
from pipeline.config import HttpConfig, PipelineConfig, SinksConfig
from pipeline.configfile import RunOptions, from_sources
from pipeline.errors import ConfigError
from pipeline.latency import StageTimes
from pipeline.log import configure
from pipeline.meter import ProcessCost, trial
from pipeline.records import Prediction
from pipeline.report import StageSummary, Summary
from pipeline.search import find_largest

Mode = Literal["full", "exact"]

CLIP_S = 20
CLIP_SIZE = (640, 360)
_RATE_SHARE = 0.97
"""Of the windows that are due must be scored, but for one a camera, since the span is cut at any
moment: frames that came late and a hop that was widened under load show here."""


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


@dataclass(frozen=True, slots=True)
class Probe:
    """One number of cameras, tried.

    Attributes:
        n_cameras: how many.
        engine: runtime, version and precision the worker chose.
        seconds: measured span.
        wanted_hz: windows a second that are due.
        windows_hz: that were scored.
        lost: windows and frames lost in the span, by fate.
        processes: CPU and memory of each process.
        decode_share: cores used for decoding; part of the captures' share.
        stages: latencies in the span.
        slo_s: the limit.
    """

    n_cameras: int
    engine: str
    seconds: float
    wanted_hz: float
    windows_hz: float
    lost: Mapping[str, int]
    processes: Sequence[ProcessCost]
    decode_share: float
    stages: Sequence[StageSummary]
    slo_s: float

    @property
    def complaint(self) -> str:
        """Why that many are too many; empty where they are not."""
        total = self.stage("total")
        if self.lost:
            return "lost " + ", ".join(f"{n} {fate}" for fate, n in sorted(self.lost.items()))
        n_missing = (_RATE_SHARE * self.wanted_hz - self.windows_hz) * self.seconds
        if total is None or n_missing > self.n_cameras:
            return "windows are missing"
        return "too late" if total.p99_s > self.slo_s else ""

    def stage(self, name: str) -> StageSummary | None:
        """Return the latency of a stage, None where nothing passed it."""
        return next((stage for stage in self.stages if stage.stage == name), None)

    def cpu(self, kind: str) -> float:
        """Cores used by the processes of a kind: control, capture or worker."""
        return sum(cost.cpu_share for cost in self.processes if cost.name.split(":")[0] == kind)

    def line(self) -> str:
        """Return its line of the table."""
        cells = (
            str(self.n_cameras),
            f"{self.windows_hz:.1f} of {self.wanted_hz:.1f}",
            _p50_p99(self.stage("total")),
            _p50_p99(self.stage("infer")),
            f"{self.cpu('control'):.2f}",
            f"{self.cpu('capture'):.2f}",
            f"{self.decode_share:.2f}",
            f"{self.cpu('worker'):.2f}",
            self.complaint or "fits",
        )
        return f"| {' | '.join(cells)} |"


@dataclass(frozen=True, slots=True)
class Capacity:
    """The result of one mode.

    Attributes:
        mode: full windows, or from the new frames with the same result.
        n_cameras: the largest number that fits; 0 where one camera is too many.
        probes: all that were tried, in that order.
    """

    mode: Mode
    n_cameras: int
    probes: Sequence[Probe] = field(default=())

    def lines(self) -> list[str]:
        """Return its part of the report."""
        engine = self.probes[0].engine if self.probes else ""
        return [
            f"**{self.n_cameras} cameras** with {_MODES[self.mode]} ({engine})",
            "",
            "| cameras | windows/s | capture to score p50 / p99 | inference p50 / p99"
            " | CPU control | capture | of it decoding | worker | |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            *(probe.line() for probe in self.probes),
            "",
        ]


_MODES = {"exact": "exact incremental windows", "full": "full windows"}


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
    machine = this_machine()
    if json_path is not None:
        json_path.write_text(_json(demand, machine, results))
    settings = (
        f"{demand.fps:g} fps, hop {demand.hop}, p99 at most {1e3 * demand.slo_s:.0f} ms,"
        f" {demand.seconds:g} s a try; {machine}"
    )
    return "\n".join([settings, "", *(line for result in results for line in result.lines())])


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
        run.pipeline.listen(on_prediction)
        costs, span_s = await run.measure(demand.seconds)
        n_in_time, stages = n_scored, times.report()
        after, decode_s = run.status.summary(), run.pipeline.decode_cpu_s() - decode_before_s
        worker = run.status.worker.report()
    return Probe(
        n_cameras=len(config.cameras),
        engine=f"{worker.engine}, {worker.precision}",
        seconds=span_s,
        wanted_hz=len(config.cameras) * demand.fps / demand.hop,
        windows_hz=n_in_time / span_s,
        lost=_lost(before, after),
        processes=costs,
        decode_share=decode_s / span_s,
        stages=stages,
        slo_s=demand.slo_s,
    )


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


def _json(demand: Demand, machine: Machine, results: Sequence[Capacity]) -> str:
    """Everything as JSON; addresses of cameras are left out, they may hold passwords."""
    settings = asdict(demand) | {"sources": len(demand.sources)}
    values = {
        "machine": asdict(machine),
        "settings": settings | {"clip_s": CLIP_S, "clip_size": CLIP_SIZE},
        "results": [
            {
                "mode": result.mode,
                "n_cameras": result.n_cameras,
                "probes": [
                    asdict(probe)
                    | {
                        "stages": [stage.model_dump() for stage in probe.stages],
                        "complaint": probe.complaint,
                    }
                    for probe in result.probes
                ],
            }
            for result in results
        ],
    }
    return json.dumps(values, indent=2) + "\n"


def _p50_p99(stage: StageSummary | None) -> str:
    return "-" if stage is None else f"{1e3 * stage.p50_s:.0f} / {1e3 * stage.p99_s:.0f} ms"
