"""One ear for everything that happens: passes it to the metrics and to the live status.

In: calls from cameras, inference, worker and fan-out, all in the event loop, all O(1). Out: nothing
but counts. Invariant: both books see the same facts in the same order, so their totals agree.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from pipeline.metrics import Metrics
from pipeline.records import (
    Event,
    InferenceOutcome,
    Nuisance,
    Prediction,
    Suppressed,
    Window,
    WindowOutcome,
)
from pipeline.report import WorkerState
from pipeline.status import StatusBoard
from pipeline.suppression import BLOCKING
from streamer.notes import Ended, FrameNote, FromCapture, Heartbeat, Lost, Opened, StateNote
from streamer.worker_notes import Ready, Result

log = logging.getLogger(__name__)

_QUIET = ("connecting", "warming", "running", "ended")


class LoadObserver(Protocol):
    """Told of what the worker has to do; decides how much it may be."""

    def resolved(self, window: Window, outcome: InferenceOutcome) -> None:
        """A submitted window got its outcome."""

    def served(self, windows: Sequence[Window], seconds: float) -> None:
        """A batch was with the worker for so long."""

    def model(self, note: Ready) -> None:
        """A worker is ready."""


class Observer:
    """Implements the observers of camera, inference, worker and fan-out.

    Args:
        metrics: the Prometheus book.
        status: the live book.
        on_resolved: told of each submitted window that got its outcome (camera id, window id).
        max_wait_s: seconds a window waits for company in a batch.
    """

    def __init__(
        self,
        metrics: Metrics,
        status: StatusBoard,
        on_resolved: Callable[[str, int], None],
        max_wait_s: float,
    ) -> None:
        self._metrics = metrics
        self._status = status
        self._on_resolved = on_resolved
        self._max_wait_s = max_wait_s
        self._listeners: list[Callable[[Prediction], None]] = []
        self._load: LoadObserver | None = None

    def listen(self, on_prediction: Callable[[Prediction], None]) -> None:
        """Have `on_prediction` called with every prediction; it must not block."""
        self._listeners.append(on_prediction)

    def watch_load(self, load: LoadObserver) -> None:
        """Have `load` told of windows, batches and workers, too."""
        self._load = load

    # ---- camera
    # --------------------------------------------------------------------------------------------

    def note(self, note: FromCapture) -> None:
        """Book one note of a camera."""
        match note:
            case FrameNote():
                self._metrics.frame_note(note)
                self._status.cameras[note.camera].frame_note(note)
            case StateNote():
                level = logging.INFO if note.state in _QUIET else logging.WARNING
                log.log(level, "camera %s: %s %s", note.camera, note.state, note.detail)
                self._metrics.state(note.camera, note.state)
                self._status.cameras[note.camera].set_state(note.state, note.detail)
            case Opened():
                self._metrics.opened(note)
                self._status.cameras[note.camera].opened(note)
            case Lost():
                self._lost(note)
            case Ended():
                self._metrics.ended(note)
                self._status.cameras[note.camera].ended(note)
            case Heartbeat():
                for camera, counters in note.counters.items():
                    self._metrics.counters(camera, counters)
                    self._status.cameras[camera].counters(counters)

    def _lost(self, note: Lost) -> None:
        self._metrics.lost(note)
        self._status.cameras[note.camera].lost(note)
        if note.is_process_lost:
            self._metrics.capture_restarted(note.camera)
            self._status.cameras[note.camera].capture_restarted()

    def possible_window(self, camera: str, outcome: WindowOutcome, coverage: float) -> None:
        """Book a possible window."""
        self._metrics.window(camera, outcome, coverage)
        self._status.cameras[camera].window(outcome)

    def gate(self, camera: str, *, is_open: bool, media_s: float) -> None:
        """Book the gate."""
        self._metrics.gate(camera, is_open=is_open, media_s=media_s)

    # ---- inference -------------------------------------------------------------------------------

    def inferred(self, window: Window, outcome: InferenceOutcome) -> None:
        """Book the outcome of a submitted window."""
        self._metrics.inference(outcome)
        self._status.cameras[window.camera].inference(outcome)
        self._on_resolved(window.camera, window.window_id)
        if self._load is not None:
            self._load.resolved(window, outcome)

    def batch(self, trigger: str, size: int) -> None:
        """Book a batch that is sent."""
        self._metrics.batch(trigger, size)

    def result(self, note: Result) -> None:
        """Book a batch that came back."""
        self._metrics.result(note)

    def served(self, windows: Sequence[Window], seconds: float) -> None:
        """Book how long a batch was with the worker."""
        if self._load is not None:
            self._load.served(windows, seconds)

    def queue(self, depth: int, capacity: int) -> None:
        """Book how many windows wait."""
        self._metrics.queue(depth, capacity, self._max_wait_s)

    # ---- worker ----------------------------------------------------------------------------------

    def worker(self, state: WorkerState, detail: str) -> None:
        """Book the state of the worker."""
        self._metrics.worker(state)
        self._status.worker.set(state, detail)

    def worker_restarted(self, reason: str) -> None:
        """Book the loss of a worker."""
        self._metrics.worker_restarted(reason)

    def model(self, note: Ready) -> None:
        """Book what the worker runs."""
        trained = "" if note.is_trained else ", untrained: its scores raise no event"
        log.info("model %s on %s, %s%s", note.model, note.engine, note.precision, trained)
        log.debug("measured at warm-up: %s", note.report)
        self._metrics.model(note)
        self._status.worker.ready(note)
        if self._load is not None:
            self._load.model(note)

    # ---- fan-out ---------------------------------------------------------------------------------

    def prediction(self, prediction: Prediction) -> None:
        """Book the scores of a window."""
        self._metrics.prediction(prediction)
        self._status.cameras[prediction.window.camera].prediction(prediction)
        for on_prediction in self._listeners:
            on_prediction(prediction)

    def event(self, event: Event) -> None:
        """Book a phase of an event."""
        self._metrics.event(event)
        self._status.cameras[event.camera].event(event)

    def suppressed(self, suppressed: Suppressed) -> None:
        """Book an event that was not told."""
        self._metrics.suppressed(suppressed)
        self._status.cameras[suppressed.camera].suppressed(suppressed)

    def nuisance(self, nuisance: Nuisance) -> None:
        """Book a nuisance that begins or ends; a camera that sees nothing is worth a warning."""
        if nuisance.is_active and nuisance.label in BLOCKING:
            log.warning("camera %s: %s (%.2f)", nuisance.camera, nuisance.label, nuisance.score)
        self._metrics.nuisance(nuisance)
        self._status.cameras[nuisance.camera].nuisance(nuisance)

    def delivery(self, sink: str, outcome: str, event: Event, enqueued_at: float) -> None:
        """Book what became of an event at a sink."""
        self._metrics.delivery(sink, outcome, event, enqueued_at)

    def pending(self, sink: str, n: int) -> None:
        """Book how many events wait for a sink."""
        self._metrics.pending(sink, n)
