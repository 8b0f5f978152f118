"""A causal step at 256x256, by engine, hop and streams, against the network called eagerly.

Run it on a quiet machine from the repository root: `python -m tests.bench.bench_causal`.
The ways take turns, so that whatever else the machine does meets all of them. Out: medians in
milliseconds a camera-step and their ratio to the eager call on one window, as JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import openvino as ov

from model import BResNet162Plus1DD
from model.bundle import Bundle, load_bundle
from model.causal import CausalStepper, Graphs
from model.engines.causal_graph import TensorFlowCausalGraphs
from model.engines.openvino_causal import OpenVinoCausalGraphs
from model.engines.openvino_graph import Head, Layers
from model.fuse import fuse

SIZE = (256, 256)
RUNS = [(4, 1), (4, 2), (4, 4), (8, 1), (8, 4), (16, 1), (16, 4)]
HINT = {"float32": "f32", "bfloat16": "bf16"}


def tensorflow_graphs(bundle: Bundle, precision: str) -> Graphs:
    network = fuse(bundle.weights, "causal")
    return TensorFlowCausalGraphs(network, bundle.score_kernel, bundle.score_bias, precision)


def openvino_graphs(bundle: Bundle, precision: str) -> Graphs:
    network = fuse(bundle.weights, "causal", blocks="collapsed")
    options = {"INFERENCE_PRECISION_HINT": HINT[precision], "PERFORMANCE_HINT": "LATENCY"}
    core = ov.Core()
    head = Head(network.head_kernel, network.head_bias, bundle.score_kernel, bundle.score_bias)

    def compiled(_: str, write: Callable[[], Any]) -> Any:
        return core.compile_model(write(), "CPU", options)

    return OpenVinoCausalGraphs(
        Layers(network),
        head,
        SIZE,
        precision,
        compiled,
    )


def stepping(graphs: Graphs, hop: int, n: int) -> Callable[[], object]:
    """Return a step of n streams that goes on from the step before."""
    stepper = CausalStepper(hop, 32, graphs)
    clips = np.random.default_rng(0).integers(0, 256, (n, 32, *SIZE, 3), np.uint8)
    states = [stepper.init(clips)[2]]
    frames = np.ascontiguousarray(clips[:, :hop])

    def run() -> None:
        states[0] = stepper.step(frames, states[0])[2]

    return run


def ways() -> dict[str, tuple[Callable[[], object], int]]:
    """Return what is compared, each ready to run, with its cameras."""
    network = BResNet162Plus1DD(temporal_padding="causal")
    network.build(network.default_shape)
    clip = np.random.default_rng(0).random((1, 32, *SIZE, 3), np.float32)
    todo: dict[str, Any] = {"keras eager": (lambda: np.asarray(network(clip, training=False)), 1)}
    bundle = load_bundle("untrained")
    for engine, make in (("tensorflow", tensorflow_graphs), ("openvino", openvino_graphs)):
        for precision in HINT:
            graphs = make(bundle, precision)
            for hop, n in RUNS if precision == "bfloat16" else RUNS[:3]:
                name = f"{engine} {precision} hop {hop} batch {n}"
                todo[name] = (stepping(graphs, hop, n), n)
    return todo


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", help="ways whose name holds this")
    arguments = parser.parse_args()
    rounds, only = arguments.rounds, arguments.only
    taken: dict[str, list[float]] = {}
    todo = {
        name: way for name, way in ways().items() if not only or only in name or "eager" in name
    }
    for _ in range(rounds):
        for name, (run, n) in todo.items():
            for index in range(3):
                began = time.perf_counter()
                run()
                if index:  # a step follows a step, as in a worker: the caches are its own
                    taken.setdefault(name, []).append((time.perf_counter() - began) / n)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    eager_s = medians["keras eager"]
    figures = {
        name: {"ms": round(median * 1e3, 2), "ratio": round(eager_s / median, 1)}
        for name, median in medians.items()
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
