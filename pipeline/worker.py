"""The inference process as the control process sees it: started, watched, replaced.

In: batches of window references, one at a time. Out: their results, or `WorkerError` when the
worker was lost meanwhile. `run` keeps one worker process alive until `close`: a crash, a hang (no
heartbeat, or a batch that takes too long) and a start that takes too long end in a kill and, after
an exponential back-off, a new process.
Invariant: every `infer` ends, with its own result or with an error.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from model.config import ModelConfig
from pipeline.config import WorkerConfig
from pipeline.errors import ConfigError, WorkerError
from pipeline.report import WorkerState
from pipeline.restart import RestartPolicy
from streamer.clock import Clock
from streamer.errors import LinkError
from streamer.notes import Note, Stop
from streamer.process import ChildProcess
from streamer.worker_notes import (
    FromWorker,
    Infer,
    LoadModel,
    Locate,
    ModelRefused,
    Placed,
    Ready,
    Result,
    WindowRef,
)

log = logging.getLogger(__name__)

Loss = Literal["crash", "hang", "memory", "timeout"]
"""Why a worker had to be replaced: it ended by itself; it or a batch hung; the system's memory ran
out; it did not become ready in time."""

HANG_FACTOR = 5.0
CLOSE_GRACE_S = 2.0
# A watchdog that wakes this late was away itself and must not blame the worker.
AWAY_S = 1.0
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow"}


class WorkerObserver(Protocol):
    """Told of what happens to the worker."""

    def worker(self, state: WorkerState, detail: str) -> None:
        """The state changed; `detail` is one sentence for people, may be empty."""

    def worker_restarted(self, reason: Loss) -> None:
        """The worker was lost and will be replaced."""

    def model(self, note: Ready) -> None:
        """The worker told what it runs."""


@dataclass(slots=True)
class _InFlight:
    """A batch the worker has."""

    batch_id: int
    answer: asyncio.Future[Result]
    hangs_at: float


class _WorkerLostError(Exception):
    """This worker process is over."""

    def __init__(self, reason: Loss, detail: str) -> None:
        super().__init__(detail)
        self.reason: Loss = reason


class Worker:
    """Handle of the inference process.

    Args:
        config: supervision.
        model: what it loads.
        max_batch: most windows in a batch.
        clock: time.
        observer: told of states, restarts and the model.
        factory: `module:function` that loads the model in the worker; empty for the real one.
        hops: frames between windows that cameras may use.
    """

    def __init__(  # noqa: PLR0913 - one constructor call, in app.py
        self,
        config: WorkerConfig,
        model: ModelConfig,
        max_batch: int,
        clock: Clock,
        observer: WorkerObserver,
        factory: str = "",
        hops: Sequence[int] = (),
    ) -> None:
        self.state: WorkerState = "starting"
        self.ready: Ready | None = None
        self._config = config
        self._load = LoadModel(
            config=model.model_dump_json().encode(),
            max_batch=max_batch,
            factory=factory,
            hops=list(hops),
        )
        self._clock = clock
        self._observer = observer
        self._policy = RestartPolicy(config.backoff_initial_s, config.backoff_cap_s)
        self._batch_ids = itertools.count()
        self._child: ChildProcess[FromWorker] | None = None
        self._batch: _InFlight | None = None
        self._listeners: list[Callable[[], None]] = []
        self._on_place: Callable[[Placed], None] | None = None
        self._has_been_ready = False
        self._spawned_at = 0.0
        self._ready_at = math.inf
        self._closing_at = math.inf
        self._grace_s = CLOSE_GRACE_S
        self._closing = asyncio.Event()
        self._changed = asyncio.Event()
        self._patience: asyncio.Timeout | None = None

    # ---- for the inference stage -----------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """Process id of the current worker; None between two of them."""
        return self._child.pid if self._child is not None else None

    @property
    def is_over(self) -> bool:
        """No worker will ever be ready again."""
        return self.state in ("refused", "stopped")

    @property
    def is_closing(self) -> bool:
        """The end was asked for."""
        return self._closing.is_set()

    def listen(self, on_change: Callable[[], None]) -> None:
        """Have `on_change` called whenever the state has changed."""
        self._listeners.append(on_change)

    async def wait_ready(self) -> Ready:
        """Wait until the worker is ready.

        Raises:
            WorkerError: it never will be: the model was refused, or `close` was called.
        """
        while self.ready is None:
            if self.is_over:
                raise WorkerError(f"no worker will be ready: it is {self.state}")
            self._changed.clear()
            await self._changed.wait()
        return self.ready

    async def infer(self, windows: Sequence[WindowRef]) -> Result:
        """Have one batch classified; one call at a time.

        Raises:
            WorkerError: there is no worker, or it was lost before it answered.
        """
        child, ready = self._child, self.ready
        if child is None or ready is None or self._closing.is_set():
            raise WorkerError(f"no worker is ready: it is {self.state}")
        batch_id = next(self._batch_ids)
        limit_s = max(self._config.hang_s, HANG_FACTOR * _expected_s(ready.cost_s, len(windows)))
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._batch = _InFlight(batch_id, answer, self._clock.now() + limit_s)
        child.send(Infer(batch_id=batch_id, windows=list(windows)))
        self._look_again_in(limit_s)
        try:
            return await answer
        finally:
            answer.cancel()

    def locate(self, question: Locate) -> bool:
        """Ask where an event is; the answer comes to `hear_places`, or never.

        Returns:
            False where no worker is ready.
        """
        child = self._child
        if child is None or self.ready is None or self._closing.is_set():
            return False
        child.send(question)
        return True

    def hear_places(self, on_place: Callable[[Placed], None]) -> None:
        """Have `on_place` called with every answer to `locate`."""
        self._on_place = on_place

    # ---- life ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep a worker running until `close`.

        Raises:
            ConfigError: the bundle or engine of the configuration cannot be used.
        """
        try:
            while not self._closing.is_set():
                loss = await self._one_life()
                if loss is not None:
                    await self._pause(loss)
        finally:
            if self.state != "refused":
                self._set("stopped", "")

    def close(self) -> None:
        """Ask the worker to finish its batch and exit: it gets 2 s, none while it is loading."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._closing_at = self._clock.now()
        self._grace_s = CLOSE_GRACE_S if self.ready is not None else 0.0
        if self._child is not None:
            self._child.send(Stop())
        self._look_again_in(self._grace_s)

    async def _one_life(self) -> _WorkerLostError | None:
        """Run one worker process to its end; return why it was lost, None when that was asked."""
        n_oom_kills = _oom_kills()
        self._set("starting", "")
        self._spawned_at, self._ready_at = self._clock.now(), math.inf
        child: ChildProcess[FromWorker] = ChildProcess(
            "pipeline.worker_process", "worker", FromWorker, self._clock, ENVIRONMENT
        )
        loss = _WorkerLostError("crash", "")
        try:
            async with child:
                self._child = child
                child.send(self._load)
                self._set("warming", "")
                await self._listen_to(child)
        except _WorkerLostError as lost:
            loss = lost
        except LinkError as err:
            loss = _WorkerLostError("crash", str(err))
        finally:
            self._child = self.ready = None
            self._abandon_batch(str(loss) or child.exit_text)
        if self._closing.is_set():
            return None
        if not str(loss):
            is_memory = child.exit_code == -9 and _oom_kills() > n_oom_kills
            loss = _WorkerLostError("memory" if is_memory else "crash", child.exit_text)
        return loss

    async def _listen_to(self, child: ChildProcess[FromWorker]) -> None:
        """Handle notes until the worker ends.

        Raises:
            _WorkerLostError: it hangs.
            ConfigError: it refused the model at the first start.
            LinkError: it sent something that is no note.
        """
        while True:
            deadline = self._next_deadline(child)
            try:
                async with asyncio.timeout(
                    max(0.0, deadline - self._clock.now())
                ) as self._patience:
                    notes = await child.receive()
            except TimeoutError:
                self._blame(child)
                continue
            finally:
                self._patience = None
            if not notes:
                return
            for note in notes:
                self._handle(note)

    def _next_deadline(self, child: ChildProcess[FromWorker]) -> float:
        if self.ready is None:
            # Importing an engine from a cold disk may keep every other thread from running.
            deadline = self._spawned_at + self._config.start_timeout_s
        else:
            deadline = child.last_heard_at + self._config.heartbeat_s
        if self._batch is not None:
            deadline = min(deadline, self._batch.hangs_at)
        return min(deadline, self._closing_at + self._grace_s)

    def _look_again_in(self, delay_s: float) -> None:
        """Shorten the current wait: a deadline has come up that it does not know."""
        at = asyncio.get_running_loop().time() + delay_s
        if self._patience is not None and at < (self._patience.when() or math.inf):
            self._patience.reschedule(at)

    def _blame(self, child: ChildProcess[FromWorker]) -> None:
        """Find out which deadline has passed.

        Raises:
            _WorkerLostError: unless it was a false alarm.
        """
        now, config = self._clock.now(), self._config
        late_s = now - self._next_deadline(child)
        if late_s > AWAY_S:
            # This process was stopped or starved itself; what the worker sent meanwhile is unread.
            self._forgive(child, late_s)
            return
        if now >= self._closing_at + self._grace_s:
            raise _WorkerLostError("timeout", "did not stop in time")
        if self._batch is not None and now >= self._batch.hangs_at:
            raise _WorkerLostError("hang", "a batch took too long")
        if self.ready is None and now >= self._spawned_at + config.start_timeout_s:
            raise _WorkerLostError("timeout", f"not ready after {config.start_timeout_s:g} s")
        if self.ready is not None and now >= child.last_heard_at + config.heartbeat_s:
            raise _WorkerLostError("hang", f"no sign of life for {config.heartbeat_s:g} s")

    def _forgive(self, child: ChildProcess[FromWorker], late_s: float) -> None:
        child.last_heard_at += late_s
        self._spawned_at += late_s
        if self._batch is not None:
            self._batch.hangs_at += late_s

    def _handle(self, note: Note) -> None:
        match note:
            case Ready():
                self.ready = note
                self._has_been_ready = True
                self._ready_at = self._clock.now()
                self._observer.model(note)
                self._set("ready", "")
            case Result():
                batch = self._batch
                if batch is not None and batch.batch_id == note.batch_id:
                    self._batch = None
                    if not batch.answer.done():
                        batch.answer.set_result(note)
            case Placed() if self._on_place is not None:
                self._on_place(note)
            case ModelRefused() if not self._has_been_ready:
                self._set("refused", note.message)
                raise ConfigError(f"model: {note.message}")
            case ModelRefused():
                # It was accepted before: somebody is replacing the bundle right now.
                raise _WorkerLostError("crash", f"the model was refused: {note.message}")

    async def _pause(self, loss: _WorkerLostError) -> None:
        """Tell the loss, then wait for the next start or for `close`."""
        healthy_s = max(0.0, self._clock.now() - self._ready_at)
        wait_s = self._policy.wait_s(healthy_s)
        log.warning("worker lost (%s): %s; next start in %.1f s", loss.reason, loss, wait_s)
        self._observer.worker_restarted(loss.reason)
        self._set("restarting", str(loss))
        try:
            async with asyncio.timeout(wait_s):
                await self._closing.wait()
        except TimeoutError:
            return

    def _abandon_batch(self, why: str) -> None:
        batch, self._batch = self._batch, None
        if batch is not None and not batch.answer.done():
            batch.answer.set_exception(WorkerError(f"the worker was lost: {why}"))

    def _set(self, state: WorkerState, detail: str) -> None:
        self.state = state
        self._changed.set()
        self._observer.worker(state, detail)
        for on_change in self._listeners:
            on_change()


def _expected_s(cost_s: dict[int, float], size: int) -> float:
    """Measured seconds of the nearest larger batch, else in proportion to the largest measured."""
    larger = [n for n in cost_s if n >= size]
    if larger:
        return cost_s[min(larger)]
    largest = max(cost_s, default=0)
    return cost_s[largest] * size / largest if largest else 0.0


def _oom_kills(group: Path = Path("/proc/self/cgroup")) -> int:
    """Processes of our control group that were killed for memory so far; 0 where unknown."""
    try:
        path = group.read_text().strip().rpartition("::")[2].lstrip("/")
        events = (Path("/sys/fs/cgroup") / path / "memory.events").read_text().split()
        return int(events[events.index("oom_kill") + 1])
    except (OSError, ValueError, IndexError):
        return 0
