"""The form that is kept is right first and fast second."""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf

from model.bundle import UNTRAINED, Bundle
from model.classifier import TOLERANCE
from model.engines import tensorflow_choice as choice
from model.engines.tensorflow_choice import Candidate, Way, chunk_size

WAY = Way("float32", "collapsed", "pairs")


def candidate(way: Way, cost_s: float) -> Candidate:
    return Candidate(way, lambda clips: (clips, clips), 0.0, cost_s)


def test_the_faster_wins_only_clearly() -> None:
    """2 % is noise, 10 % is not; what does not verify costs infinity."""
    report: dict[str, float] = {}
    other = Way("bfloat16", "collapsed", "pairs")
    first = choice.better(None, candidate(WAY, 1.0), report)
    assert choice.better(first, candidate(other, 0.98), report) is first
    assert report["bfloat16_collapsed_pairs_ms"] == 980.0
    found = choice.better(first, candidate(other, 0.9), report)
    assert found is not None
    assert found.way == other
    assert choice.better(None, candidate(WAY, float("inf")), report) is None


@pytest.mark.parametrize(
    ("size", "precision", "chunk"),
    [(256, "float32", 1), (256, "bfloat16", 1), (112, "bfloat16", 6), (112, "float32", 1)],
)
def test_chunks_bound_the_memory(size: int, precision: str, chunk: int) -> None:
    """Clips at once by picture size: their activations stay within 64 MiB (float32: 32), or one."""
    manifest = UNTRAINED.model_copy(update={"size_px": size})
    assert chunk_size(manifest, precision) == chunk


def test_a_hopeless_candidate_is_timed_once() -> None:
    """Where the first run already takes too long, it is not repeated."""
    runs: list[int] = []

    def graph(clips: Any) -> Any:
        runs.append(len(clips))
        return clips, clips, clips

    small = UNTRAINED.model_copy(update={"frames": 8, "size_px": 32})
    assert choice.clip_cost(graph, small, 1, give_up_s=-1.0) > 0
    assert len(runs) == 1
    choice.clip_cost(graph, small, 1)
    assert len(runs) == 5


def test_on_a_gpu_float16_and_xla_are_measured_too(small_bundle: Bundle) -> None:
    """What the device has no kernel for is passed over; what is kept was verified.

    The device here is a CPU that is called a GPU: float16 may fail on it, XLA works.
    """
    report: dict[str, float] = {}
    best = choice.choose(small_bundle, "auto", report, "gpu")
    assert {"float16_collapsed_pairs_ms", "bfloat16_collapsed_pairs_ms"} <= set(report)
    [compiled] = [name for name in report if name.endswith("_xla_difference")]
    assert report[compiled] <= TOLERANCE[best.way.precision]
    assert best.difference <= TOLERANCE[best.way.precision]


def test_a_precision_the_device_cannot_run_is_an_error_only_if_it_was_asked_for(
    small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among others it is passed over."""
    monkeypatch.setattr("model.engines.has_native_bfloat16", lambda: True)
    whole = choice.run

    def refusing(graph: Any, clips: Any, chunk: int) -> Any:
        if graph == "bfloat16":
            raise tf.errors.UnimplementedError(None, None, "no kernel")
        return whole(graph, clips, chunk)

    made = choice.graph_of
    monkeypatch.setattr(choice, "run", refusing)
    monkeypatch.setattr(
        choice,
        "graph_of",
        lambda bundle, way: "bfloat16" if way.precision == "bfloat16" else made(bundle, way),
    )
    assert choice.choose(small_bundle, "auto", {}, "cpu").way.precision == "float32"
    with pytest.raises(tf.errors.UnimplementedError):
        choice.choose(small_bundle, "bfloat16", {}, "cpu")
