"""The snapshots people see: the table, `/api/v1/status` and the closing summary.

In: `pipeline.status` fills them. Out: immutable pydantic models, ready for JSON. Times are seconds,
counts are totals since the start. Invariant: no credentials, and nothing here refers to live state.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from streamer.notes import CameraState

WorkerState = Literal["starting", "warming", "ready", "restarting", "refused", "stopped"]

DELIVERING: tuple[CameraState, ...] = ("warming", "running")
"""States in which a camera counts as up."""


class _Snapshot(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class LabelScore(_Snapshot):
    """One label of the last prediction."""

    label: str
    score: float


class ActiveEvent(_Snapshot):
    """An event that has started and not ended."""

    event_id: str
    label: str
    score: float
    onset_wall: str


class ActiveNuisance(_Snapshot):
    """Something that is no object disturbs the picture: it raises no event, and suppresses some."""

    label: str
    score: float
    """When it began, or the last known."""
    onset_wall: str


class CameraReport(_Snapshot):
    """One camera now."""

    id: str
    source: str
    """Address without credentials."""
    state: CameraState
    detail: str
    """Why it is in that state, one sentence; empty where there is nothing to say."""
    is_failed: bool
    """The source ended because it could not be read."""
    codec: str
    width: int
    height: int
    fps_in: float
    """Decoded pictures a second over the last two seconds."""
    fps_analysed: float
    """Places filled in the ring a second over the last two seconds."""
    frames_decoded: int
    frames_used: int
    frames_dropped: dict[str, int]
    windows: dict[str, int]
    """Possible windows by their fate at the camera."""
    top_scores: list[LabelScore]
    active_events: list[ActiveEvent]
    n_events: int
    nuisances: list[ActiveNuisance] = []
    """What disturbs the picture now."""
    suppressed: dict[str, int] = {}
    """Events that were not told, by reason."""
    latency_p50_s: float | None
    """Newest frame captured -> scores ready, median of the last 512 predictions."""
    latency_p95_s: float | None
    n_reconnects: int


class WorkerReport(_Snapshot):
    """The inference worker now."""

    state: WorkerState
    detail: str
    model: str
    version: str
    is_trained: bool
    engine: str
    precision: str
    device: str
    cost_s: dict[int, float]
    """Measured seconds by batch size."""
    n_restarts: int


class Status(_Snapshot):
    """The whole pipeline now."""

    version: str
    uptime_s: float
    not_ready: list[str]
    """Why the pipeline is not ready; empty when it is."""
    worker: WorkerReport
    cameras: list[CameraReport]
    degradation_level: int = 0
    """0 is full quality."""
    degradation: str = ""
    """What is given up because there is more work than the machine can do."""


class StageSummary(_Snapshot):
    """Latency of one stage over the run (its last 4096 windows)."""

    stage: str
    n: int
    p50_s: float
    p95_s: float
    p99_s: float


class Summary(_Snapshot):
    """What a run amounted to."""

    duration_s: float
    frames_decoded: int
    frames_used: int
    frames_dropped: dict[str, int]
    windows: dict[str, int]
    inferred: dict[str, int]
    """Submitted windows by their fate."""
    events: dict[str, int]
    """Started events by label."""
    suppressed: dict[str, int] = {}
    """Events that were not told, by reason."""
    stages: list[StageSummary]
    cameras: list[CameraReport]
