"""`bresnet bench model --layers`: what each layer costs on each engine, full and step by step.

In: sizes, rounds, a seed. Out: `Breakdowns`: full windows and exact steps of every engine in its
best precisions, timed in turns as a whole, and then operation by operation. Invariant: every way
was compared with the eager network first, as in `model.ways`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from model.bench import PAUSE_S, Tell, measure
from model.breakdown import Breakdown, Breakdowns
from model.cost import pooled_macs
from model.engines import engines, has_native_bfloat16, prepare
from model.engines.banner import without_banner
from model.machine import this_machine
from model.pooled import PooledPlan
from model.trace import Node, Tracer
from model.ways import Subject, Way, full_way, gemm_ways, step_way

_TRACERS = {
    "tensorflow": ("model.engines.tensorflow_trace", "TensorFlowTracer"),
    "openvino": ("model.engines.openvino_trace", "OpenVinoTracer"),
}
"""Engine name -> module, class."""

Traced = tuple[Way, Callable[[int], list[Node]]]
"""A way, and what times its operations in so many calls."""


def bench_layers(
    subject: Subject,
    *,
    families: Sequence[str] = tuple(_TRACERS),
    rounds: int = 15,
    json_path: Path | None = None,
    tell: Tell = lambda _: None,
) -> str:
    """Measure, and return Markdown tables.

    Args:
        subject: sizes of what is run.
        families: engines that are wanted.
        rounds: times each way is called as a whole, and again operation by operation.
        json_path: where to write the figures as JSON too.
        tell: is told what goes on.

    Raises:
        OSError: the JSON file cannot be written.
        EngineFailedError: a runtime failed.
    """
    wanted = [engine.name for engine in engines() if engine.version is not None]
    traced: list[Traced] = []
    for name in (name for name in wanted if name in families):
        for precision in best_precisions(name):
            tell(f"{name} {precision}")
            traced += traced_ways(subject, name, precision)
    gemm = list(products(subject.gemm_side, wanted))
    rows = measure([*(way for way, _ in traced), *gemm], rounds, subject.seed)
    tell(f"taking {len(traced)} ways apart")
    ways = [
        Breakdown(row, nodes(rounds))
        for row, (_, nodes) in zip(rows[: len(traced)], traced, strict=True)
    ]
    settings = {"frames": subject.frames, "size_px": subject.size_px}
    settings |= {"rounds": rounds, "seed": subject.seed}
    found = Breakdowns(this_machine(), settings | {"pause_s": PAUSE_S}, ways, rows[len(traced) :])
    if json_path is not None:
        json_path.write_text(found.to_json())
    return found.to_markdown()


def best_precisions(engine: str) -> tuple[str, ...]:
    """Name the fastest precision that is the network, and int8 where it can be calibrated."""
    fastest = "bfloat16" if has_native_bfloat16() else "float32"
    has_int8 = engine == "openvino" and find_spec("nncf") is not None
    return (fastest, "int8") if has_int8 else (fastest,)


def traced_ways(subject: Subject, engine: str, precision: str) -> Iterator[Traced]:
    """Yield the full window and every exact step of an engine, ready to be taken apart."""
    prepare()
    module, name = _TRACERS[engine]
    with without_banner():
        loaded = importlib.import_module(module)
    make: Callable[..., Tracer] = getattr(loaded, name)
    tracer = make(subject.bundle(), precision, subject.hops)
    steppers = {hop: tracer.stepper(hop) for hop in subject.hops}
    ways = {0: full_way(subject, tracer)}
    ways |= {hop: step_way(subject, own, 1) for hop, own in steppers.items() if own is not None}
    for hop, way in ways.items():
        macs = way.macs
        if hop and engine == "openvino":  # it multiplies more than it must
            macs = pooled_macs(PooledPlan(hop, subject.frames), (subject.size_px,) * 2)
        yield (
            replace(way, engine=engine, precision=precision, macs=macs),
            partial(tracer.nodes, way.run),
        )


def products(side: int, wanted: Sequence[str]) -> Iterator[Way]:
    """Yield a large matrix product on every engine, in every precision."""
    yield from gemm_ways(side)
    if "openvino" in wanted:
        from model.engines.openvino_trace import product

        for precision in ("float32", *best_precisions("openvino")):
            run = product(side, precision)
            yield Way("GEMM", "openvino", precision, run, {"matmul": side**3})
