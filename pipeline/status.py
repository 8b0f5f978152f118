"""The pipeline's live state: what every camera, the worker and the latencies are now.

In: the same notes and decisions the metrics see. Out: `Status` and `Summary` snapshots, readiness.
Every update is O(1) and every reservoir is bounded. Invariant: totals never decrease, also when a
capture process is replaced.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipeline.latency import StageTimes, percentile
from pipeline.records import (
    Event,
    InferenceOutcome,
    Nuisance,
    Prediction,
    Suppressed,
    WindowOutcome,
)
from pipeline.report import (
    DELIVERING,
    ActiveEvent,
    ActiveNuisance,
    CameraReport,
    LabelScore,
    Status,
    Summary,
    WorkerReport,
    WorkerState,
)
from pipeline.tally import Tally
from streamer.clock import Clock
from streamer.notes import CameraState, Counters, Ended, FrameNote, Lost, Opened
from streamer.redact import redact
from streamer.worker_notes import Ready

_RATE_SPAN_S = 2.0
_LATENCIES = 512
_TOP = 3


@dataclass(slots=True)
class WorkerStatus:
    """The worker's state as its handle tells it."""

    state: WorkerState = "starting"
    detail: str = ""
    n_restarts: int = 0
    facts: Ready | None = None

    def set(self, state: WorkerState, detail: str = "") -> None:
        """Take over a new state; entering `restarting` counts a restart."""
        self.n_restarts += state == "restarting" and self.state != "restarting"
        self.state, self.detail = state, redact(detail)

    def ready(self, note: Ready) -> None:
        """Take over what the worker says about itself."""
        self.facts = note
        self.set("ready")

    def report(self) -> WorkerReport:
        """Return a snapshot; facts stay those of the last ready worker."""
        facts = self.facts
        return WorkerReport(
            state=self.state,
            detail=self.detail,
            model=facts.model if facts else "",
            version=facts.version if facts else "",
            is_trained=facts.is_trained if facts else False,
            engine=facts.engine if facts else "",
            precision=facts.precision if facts else "",
            device=facts.device if facts else "",
            cost_s=facts.cost_s if facts else {},
            n_restarts=self.n_restarts,
        )


@dataclass(slots=True)
class CameraStatus:
    """One camera's running account; confined to the event loop.

    Attributes:
        id: camera id.
        source: address without credentials.
        clock: time of the rates.
        stages: reservoirs shared by all cameras.
    """

    id: str
    source: str
    clock: Clock
    stages: StageTimes
    state: CameraState = "connecting"
    detail: str = ""
    tally: Tally = field(default_factory=Tally)
    windows: Counter[str] = field(default_factory=Counter)
    inferred: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    hushed: Counter[str] = field(default_factory=Counter)
    n_reconnects: int = 0
    is_failed: bool = False
    _facts: Opened | None = None
    _n_analysed: int = 0
    _rates: deque[tuple[float, int, int]] = field(default_factory=lambda: deque(maxlen=1024))
    _latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES))
    _top: list[tuple[str, float]] = field(default_factory=list)
    _active: dict[str, Event] = field(default_factory=dict)
    _nuisances: dict[str, Nuisance] = field(default_factory=dict)

    def set_state(self, state: CameraState, detail: str = "") -> None:
        """Take over the camera's state and why."""
        self.state, self.detail = state, redact(detail)

    def opened(self, note: Opened) -> None:
        """A source delivers; every time after the first counts as a reconnect."""
        self.n_reconnects += self._facts is not None
        self._facts = note

    def frame_note(self, note: FrameNote) -> None:
        """A frame is in the ring."""
        self.tally.add(note.counters)
        self._n_analysed += note.n_places
        now = self.clock.now()
        self._rates.append((now, self.tally.total.decoded, self._n_analysed))
        while now - self._rates[0][0] > _RATE_SPAN_S:
            self._rates.popleft()

    def counters(self, counters: Counters) -> None:
        """Take over cumulative counts (heartbeats)."""
        self.tally.add(counters)

    def capture_restarted(self) -> None:
        """The next counts come from a new capture process and start at zero."""
        self.tally.restart()

    def lost(self, note: Lost) -> None:
        """Take over the counts of a loss; the state follows separately."""
        self.tally.add(note.counters)

    def ended(self, note: Ended) -> None:
        """Take over the final counts and why the source ended."""
        self.tally.add(note.counters)
        self.is_failed = note.is_error
        self.set_state("ended", note.reason)

    def window(self, outcome: WindowOutcome) -> None:
        """Count a possible window by its fate at the camera."""
        self.windows[outcome] += 1

    def inference(self, outcome: InferenceOutcome) -> None:
        """Count a submitted window by its fate."""
        self.inferred[outcome] += 1

    def prediction(self, prediction: Prediction) -> None:
        """Take over the newest scores and the latency."""
        ranked = sorted(zip(prediction.scores, prediction.labels, strict=True), reverse=True)[:_TOP]
        self._top = [(label, score) for score, label in ranked]
        latency_s = self.stages.add(prediction.timeline)
        if latency_s is not None:
            self._latencies.append(latency_s)

    def event(self, event: Event) -> None:
        """Follow an event from start to end."""
        if event.phase == "end":
            self._active.pop(event.event_id, None)
            return
        if event.phase == "start":
            self.events[event.label] += 1
            self.stages.decided(event.timeline)
        self._active[event.event_id] = event

    def suppressed(self, suppressed: Suppressed) -> None:
        """Count an event that was not told, by reason."""
        self.hushed[suppressed.reason] += 1

    def nuisance(self, nuisance: Nuisance) -> None:
        """Follow what disturbs the picture."""
        if nuisance.is_active:
            self._nuisances[nuisance.label] = nuisance
        else:
            self._nuisances.pop(nuisance.label, None)

    def report(self) -> CameraReport:
        """Return a snapshot."""
        fps_in, fps_analysed = self._fps()
        ordered = sorted(self._latencies)
        facts, total = self._facts, self.tally.total
        return CameraReport(
            id=self.id,
            source=self.source,
            state=self.state,
            detail=self.detail,
            is_failed=self.is_failed,
            codec=facts.codec if facts else "",
            width=facts.width if facts else 0,
            height=facts.height if facts else 0,
            fps_in=fps_in,
            fps_analysed=fps_analysed,
            frames_decoded=total.decoded,
            frames_used=total.used,
            frames_dropped=total.dropped,
            windows=dict(self.windows),
            top_scores=[LabelScore(label=label, score=score) for label, score in self._top],
            active_events=[
                ActiveEvent(
                    event_id=e.event_id, label=e.label, score=e.score, onset_wall=e.onset_wall
                )
                for e in self._active.values()
            ],
            n_events=self.events.total(),
            nuisances=[
                ActiveNuisance(label=n.label, score=n.score, onset_wall=n.onset_wall)
                for n in self._nuisances.values()
            ],
            suppressed=dict(self.hushed),
            latency_p50_s=percentile(ordered, 0.5),
            latency_p95_s=percentile(ordered, 0.95),
            n_reconnects=self.n_reconnects,
        )

    def _fps(self) -> tuple[float, float]:
        oldest = self.clock.now() - _RATE_SPAN_S
        samples = [sample for sample in self._rates if sample[0] >= oldest]
        if len(samples) < 2 or samples[-1][0] <= samples[0][0]:
            return 0.0, 0.0
        (start, decoded, analysed), (end, decoded_end, analysed_end) = samples[0], samples[-1]
        return (decoded_end - decoded) / (end - start), (analysed_end - analysed) / (end - start)


