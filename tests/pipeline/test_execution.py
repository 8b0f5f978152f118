"""Claims about pipeline.execution: one outcome a window, zero copy, bad ones isolated."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from model.classifier import Clips, Embeddings, Scores
from model.errors import EngineFailedError
from pipeline.execution import BatchRunner, Rings
from pipeline.streams import Streams
from streamer.notes import RingSpec
from streamer.ring import create_ring, remove_ring
from streamer.worker_notes import Infer, Result, WindowRef
from tests.fakes import ENGINE_FAILS, NOT_FINITE, REFUSE, FakeClassifier, filled_ring
from tests.pipeline.weighing import HOP, N_FRAMES, Engine, weighed


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


# ---- windows computed from their new frames ------------------------------------------------------


class Stepping:
    """A ring of random values and a runner over the classifier of `weighing`."""

    def __init__(self, camera: str, ring: RingSpec, put: Callable[[int], int]) -> None:
        self.camera, self.ring, self.put = camera, ring, put
        self.values: list[int] = []
        self.rng = np.random.default_rng(3)

    def fill(self, n_frames: int) -> None:
        for value in self.rng.integers(0, 256, n_frames):
            self.values.append(int(value))
            self.put(int(value))

    def ref(self, first_seq: int, run: int = 0) -> WindowRef:
        return WindowRef(
            window_id=first_seq,
            ring=self.ring,
            first_seq=first_seq,
            camera=self.camera,
            run=run,
            hop=HOP,
        )

    def expected(self, first_seq: int) -> list[float]:
        window = self.values[first_seq : first_seq + N_FRAMES]
        clip = np.array(window, np.uint8)[None, :, None, None, None]
        return [float(value) for value in weighed(clip)[0][0]]


@contextmanager
def stepping(engine: Engine, audit_every: int = 0) -> Iterator[tuple[BatchRunner, Stepping]]:
    with filled_ring("a", [], 40, 2, N_FRAMES) as (ring, put):
        runner = BatchRunner(Streams(engine, "float32", 1000, audit_every), max_batch=4)
        try:
            yield runner, Stepping("a", ring, put)
        finally:
            runner.close()


def ask(runner: BatchRunner, *windows: WindowRef) -> Result:
    return runner.run(Infer(batch_id=1, windows=list(windows)))


def test_only_new_frames_are_read_and_the_scores_are_those_of_the_window() -> None:
    """Over 25 windows of a ring that wraps around; the result tells the memory of the state."""
    engine = Engine()
    with stepping(engine) as (runner, camera):
        camera.fill(N_FRAMES)
        for at in range(0, 100, HOP):
            result = ask(runner, camera.ref(at))
            [score] = result.scores
            assert (score.outcome, score.is_step) == ("ok", at > 0)
            assert score.scores == camera.expected(at)
            assert result.state_bytes == 100
            camera.fill(HOP)
    assert engine.calls == ["init 1"] + ["step 1"] * 24


def test_a_step_needs_no_frames_that_are_overwritten_by_now() -> None:
    """The ring has moved on; the new frames are still there, and they are enough."""
    engine = Engine()
    with stepping(engine) as (runner, camera):
        camera.fill(N_FRAMES)
        ask(runner, camera.ref(0))
        camera.fill(38)
        [score] = ask(runner, camera.ref(HOP)).scores
        assert (score.outcome, score.is_step, score.scores) == ("ok", True, camera.expected(HOP))


def test_a_step_whose_new_frames_are_overwritten_is_stale_and_leaves_nothing() -> None:
    """The next window of the camera is computed in full."""
    engine = Engine()
    with stepping(engine) as (runner, camera):
        camera.fill(N_FRAMES)
        ask(runner, camera.ref(0))
        camera.fill(60)
        result = ask(runner, camera.ref(HOP))
        assert (outcomes(result), result.state_bytes) == (["stale"], 0)
        [score] = ask(runner, camera.ref(60)).scores
        assert (score.outcome, score.is_step, score.reset) == ("ok", False, "first")
        assert score.scores == camera.expected(60)


def test_frames_overwritten_during_a_first_window_leave_no_state() -> None:
    """A single first window is read in place: what came of it cannot be believed."""
    engine = Engine()
    with stepping(engine) as (runner, camera):
        camera.fill(N_FRAMES)
        engine.during = lambda: camera.fill(40)
        result = ask(runner, camera.ref(0))
        assert (outcomes(result), result.state_bytes) == (["stale"], 0)


@pytest.mark.parametrize("n_cameras", [1, 2])
def test_a_step_the_engine_refuses_is_computed_in_full(
    n_cameras: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Each window alone; nobody loses one."""
    engine = Engine()
    with stepping(engine) as (runner, camera), filled_ring("b", [], 40, 2, N_FRAMES) as (ring, put):
        cameras = [camera, Stepping("b", ring, put)][:n_cameras]
        for one in cameras:
            one.fill(N_FRAMES)
        ask(runner, *(one.ref(0) for one in cameras))
        for one in cameras:
            one.fill(HOP)
        engine.failing["step"] = ValueError("refused")
        scores = ask(runner, *(one.ref(HOP) for one in cameras)).scores
        assert [score.scores for score in scores] == [one.expected(HOP) for one in cameras]
        assert [(score.is_step, score.reset) for score in scores] == [(False, "error")] * n_cameras
    assert engine.calls[-n_cameras:] == ["predict 1"] * n_cameras
    caplog.clear()


def test_an_audit_travels_with_the_next_result() -> None:
    """The window is computed a second time between batches."""
    engine = Engine()
    with stepping(engine, audit_every=1) as (runner, camera):
        camera.fill(N_FRAMES)
        ask(runner, camera.ref(0))
        camera.fill(HOP)
        assert ask(runner, camera.ref(HOP)).audit is None
        runner.audit()
        camera.fill(HOP)
        audit = ask(runner, camera.ref(2 * HOP)).audit
        assert audit is not None
        assert (audit.is_equal, audit.max_abs_error) == (True, 0.0)
        camera.fill(60)
        runner.audit()  # that window is gone by now
        assert ask(runner, camera.ref(60)).audit is None
