"""Costs are medians of warm runs, and a comparison sees what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from model.bundle import UNTRAINED
from model.engines.measure import (
    by_batch,
    causal_difference,
    golden_clips,
    median_cost,
    step_cost,
    step_difference,
)

SMALL = UNTRAINED.model_copy(update={"frames": 8, "size_px": 32})


class Sums:
    """A stepper whose embeddings are means of the last 8 frames; steps add an error."""

    hop, mode = 4, "incremental"

    def __init__(self, error: float = 0.0) -> None:
        self.error = error
        self.calls: list[int] = []

    def init(self, clips: Any) -> Any:
        return None, self.full(clips)[1], [clip[4:] for clip in clips]

    def step(self, frames: Any, states: Any) -> Any:
        self.calls.append(len(frames))
        clips = np.concatenate([np.stack(states), frames], axis=1)
        return None, self.full(clips)[1] + self.error, [clip[4:] for clip in clips]

    @staticmethod
    def full(clips: Any) -> Any:
        return None, clips.astype(np.float32).mean((2, 3, 4))


class Past:
    """A causal stepper: each 4 frames give the sum of all frames so far, and a window of 8 frames
    has the mean of the last two; steps add an error."""

    hop, mode = 4, "causal"

    def __init__(self, error: float = 0.0) -> None:
        self.error = error

    def init(self, clips: Any) -> Any:
        sums = self.sums(clips)
        return None, sums.mean(1, keepdims=True), list(sums[:, -1])

    def step(self, frames: Any, states: Any) -> Any:
        before = np.stack(states)[:, None]
        sums = before + self.sums(frames)
        found = np.concatenate([before, sums], 1).mean(1, keepdims=True)
        return None, found + self.error, list(sums[:, -1])

    @staticmethod
    def sums(clips: Any) -> Any:
        return np.cumsum(clips.astype(np.float64).mean((2, 3, 4)), 1)[:, 3::4]

    def whole(self, clips: Any) -> Any:
        return self.sums(clips).mean(1, keepdims=True)


@pytest.mark.parametrize(
    ("error", "expected"), [(0.0, 0.0), (10.0, 0.0056), (float("nan"), float("inf"))]
)
def test_a_wrong_causal_step_is_seen(error: float, expected: float) -> None:
    """Compared with the whole stream so far, of which only the last window counts."""
    stepper = Past(error)
    found = causal_difference(stepper, stepper.whole, 8, 16)
    assert found == pytest.approx(expected, rel=0.1, abs=1e-9)


def test_golden_clips_differ() -> None:
    """Each has its own seed."""
    one, two = golden_clips(SMALL, 2)
    assert one.shape == (8, 32, 32, 3)
    assert (one != two).any()


def test_what_is_hopeless_runs_once() -> None:
    """A first run beyond the limit is the answer; otherwise three more are timed."""
    runs: list[int] = []
    assert median_cost(lambda: runs.append(1), give_up_s=-1.0) > 0
    assert len(runs) == 1
    median_cost(lambda: runs.append(1))
    assert len(runs) == 5


def test_costs_beyond_a_chunk_are_sums() -> None:
    """A batch of four in chunks of two costs two chunks."""
    measured: list[int] = []

    def cost(n: int) -> float:
        measured.append(n)
        return 0.5 * n + 0.1

    assert by_batch(5, 2, cost) == {1: 0.6, 2: 1.1, 4: 2.2, 5: 3.3000000000000003}
    assert measured == [1, 2]


def test_streams_are_stepped_together() -> None:
    """Each run has all of them."""
    stepper = Sums()
    assert step_cost(stepper, SMALL, 3) > 0
    assert stepper.calls == [3, 3, 3, 3]


@pytest.mark.parametrize(
    ("error", "expected"), [(0.0, 0.0), (1.0, 0.0078), (float("nan"), float("inf"))]
)
def test_a_wrong_step_is_seen(error: float, expected: float) -> None:
    """Relative to the largest component; not-a-number is never equal."""
    found = step_difference(Sums(error), Sums.full, 8, 16)
    assert found == pytest.approx(expected, rel=0.05)
