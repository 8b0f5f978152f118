"""The whole configuration of a pipeline, composed from every part's own models.

In: plain mappings, which `configfile` makes from a YAML file or from SOURCE arguments. Out: a
validated, immutable `PipelineConfig`.
Invariant: nothing here reads a file or the environment, and no value shows a credential.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from model.config import ModelConfig
from streamer.config import (
    CAMERA_ID,
    CaptureConfig,
    MotionConfig,
    ReconnectConfig,
    SourceConfig,
    Strict,
)


class CameraConfig(Strict):
    """One camera."""

    id: str = Field(pattern=CAMERA_ID)
    """Name of the camera in tables, events and metrics; letters, digits, - and _, at most 32."""
    source: SourceConfig
    """rtsp://..., http://..., webcam:N, synthetic:NAME, a file path, or a mapping with `kind`."""
    analysis_fps: float | None = Field(None, gt=0, le=120)
    """Frames per second the model sees; the analysis default where absent."""
    motion: MotionConfig | None = None
    """Motion gate of this camera; the common one where absent."""


class AnalysisConfig(Strict):
    """How frames become windows."""

    fps: float | None = Field(None, gt=0, le=120)
    """Frames per second of the sampled sequence; the bundle's own where absent."""
    hop: int | None = Field(None, ge=1, le=32)
    """Frames between two windows; the bundle's own where absent."""
    gate: Literal["off", "skip"] = "skip"
    """skip: windows without any motion are not inferred; off: every window is."""
    gate_threshold: float = Field(0.25, ge=0, le=1)
    """Motion score from which the gate opens."""
    gate_hold_s: float = Field(2.0, ge=0)
    """Seconds the gate stays open after the last motion."""
    gap_s: float = Field(1.0, gt=0, le=60)
    """A longer time between two frames begins a new run; no window spans it."""
    degrade: bool = True
    """Lower the quality of live cameras in steps while there is more work than the machine can do,
    and raise it again by itself: windows further apart, then fewer frames a second, then turns."""
    min_fps: float = Field(5.0, gt=0, le=120)
    """Frames per second below which no camera is sampled because of too much work."""
    ring_slots: int = Field(64, ge=40, le=512)
    """Frames a ring keeps; 32 are the window, the rest is time for the worker to read it."""


class BatchingConfig(Strict):
    """When windows of different cameras are classified together."""

    max_batch: int = Field(4, ge=1, le=32)
    """Most windows in a batch."""
    max_wait_s: float = Field(0.02, ge=0, le=1)
    """Seconds a window waits for company while the worker is idle."""
    max_age_s: float = Field(1.0, gt=0, le=60)
    """A window whose newest frame is older than this is not inferred any more (live sources)."""


class WorkerConfig(Strict):
    """Supervision of the inference process."""

    hang_s: float = Field(5.0, gt=0)
    """A batch may take this long (or 5 times its measured cost) before the worker is killed."""
    heartbeat_s: float = Field(5.0, gt=0)
    """Silence after which a worker that was ready counts as hung."""
    start_timeout_s: float = Field(120.0, gt=0)
    """Seconds for loading and warming up."""
    backoff_initial_s: float = Field(0.5, gt=0)
    """First wait before a crashed worker is started again, seconds."""
    backoff_cap_s: float = Field(30.0, gt=0)
    """Longest wait, seconds."""


class OverlayConfig(Strict):
    """Pictures of where events happen."""

    folder: Path
    """Takes a small PNG an event; it must exist."""
    keep: int = Field(1000, ge=1, le=1_000_000)
    """Pictures that are kept; older ones are removed."""


