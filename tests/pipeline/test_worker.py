"""Claims about pipeline.worker: back-off, states, one answer or error a batch (real processes)."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from model.config import ModelConfig
from pipeline.config import WorkerConfig
from pipeline.errors import ConfigError, WorkerError
from pipeline.report import WorkerState
from pipeline.worker import Loss, Worker, _expected_s, _oom_kills
from streamer.clock import SystemClock
from streamer.worker_notes import Locate, Placed, Ready, WindowRef
from tests.conftest import eventually
from tests.fakes import CRASH, ENGINE_FAILS, HANG, filled_ring

FAST = WorkerConfig(hang_s=0.5, heartbeat_s=1.5, backoff_initial_s=0.05, backoff_cap_s=0.2)


class Book:
    """A `WorkerObserver` that remembers."""

    def __init__(self) -> None:
        self.states: list[tuple[WorkerState, str]] = []
        self.losses: list[Loss] = []
        self.models: list[Ready] = []

    def worker(self, state: WorkerState, detail: str) -> None:
        self.states.append((state, detail))

    def worker_restarted(self, reason: Loss) -> None:
        self.losses.append(reason)

    def model(self, note: Ready) -> None:
        self.models.append(note)


@asynccontextmanager
async def running(
    factory: str = "load_fake",
    config: WorkerConfig = FAST,
    bundle: str = "untrained",
) -> AsyncIterator[tuple[Worker, Book]]:
    """Run a worker with a fake model; close it in the end."""
    book = Book()
    worker = Worker(
        config, ModelConfig(bundle=bundle), 4, SystemClock(), book, f"tests.fakes:{factory}"
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(), name="worker")
        yield worker, book
        worker.close()


def test_a_batch_is_expected_to_cost_what_the_next_larger_one_did() -> None:
    """Nothing measured: nothing expected, the configured limit alone holds."""
    assert _expected_s({1: 0.1, 4: 0.3}, 1) == 0.1
    assert _expected_s({1: 0.1, 4: 0.3}, 2) == 0.3
    assert _expected_s({1: 0.1, 4: 0.4}, 8) == pytest.approx(0.8)
    assert _expected_s({}, 3) == 0.0


def test_the_oom_counter_is_read_where_there_is_one(tmp_path: Path) -> None:
    """An unknown or missing control group counts as none."""
    assert _oom_kills() >= 0
    assert _oom_kills(tmp_path / "absent") == 0
    (tmp_path / "odd").write_text("0::/no/such/group\n")
    assert _oom_kills(tmp_path / "odd") == 0


async def test_a_worker_becomes_ready_answers_and_stops() -> None:
    """States in order, the model told, scores of the right frames, nothing left behind."""
    async with running() as (worker, book):
        with pytest.raises(WorkerError, match="no worker is ready"):
            await worker.infer([])
        ready = await worker.wait_ready()
        assert ready.model == "fake"
        with filled_ring("a", [10, 11, 12, 13]) as (spec, _):
            ref = WindowRef(window_id=1, ring=spec, first_seq=0)
            for _ in range(3):
                result = await worker.infer([ref])
                assert [round(v * 255) for v in result.scores[0].scores] == [10, 13, 1]
        assert book.models == [ready]
    assert [state for state, _ in book.states] == ["starting", "warming", "ready", "stopped"]
    assert book.losses == []
    with pytest.raises(WorkerError, match="it is stopped"):
        await worker.wait_ready()
    worker.close()


async def test_listeners_hear_every_change_of_state() -> None:
    """The inference stage sleeps until then."""
    async with running() as (worker, _):
        heard: list[str] = []
        worker.listen(lambda: heard.append(worker.state))
        await worker.wait_ready()
    assert heard == ["starting", "warming", "ready", "stopped"]


@pytest.mark.parametrize(
    ("order", "reason", "says"),
    [
        (CRASH, "crash", r"signal 6 \(SIGABRT\)"),
        (ENGINE_FAILS, "crash", "exited with code 70"),
        (HANG, "hang", "a batch took too long"),
    ],
)
async def test_a_lost_worker_fails_its_batch_and_is_replaced(
    order: int, reason: Loss, says: str
) -> None:
    """Crash, failed engine and hanging batch: an error for the caller, then a new worker serves."""
    async with running() as (worker, book):
        await worker.wait_ready()
        with filled_ring("a", [order] * 4 + [7] * 4) as (spec, _):
            with pytest.raises(WorkerError, match=says):
                await worker.infer([WindowRef(window_id=1, ring=spec, first_seq=0)])
            await worker.wait_ready()
            result = await worker.infer([WindowRef(window_id=2, ring=spec, first_seq=4)])
        assert result.scores[0].outcome == "ok"
        assert book.losses == [reason]
    assert tuple(s for s, detail in book.states if detail) == ("restarting",)


async def test_a_start_that_takes_too_long_is_ended() -> None:
    """A model that never loads is a time-out, again and again, and `close` ends it at once."""
    config = FAST.model_copy(update={"start_timeout_s": 0.6})
    async with running("load_hanging", config) as (worker, book):
        await eventually(lambda: len(book.losses) >= 2)
        assert set(book.losses) == {"timeout"}
        assert worker.ready is None


async def test_a_silent_worker_is_not_blamed_before_it_is_ready() -> None:
    """Importing an engine may silence the heartbeat: only the time limit of the start counts."""
    config = FAST.model_copy(update={"heartbeat_s": 0.01, "start_timeout_s": 1.0})
    async with running("load_hanging", config) as (_, book):
        await eventually(lambda: bool(book.losses))
        assert book.losses[0] == "timeout"


async def test_a_refused_model_at_the_first_start_is_the_operators_to_fix() -> None:
    """ConfigError with the sentence of the bundle; no restart."""
    book = Book()
    worker = Worker(
        FAST, ModelConfig(bundle="x"), 4, SystemClock(), book, "tests.fakes:load_refused"
    )
    with pytest.raises(ConfigError, match="model: bundle 'x' is not there; choose another"):
        await worker.run()
    assert worker.state == "refused"
    assert book.losses == []
    with pytest.raises(WorkerError, match="it is refused"):
        await worker.wait_ready()


async def test_a_crash_loop_is_slowed_down_and_ends_when_the_cause_does(tmp_path: Path) -> None:
    """E4: three starts fail; each next one comes later; the fourth serves."""
    starts = tmp_path / "starts"
    async with running("load_crashing_at_first", bundle=str(starts)) as (worker, book):
        await worker.wait_ready()
        assert book.losses == ["crash"] * 3
    at = [float(line) for line in starts.read_text().split()]
    waits = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert len(waits) == 3
    assert all(wait >= least for wait, least in zip(waits, [0.05, 0.1, 0.2], strict=True))


async def test_a_cancelled_caller_leaves_the_worker_usable() -> None:
    """The late answer of an abandoned batch is not taken for the next one's."""
    async with running("load_slow", FAST.model_copy(update={"hang_s": 5.0})) as (worker, book):
        await worker.wait_ready()
        with filled_ring("a", [1] * 4 + [2] * 4) as (spec, _):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await worker.infer([WindowRef(window_id=1, ring=spec, first_seq=0)])
            result = await worker.infer([WindowRef(window_id=2, ring=spec, first_seq=4)])
            assert [score.window_id for score in result.scores] == [2]
        assert book.losses == []


