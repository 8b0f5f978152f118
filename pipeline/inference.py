"""The stage between cameras and detectors: windows in, predictions out, at the worker's pace.

In: windows as the cameras form them. Out: a `Prediction` for each that was classified. `receive`
hands windows to the batching policy as they come, `dispatch` sends one batch at a time to the
worker; the composition root runs both. Invariant: each window that was put into the inbox gets
exactly one outcome, also when the worker dies, never starts, or the stage is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from pipeline.batching import Batch, Batcher, Resolved
from pipeline.errors import WorkerError
from pipeline.mailbox import Mailbox, Outbox
from pipeline.records import InferenceOutcome, Prediction, Window
from streamer.clock import Clock
from streamer.notes import RingSpec
from streamer.worker_notes import Ready, Result, Score, WindowRef

log = logging.getLogger(__name__)


class InferenceWorker(Protocol):
    """What the stage needs of a worker, local or remote."""

    @property
    def ready(self) -> Ready | None:
        """What runs now; None while nothing does."""

    @property
    def is_over(self) -> bool:
        """Nothing will ever be ready again."""

    def listen(self, on_change: Callable[[], None]) -> None:
        """Have `on_change` called whenever `ready` or `is_over` has changed."""

    async def infer(self, windows: Sequence[WindowRef]) -> Result:
        """Have one batch classified; `WorkerError` when that did not happen."""
        ...


class InferenceObserver(Protocol):
    """Told of what happens to windows and batches."""

    def inferred(self, window: Window, outcome: InferenceOutcome) -> None:
        """A window got its one outcome."""

    def batch(self, trigger: str, size: int) -> None:
        """A batch was sent to the worker."""

    def result(self, note: Result) -> None:
        """A batch came back."""

    def served(self, windows: Sequence[Window], seconds: float) -> None:
        """These windows were with the worker for so long."""

    def queue(self, depth: int, capacity: int) -> None:
        """Windows that wait now, and the most that live cameras can have waiting."""


class InferenceStage:
    """Windows in, predictions out.

    Args:
        inbox: windows of all cameras.
        outbox: predictions.
        rings: ring of each camera, by camera id; may change while the stage runs.
        batcher: decides what is sent when.
        worker: classifies.
        clock: time.
        observer: told of outcomes.
    """

    def __init__(  # noqa: PLR0913 - one constructor call, in app.py, all by keyword
        self,
        *,
        inbox: Mailbox[Window],
        outbox: Outbox[Prediction],
        rings: Mapping[str, RingSpec],
        batcher: Batcher,
        worker: InferenceWorker,
        clock: Clock,
        observer: InferenceObserver,
    ) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._rings = rings
        self._batcher = batcher
        self._worker = worker
        self._clock = clock
        self._observer = observer
        self._wake = asyncio.Event()
        self._has_ended = self._is_over = False
        self._ready: Ready | None = None
        self._in_flight: tuple[Window, ...] = ()
        self._tried: set[int] = set()
        worker.listen(self._wake.set)

    async def receive(self) -> None:
        """Take windows until the last camera has ended."""
        try:
            async for window in self._inbox:
                if self._is_over:
                    self._resolve([(window, "rejected")])
                    continue
                self._resolve(self._batcher.offer(window, self._clock.now()))
                self._tell_depth()
                self._wake.set()
        finally:
            self._has_ended = True
            self._batcher.drain()
            self._wake.set()

    async def dispatch(self) -> None:
        """Send batches until every window that was received has its outcome."""
        with self._outbox:
            try:
                while not (self._has_ended and not len(self._batcher)):
                    await self._step()
            finally:
                # Cancelled: what the worker still has, and what waits, is given up.
                self._is_over = True
                self._resolve((window, "rejected") for window in self._in_flight)
                self._resolve(self._batcher.reject_all())
                while (window := self._inbox.pop()) is not None:
                    self._resolve([(window, "rejected")])

    async def _step(self) -> None:
        """Give up what is too old; send the batch that is due, or wait for a change."""
        self._wake.clear()
        now = self._clock.now()
        self._resolve(self._batcher.expire(now))
        if self._worker.is_over:
            self._resolve(self._batcher.reject_all())
        self._learn_costs()
        batch = self._batcher.due(now, is_idle=self._worker.ready is not None)
        self._tell_depth()
        if batch is not None:
            await self._infer(batch)
        elif not (self._has_ended and not len(self._batcher)):
            due_at = self._batcher.next_due_at(now)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if due_at is None else due_at - now):
                    await self._wake.wait()

    def _learn_costs(self) -> None:
        if self._worker.ready is not None and self._worker.ready is not self._ready:
            self._ready = self._worker.ready
            self._batcher.set_costs(self._ready.cost_s, self._ready.step_cost_s)

    async def _infer(self, batch: Batch) -> None:
        self._in_flight = batch.windows
        self._observer.batch(batch.trigger, len(batch.windows))
        dispatched_at = self._clock.now()
        try:
            result = await self._worker.infer([self.reference(w) for w in batch.windows])
        except WorkerError as err:
            log.warning("%d windows lost their worker: %s", len(batch.windows), err)
            self._in_flight = ()
            self._retry(batch.windows)
            return
        self._in_flight = ()
        self._observer.result(result)
        self._observer.served(batch.windows, self._clock.now() - dispatched_at)
        for window, score in zip(batch.windows, result.scores, strict=True):
            self._answer(window, score, result, dispatched_at)

    def reference(self, window: Window) -> WindowRef:
        """Name a window for the worker."""
        return WindowRef(
            window_id=window.window_id,
            ring=self._rings[window.camera],
            first_seq=window.first_seq,
            camera=window.camera,
            run=window.run,
            hop=window.hop,
        )

    def _answer(self, window: Window, score: Score, result: Result, dispatched_at: float) -> None:
        """Pass one window's answer on."""
        self._tried.discard(window.window_id)
        if score.outcome != "ok" or self._ready is None:
            self._batcher.failed(window)
            self._observer.inferred(window, "expired" if score.outcome == "stale" else "error")
            return
        prediction = Prediction(
            window=window,
            labels=tuple(self._ready.labels),
            scores=tuple(score.scores),
            model=self._ready.model,
            is_trained=self._ready.is_trained,
            batch_size=len(result.scores),
            embedding=tuple(memoryview(score.embedding).cast("f")),
            timeline=replace(
                window.timeline,
                dispatched_at=dispatched_at,
                started_at=result.started_at,
                scored_at=result.finished_at,
            ),
        )
        self._outbox.put(prediction)
        self._observer.inferred(window, "ok")

    def _retry(self, windows: Iterable[Window]) -> None:
        """Give each window of a lost batch its second chance; there is no third."""
        now = self._clock.now()
        for window in windows:
            if window.window_id not in self._tried and self._batcher.retry(window, now):
                self._tried.add(window.window_id)
            else:
                self._resolve([(window, "error")])

    def _resolve(self, resolved: Iterable[Resolved]) -> None:
        for window, outcome in resolved:
            self._tried.discard(window.window_id)
            self._observer.inferred(window, outcome)

    def _tell_depth(self) -> None:
        self._observer.queue(len(self._batcher) + len(self._in_flight), len(self._rings))