class StatusBoard:
    """All live state of a pipeline.

    Args:
        clock: time of uptime and rates.
        version: of the product.
    """

    def __init__(self, clock: Clock, version: str = "") -> None:
        self.cameras: dict[str, CameraStatus] = {}
        self.worker = WorkerStatus()
        self.stages = StageTimes()
        self.degradation: tuple[int, str] = (0, "")
        self._clock = clock
        self._version = version
        self._started_at = clock.now()

    def add_camera(self, camera: str, source: str) -> CameraStatus:
        """Begin a camera's account; `source` is redacted here once more."""
        status = CameraStatus(camera, redact(source), self._clock, self.stages)
        self.cameras[camera] = status
        return status

    def remove_camera(self, camera: str) -> None:
        """Forget a camera."""
        self.cameras.pop(camera, None)

    def not_ready(self) -> list[str]:
        """Return why the pipeline is not ready; empty when worker and at least one camera are."""
        reasons = []
        if self.worker.state != "ready":
            reasons.append(f"worker: {self.worker.state}")
        if not any(camera.state in DELIVERING for camera in self.cameras.values()):
            states = Counter(camera.state for camera in self.cameras.values())
            told = ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
            reasons.append(f"cameras: none delivers frames ({told or 'none configured'})")
        return reasons

    def snapshot(self) -> Status:
        """Return the state of everything."""
        return Status(
            version=self._version,
            uptime_s=self._clock.now() - self._started_at,
            not_ready=self.not_ready(),
            worker=self.worker.report(),
            cameras=[camera.report() for camera in self.cameras.values()],
            degradation_level=self.degradation[0],
            degradation=self.degradation[1],
        )

    def summary(self) -> Summary:
        """Return what the run amounted to so far."""
        cameras = list(self.cameras.values())
        return Summary(
            duration_s=self._clock.now() - self._started_at,
            frames_decoded=sum(c.tally.total.decoded for c in cameras),
            frames_used=sum(c.tally.total.used for c in cameras),
            frames_dropped=_sum(c.tally.total.dropped for c in cameras),
            windows=_sum(c.windows for c in cameras),
            inferred=_sum(c.inferred for c in cameras),
            events=_sum(c.events for c in cameras),
            suppressed=_sum(c.hushed for c in cameras),
            stages=self.stages.report(),
            cameras=[c.report() for c in cameras],
        )


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)
