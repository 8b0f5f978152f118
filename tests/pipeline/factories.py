"""Records as the stages make them; every test changes only what it is about."""

from __future__ import annotations

from typing import Any

from pipeline.records import Event, Prediction, Timeline, Window
from streamer.notes import Counters, FrameNote, Lost, Opened
from streamer.worker_notes import Ready, Result

TIMELINE = Timeline(
    captured_at=1000.0,
    arrived_at=1000.05,
    placed_at=1000.06,
    ready_at=1000.07,
    dispatched_at=1000.09,
    started_at=1000.10,
    scored_at=1000.30,
    decided_at=1000.31,
)


def frame_note(camera: str = "door", **changes: Any) -> FrameNote:
    facts: dict[str, Any] = {
        "seq": 7,
        "n_places": 1,
        "n_held": 0,
        "run": 1,
        "reset": None,
        "media_s": 1.0,
        "captured_at": 999.9,
        "arrived_at": 999.95,
        "placed_at": 999.97,
        "decode_s": 0.004,
        "preprocess_s": 0.002,
        "gate_s": 0.001,
        "motion": 0.1,
        "is_motion_warm": True,
        "is_degraded": False,
        "interval_s": 0.04,
        "counters": Counters(decoded=10, used=4, dropped={"rate_limit": 6}, bytes=5000),
    }
    return FrameNote(camera=camera, **(facts | changes))


def opened(camera: str = "door") -> Opened:
    return Opened(
        camera=camera, codec="h264", width=640, height=360, fps=25.0, is_live=True, open_s=0.2
    )


def lost(camera: str = "door", **changes: Any) -> Lost:
    facts: dict[str, Any] = {
        "kind": "timeout",
        "message": "no data",
        "was_open": True,
        "counters": Counters(),
    }
    return Lost(camera=camera, **(facts | changes))


def prediction(camera: str = "door", **changes: Any) -> Prediction:
    window = Window(
        window_id=1,
        camera=camera,
        run=1,
        first_seq=0,
        last_seq=31,
        media_start_s=0.0,
        media_end_s=3.1,
        coverage=1.0,
        motion=0.5,
        is_degraded=False,
        timeline=TIMELINE,
    )
    facts: dict[str, Any] = {
        "labels": ("walk", "fall", "sit", "wave"),
        "scores": (0.1, 0.7, 0.15, 0.05),
        "model": "untrained",
        "is_trained": False,
        "batch_size": 1,
        "timeline": TIMELINE,
    }
    return Prediction(window=window, **(facts | changes))


def event(phase: str = "start", **changes: Any) -> Event:
    facts: dict[str, Any] = {
        "event_id": "e1",
        "phase": phase,
        "camera": "door",
        "label": "motion",
        "onset_s": 2.0,
        "detected_s": 2.5,
        "ended_s": 6.0 if phase == "end" else None,
        "ended_by": "quiet" if phase == "end" else None,
        "onset_wall": "2026-01-01T00:00:00+00:00",
        "score": 0.8,
        "peak": 0.9,
        "timeline": TIMELINE,
    }
    return Event(**(facts | changes))


def ready(**changes: Any) -> Ready:
    facts: dict[str, Any] = {
        "model": "untrained",
        "version": "1",
        "sha256": "0123456789abcdef" * 4,
        "is_trained": False,
        "labels": ["walk"],
        "engine": "tensorflow 2.21",
        "precision": "bfloat16",
        "device": "cpu",
        "cost_s": {1: 0.1, 4: 0.3},
        "load_s": 3.0,
    }
    return Ready(**(facts | changes))


def result(**changes: Any) -> Result:
    facts: dict[str, Any] = {
        "batch_id": 1,
        "scores": [],
        "started_at": 1000.1,
        "transfer_s": 0.01,
        "infer_s": 0.15,
        "finished_at": 1000.3,
    }
    return Result(**(facts | changes))
