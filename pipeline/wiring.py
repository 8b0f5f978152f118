"""From configuration to parts: what each camera samples, how its ring is sized, what it is called.

In: a `PipelineConfig` and the manifest of its bundle. Out: plain values for the composition root.
Pure, except that `prepare_rings` takes shared memory. Invariant: a ring has room for a window being
read while the next ones arrive.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from model.manifest import LabelKind, Manifest
from pipeline.config import CameraConfig, PipelineConfig
from pipeline.degradation import FullQuality, build_ladder
from pipeline.errors import ConfigError
from pipeline.windowing import GatePolicy
from streamer.config import (
    FileSource,
    HttpSource,
    ReaderConfig,
    RtspSource,
    SyntheticSource,
    WebcamSource,
)
from streamer.errors import RingError
from streamer.notes import RingSpec
from streamer.ring import create_ring, ring_bytes

# The worker needs the other half.
_MEMORY_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Sampling:
    """How frames become windows.

    Attributes:
        size_px: side of the square picture.
        n_frames: frames in a window.
        hop: frames between windows.
        fps: frames per second of the sampled sequence.
    """

    size_px: int
    n_frames: int
    hop: int
    fps: float


def sampling(config: PipelineConfig, manifest: Manifest) -> Sampling:
    """Return the sampling: what the configuration says, else what the bundle was made for."""
    analysis = config.analysis
    return Sampling(
        size_px=manifest.size_px,
        n_frames=manifest.frames,
        hop=analysis.hop or manifest.hop,
        fps=analysis.fps or manifest.analysis_fps,
    )


def reader_config(config: PipelineConfig, camera: CameraConfig, sampled: Sampling) -> ReaderConfig:
    """Return what the camera's reader needs."""
    capture = config.capture.model_dump(exclude={"cameras_per_process", "max_opens", "reconnect"})
    return ReaderConfig(
        camera=camera.id,
        source=camera.source,
        analysis_fps=camera.analysis_fps or sampled.fps,
        size_px=sampled.size_px,
        gap_s=config.analysis.gap_s,
        capture=capture,
        motion=camera.motion or config.motion,
    )


def full_quality(config: PipelineConfig, sampled: Sampling) -> FullQuality:
    """Return what the live cameras do as configured, and how far that may be lowered."""
    live = [camera for camera in config.cameras if not is_fast(camera)]
    return FullQuality(
        hop=sampled.hop,
        n_frames=sampled.n_frames,
        rates=tuple(camera.analysis_fps or sampled.fps for camera in live),
        min_fps=config.analysis.min_fps,
        max_age_s=config.batching.max_age_s,
    )


def step_hops(full: FullQuality, *, may_degrade: bool) -> list[int]:
    """Return the hops the worker prepares steps for: the configured one and its first widening.

    Each takes 100 to 150 MB; wider ones save little by steps.
    """
    hops = {rung.hop for rung in build_ladder(full) if not rung.is_by_turns}
    return sorted({full.hop} | {hop for hop in hops if may_degrade and hop <= 2 * full.hop})


def gate_policy(config: PipelineConfig) -> GatePolicy:
    """Return when a window is worth the network."""
    analysis = config.analysis
    return GatePolicy(analysis.gate == "skip", analysis.gate_threshold, analysis.gate_hold_s)


def is_fast(camera: CameraConfig) -> bool:
    """Tell whether the camera's source waits for the pipeline instead of losing frames."""
    source = camera.source
    return isinstance(source, FileSource | SyntheticSource) and source.pace == "fast"


def name_of(camera: CameraConfig) -> str:
    """Return the source for people, without credentials."""
    match camera.source:
        case RtspSource() | HttpSource():
            return str(camera.source.url)
        case FileSource():
            return str(camera.source.path)
        case WebcamSource():
            return camera.source.device
        case SyntheticSource():
            return f"synthetic:{camera.source.name}"


def prepare_rings(
    config: PipelineConfig, readers: Sequence[ReaderConfig], sampled: Sampling
) -> list[RingSpec]:
    """Take the shared memory of all rings.

    Raises:
        ConfigError: there is not enough of it.
    """
    slots = [_n_slots(config, reader, sampled) for reader in readers]
    _check_memory(sum(ring_bytes(n, sampled.size_px, sampled.n_frames) for n in slots), len(slots))
    rings: list[RingSpec] = []
    try:
        for reader, n_slots in zip(readers, slots, strict=True):
            rings.append(create_ring(reader.camera, n_slots, sampled.size_px, sampled.n_frames))
    except RingError as err:
        for ring in rings:
            Path(ring.path).unlink(missing_ok=True)
        raise ConfigError(f"shared memory for {len(readers)} cameras cannot be had: {err}") from err
    return rings


def _n_slots(config: PipelineConfig, reader: ReaderConfig, sampled: Sampling) -> int:
    # A slow source fills up to a gap's worth of places at once, a fast one runs a hop ahead.
    burst = math.ceil(reader.gap_s * reader.analysis_fps) + sampled.hop
    return max(config.analysis.ring_slots, sampled.n_frames + burst)


def _check_memory(needed: int, n_cameras: int) -> None:
    """Refuse rings that would leave the machine without memory.

    /dev/shm is often as large as the memory itself: filling it does not fail, it gets the
    process (or another one) killed.
    """
    available = psutil.virtual_memory().available
    if needed > _MEMORY_SHARE * available:
        raise ConfigError(
            f"shared memory for {n_cameras} cameras cannot be had: {needed / 1e6:.0f} MB are "
            f"needed, half of the available {available / 1e6:.0f} MB may be used; lower "
            "analysis.ring_slots or run fewer cameras"
        )


def labels_of(manifest: Manifest, kind: LabelKind) -> list[str]:
    """Return the bundle's labels of one kind."""
    return [label for label in manifest.labels if manifest.kind(label) == kind]


def check_overlays(config: PipelineConfig) -> None:
    """Refuse a folder for pictures that the worker could not write to.

    Raises:
        ConfigError: names the folder.
    """
    overlays = config.detector.overlays
    if overlays is not None and not (
        overlays.folder.is_dir() and os.access(overlays.folder, os.W_OK)
    ):
        raise ConfigError(
            f"detector.overlays.folder: {overlays.folder} is no folder that may be written; "
            "create it, or name another"
        )


def check_devices(config: PipelineConfig) -> None:
    """Refuse to start when every camera is a webcam that is not there.

    Raises:
        ConfigError: names the device.
    """
    missing = [
        camera.source.device
        for camera in config.cameras
        if isinstance(camera.source, WebcamSource) and not Path(camera.source.device).exists()
    ]
    if len(missing) == len(config.cameras):
        raise ConfigError(
            f"there is no webcam at {missing[0]}; plug one in, or see `bresnet doctor`"
        )
