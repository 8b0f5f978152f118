"""Where the time of a window goes, layer by layer: operations in, a table and a JSON object out.

In: what each operation of a graph took, what each layer multiplies, and the speed of a plain matrix
product. Out: for every layer its time, that of its convolutions alone, and the share of the matrix
product's speed they reach. Invariant: the times of the layers, `other` among them, add up to those
of all operations; the JSON holds the operations too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from model import spec
from model.comparison import Row
from model.machine import Machine
from model.trace import Node

OTHER = "other"
"""Operations of no layer: layouts, copies, what a stream keeps."""

LAYERS = (*(stage.name for stage in spec.STEM), "pool", *(b.name for b in spec.BLOCKS), "head")
_PIXELS = "pixels"
_ARITHMETIC = re.compile(r"Conv(2D|3D|olution)|MatMul|FullyConnected")


@dataclass(frozen=True, slots=True)
class LayerTime:
    """One layer in one call.

    Attributes:
        layer: its name, or `OTHER`.
        macs: multiply-accumulates that are run.
        seconds: all its operations.
        arithmetic_s: its convolutions and matrix products alone.
    """

    layer: str
    macs: int
    seconds: float
    arithmetic_s: float


@dataclass(frozen=True, slots=True)
class Breakdown:
    """One measured way, taken apart.

    Attributes:
        row: the way as a whole, timed without being taken apart; its MACs are those that are run.
        nodes: its operations.
    """

    row: Row
    nodes: Sequence[Node]

    def layers(self) -> list[LayerTime]:
        """Return the layers in the order of the network, then `OTHER`."""
        return [self._layer(name) for name in (*LAYERS, OTHER)]

    def total(self) -> LayerTime:
        """Return all operations as one layer."""
        return LayerTime("all operations", sum(self.row.macs.values()), *_sums(self.nodes))

    def _layer(self, name: str) -> LayerTime:
        own = [node for node in self.nodes if layer_of(node.name) == name]
        return LayerTime(name, self.row.macs.get(name, 0), *_sums(own))


def layer_of(name: str) -> str:
    """Return the layer an operation belongs to, by its name."""
    first = name.partition("/")[0]
    if first == _PIXELS:
        return LAYERS[0]
    return first if first in LAYERS else OTHER


@dataclass(frozen=True, slots=True)
class Breakdowns:
    """The result of one run.

    Attributes:
        machine: where.
        settings: sizes, rounds, seed.
        ways: what was taken apart.
        gemm: matrix products, on all runtimes and in all precisions.
    """

    machine: Machine
    settings: Mapping[str, Any]
    ways: Sequence[Breakdown]
    gemm: Sequence[Row]

    def peak_gflops(self, precision: str) -> float | None:
        """Return the speed of the fastest matrix product in a precision; None: not measured."""
        return max((row.gflops for row in self.gemm if row.precision == precision), default=None)

    def full_over(self, way: Breakdown) -> float | None:
        """Return how many times faster a way is than its engine's full window, by medians.

        The full window is the first way of that engine and precision; of itself there is no ratio.
        """
        full = self._full(way)
        return None if full is way else full.row.median_s / way.row.median_s

    def fastest_full_over(self, way: Breakdown) -> float | None:
        """Return the same by the fastest calls, which other work disturbs least."""
        full = self._full(way)
        return None if full is way else full.row.fastest_s / way.row.fastest_s

    def to_json(self) -> str:
        """Return everything as JSON, operations and raw samples included."""
        values = {
            "machine": asdict(self.machine),
            "settings": dict(self.settings),
            "ways": [self._values(way) for way in self.ways],
            "gemm": [asdict(row) | {"gflops": row.gflops} for row in self.gemm],
        }
        return json.dumps(values, indent=2) + "\n"

    def to_markdown(self) -> str:
        """Return a table a way."""
        settings = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        lines = [f"{self.machine}; {settings}", ""]
        lines += [
            f"GEMM ({row.engine} matmul) {row.precision}: {row.gflops:.0f} GFLOP/s"
            for row in self.gemm
        ]
        for way in self.ways:
            lines += ["", *self._table(way)]
        return "\n".join(lines) + "\n"

    def _full(self, way: Breakdown) -> Breakdown:
        return next(one for one in self.ways if _key(one.row) == _key(way.row))

    def _table(self, way: Breakdown) -> list[str]:
        row, ratio, fastest = way.row, self.full_over(way), self.fastest_full_over(way)
        title = f"{row.name}, {row.engine} {row.precision}: {1e3 * row.median_s:.1f} ms a window"
        if ratio is not None:
            title += f", {ratio:.2f}x the full window ({fastest:.2f}x by the fastest calls)"
        return [
            title,
            "",
            "| layer | GMACs | ms | of GEMM | convolutions, ms | of GEMM |",
            "| --- | --- | --- | --- | --- | --- |",
            *(self._line(one, row.precision) for one in (*way.layers(), way.total())),
        ]

    def _line(self, one: LayerTime, precision: str) -> str:
        cells = (
            one.layer,
            f"{one.macs / 1e9:.2f}" if one.macs else "",
            f"{1e3 * one.seconds:.2f}",
            _percent(self._share(one.macs, one.seconds, precision)),
            f"{1e3 * one.arithmetic_s:.2f}" if one.arithmetic_s else "",
            _percent(self._share(one.macs, one.arithmetic_s, precision)),
        )
        return f"| {' | '.join(cells)} |"

    def _share(self, macs: int, seconds: float, precision: str) -> float | None:
        peak = self.peak_gflops(precision)
        return None if peak is None or not macs or not seconds else 2e-9 * macs / seconds / peak

    def _values(self, way: Breakdown) -> dict[str, Any]:
        precision = way.row.precision
        return {
            "way": asdict(way.row) | {"median_s": way.row.median_s},
            "full_over": self.full_over(way),
            "fastest_full_over": self.fastest_full_over(way),
            "layers": [
                asdict(one)
                | {
                    "share": self._share(one.macs, one.seconds, precision),
                    "arithmetic_share": self._share(one.macs, one.arithmetic_s, precision),
                }
                for one in (*way.layers(), way.total())
            ],
            "operations": [asdict(node) for node in way.nodes],
        }


def _key(row: Row) -> tuple[str, str]:
    return row.engine, row.precision


def _sums(nodes: Sequence[Node]) -> tuple[float, float]:
    arithmetic = (node.seconds for node in nodes if _ARITHMETIC.search(node.kind))
    return sum(node.seconds for node in nodes), sum(arithmetic)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"
