"""What happens in the pipeline, as metrics.

In: the notes, decisions and results of every stage, told by plain methods. Out: an exposition of
one registry of its own. What a camera, a network or a file says never becomes a label. Invariants:
counters never decrease, and for every camera bresnet_source_frames_total =
bresnet_source_frames_used_total + sum(bresnet_frames_dropped_total).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipeline.inference_metrics import WORKER, InferenceMetrics
from pipeline.latency import onset_at, stage_times
from pipeline.probe import build_facts
from pipeline.records import Event, Nuisance, Prediction, Suppressed, WindowOutcome
from pipeline.report import DELIVERING
from pipeline.series import Series
from pipeline.suppression import BLOCKING, UNCONFIRMED
from pipeline.tally import Tally
from streamer.clock import Clock
from streamer.errors import LossKind
from streamer.notes import (
    CameraState,
    Counters,
    Ended,
    FrameNote,
    Lost,
    Opened,
    RingSpec,
)

_HOST = "host"
_DISCONNECTS: Mapping[LossKind, str] = {"timeout": "timeout", "no_keyframe": "stalled"}
_MAX_ALERTED = 1024


@dataclass(slots=True)
class _Camera:
    """What one camera's series need between two calls."""

    kind: str
    ring: RingSpec | None
    accounted_at: float
    tally: Tally = field(default_factory=Tally)
    state: CameraState = "connecting"
    is_open: bool = False
    is_gate_open: bool = False
    active: dict[str, str] = field(default_factory=dict)


