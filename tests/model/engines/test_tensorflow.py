"""What only the TensorFlow engine does: choosing, chunking, giving up (contract: elsewhere)."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from model.bundle import UNTRAINED, Bundle
from model.config import ModelConfig
from model.engines import tensorflow as engine
from model.engines.tensorflow import Candidate, TensorFlowClassifier, chunk_size
from model.errors import EngineFailedError


def candidate(name: str, cost_s: float) -> Candidate:
    return Candidate(name, "float32", lambda clips: (clips, clips), 0.0, cost_s)


def test_auto_measures_both_precisions_and_reports_each(small_bundle: Bundle) -> None:
    """The report holds cost and difference of every candidate, rejected or not."""
    classifier = TensorFlowClassifier(small_bundle, ModelConfig(precision="auto"))
    warm = classifier.warm_up(4)
    classifier.close()
    assert warm.precision in ("float32", "bfloat16")
    costs = {name: ms for name, ms in warm.report.items() if name.endswith("_ms")}
    assert {"float32_collapsed_pairs_ms", "bfloat16_collapsed_pairs_ms"} <= set(costs)
    assert len(costs) == 4
    assert warm.report["float32_collapsed_pairs_difference"] <= 1e-5
    assert warm.report["bfloat16_collapsed_pairs_difference"] <= 2e-2
    assert sorted(warm.cost_s) == [1, 2, 4]
    assert min(warm.cost_s.values()) > 0


def test_the_faster_wins_only_clearly() -> None:
    """2 % is noise, 10 % is not; what does not verify costs infinity."""
    report: dict[str, float] = {}
    first = engine._better(None, candidate("a", 1.0), report)
    assert engine._better(first, candidate("b", 0.98), report) is first
    better = engine._better(first, candidate("c", 0.9), report)
    assert better is not None
    assert better.name == "c"
    assert engine._better(None, candidate("d", float("inf")), report) is None
    assert report["b_ms"] == 980.0


def test_weights_that_no_graph_reproduces_are_refused(small_bundle: Bundle) -> None:
    """Activations beyond float32 leave no finite score: the engine fails at warm-up, not later."""
    weights = {name: array * np.float32(1e9) for name, array in small_bundle.weights.items()}
    broken = Bundle(
        small_bundle.manifest, weights, small_bundle.score_kernel, small_bundle.score_bias, ""
    )
    classifier = TensorFlowClassifier(broken, ModelConfig(precision="float32"))
    with (
        pytest.raises(EngineFailedError, match="no precision agrees"),
        np.errstate(all="ignore"),
    ):
        classifier.warm_up(1)


@pytest.mark.parametrize(
    ("size", "precision", "chunk"),
    [(256, "float32", 1), (256, "bfloat16", 1), (112, "bfloat16", 6), (112, "float32", 3)],
)
def test_chunks_bound_the_memory(size: int, precision: str, chunk: int) -> None:
    """Clips at once by picture size: their activations stay within 64 MiB, or it is one clip."""
    manifest = UNTRAINED.model_copy(update={"size_px": size})
    assert chunk_size(manifest, precision) == chunk


def test_a_batch_of_several_chunks_is_the_same_as_one(
    small_bundle: Bundle, rng: np.random.Generator
) -> None:
    """Splitting changes memory, not results."""
    classifier = TensorFlowClassifier(small_bundle, ModelConfig(precision="float32"))
    classifier.warm_up(5)
    clips = rng.integers(0, 256, (5, 8, 32, 32, 3), np.uint8)
    whole = classifier.predict(clips)
    classifier._chunk = 2
    parts = classifier.predict(clips)
    classifier.close()
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_costs_beyond_a_chunk_are_sums(small_bundle: Bundle) -> None:
    """A batch of four in chunks of two costs two chunks."""
    classifier = TensorFlowClassifier(small_bundle, ModelConfig(precision="float32"))
    classifier._max_batch, classifier._chunk = 4, 2
    classifier._cost = lambda graph, n, give_up_s=0.0: 0.5 * n  # type: ignore[method-assign]
    assert classifier._costs(candidate("a", 0.6)) == {1: 0.6, 2: 1.0, 4: 2.0}


def test_a_hopeless_candidate_is_timed_once(small_bundle: Bundle) -> None:
    """Where the first run already takes too long, it is not repeated."""
    classifier = TensorFlowClassifier(small_bundle, ModelConfig())
    runs: list[int] = []

    def graph(clips: Any) -> Any:
        runs.append(len(clips))
        return clips, clips

    assert classifier._cost(graph, 1, give_up_s=-1.0) > 0
    assert len(runs) == 1
    classifier._cost(graph, 1)
    assert len(runs) == 5


def test_threads_are_set_before_tensorflow_runs() -> None:
    """A fresh process gets the asked number; a process that already runs says it is too late."""
    code = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from model.engines import tensorflow as engine
from model.errors import EngineFailedError
engine._set_threads(1)
assert engine.tf.config.threading.get_intra_op_parallelism_threads() == 1
engine.tf.constant(1) + 1
engine._set_threads(1)
engine._set_threads(None)
try:
    engine._set_threads(2)
except EngineFailedError as err:
    assert "model.threads 2 comes too late" in str(err)
else:
    raise SystemExit("no error")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
