"""One window of 32x256x256: the network called eagerly against its fused graphs, in one run.

Run it on a quiet machine from the repository root: `python -m tests.bench.bench_fused`.
The ways take turns, so that whatever else the machine does meets all of them. Out: medians in
milliseconds and their ratio to the eager call, as JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from model import BResNet162Plus1DD
from model.bundle import load_bundle
from model.config import ModelConfig
from model.engines.tensorflow import TensorFlowClassifier

SHAPE = (1, 32, 256, 256, 3)


def ways(clip: np.ndarray[Any, np.dtype[np.uint8]]) -> dict[str, Callable[[], object]]:
    """Return what is compared, each ready to run."""
    network = BResNet162Plus1DD()
    network.build((None, *SHAPE[1:]))
    scaled = clip.astype(np.float32) / 255
    todo: dict[str, Callable[[], object]] = {
        "keras eager": lambda: np.asarray(network(scaled, training=False)),
    }
    for precision in ("float32", "bfloat16"):
        config = ModelConfig.model_validate({"precision": precision})
        classifier = TensorFlowClassifier(load_bundle("untrained"), config)
        classifier.warm_up(1)
        todo[f"fused {precision}"] = lambda classifier=classifier: classifier.predict(clip)
    return todo


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    clip = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
    taken: dict[str, list[float]] = {}
    todo = ways(clip)
    for index in range(rounds + 1):
        for name, run in todo.items():
            began = time.perf_counter()
            run()
            if index:  # the first round warms up
                taken.setdefault(name, []).append(time.perf_counter() - began)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    eager_s = medians["keras eager"]
    figures = {
        name: {"ms": round(median * 1e3, 1), "ratio": round(eager_s / median, 2)}
        for name, median in medians.items()
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
