"""Claims about pipeline.wiring: what is configured is what the parts get."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from model.bundle import load_manifest
from pipeline import wiring
from pipeline.config import PipelineConfig
from pipeline.errors import ConfigError
from streamer.ring import remove_ring


def config(*cameras: dict[str, object], **changes: object) -> PipelineConfig:
    values = {"cameras": list(cameras) or [{"id": "a", "source": "x.mp4"}], **changes}
    return PipelineConfig.model_validate(values)


MANIFEST = load_manifest("untrained")


def test_sampling_is_the_bundles_unless_the_configuration_says_otherwise() -> None:
    """fps and hop may be overridden, the picture and the window belong to the model."""
    own = wiring.sampling(config(), MANIFEST)
    assert (own.hop, own.fps) == (MANIFEST.hop, MANIFEST.analysis_fps)
    other = wiring.sampling(config(analysis={"fps": 5, "hop": 3}), MANIFEST)
    assert (other.hop, other.fps) == (3, 5)
    assert (other.size_px, other.n_frames) == (MANIFEST.size_px, MANIFEST.frames)


def test_a_camera_may_have_its_own_rate_and_motion_gate() -> None:
    """The common values hold where a camera says nothing."""
    cameras = [
        {"id": "a", "source": "x.mp4", "analysis_fps": 4, "motion": {"warm_up_s": 9}},
        {"id": "b", "source": "x.mp4"},
    ]
    whole = config(*cameras, capture={"stall_s": 7})
    sampled = wiring.sampling(whole, MANIFEST)
    first, second = (wiring.reader_config(whole, c, sampled) for c in whole.cameras)
    assert (first.analysis_fps, first.motion.warm_up_s) == (4, 9)
    assert (second.analysis_fps, second.motion) == (sampled.fps, whole.motion)
    assert first.capture.stall_s == 7


def test_labels_are_sorted_by_what_they_are_for() -> None:
    """Metrics of events for motion, of suppression for nuisances."""
    assert wiring.labels_of(MANIFEST, "motion")[0] == "left"
    assert wiring.labels_of(MANIFEST, "nuisance") == ["lighting", "camera", "tamper", "background"]


def test_a_folder_for_pictures_must_be_there(tmp_path: Path) -> None:
    """Refused before anything runs, by its key."""
    wiring.check_overlays(config())
    wiring.check_overlays(config(detector={"overlays": {"folder": str(tmp_path)}}))
    with pytest.raises(ConfigError, match=r"detector\.overlays\.folder: .*none is no folder"):
        wiring.check_overlays(config(detector={"overlays": {"folder": str(tmp_path / "none")}}))


def test_full_quality_is_that_of_the_live_cameras() -> None:
    """A file read at full speed waits and is never slowed down."""
    cameras = [
        {"id": "a", "source": "synthetic:street", "analysis_fps": 4},
        {"id": "b", "source": {"kind": "file", "path": "x.mp4", "pace": "fast"}},
        {"id": "c", "source": "synthetic:street"},
    ]
    whole = config(*cameras, analysis={"hop": 4, "fps": 12, "min_fps": 3})
    full = wiring.full_quality(whole, wiring.sampling(whole, MANIFEST))
    assert (full.hop, full.n_frames, full.min_fps) == (4, 32, 3)
    assert full.rates == (4.0, 12.0)
    assert full.max_age_s == whole.batching.max_age_s


def test_a_ring_has_room_for_a_burst_beside_the_window() -> None:
    """A slow source fills a gap's worth of places at once while a window is being read."""
    whole = config(analysis={"fps": 60, "gap_s": 2.0, "ring_slots": 64})
    sampled = wiring.sampling(whole, MANIFEST)
    readers = [wiring.reader_config(whole, c, sampled) for c in whole.cameras]
    (ring,) = wiring.prepare_rings(whole, readers, sampled)
    try:
        assert ring.n_slots >= 32 + 120 + sampled.hop
        assert Path(ring.path).stat().st_size >= ring.n_slots * ring.size_px**2 * 3
    finally:
        remove_ring(ring)


def test_more_shared_memory_than_the_machine_can_spare_is_refused_before_any_is_taken() -> None:
    """/dev/shm may be as large as the memory: filling it would get a process killed."""
    # Of this process: other tests run beside it.
    own = f"bresnet-{os.getpid()}-*"
    before = set(Path("/dev/shm").glob(own))
    cameras = [{"id": f"c{i}", "source": "x.mp4"} for i in range(30_000)]
    whole = config(*cameras, analysis={"ring_slots": 512})
    sampled = wiring.sampling(whole, MANIFEST)
    readers = [wiring.reader_config(whole, c, sampled) for c in whole.cameras[:1]] * 30_000
    with pytest.raises(ConfigError, match=r"30000 cameras .* needed.* fewer cameras"):
        wiring.prepare_rings(whole, readers, sampled)
    assert set(Path("/dev/shm").glob(own)) == before


def test_only_files_and_scenes_can_be_fast() -> None:
    """A camera never waits for the pipeline."""
    fast = {"kind": "file", "path": "x.mp4", "pace": "fast"}
    cameras = config({"id": "a", "source": fast}, {"id": "b", "source": "rtsp://h/x"}).cameras
    assert [wiring.is_fast(c) for c in cameras] == [True, False]


def test_sources_are_named_without_credentials() -> None:
    """The name goes to tables and status pages."""
    sources = ["rtsp://u:secret@h/x", "x.mp4", "webcam:3", "synthetic:street"]
    cameras = config(*({"id": f"c{i}", "source": s} for i, s in enumerate(sources))).cameras
    names = [wiring.name_of(c) for c in cameras]
    assert names == ["rtsp://***@h/x", "x.mp4", "/dev/video3", "synthetic:street"]


def test_a_run_on_absent_webcams_alone_is_refused() -> None:
    """With another camera in the run the absent webcam only has a state."""
    with pytest.raises(ConfigError, match="/dev/video77"):
        wiring.check_devices(config({"id": "a", "source": "webcam:77"}))
    both = config({"id": "a", "source": "webcam:77"}, {"id": "b", "source": "x.mp4"})
    wiring.check_devices(both)
