"""The values that flow through the control plane.

Window -> Prediction -> Event, all frozen. A `Timeline` travels with each and says when every stage
was left, in monotonic seconds. Invariant: `Timeline` instants never decrease from field to field.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

EventPhase = Literal["start", "update", "end"]
EndReason = Literal["quiet", "source_lost", "end_of_stream", "reset", "shutdown"]

WindowOutcome = Literal[
    "submitted",
    "gated",
    "incomplete",
    "stale",
    "overload",
]
"""Fate of a possible window at the camera: submitted to the batcher or why not (METRICS.md)."""

InferenceOutcome = Literal["ok", "error", "expired", "rejected"]
"""Fate of a submitted window: ok; error (engine or crash); expired (too old or overwritten before
it ran);
rejected (replaced by the camera's newer window, or no worker at shutdown)."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Instants (monotonic seconds) at which the newest frame left each stage; 0 = not yet.

    Attributes:
        captured_at: the newest frame was captured (camera time mapped to our clock).
        arrived_at: the decoder returned it.
        placed_at: it was complete in the ring.
        ready_at: the window was formed in the control process.
        dispatched_at: its batch was sent to the worker.
        started_at: the worker began with the batch.
        scored_at: the scores were ready.
        decided_at: the detector had decided.
    """

    captured_at: float
    arrived_at: float
    placed_at: float
    ready_at: float = 0.0
    dispatched_at: float = 0.0
    started_at: float = 0.0
    scored_at: float = 0.0
    decided_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Window:
    """32 consecutive sampled frames of one camera, named by place, not by pixels.

    Attributes:
        window_id: unique in this process.
        camera: camera id.
        run: unbroken run the frames belong to.
        first_seq: ring sequence number of the oldest frame.
        last_seq: of the newest.
        media_start_s: capture time of the oldest frame on the stream's time line.
        media_end_s: of the newest.
        coverage: share of distinct, on-time frames, 0..1.
        motion: highest motion score of its frames.
        is_degraded: holds frames from around damaged pictures.
        timeline: of its newest frame.
        is_live: the window loses its worth with age; windows of `fast` sources wait as long as it
            takes.
        hop: frames to the next possible window, as the camera forms them now.
    """

    window_id: int
    camera: str
    run: int
    first_seq: int
    last_seq: int
    media_start_s: float
    media_end_s: float
    coverage: float
    motion: float
    is_degraded: bool
    timeline: Timeline
    is_live: bool = True
    hop: int = 0


@dataclass(frozen=True, slots=True)
class MotionSample:
    """The motion score of one analysed frame.

    Attributes:
        camera: camera id.
        media_s: capture time on the stream's time line, seconds.
        score: 0..1.
        is_warm: the gate has learned the background; otherwise the score does not count.
        timeline: of the frame.
    """

    camera: str
    media_s: float
    score: float
    is_warm: bool
    timeline: Timeline


@dataclass(frozen=True, slots=True)
class RunEnded:
    """An unbroken run of frames of a camera is over; what was going on has ended for the observer.

    Attributes:
        camera: camera id.
        media_s: capture time of the run's last frame, seconds.
        reason: why.
    """

    camera: str
    media_s: float
    reason: EndReason


@dataclass(frozen=True, slots=True)
class Prediction:
    """Scores of one window.

    Attributes:
        window: what was classified.
        labels: K names.
        scores: K values 0..1 in the same order.
        model: bundle name.
        is_trained: the scores mean something; otherwise they raise no event.
        batch_size: windows classified together.
        timeline: of the newest frame, up to scored_at.
        embedding: E values, where `model.embeddings` asks for them.
    """

    window: Window
    labels: tuple[str, ...]
    scores: tuple[float, ...]
    model: str
    is_trained: bool
    batch_size: int
    timeline: Timeline
    embedding: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Region:
    """Where in the analysed picture, and when, something happens.

    Attributes:
        left, top, right, bottom: box in shares of the picture's width and height, 0..1.
        start_s: capture time at which it begins within the window that decided, seconds.
        end_s: capture time at which it ends there.
        overlay: name of the picture file that shows it; empty where none is written.
    """

    left: float
    top: float
    right: float
    bottom: float
    start_s: float
    end_s: float
    overlay: str = ""


@dataclass(frozen=True, slots=True)
class Located:
    """The worker has found out where an event happens.

    Attributes:
        camera: camera id.
        event_id: of the event.
        region: where and when.
    """

    camera: str
    event_id: str
    region: Region


@dataclass(frozen=True, slots=True)
class Suppressed:
    """An event that would have started and was not told.

    Attributes:
        camera: camera id.
        label: of the event.
        reason: the nuisance that explains it, or unconfirmed.
    """

    camera: str
    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class Nuisance:
    """Something that is no object begins or ends to disturb the picture.

    Attributes:
        camera: camera id.
        label: lighting, camera, tamper, background, or another of the bundle.
        is_active: it begins.
        score: smoothed, 0..1.
        onset_wall: wall time of its onset, ISO 8601 UTC.
    """

    camera: str
    label: str
    is_active: bool
    score: float
    onset_wall: str


@dataclass(frozen=True, slots=True)
class Event:
    """A phase of something that happens at one camera.

    Attributes:
        event_id: the same for start, updates and end of one event.
        phase: start, update or end.
        camera: camera id.
        label: what happens.
        onset_s: capture time (seconds on the stream's time line) at which it began, back-dated to
            the first rise.
        detected_s: capture time of the frame that decided.
        ended_s: capture time of the last frame with it; None until the end.
        ended_by: why it ended; None until the end.
        onset_wall: wall time of the onset, ISO 8601 UTC.
        score: the current score.
        peak: highest score so far.
        timeline: stage instants of the frame or window that decided.
        region: where it happens; None as long as that is not known.
    """

    event_id: str
    phase: EventPhase
    camera: str
    label: str
    onset_s: float
    detected_s: float
    ended_s: float | None
    ended_by: EndReason | None
    onset_wall: str
    score: float
    peak: float
    timeline: Timeline = field(default_factory=lambda: Timeline(0.0, 0.0, 0.0))
    region: Region | None = None
