"""The form that is kept is right first and fast second."""

from __future__ import annotations

from typing import Any

import pytest

from model.bundle import UNTRAINED
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
    [(256, "float32", 1), (256, "bfloat16", 1), (112, "bfloat16", 6), (112, "float32", 3)],
)
def test_chunks_bound_the_memory(size: int, precision: str, chunk: int) -> None:
    """Clips at once by picture size: their activations stay within 64 MiB, or it is one clip."""
    manifest = UNTRAINED.model_copy(update={"size_px": size})
    assert chunk_size(manifest, precision) == chunk


def test_a_hopeless_candidate_is_timed_once() -> None:
    """Where the first run already takes too long, it is not repeated."""
    runs: list[int] = []

    def graph(clips: Any) -> Any:
        runs.append(len(clips))
        return clips, clips

    small = UNTRAINED.model_copy(update={"frames": 8, "size_px": 32})
    assert choice.clip_cost(graph, small, 1, give_up_s=-1.0) > 0
    assert len(runs) == 1
    choice.clip_cost(graph, small, 1)
    assert len(runs) == 5