class Metrics(InferenceMetrics):
    """All metrics of one pipeline; confined to the event loop.

    Args:
        clock: time of the durations that are counted here.
        model: label of the bundle, chosen by the configuration.
        version: of the product.
        commit: it was built from.
    """

    def __init__(
        self, clock: Clock, model: str = "untrained", version: str = "", commit: str = ""
    ) -> None:
        super().__init__(Series(), model)
        self._clock = clock
        self._cameras: dict[str, _Camera] = {}
        self._events: tuple[str, ...] = ("motion",)
        self._nuisances: tuple[str, ...] = ()
        self._alerted: dict[str, None] = {}
        self._scraping = asyncio.Lock()
        self._series.create({"model": (model,), "worker": (WORKER,), "event": self._events})
        self._series.info("bresnet_build", build_facts(version, commit))

    # ---- what there is -------------------------------------------------------------------

    def add_camera(self, camera: str, kind: str, ring: RingSpec | None = None) -> None:
        """Create a camera's series, all at zero."""
        self._cameras[camera] = _Camera(kind, ring, self._clock.now())
        self._series.create({"camera": (camera,), "event": self._events})
        self._create_suppressed(camera)
        self._series.state(camera, "connecting")
        if ring is not None:
            n_bytes = ring.n_slots * ring.size_px**2 * 3
            self._series.set("bresnet_buffer_bytes", n_bytes, camera)

    def remove_camera(self, camera: str) -> None:
        """Remove every series of a camera; what is told about it later is ignored."""
        if self._cameras.pop(camera, None) is not None:
            self._series.remove("camera", camera)

    def add_events(self, labels: Iterable[str]) -> None:
        """Create the series of further event classes (those of a trained bundle)."""
        new = tuple(label for label in labels if label not in self._events)
        self._events += new
        self._series.create({"event": new, "camera": tuple(self._cameras), "model": (self._model,)})

    def add_nuisances(self, labels: Iterable[str]) -> None:
        """Create the series of what suppresses events (the nuisances of a trained bundle)."""
        self._nuisances = tuple(labels)
        for camera in self._cameras:
            self._create_suppressed(camera)

    def _create_suppressed(self, camera: str) -> None:
        """Create, at zero, the reasons that each event can have."""
        for nuisance in self._nuisances:
            self._series.set("bresnet_nuisance_active", 0, camera, nuisance)
            self._series.inc("bresnet_events_suppressed", camera, "motion", nuisance, n=0)
            for event in self._events[1:] if nuisance in BLOCKING else ():
                self._series.inc("bresnet_events_suppressed", camera, event, nuisance, n=0)
        if self._nuisances:
            self._series.inc("bresnet_events_suppressed", camera, "motion", UNCONFIRMED, n=0)

    def add_sink(self, sink: str) -> None:
        """Create a sink's series."""
        self._series.create({"sink": (sink,)})
        self._series.set("bresnet_sink_up", 1, sink)

    # ---- cameras -------------------------------------------------------------------------

    def capture_restarted(self, camera: str) -> None:
        """A camera's capture process was replaced: counts start again, an open source is lost."""
        known = self._cameras.get(camera)
        if known is not None:
            known.tally.restart()
            self._disconnected(camera, known, "stalled")

    def state(self, camera: str, state: CameraState) -> None:
        """A camera's state changed."""
        known = self._cameras.get(camera)
        if known is not None:
            self._account(camera, known)
            known.state = state
            self._series.state(camera, state)
            self._series.set("bresnet_source_up", state in DELIVERING, camera)

    def gate(self, camera: str, *, is_open: bool, media_s: float) -> None:
        """The gate is open or closed; the seconds are those of our clock, not of the stream."""
        del media_s
        known = self._cameras.get(camera)
        if known is not None and known.is_gate_open != is_open:
            self._account(camera, known)
            known.is_gate_open = is_open
            self._series.set("bresnet_gate_open", is_open, camera)

    def window(self, camera: str, outcome: WindowOutcome, coverage: float) -> None:
        """A window could have been formed; count its fate."""
        if camera in self._cameras:
            self._series.inc("bresnet_windows", camera, outcome)
            if outcome == "submitted":
                self._series.observe("bresnet_window_coverage_ratio", coverage, camera)

    def frame_note(self, note: FrameNote) -> None:
        """A frame is in the ring."""
        camera = self._cameras.get(note.camera)
        if camera is None:
            return
        name = note.camera
        self.counters(name, note.counters)
        now = self._clock.now()
        arrived_wall = self._clock.wall().timestamp() - (now - note.arrived_at)
        self._series.set("bresnet_source_last_frame_timestamp_seconds", arrived_wall, name)
        self._series.observe("bresnet_source_frame_interval_seconds", note.interval_s, name)
        self._stage("receive", note.arrived_at - note.captured_at)
        self._stage("decode", note.decode_s)
        self._stage("preprocess", note.preprocess_s)
        self._stage("gate", note.gate_s)
        if note.reset is not None:
            self._series.inc("bresnet_window_resets", name, note.reset)
        if camera.ring is not None:
            held = min(note.seq + 1, camera.ring.n_slots)
            self._series.set("bresnet_buffer_frames", held, name)

    def opened(self, note: Opened) -> None:
        """A source delivers."""
        camera = self._cameras.get(note.camera)
        if camera is None:
            return
        camera.is_open = True
        self._series.inc("bresnet_source_connects", note.camera, "ok")
        facts = {
            "kind": camera.kind,
            "codec": note.codec[:32],
            "width": str(note.width),
            "height": str(note.height),
            "decoder": "software",
        }
        self._series.info("bresnet_source", facts, note.camera)

    def lost(self, note: Lost) -> None:
        """An open failed, or an open source was lost."""
        camera = self._cameras.get(note.camera)
        if camera is None:
            return
        self.counters(note.camera, note.counters)
        if note.was_open or camera.is_open:
            camera.is_open = True
            reason = "stalled" if note.is_process_lost else _DISCONNECTS.get(note.kind, "error")
            self._disconnected(note.camera, camera, reason)
        else:
            self._series.inc("bresnet_source_connects", note.camera, note.kind)

    def ended(self, note: Ended) -> None:
        """A source ended for good."""
        camera = self._cameras.get(note.camera)
        if camera is None:
            return
        self.counters(note.camera, note.counters)
        if camera.is_open:
            self._disconnected(note.camera, camera, "error" if note.is_error else "eof")
        elif note.is_error:
            self._series.inc("bresnet_source_connects", note.camera, "error")

    def _disconnected(self, name: str, camera: _Camera, reason: str) -> None:
        if camera.is_open:
            camera.is_open = False
            self._series.inc("bresnet_source_disconnects", name, reason)

    def counters(self, name: str, counters: Counters) -> None:
        """Take over a camera's cumulative counts; unknown cameras are ignored."""
        camera = self._cameras.get(name)
        if camera is None:
            return
        fresh = camera.tally.add(counters)
        for family, n in (
            ("bresnet_source_frames", fresh.decoded),
            ("bresnet_source_frames_used", fresh.used),
            ("bresnet_buffer_held_frames", fresh.held),
            ("bresnet_source_bytes", fresh.bytes),
            ("bresnet_source_decode_errors", fresh.decode_errors),
            ("bresnet_source_duplicate_frames", fresh.duplicates),
        ):
            if n:
                self._series.inc(family, name, n=n)
        for reason, n in fresh.dropped.items():
            if n:
                self._series.inc("bresnet_frames_dropped", name, reason, n=n)

    def _account(self, name: str, camera: _Camera) -> None:
        """Bring the counters that grow with time up to now."""
        now = self._clock.now()
        seconds, camera.accounted_at = max(0.0, now - camera.accounted_at), now
        if camera.state not in DELIVERING and camera.state != "ended":
            self._series.inc("bresnet_source_down_seconds", name, n=seconds)
        if camera.is_gate_open:
            self._series.inc("bresnet_gate_open_seconds", name, n=seconds)

    # ---- inference -----------------------------------------------------------------------

    def prediction(self, prediction: Prediction) -> None:
        """A window was scored."""
        camera, line = prediction.window.camera, prediction.timeline
        times = stage_times(line)
        for name in ("window", "batch_wait", "queue"):
            if name in times:
                self._stage(name, times[name])
        if camera in self._cameras:
            age_s, latency_s = line.started_at - line.captured_at, times.get("total", 0.0)
            self._series.observe("bresnet_frame_age_seconds", age_s, camera)
            self._series.observe("bresnet_result_latency_seconds", latency_s, camera, _HOST)
        if prediction.is_trained:
            for label, score in zip(prediction.labels, prediction.scores, strict=True):
                if label in self._events:
                    self._series.observe("bresnet_model_score", score, self._model, label)

    # ---- events and sinks ----------------------------------------------------------------

    def event(self, event: Event) -> None:
        """An event started, goes on or ended."""
        camera = self._cameras.get(event.camera)
        if camera is None or event.label not in self._events or event.phase == "update":
            return
        self._series.inc("bresnet_events", event.camera, event.label, event.phase)
        if event.phase == "start":
            camera.active[event.event_id] = event.label
            self._started(event)
        else:
            camera.active.pop(event.event_id, None)
            ended_s = event.detected_s if event.ended_s is None else event.ended_s
            self._series.observe(
                "bresnet_event_duration_seconds", ended_s - event.onset_s, event.label
            )
        n_active = sum(label == event.label for label in camera.active.values())
        self._series.set("bresnet_events_active", n_active, event.camera, event.label)

    def suppressed(self, suppressed: Suppressed) -> None:
        """An event would have started and was not told."""
        if suppressed.camera in self._cameras:
            labels = suppressed.camera, suppressed.label, suppressed.reason
            self._series.inc("bresnet_events_suppressed", *labels)

    def nuisance(self, nuisance: Nuisance) -> None:
        """Something that is no object begins or ends to disturb the picture."""
        if nuisance.camera in self._cameras:
            name, label = "bresnet_nuisance_active", nuisance.label
            self._series.set(name, nuisance.is_active, nuisance.camera, label)

    def _started(self, event: Event) -> None:
        wall = self._clock.wall().timestamp()
        name = "bresnet_event_last_start_timestamp_seconds"
        self._series.set(name, wall, event.camera, event.label)
        line = event.timeline
        if line.decided_at:
            delay_s = line.decided_at - onset_at(event)
            self._series.observe("bresnet_alert_decision_delay_seconds", delay_s, event.label)
            self._stage("decide", line.decided_at - (line.scored_at or line.ready_at))

    def delivery(self, sink: str, outcome: str, event: Event, enqueued_at: float) -> None:
        """A sink took an event (ok), refused it (retry) or will never get it (failed, expired)."""
        self._series.inc("bresnet_sink_deliveries", sink, outcome)
        self._series.set("bresnet_sink_up", outcome == "ok", sink)
        if outcome != "ok":
            return
        now = self._clock.now()
        self._series.observe("bresnet_sink_delivery_seconds", now - enqueued_at, sink)
        if event.phase == "start" and event.event_id not in self._alerted:
            self._first_ack(event, now)

    def _first_ack(self, event: Event, now: float) -> None:
        self._alerted[event.event_id] = None
        if len(self._alerted) > _MAX_ALERTED:
            del self._alerted[next(iter(self._alerted))]
        if event.timeline.decided_at:
            self._stage("publish", now - event.timeline.decided_at)
        if event.camera in self._cameras and event.timeline.captured_at:
            self._series.observe(
                "bresnet_alert_latency_seconds",
                now - onset_at(event),
                event.camera,
                _HOST,
                exemplar={"event_id": event.event_id[:64]},
            )

    def pending(self, sink: str, n: int) -> None:
        """So many events wait for a sink."""
        self._series.set("bresnet_sink_pending", n, sink)

    # ---- process -------------------------------------------------------------------------

    def ready(self, *, is_ready: bool) -> None:
        """The pipeline is ready or not."""
        self._series.set("bresnet_ready", is_ready)

    def degradation(self, steps: Mapping[str, int]) -> None:
        """Quality is lowered by so many steps of each kind."""
        self._series.set("bresnet_degradation_level", sum(steps.values()))
        for kind, n in steps.items():
            self._series.set("bresnet_degradation_steps", n, kind)

    def loop_lag(self, lag_s: float) -> None:
        """The event loop woke a task so much later than asked."""
        self._series.observe("bresnet_event_loop_lag_seconds", lag_s)

    def http(self, route: str, method: str, code: int, duration_s: float) -> None:
        """A request was answered; `route` is the path template, never the path."""
        self._series.inc("bresnet_http_requests", route, method, str(code))
        self._series.observe("bresnet_http_request_duration_seconds", duration_s, route, method)

    def exposition(self, *, is_openmetrics: bool) -> tuple[bytes, str]:
        """Return all series and their content type, as OpenMetrics or the older plain text."""
        self._account_all()
        return self._series.exposition(is_openmetrics=is_openmetrics)

    async def scrape(self, *, is_openmetrics: bool) -> tuple[bytes, str]:
        """Return the exposition without holding the event loop; one at a time.

        Rendering 64 cameras (10 000 series) takes 0.1 s; the client's locks make it thread-safe.
        """
        async with self._scraping:
            self._account_all()
            render = self._series.exposition
            return await asyncio.to_thread(render, is_openmetrics=is_openmetrics)

    def _account_all(self) -> None:
        for name, camera in self._cameras.items():
            self._account(name, camera)