async def test_closing_finishes_the_batch_in_flight() -> None:
    """I1: a batch that was sent is answered although the stop came after it."""
    async with running("load_slow") as (worker, _):
        await worker.wait_ready()
        with filled_ring("a", [3] * 4) as (spec, _):
            asyncio.get_running_loop().call_later(0.05, worker.close)
            result = await worker.infer([WindowRef(window_id=1, ring=spec, first_seq=0)])
        assert result.scores[0].outcome == "ok"


@pytest.mark.parametrize("phase", ["warming", "ready", "restarting"])
async def test_closing_is_quick_in_every_state(phase: str) -> None:
    """Also while the worker hangs in its start, is stopped, or waits for its next start."""
    config = FAST.model_copy(update={"backoff_initial_s": 30.0, "backoff_cap_s": 30.0})
    factory = {"warming": "load_hanging"}.get(phase, "load_fake")
    loop = asyncio.get_running_loop()
    async with running(factory, config) as (worker, book):
        reached: Callable[[], bool] = lambda: worker.state == phase  # noqa: E731 - one line
        if phase == "restarting":
            await worker.wait_ready()
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGKILL)
        await eventually(reached)
        if phase == "ready":
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGSTOP)
        begun = loop.time()
    assert loop.time() - begun < 3.0
    assert book.states[-1][0] == "stopped"


async def test_a_control_process_that_was_away_does_not_blame_its_worker() -> None:
    """After a stop of the control process itself, beyond all limits, no worker is killed."""
    async with running() as (worker, book):
        await worker.wait_ready()
        time.sleep(FAST.heartbeat_s + 1.2)  # noqa: ASYNC251 - the loop itself stands still
        await asyncio.sleep(0.7)
        assert worker.state == "ready"
        assert book.losses == []


async def test_where_an_event_is_can_be_asked_while_there_is_a_worker() -> None:
    """The answer comes by itself; before the worker is ready nobody takes the question."""
    placed: list[Placed] = []
    async with running() as (worker, _):
        worker.hear_places(placed.append)
        with filled_ring("a", [10, 11, 12, 13]) as (spec, _):
            window = WindowRef(window_id=1, ring=spec, first_seq=0)
            question = Locate(event_id="e1", window=window, label="last")
            assert not worker.locate(question)
            await worker.wait_ready()
            assert worker.locate(question)
            await eventually(lambda: placed != [])
    assert (placed[0].event_id, placed[0].span) == ("e1", (0.5, 1.0))
    assert not worker.locate(question)
