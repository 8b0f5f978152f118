"""Claims about pipeline.execution: one outcome a window, zero copy, bad ones isolated."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from model.classifier import Clips, Embeddings, Scores
from model.errors import EngineFailedError
from pipeline.execution import BatchRunner, Rings
from pipeline.streams import Streams
from streamer.notes import Infer, Result, RingSpec, WindowRef
from streamer.ring import create_ring, remove_ring
from tests.fakes import ENGINE_FAILS, NOT_FINITE, REFUSE, FakeClassifier, filled_ring


class Spy(FakeClassifier):
    """Keeps what it was given, and may act between reading and answering."""

    seen: list[Clips]
    during = staticmethod(lambda: None)

    def predict(self, clips: Clips) -> tuple[Scores, Embeddings]:
        self.seen.append(clips)
        answer = super().predict(clips)
        self.during()
        return answer


@pytest.fixture
def spy() -> Spy:
    made = Spy({1: 0.0})
    made.seen = []
    return made


@pytest.fixture
def runner(spy: Spy) -> Iterator[BatchRunner]:
    ticks = itertools.count()
    streams = Streams(spy, "float32", budget_bytes=0, audit_every=0)
    made = BatchRunner(streams, max_batch=4, now=lambda: float(next(ticks)))
    yield made
    spy.seen.clear()
    made.close()


def infer(spec: RingSpec, *first_seqs: int) -> Infer:
    base = 1000 * ord(spec.path[-1])
    refs = [WindowRef(window_id=base + seq, ring=spec, first_seq=seq) for seq in first_seqs]
    return Infer(batch_id=7, windows=refs)


def outcomes(result: Result) -> list[str]:
    return [score.outcome for score in result.scores]


def test_a_batch_of_one_is_read_where_it_lies(runner: BatchRunner, spy: Spy) -> None:
    """The engine gets a read-only view of the shared memory, not a copy; scores name its frames."""
    with filled_ring("a", [10, 11, 12, 13, 14]) as (spec, _):
        result = runner.run(infer(spec, 1))
        (clips,) = spy.seen
        assert clips.shape == (1, 4, 8, 8, 3)
        assert not clips.flags.writeable
        assert np.shares_memory(clips, runner._rings.reader(spec).window(1))
        (score,) = result.scores
        assert (result.batch_id, score.window_id, score.outcome) == (7, 97_001, "ok")
        assert [round(value * 255) for value in score.scores] == [11, 14, 1]
        assert result.started_at < result.finished_at
        assert result.transfer_s > 0
        assert result.infer_s > 0
        # What is left of the batch's time is checking and packing the scores.
        assert result.finished_at - result.started_at > result.transfer_s + result.infer_s
        del clips
        spy.seen.clear()


def test_windows_of_several_rings_make_one_batch_in_order(runner: BatchRunner, spy: Spy) -> None:
    """The batch is contiguous, the answers come in the order asked."""
    with filled_ring("a", [10] * 4) as (one, _), filled_ring("b", [20, 20, 20, 21]) as (two, _):
        result = runner.run(
            Infer(batch_id=1, windows=infer(two, 0).windows + infer(one, 0).windows)
        )
    assert spy.seen[0].shape == (2, 4, 8, 8, 3)
    assert [[round(v * 255) for v in score.scores] for score in result.scores] == [
        [20, 21, 2],
        [10, 10, 2],
    ]


def test_an_overwritten_window_is_stale_and_the_others_are_answered(runner: BatchRunner) -> None:
    """40 places, 50 frames: window 5 is gone, window 20 is there, window 99 never was."""
    with filled_ring("a", list(range(50))) as (spec, _):
        assert outcomes(runner.run(infer(spec, 5, 20, 99))) == ["stale", "ok", "error"]
        assert outcomes(runner.run(infer(spec, 5))) == ["stale"]


@pytest.mark.parametrize(("n_windows", "expected"), [(1, "stale"), (2, "ok")])
def test_overwriting_during_inference_spoils_only_what_is_read_in_place(
    runner: BatchRunner, spy: Spy, n_windows: int, expected: str
) -> None:
    """A single window is discarded when its frames change under the engine; copies are safe."""
    with filled_ring("a", list(range(40))) as (spec, put):
        spy.during = lambda: put(99)
        result = runner.run(infer(spec, *range(n_windows)))
        assert outcomes(result) == [expected] * n_windows
        spy.seen.clear()


def test_a_window_that_the_engine_refuses_does_not_cost_its_companions(
    runner: BatchRunner, spy: Spy, caplog: pytest.LogCaptureFixture
) -> None:
    """The batch is retried one by one, once: the bad window is an error, the others are ok."""
    with filled_ring("a", [1, REFUSE, 3, 4, 5, 6, 7]) as (spec, _):
        result = runner.run(infer(spec, 0, 1, 2))
        assert [len(clips) for clips in spy.seen] == [3, 1, 1, 1]
        assert outcomes(result) == ["ok", "error", "ok"]
        spy.seen.clear()
        assert outcomes(runner.run(infer(spec, 1))) == ["error"]
        assert len(spy.seen) == 1
        spy.seen.clear()
    assert "a batch of 3 failed" in caplog.text
    caplog.clear()  # the tracebacks hold the views, and these the shared memory


def test_scores_that_are_no_numbers_are_an_error(runner: BatchRunner, spy: Spy) -> None:
    """NaN never leaves the worker."""
    with filled_ring("a", [1, NOT_FINITE, 3, 4, 5]) as (spec, _):
        result = runner.run(infer(spec, 0, 1))
        spy.seen.clear()
    assert outcomes(result) == ["ok", "error"]
    assert result.scores[1].scores == []


def test_a_failed_engine_is_not_hidden(runner: BatchRunner, spy: Spy) -> None:
    """EngineFailedError passes: the process must be replaced."""
    with filled_ring("a", [ENGINE_FAILS] * 4) as (spec, _):
        with pytest.raises(EngineFailedError):
            runner.run(infer(spec, 0))
        spy.seen.clear()


def test_a_ring_that_is_not_there_is_an_error_of_its_window(runner: BatchRunner) -> None:
    """Gone or never made: the others of the batch are answered."""
    gone = create_ring("gone", 40, 8, 4)
    remove_ring(gone)
    with filled_ring("a", [1] * 4) as (spec, _):
        batch = Infer(batch_id=1, windows=infer(gone, 0).windows + infer(spec, 0).windows)
        assert outcomes(runner.run(batch)) == ["error", "ok"]


def test_a_window_of_another_size_does_not_cost_its_companions(runner: BatchRunner) -> None:
    """Neither does a batch that is larger than was announced."""
    with (
        filled_ring("a", [1] * 4) as (spec, _),
        filled_ring("b", [1] * 4, size_px=16) as (large, _),
    ):
        windows = infer(spec, 0).windows + infer(large, 0).windows
        assert outcomes(runner.run(Infer(batch_id=1, windows=windows))) == ["ok", "error"]
    with filled_ring("a", [1] * 10) as (spec, _):
        assert outcomes(runner.run(infer(spec, *range(6)))) == ["ok"] * 6


def test_rings_of_cameras_that_are_gone_are_unmapped() -> None:
    """A removed ring is let go at the latest when the next one is mapped."""
    rings = Rings()
    with filled_ring("a", [1]) as (old, _):
        first = rings.reader(old)
        assert rings.reader(old) is first
    with filled_ring("b", [1]) as (new, _):
        rings.reader(new)
        assert len(rings) == 1
        assert old.path not in Path("/proc/self/maps").read_text()
    rings.close()
    assert len(rings) == 0
