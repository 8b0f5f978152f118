"""Measured ways to run one network, side by side: figures in, a table and a JSON object out.

In: the samples of each way, taken in turns in one run, and those of a plain matrix product. Out:
medians, their ratio to the network called eagerly, the share of the matrix product's speed.
Invariant: every figure follows from the raw samples, which the JSON holds too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median, quantiles
from typing import Any

from model.machine import Machine

BASELINE = "Keras `model(x)`"
"""Name of the way all ratios refer to."""


@dataclass(frozen=True, slots=True)
class Row:
    """One measured way.

    Attributes:
        name: what is run.
        engine: runtime.
        precision: of its convolutions.
        batch: windows (one a camera) in a call.
        samples_s: seconds of each call.
        macs: multiply-accumulates of one window, by stage.
        state_bytes: what a camera keeps between windows; None where it keeps nothing.
        difference: of an embedding to that of the eager network, relative to its largest component;
            None where the way computes another network.
    """

    name: str
    engine: str
    precision: str
    batch: int
    samples_s: tuple[float, ...]
    macs: Mapping[str, int]
    state_bytes: int | None = None
    difference: float | None = None

    @property
    def median_s(self) -> float:
        """Seconds a window: a camera's share of the median call."""
        return median(self.samples_s) / self.batch

    @property
    def fastest_s(self) -> float:
        """Seconds a window in the fastest call: what the machine does undisturbed."""
        return min(self.samples_s) / self.batch

    @property
    def iqr_s(self) -> float:
        """Seconds a window between the quartiles; 0 with a single sample."""
        if len(self.samples_s) < 2:
            return 0.0
        first, _, third = quantiles(self.samples_s, n=4, method="inclusive")
        return (third - first) / self.batch

    @property
    def gflops(self) -> float:
        """Achieved speed, 10^9 operations a second (two for each multiply-accumulate)."""
        return 2e-9 * sum(self.macs.values()) / self.median_s


@dataclass(frozen=True, slots=True)
class Absent:
    """A way that could not be measured, and why."""

    name: str
    engine: str
    precision: str
    reason: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of one run.

    Attributes:
        machine: where.
        settings: sizes, rounds, seed.
        rows: measured ways; the one named `BASELINE` among them.
        absent: ways that could not be measured.
        gemm: speed of a matrix product by precision; one window of it is one product.
    """

    machine: Machine
    settings: Mapping[str, Any]
    rows: Sequence[Row]
    absent: Sequence[Absent] = ()
    gemm: Sequence[Row] = field(default=())

    def ratio(self, row: Row) -> float:
        """How many times faster a way is than the baseline, by medians."""
        return self._baseline.median_s / row.median_s

    def fastest_ratio(self, row: Row) -> float:
        """The same by the fastest calls, which other work on the machine disturbs least."""
        return self._baseline.fastest_s / row.fastest_s

    def peak_share(self, row: Row) -> float | None:
        """Share of the matrix product's speed in the same precision; None where not measured.

        Above 1 where the engine's kernels use the processor better than the matrix product does.
        """
        for product in self.gemm:
            if product.precision == row.precision:
                return row.gflops / product.gflops
        return None

    def to_json(self) -> str:
        """Return everything as JSON, raw samples included."""
        values = {
            "machine": asdict(self.machine),
            "settings": dict(self.settings),
            "rows": [self._values(row) for row in self.rows],
            "absent": [asdict(way) for way in self.absent],
            "gemm": [asdict(row) | {"gflops": row.gflops} for row in self.gemm],
        }
        return json.dumps(values, indent=2) + "\n"

    def to_markdown(self) -> str:
        """Return the table a README shows."""
        lines = [
            f"{self.machine}; "
            + ", ".join(f"{name} {_plain(value)}" for name, value in self.settings.items())
            + "; "
            + ", ".join(f"{name} {value}" for name, value in self.machine.versions.items()),
            "",
            "| way | runtime | precision | batch | ms a window | IQR | x eager | (fastest)"
            " | GMACs | of GEMM | state | difference |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        lines += [self._line(row) for row in self.rows]
        lines += [
            f"| {way.name} | {way.engine} | {way.precision} | | {way.reason} | | | | | | | |"
            for way in self.absent
        ]
        lines += [""] + [
            f"GEMM (TensorFlow matmul) {row.precision}: {row.gflops:.0f} GFLOP/s"
            for row in self.gemm
        ]
        return "\n".join(lines) + "\n"

    @property
    def _baseline(self) -> Row:
        return next(row for row in self.rows if row.name == BASELINE)

    def _values(self, row: Row) -> dict[str, Any]:
        return asdict(row) | {
            "median_s": row.median_s,
            "iqr_s": row.iqr_s,
            "fastest_s": row.fastest_s,
            "ratio": self.ratio(row),
            "fastest_ratio": self.fastest_ratio(row),
            "gmacs": sum(row.macs.values()) / 1e9,
            "gflops": row.gflops,
            "peak_share": self.peak_share(row),
        }

    def _line(self, row: Row) -> str:
        share = self.peak_share(row)
        cells = (
            row.name,
            row.engine,
            row.precision,
            str(row.batch),
            f"{1e3 * row.median_s:.1f}",
            f"{1e3 * row.iqr_s:.1f}",
            f"{self.ratio(row):.2f}",
            f"{self.fastest_ratio(row):.2f}",
            f"{sum(row.macs.values()) / 1e9:.2f}",
            "" if share is None else f"{share:.0%}",
            "" if row.state_bytes is None else f"{row.state_bytes / 1e6:.1f} MB",
            "" if row.difference is None else f"{row.difference:.1e}",
        )
        return f"| {' | '.join(cells)} |"


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
