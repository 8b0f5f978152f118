"""What the search for a capacity found: numbers of cameras tried, and the largest that fits.

In: what each run of the pipeline measured. Out: why a number is too many, the tables, and the JSON.
Invariant: a number counts only where every window that was due has been scored in time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from model.machine import Machine
from pipeline.meter import ProcessCost
from pipeline.report import StageSummary

Mode = Literal["full", "exact"]

_MODES = {"exact": "exact incremental windows", "full": "full windows"}

_RATE_SHARE = 0.97
"""Of the windows that are due must be scored, but for one a camera, since the span is cut at any
moment: frames that came late and a hop that was widened under load show here."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One number of cameras, tried.

    Attributes:
        n_cameras: how many.
        engine: runtime, version and precision the worker chose.
        seconds: measured span.
        wanted_hz: windows a second that are due.
        windows_hz: that were scored.
        step_share: of the scored windows, computed from their new frames.
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
    step_share: float
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
            f"{self.step_share:.0%}",
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
            "| cameras | windows/s | steps | capture to score p50 / p99 | inference p50 / p99"
            " | CPU control | capture | of it decoding | worker | |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            *(probe.line() for probe in self.probes),
            "",
        ]

    def values(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "mode": self.mode,
            "n_cameras": self.n_cameras,
            "probes": [
                asdict(probe)
                | {
                    "stages": [stage.model_dump() for stage in probe.stages],
                    "complaint": probe.complaint,
                }
                for probe in self.probes
            ],
        }


@dataclass(frozen=True, slots=True)
class CapacityReport:
    """The result of one command.

    Attributes:
        machine: where it ran.
        settings: what the cameras asked for; without their addresses, which may hold passwords.
        results: one a mode.
    """

    machine: Machine
    settings: Mapping[str, Any]
    results: Sequence[Capacity]

    def to_json(self) -> str:
        """Return everything as JSON."""
        values = {
            "machine": asdict(self.machine),
            "settings": dict(self.settings),
            "results": [result.values() for result in self.results],
        }
        return json.dumps(values, indent=2) + "\n"

    def to_markdown(self) -> str:
        """Return the tables a README shows."""
        asked = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        lines = [line for result in self.results for line in result.lines()]
        return "\n".join([f"{self.machine}; {asked}", "", *lines])


def _p50_p99(stage: StageSummary | None) -> str:
    return "-" if stage is None else f"{1e3 * stage.p50_s:.0f} / {1e3 * stage.p99_s:.0f} ms"
