"""Factories of notes and records, with defaults that tests override by keyword."""

from __future__ import annotations

from typing import Any

from pipeline.records import Event, Prediction, Timeline, Window
from streamer.notes import Counters, FrameNote, Opened


def frame_note(seq: int, **changes: Any) -> FrameNote:
    """Return the note of one frame placed at `seq`, at 10 frames per second."""
    values: dict[str, Any] = {
        "camera": "door",
        "seq": seq,
        "n_places": 1,
        "n_held": 0,
        "run": 0,
        "reset": "start" if seq == 0 else None,
        "media_s": seq / 10,
        "captured_at": 100 + seq / 10,
        "arrived_at": 100.01 + seq / 10,
        "placed_at": 100.02 + seq / 10,
        "decode_s": 0.001,
        "preprocess_s": 0.001,
        "gate_s": 0.001,
        "motion": 0.0,
        "is_motion_warm": True,
        "is_degraded": False,
        "interval_s": 0.1,
        "counters": Counters(decoded=seq + 1, used=seq + 1),
    }
    return FrameNote(**(values | changes))


def opened(**changes: Any) -> Opened:
    """Return what a live H.264 camera says when it opens."""
    values: dict[str, Any] = {
        "camera": "door",
        "codec": "h264",
        "width": 640,
        "height": 360,
        "fps": 25.0,
        "is_live": True,
        "open_s": 0.3,
    }
    return Opened(**(values | changes))


def window(window_id: int = 0, **changes: Any) -> Window:
    """Return a full window that ends at 103.1."""
    values: dict[str, Any] = {
        "window_id": window_id,
        "camera": "door",
        "run": 0,
        "first_seq": 0,
        "last_seq": 31,
        "media_start_s": 0.0,
        "media_end_s": 3.1,
        "coverage": 1.0,
        "motion": 0.0,
        "is_degraded": False,
        "timeline": Timeline(103.1, 103.11, 103.12, 103.13),
    }
    return Window(**(values | changes))


def prediction(scores: dict[str, float], **changes: Any) -> Prediction:
    """Return a scored window."""
    values: dict[str, Any] = {
        "window": window(),
        "labels": tuple(scores),
        "scores": tuple(scores.values()),
        "model": "test",
        "is_trained": True,
        "batch_size": 1,
        "timeline": Timeline(103.1, 103.11, 103.12, 103.13, 103.14, 103.15, 103.2),
    }
    return Prediction(**(values | changes))


def event(**changes: Any) -> Event:
    """Return the start of a motion event."""
    values: dict[str, Any] = {
        "event_id": "e1",
        "phase": "start",
        "camera": "door",
        "label": "motion",
        "onset_s": 1.0,
        "detected_s": 1.3,
        "ended_s": None,
        "ended_by": None,
        "onset_wall": "2026-01-01T00:00:01.000+00:00",
        "score": 0.8,
        "peak": 0.9,
        "timeline": Timeline(101.3, 101.31, 101.32, decided_at=101.33),
    }
    return Event(**(values | changes))
