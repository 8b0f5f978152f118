"""Claims about pipeline.inference: one outcome a window, one retry, waits, drains."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
import pytest

from pipeline.batching import Batcher
from pipeline.config import BatchingConfig
from pipeline.errors import WorkerError
from pipeline.inference import InferenceStage
from pipeline.mailbox import Mailbox
from pipeline.records import InferenceOutcome, Prediction, Timeline, Window
from streamer.notes import RingSpec
from streamer.worker_notes import Ready, Result, Score, WindowRef
from tests.conftest import FakeClock, settle

READY = Ready(
    model="fake",
    version="1",
    sha256="0",
    is_trained=True,
    labels=["a", "b"],
    engine="fake",
    precision="float32",
    device="cpu",
    cost_s={1: 0.1, 2: 0.2, 4: 0.4},
    load_s=0.0,
)


@dataclass
class ScriptedWorker:
    """An `InferenceWorker` whose batches the test answers."""

    ready: Ready | None = None
    is_over: bool = False
    on_change: list[Callable[[], None]] = field(default_factory=list)
    batches: list[tuple[Sequence[WindowRef], asyncio.Future[Result]]] = field(default_factory=list)

    def listen(self, on_change: Callable[[], None]) -> None:
        self.on_change.append(on_change)

    async def infer(self, windows: Sequence[WindowRef]) -> Result:
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self.batches.append((windows, answer))
        return await answer

    async def change(self, ready: Ready | None, *, is_over: bool = False) -> None:
        self.ready, self.is_over = ready, is_over
        for told in self.on_change:
            told()
        await settle()

    async def answer(self, outcome: str = "ok", at: float = 0.0) -> list[int]:
        """Answer the oldest open batch; return the ids of its windows."""
        windows, future = self.batches.pop(0)
        scores = [
            Score(window_id=w.window_id, outcome=outcome, scores=[0.25, 0.75])  # type: ignore[arg-type]
            for w in windows
        ]
        future.set_result(
            Result(
                batch_id=0,
                scores=scores,
                started_at=at,
                transfer_s=0.0,
                infer_s=0.1,
                finished_at=at + 0.1,
            )
        )
        await settle()
        return [w.window_id for w in windows]

    async def lose(self) -> list[int]:
        """Die with the oldest open batch."""
        windows, future = self.batches.pop(0)
        future.set_exception(WorkerError("killed by signal 9"))
        self.ready = None
        await settle()
        return [w.window_id for w in windows]


@dataclass
class Book:
    """An `InferenceObserver` that remembers."""

    fates: list[tuple[int, InferenceOutcome]] = field(default_factory=list)
    batches: list[tuple[str, int]] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    served_s: list[float] = field(default_factory=list)
    depth: int = 0

    def inferred(self, window: Window, outcome: InferenceOutcome) -> None:
        self.fates.append((window.window_id, outcome))

    def batch(self, trigger: str, size: int) -> None:
        self.batches.append((trigger, size))

    def result(self, note: Result) -> None:
        self.results.append(note)

    def served(self, windows: Sequence[Window], seconds: float) -> None:
        assert windows
        self.served_s.append(seconds)

    def queue(self, depth: int, capacity: int) -> None:
        assert depth >= 0
        self.depth = depth


class Bench:
    """The stage with scripted neighbours."""

    def __init__(self, clock: FakeClock, max_age_s: float = 1.0) -> None:
        self.clock = clock
        self.worker = ScriptedWorker()
        self.book = Book()
        self.inbox: Mailbox[Window] = Mailbox(100)
        self.outbox: Mailbox[Prediction] = Mailbox(100)
        self.rings = {
            camera: RingSpec(path=f"/{camera}", n_slots=64, size_px=8) for camera in "abcdef"
        }
        self.ids = itertools.count(1)
        config = BatchingConfig(max_wait_s=0.0, max_age_s=max_age_s)
        self.stage = InferenceStage(
            inbox=self.inbox,
            outbox=self.outbox,
            rings=self.rings,
            batcher=Batcher(config),
            worker=self.worker,
            clock=clock,
            observer=self.book,
        )
        self.inbox.__enter__()

    async def put(self, camera: str, *, age_s: float = 0.0, is_live: bool = True) -> int:
        """Hand a window in; return its id."""
        at = self.clock.now() - age_s
        window = Window(
            window_id=next(self.ids),
            camera=camera,
            run=0,
            first_seq=5,
            last_seq=36,
            media_start_s=0.0,
            media_end_s=3.1,
            coverage=1.0,
            motion=0.0,
            is_degraded=False,
            timeline=Timeline(at, at, at, self.clock.now()),
            is_live=is_live,
        )
        self.inbox.put(window)
        await settle()
        return window.window_id

    def end(self) -> None:
        """The last camera has ended."""
        self.inbox.__exit__()

    def start(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        return [
            group.create_task(self.stage.receive(), name="inference:receive"),
            group.create_task(self.stage.dispatch(), name="inference:dispatch"),
        ]


@pytest.fixture
def bench(clock: FakeClock) -> Bench:
    return Bench(clock)


async def test_a_window_becomes_a_prediction_with_its_whole_timeline(bench: Bench) -> None:
    """Labels, scores, model and the instants of every stage so far."""
    async with asyncio.TaskGroup() as group:
        bench.start(group)
        await bench.worker.change(READY)
        number = await bench.put("a")
        ((ref,), _) = bench.worker.batches[0]
        assert ref == WindowRef(
            window_id=number, ring=bench.rings["a"], first_seq=5, camera="a", run=0, hop=0
        )
        now = bench.clock.now()
        await bench.worker.answer(at=now + 0.01)
        bench.end()
    prediction = bench.outbox.pop()
    assert prediction is not None
    assert (prediction.labels, prediction.scores) == (("a", "b"), (0.25, 0.75))
    assert (prediction.model, prediction.is_trained, prediction.batch_size) == ("fake", True, 1)
    assert prediction.timeline == Timeline(
        now, now, now, now, dispatched_at=now, started_at=now + 0.01, scored_at=now + 0.11
    )
    assert bench.outbox.is_ended
    assert bench.book.fates == [(number, "ok")]
    assert bench.book.batches == [("idle", 1)]
    assert bench.book.depth == 0


async def test_windows_wait_for_the_worker_as_the_newest_of_their_camera(bench: Bench) -> None:
    """Before it is ready nothing is sent; older windows of a camera give way and are told."""
    async with asyncio.TaskGroup() as group:
        bench.start(group)
        first, second, other = [await bench.put(camera) for camera in "aab"]
        assert bench.worker.batches == []
        assert bench.book.fates == [(first, "rejected")]
        assert bench.book.depth == 2
        await bench.worker.change(READY)
        assert await bench.worker.answer() == [second]
        assert await bench.worker.answer() == [other]
        bench.end()
    assert bench.book.fates[1:] == [(second, "ok"), (other, "ok")]


async def test_windows_come_in_while_a_batch_is_running(bench: Bench) -> None:
    """One batch in flight; meanwhile newer windows replace older ones at once."""
    async with asyncio.TaskGroup() as group:
        bench.start(group)
        await bench.worker.change(READY)
        running = await bench.put("a")
        old = await bench.put("b")
        new = await bench.put("b")
        assert len(bench.worker.batches) == 1
        assert bench.book.fates == [(old, "rejected")]
        assert bench.book.depth == 2
        assert await bench.worker.answer() == [running]
        assert await bench.worker.answer() == [new]
        bench.end()


@pytest.mark.parametrize(
    ("answer", "outcome"), [("ok", "ok"), ("stale", "expired"), ("error", "error")]
)
async def test_the_workers_answer_decides_the_outcome(
    bench: Bench, answer: str, outcome: InferenceOutcome
) -> None:
    """Only ok becomes a prediction; overwritten counts as expired."""
    async with asyncio.TaskGroup() as group:
        bench.start(group)
        await bench.worker.change(READY)
        number = await bench.put("a")
        await bench.worker.answer(answer)
        bench.end()
    assert bench.book.fates == [(number, outcome)]
    assert (bench.outbox.pop() is not None) == (answer == "ok")


async def test_a_batch_that_lost_its_worker_is_retried_once(bench: Bench) -> None:
    """E1: 0 windows lost by one crash; the second crash of the same window is its end."""
    async with asyncio.TaskGroup() as group:
        bench.start(group)
        await bench.worker.change(READY)
        number = await bench.put("a")
        assert await bench.worker.lose() == [number]
        assert bench.book.fates == []
        assert bench.worker.batches == []
        await bench.worker.change(READY)
        assert await bench.worker.lose() == [number]
        assert bench.book.fates == [(number, "error")]
        await bench.worker.change(READY)
        assert bench.worker.batches == []
        other = await bench.put("a")
        assert await bench.worker.answer() == [other]
        bench.end()
    assert bench.book.fates == [(number, "error"), (other, "ok")]


async def test_a_lost_window_is_not_retried_when_it_is_too_old_or_outdated(bench: Bench) -> None:
    """Too old, or a newer one of its camera waits: error, at once."""
    async with asyncio.TaskGroup() as group:
        bench.start(group)
        await bench.worker.change(READY)
        outdated = await bench.put("a")
        newer = await bench.put("a")
        await bench.worker.lose()
        assert bench.book.fates == [(outdated, "error")]
        await bench.worker.change(READY)
        bench.clock.tick(1.0)
        assert await bench.worker.lose() == [newer]
        assert bench.book.fates == [(outdated, "error"), (newer, "error")]
        bench.end()


async def test_a_window_that_kills_workers_goes_alone(clock: FakeClock) -> None:
    """E5: after a lost batch each of its windows goes alone; all but the killer are answered."""
    bench = Bench(clock, max_age_s=60.0)
    async with asyncio.TaskGroup() as group:
        bench.start(group)
        poison, *mates = [await bench.put(camera) for camera in "abcd"]
        like_a_gpu = msgspec.structs.replace(READY, cost_s={1: 0.1, 4: 0.11})
        await bench.worker.change(like_a_gpu)
        assert await bench.worker.lose() == [poison, *mates]
        answered = []
        for _ in range(4):
            await bench.worker.change(like_a_gpu)
            (window,) = bench.worker.batches[0][0]
            if window.window_id == poison:
                await bench.worker.lose()
            else:
                answered += await bench.worker.answer()
        assert sorted(answered) == mates
        bench.end()
    assert Counter(bench.book.fates) == Counter(
        [(poison, "error"), *((mate, "ok") for mate in mates)]
    )


async def test_old_windows_expire_while_nothing_serves(bench: Bench) -> None:
    """A window that waits for a worker too long gets its outcome without one."""
    async with asyncio.TaskGroup() as group:
        bench.start(group)
        number = await bench.put("a", age_s=0.95)
        bench.clock.tick(0.1)
        await asyncio.sleep(0.1)  # the stage's own timer, 50 ms: real time on purpose
        assert bench.book.fates == [(number, "expired")]
        bench.end()


async def test_the_end_of_the_cameras_drains_what_is_pending(bench: Bench) -> None:
    """Also when the worker becomes ready only after a short file has ended."""
    async with asyncio.TaskGroup() as group:
        receive, dispatch = bench.start(group)
        number = await bench.put("a", is_live=False)
        bench.end()
        await settle()
        assert receive.done()
        assert not dispatch.done()
        bench.clock.tick(100.0)
        await bench.worker.change(READY)
        assert await bench.worker.answer() == [number]
    assert bench.book.fates == [(number, "ok")]
    assert bench.book.batches == [("drain", 1)]


async def test_without_hope_for_a_worker_windows_are_rejected(bench: Bench) -> None:
    """A refused model or a closed worker: the stage ends by itself when the cameras do."""
    async with asyncio.TaskGroup() as group:
        bench.start(group)
        first = await bench.put("a", is_live=False)
        await bench.worker.change(None, is_over=True)
        second = await bench.put("b", is_live=False)
        bench.end()
    assert bench.book.fates == [(first, "rejected"), (second, "rejected")]


async def test_a_cancelled_stage_accounts_for_everything_it_had(bench: Bench) -> None:
    """I1: in flight, pending and still in the inbox: each window has one outcome."""
    async with asyncio.TaskGroup() as group:
        tasks = bench.start(group)
        await bench.worker.change(READY)
        numbers = [await bench.put(camera) for camera in "abc"]
        for task in tasks:
            task.cancel()
        await settle()
        assert sorted(bench.book.fates) == [(number, "rejected") for number in numbers]
        assert bench.outbox.is_ended
        bench.end()


async def test_windows_put_during_the_cancellation_are_accounted_for(bench: Bench) -> None:
    """The dispatcher alone ends first: what still comes in is rejected at once."""
    async with asyncio.TaskGroup() as group:
        _, dispatch = bench.start(group)
        await settle()
        dispatch.cancel()
        await settle()
        late = await bench.put("a")
        assert bench.book.fates == [(late, "rejected")]
        bench.end()


async def test_every_window_gets_one_outcome_through_crashes_and_overload(clock: FakeClock) -> None:
    """300 windows of 6 cameras, a worker that dies now and then: outcomes = windows, exactly."""
    bench = Bench(clock)
    numbers: list[int] = []
    async with asyncio.TaskGroup() as group:
        bench.start(group)
        for turn in range(300):
            numbers.append(await bench.put("abcdef"[turn * 5 % 6], age_s=turn % 7 * 0.2))
            bench.clock.tick(0.05)
            if turn % 11 == 0:
                await bench.worker.change(READY)
            if bench.worker.batches and turn % 3 == 0:
                await (bench.worker.lose() if turn % 4 == 0 else bench.worker.answer())
        bench.end()
        await bench.worker.change(READY)
        while bench.worker.batches:
            await bench.worker.answer()
    assert sorted(number for number, _ in bench.book.fates) == numbers
    assert {outcome for _, outcome in bench.book.fates} == {"ok", "error", "expired", "rejected"}