class DetectorConfig(Strict):
    """How scores become events; the same machine serves `motion` and the model's labels."""

    motion_on: float = Field(0.5, gt=0, le=1)
    """Motion score that begins an event."""
    motion_off: float = Field(0.25, ge=0, le=1)
    """Motion score below which an event may end."""
    score_on: float | None = Field(None, gt=0, le=1)
    """Label score that begins an event; the bundle's own for each label, else 0.6, where absent."""
    score_off: float | None = Field(None, ge=0, le=1)
    """Label score below which an event may end; the bundle's own, else 0.4, where absent."""
    smoothing_s: float | None = Field(None, ge=0)
    """Time constant of the exponential smoothing, seconds; the bundle's own for each label, and 0.3
    for motion, where absent."""
    min_duration_s: float | None = Field(None, ge=0)
    """The score must stay above `on` this long before the start is told; the bundle's own for each
    label, and 0.3 for motion, where absent."""
    quiet_s: float = Field(1.5, ge=0)
    """The score must stay below `off` this long before the end is told."""
    update_s: float = Field(5.0, gt=0)
    """Seconds between two updates of a running event."""
    motion_events: Literal["auto", "always", "never"] = "auto"
    """Events `motion` of the motion gate alone. auto: while no scores of a trained bundle can tell
    what moves; always: also besides them, unless a nuisance goes on; never: not even then."""
    regions: bool = True
    """Look for the place of each event that scores have raised: one more window for the worker."""
    overlays: OverlayConfig | None = None
    """Also write a picture of it."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in ("motion", "score"):
            on, off = getattr(self, f"{name}_on"), getattr(self, f"{name}_off")
            if None not in (on, off) and off > on:
                raise ValueError(f"{name}_off ({off}) must not be above {name}_on ({on})")
        return self


class JsonlConfig(Strict):
    """Events as JSON lines in a rotating file."""

    path: Path
    """The file; its folder must exist."""
    max_bytes: int = Field(50_000_000, ge=10_000)
    """Size at which it is rotated."""
    keep: int = Field(5, ge=1, le=100)
    """Rotated files that are kept."""
    fsync: Literal["always", "interval", "never"] = "interval"
    """always: after each event; interval: at most once a second; never: left to the system."""


class SinksConfig(Strict):
    """Where events go."""

    log: bool = True
    """Write each event to the log."""
    jsonl: JsonlConfig | None = None
    """Write each event to a file."""


class HttpConfig(Strict):
    """The HTTP server for metrics, health and status."""

    enabled: bool = True
    """Serve at all."""
    host: str = "127.0.0.1"
    """Address to bind; other than loopback exposes unprotected pages to the network."""
    port: int = Field(8080, ge=0, le=65535)
    """Port; 0 takes a free one."""
    allowed_hosts: tuple[str, ...] = ()
    """Further host names under which the server may be addressed."""


class CapturePlan(CaptureConfig):
    """Capture processes: limits of each source, and how cameras share processes."""

    cameras_per_process: int = Field(1, ge=1, le=64)
    """More saves memory; a hung decoder then takes its neighbours down for a moment."""
    max_opens: int = Field(32, ge=1, le=1024)
    """Opens in flight at once."""
    reconnect: ReconnectConfig = ReconnectConfig()
    """Back-off after a loss."""


class PipelineConfig(Strict):
    """Everything `bresnet run` needs."""

    cameras: tuple[CameraConfig, ...] = Field(min_length=1)
    """At least one camera."""
    model: ModelConfig = ModelConfig()
    """The network."""
    analysis: AnalysisConfig = AnalysisConfig()
    """Windows and gate."""
    motion: MotionConfig = MotionConfig()
    """Motion gate of all cameras."""
    capture: CapturePlan = CapturePlan()
    """Capture processes."""
    batching: BatchingConfig = BatchingConfig()
    """Batches."""
    worker: WorkerConfig = WorkerConfig()
    """Inference process."""
    detector: DetectorConfig = DetectorConfig()
    """Events."""
    sinks: SinksConfig = SinksConfig()
    """Destinations."""
    http: HttpConfig = HttpConfig()
    """HTTP server."""
    drain_s: float = Field(5.0, gt=0, le=60)
    """Seconds a stop may take to finish what is in flight."""

    @model_validator(mode="after")
    def _unique_ids(self) -> Self:
        seen: set[str] = set()
        for index, camera in enumerate(self.cameras):
            if camera.id in seen:
                raise ValueError(
                    f"cameras[{index}].id {camera.id!r} is used twice; give each camera its own id"
                )
            seen.add(camera.id)
        return self
