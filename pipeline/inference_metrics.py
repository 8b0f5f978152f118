"""What the worker and its batches do, as metrics: the part of `pipeline.metrics` that is theirs.

In: outcomes, batches, results and the state of the worker. Out: series of one registry. Invariant:
a window computed from its new frames counts as a step, any other that could have been as a reset
with its reason, so that steps + resets = windows of streams.
"""

from __future__ import annotations

from pipeline.records import InferenceOutcome
from pipeline.report import WorkerState
from pipeline.series import Series
from streamer.worker_notes import Ready, Result

WORKER = "local"
"""Label of the one local worker."""


class InferenceMetrics:
    """Metrics of batches and of the worker.

    Args:
        series: all metrics.
        model: label of the bundle.
    """

    def __init__(self, series: Series, model: str) -> None:
        self._series = series
        self._model = model
        self._max_abs_error = 0.0

    def inference(self, outcome: InferenceOutcome) -> None:
        """A submitted window met its fate."""
        self._series.inc("bresnet_inference_windows", self._model, outcome)

    def queue(self, depth: int, capacity: int, wait_limit_s: float) -> None:
        """Windows submitted and not resolved, most there can be, longest wait for company."""
        self._series.set("bresnet_inference_queue_depth", depth, self._model)
        self._series.set("bresnet_inference_queue_capacity", capacity, self._model)
        self._series.set("bresnet_inference_batch_wait_limit_seconds", wait_limit_s, self._model)

    def batch(self, trigger: str, size: int) -> None:
        """A batch was sent to the worker."""
        self._series.inc("bresnet_inference_batches", self._model, trigger)
        self._series.observe("bresnet_inference_batch_size", size, self._model)

    def result(self, note: Result) -> None:
        """A batch came back."""
        busy_s = max(0.0, note.finished_at - note.started_at)
        self._series.inc("bresnet_inference_busy_seconds", self._model, WORKER, n=busy_s)
        self._stage("transfer", note.transfer_s)
        self._stage("infer", note.infer_s)
        self._stage("postprocess", busy_s - note.transfer_s - note.infer_s)
        self._steps(note)

    def worker(self, state: WorkerState) -> None:
        """The worker's state changed."""
        self._series.set("bresnet_inference_worker_up", state == "ready", WORKER)

    def worker_restarted(self, reason: str) -> None:
        """The worker was replaced; reason: crash, hang, memory or timeout."""
        self._series.inc("bresnet_inference_worker_restarts", WORKER, reason)

    def model(self, note: Ready) -> None:
        """The worker told what it runs."""
        facts = {
            "model": self._model,
            "version": note.version,
            "sha256": note.sha256[:12],
            "backend": note.engine,
            "device": note.device,
            "precision": note.precision,
            "mode": note.mode,
        }
        self._series.info("bresnet_model", facts)

    def _stage(self, stage: str, duration_s: float) -> None:
        self._series.observe("bresnet_stage_duration_seconds", duration_s, stage)

    def _steps(self, note: Result) -> None:
        """Count how the windows of a batch were computed, and what an audit found."""
        for score in note.scores:
            if score.is_step:
                self._series.inc("bresnet_incremental_steps", self._model)
            elif score.reset is not None:
                self._series.inc("bresnet_incremental_resets", self._model, score.reset)
        self._series.set("bresnet_incremental_state_bytes", note.state_bytes, self._model)
        if note.audit is None:
            return
        outcome = "equal" if note.audit.is_equal else "different"
        self._series.inc("bresnet_incremental_audits", self._model, outcome)
        # Of all audits of this run: a later, smaller one must not hide it from a scrape.
        self._max_abs_error = max(self._max_abs_error, note.audit.max_abs_error)
        name = "bresnet_incremental_max_abs_error"
        self._series.set(name, self._max_abs_error, self._model)
