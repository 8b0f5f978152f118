"""Claims about pipeline.replay: what a video hands to the detectors, offline and repeatable."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from model.errors import EvaluationError
from model.evaluation.span import Span
from pipeline.detector import Detector
from pipeline.records import MotionSample, Prediction, RunEnded
from pipeline.replay import EPOCH, PictureSource, StillClock, alarms_of, decide
from streamer.config import FileSource, SyntheticSource
from tests.clip_file import write_clip
from tests.replay_kit import (
    FPS,
    HOP,
    MANIFEST,
    N_FRAMES,
    config_of,
    during,
    pictures_of,
    replayer_of,
    scores_of,
)

SCORES = scores_of(60, left=lambda t_s: t_s / 6)


def test_every_window_is_scored_from_its_own_frames() -> None:
    """60 frames, windows of 8 every 2: 27, each with the score of its newest frame."""
    replayer, classifier = replayer_of(batch=4)
    found = replayer.replay_source("v", PictureSource(pictures_of(SCORES), FPS))
    predictions = [item for item in found.items if isinstance(item, Prediction)]
    assert len(predictions) == found.n_windows == (60 - N_FRAMES) // HOP + 1
    assert classifier.batches == [4] * 6 + [3]
    for prediction in predictions:
        media_s = prediction.window.media_end_s
        assert prediction.scores[0] == pytest.approx(media_s / 6, abs=1 / 255)
    assert found.labels == MANIFEST.labels


def test_a_prediction_comes_right_after_the_last_frame_of_its_window() -> None:
    """As live, but without the time it takes; the end of the file ends the run."""
    replayer, _ = replayer_of(batch=3)
    found = replayer.replay_source("v", PictureSource(pictures_of(SCORES), FPS))
    for before, item in zip(found.items, found.items[1:], strict=False):
        if isinstance(item, Prediction):
            assert isinstance(before, MotionSample)
            assert before.media_s == item.window.media_end_s
    assert sum(isinstance(item, MotionSample) for item in found.items) == 60
    last = found.items[-1]
    assert isinstance(last, RunEnded)
    assert last.reason == "end_of_stream"


def test_a_recording_says_from_when_it_was_watched() -> None:
    """The first window is full after 8 frames; before that nothing could be told."""
    replayer, _ = replayer_of()
    found = replayer.replay_source("v", PictureSource(pictures_of(SCORES), FPS))
    assert found.watched_from_s == pytest.approx(0.7)
    assert found.duration_s == pytest.approx(6.0)
    short = replayer.replay_source("v", PictureSource(pictures_of(SCORES[:5]), FPS))
    assert short.watched_from_s == short.duration_s == pytest.approx(0.5)


def test_the_same_video_gives_the_same_recording() -> None:
    """No clock is read, and how windows are batched changes nothing but the batch size."""
    source = SyntheticSource(name="street", width=64, height=64, fps=FPS, duration_s=5, pace="fast")
    one = replayer_of()[0].replay("s", source)
    two = replayer_of()[0].replay("s", source)
    assert one == two
    assert one.n_windows > 0


def test_windows_without_motion_are_left_out_as_live() -> None:
    """The gate closes over a still picture, once it has learned it."""
    still = pictures_of(np.zeros((80, len(MANIFEST.labels))))
    replayer, _ = replayer_of(analysis={"gate": "skip", "gate_hold_s": 0.5})
    found = replayer.replay_source("v", PictureSource(still, FPS))
    assert 0 < found.n_windows < 10
    assert found.watched_from_s == pytest.approx(0.7)


@pytest.mark.parametrize("content", [None, b"", b"no video at all"])
def test_a_file_that_cannot_be_replayed_is_one_sentence(
    content: bytes | None, tmp_path: Path
) -> None:
    """Missing, empty or something else; the ring is removed (nothing_leaks)."""
    path = tmp_path / "a.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EvaluationError, match=r"a cannot be replayed: file .*a\.mp4"):
        replayer_of()[0].replay("a", FileSource(path=path, pace="fast"))


def test_a_hole_in_a_video_ends_the_run(tmp_path: Path) -> None:
    """3 s without a picture: windows span it nowhere, and the detector is told."""
    times_s = [k / FPS + (3.0 if k >= 20 else 0.0) for k in range(40)]
    path = write_clip(tmp_path / "a.mp4", 40, times_s=times_s)
    found = replayer_of()[0].replay("a", FileSource(path=path, pace="fast"))
    ends = [item.reason for item in found.items if isinstance(item, RunEnded)]
    assert ends == ["reset", "end_of_stream"]
    windows = [item.window for item in found.items if isinstance(item, Prediction)]
    assert {window.run for window in windows} == {0, 1}
    assert all(window.media_end_s - window.media_start_s < 1.0 for window in windows)
    assert found.duration_s == pytest.approx(7.0)


def test_a_source_without_a_picture_is_refused() -> None:
    """Rather than judged as silent."""
    with pytest.raises(EvaluationError, match="it has no picture that can be used"):
        replayer_of()[0].replay_source("v", PictureSource(pictures_of(SCORES[:0]), FPS))


def test_events_become_alarms_with_onset_detection_and_end() -> None:
    """High from 2 s to 4 s: told a moment later, over when the score is low again."""
    scores = scores_of(100, left=during(2.0, 4.0))
    replayer, _ = replayer_of()
    found = replayer.replay_source("v", PictureSource(pictures_of(scores), FPS))
    detector = Detector("v", config_of().detector, lambda: "e", MANIFEST)
    (alarm,) = alarms_of(decide(found.items, detector))
    assert alarm.label == "left"
    assert alarm.span.start_s == pytest.approx(2.1, abs=0.11)
    assert 2.1 < alarm.detected_s < 3.0
    assert alarm.span.end_s == pytest.approx(3.9, abs=0.11)
    moved = alarms_of(decide(found.items, Detector("v", config_of().detector, lambda: "e")), 1.0)
    assert moved[0].span == Span(alarm.span.start_s - 1, alarm.span.end_s - 1)


def test_an_untrained_bundle_raises_nothing() -> None:
    """As live: its scores mean nothing."""
    scores = scores_of(100, left=during(2.0, 4.0))
    untrained = MANIFEST.model_copy(update={"is_trained": False})
    replayer, _ = replayer_of(untrained)
    found = replayer.replay_source("v", PictureSource(pictures_of(scores), FPS))
    detector = Detector("v", config_of().detector, lambda: "e", untrained)
    assert decide(found.items, detector) == []


def test_the_clock_of_a_replay_stands_still() -> None:
    """Sleeping takes no time."""
    clock = StillClock()
    asyncio.run(clock.sleep(3600))
    assert clock.now() == 0.0
    assert clock.wall() == EPOCH
