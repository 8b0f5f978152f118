"""One ear for everything that happens: passes it to the metrics and to the live status.

In: calls from cameras, inference, worker and fan-out, all in the event loop, all O(1). Out: nothing
but counts. Invariant: both books see the same facts in the same order, so their totals agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.metrics import Metrics
from pipeline.records import Event, InferenceOutcome, Prediction, Window, WindowOutcome
from pipeline.status import StatusBoard
from streamer.notes import (
    Ended,
    FrameNote,
    FromCapture,
    Heartbeat,
    Lost,
    Opened,
    Ready,
    Result,
    StateNote,
)


class Observer:
    """Implements the observers of camera, inference, worker and fan-out.

    Args:
        metrics: the Prometheus book.
        status: the live book.
        on_resolved: told of each submitted window that got its outcome (camera id, window id).
    """

    def __init__(
        self,
        metrics: Metrics,
        status: StatusBoard,
        on_resolved: Callable[[str, int], None],
    ) -> None:
        self._metrics = metrics
        self._status = status
        self._on_resolved = on_resolved

    # ---- camera
    # --------------------------------------------------------------------------------------------

    def note(self, note: FromCapture) -> None:
        """Book one note of a camera."""
        match note:
            case FrameNote():
                self._metrics.frame_note(note)
                self._status.cameras[note.camera].frame_note(note)
            case StateNote():
                self._metrics.state(note.camera, note.state)
                self._status.cameras[note.camera].set_state(note.state, note.detail)
            case Opened():
                self._metrics.opened(note)
                self._status.cameras[note.camera].opened(note)
            case Lost():
                self._metrics.lost(note)
                self._status.cameras[note.camera].lost(note)
            case Ended():
                self._metrics.ended(note)
                self._status.cameras[note.camera].ended(note)
            case Heartbeat():
                for camera, counters in note.counters.items():
                    self._metrics.counters(camera, counters)
                    self._status.cameras[camera].counters(counters)

    def possible_window(self, camera: str, outcome: WindowOutcome, coverage: float) -> None:
        """Book a possible window."""
        self._metrics.window(camera, outcome, coverage)
        self._status.cameras[camera].window(outcome)

    def gate(self, camera: str, *, is_open: bool, media_s: float) -> None:
        """Book the gate."""
        self._metrics.gate(camera, is_open=is_open, media_s=media_s)

    # ---- inference
    # -----------------------------------------------------------------------------------------

    def inferred(self, window: Window, outcome: InferenceOutcome) -> None:
        """Book the outcome of a submitted window."""
        self._metrics.inference(outcome)
        self._status.cameras[window.camera].inference(outcome)
        self._on_resolved(window.camera, window.window_id)
