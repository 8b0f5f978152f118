"""Motion events on real camera clips with timed ground truth, every setting at its default.

Decode -> sample at 10 fps -> preprocess -> motion gate -> detector, without processes between them.
The scores of each clip are computed once.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline.config import DetectorConfig
from pipeline.detector import Detector
from pipeline.records import Event, Timeline
from streamer.config import MotionConfig
from streamer.motion import Motion, MotionGate
from streamer.preprocess import preprocess
from streamer.scenes import scene

FPS = 10.0
SIZE_PX = 256
PERSON = "one-by-one-person-detection"
CAR = "car-detection"
CLIPS = {
    PERSON: "camera_intel_ccby/one-by-one-person-detection.mp4",
    CAR: "camera_intel_ccby/car-detection.mp4",
}
VTEST = "camera_opencv_apache2/vtest_480x360.mp4"
"""Twenty seconds of it are enough: somebody walks at all times."""
Course = list[tuple[float, Motion]]


@dataclass(frozen=True)
class Span:
    """What an event covers, seconds."""

    start_s: float
    end_s: float

    def overlaps(self, start_s: float, end_s: float) -> bool:
        return self.start_s < end_s and self.end_s > start_s


def course_of(path: Path, limit_s: float = 1000.0) -> Course:
    """Decode a clip, sample it at FPS and score every sample."""
    gate = MotionGate(MotionConfig(), FPS)
    square = np.empty((SIZE_PX, SIZE_PX, 3), np.uint8)
    course: Course = []
    with av.open(path, timeout=(5, 5)) as container:
        for frame in container.decode(video=0):
            assert frame.pts is not None
            assert frame.time_base is not None
            media_s = float(frame.pts * frame.time_base)
            if media_s > limit_s:
                break
            if media_s * FPS >= len(course) - 1e-6:
                picture = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                preprocess(picture, square, 0)
                course.append((media_s, gate.score(square, media_s)))
    return course


@pytest.fixture(scope="module")
def courses(shared_data: Path) -> dict[str, Course]:
    """Capture time and motion of each sampled frame, by clip."""
    scored = {name: course_of(shared_data / path) for name, path in CLIPS.items()}
    return scored | {"vtest": course_of(shared_data / VTEST, limit_s=20.0)}


@pytest.fixture
def labels(shared_data: Path) -> dict[str, dict[str, Any]]:
    """Ground truth by clip."""
    return {
        name: json.loads((shared_data / "labels" / f"{name}.json").read_text())
        for name in (PERSON, CAR)
    }


def events_of(course: Course) -> list[Event]:
    """Run the detector over a course and end it like a file ends."""
    ids = itertools.count()
    detector = Detector("clip", DetectorConfig(), lambda: str(next(ids)))
    wall, line = datetime(2026, 1, 1, tzinfo=UTC), Timeline(0.0, 0.0, 0.0)
    told = [
        event
        for media_s, motion in course
        for event in detector.observe_motion(media_s, motion.score, motion.is_warm, wall, line)
    ]
    return told + detector.end_all(course[-1][0], "source_lost", wall, line)


def spans_of(course: Course) -> list[Span]:
    ended = [event for event in events_of(course) if event.phase == "end"]
    return [Span(event.onset_s, event.ended_s or 0.0) for event in ended]


def false_alarms(spans: list[Span], truth: dict[str, Any]) -> list[Span]:
    """Events that reach into an empty interval by more than the tolerance of the labels."""
    slack = truth["tolerance_s"]
    return [
        span
        for span in spans
        if any(span.overlaps(start + slack, end - slack) for start, end in truth["empty"])
    ]


@pytest.mark.parametrize("clip", [PERSON, CAR])
def test_every_labelled_event_is_hit(
    clip: str, courses: dict[str, Course], labels: dict[str, dict[str, Any]]
) -> None:
    """All 12 enter and leave intervals, and all 4 cars, overlap a motion event."""
    spans = spans_of(courses[clip])
    missed = [
        event
        for event in labels[clip]["events"]
        if not any(span.overlaps(*event["segment"]) for span in spans)
    ]
    assert missed == []


@pytest.mark.parametrize("clip", [PERSON, CAR])
def test_no_event_reaches_into_an_empty_interval(
    clip: str, courses: dict[str, Course], labels: dict[str, dict[str, Any]]
) -> None:
    """Nobody there, no event, although the exposure of one camera adapts for seconds after each
    car."""
    assert false_alarms(spans_of(courses[clip]), labels[clip]) == []


def test_every_enter_and_leave_begins_an_event_of_its_own(
    courses: dict[str, Course], labels: dict[str, dict[str, Any]]
) -> None:
    """Who stands still ends an event: nearly every interval has an onset inside, not one long event
    over all."""
    truth = labels[PERSON]
    slack = truth["tolerance_s"]
    onsets = [span.start_s for span in spans_of(courses[PERSON])]
    own = [
        any(start - slack <= onset <= end + slack for onset in onsets)
        for start, end in (event["segment"] for event in truth["events"])
    ]
    assert sum(own) >= 11


def test_a_busy_campus_is_one_long_event(courses: dict[str, Course]) -> None:
    """Somebody walks at all times: the clip is covered but for its warm-up."""
    spans = spans_of(courses["vtest"])
    assert sum(span.end_s - span.start_s for span in spans) > 0.9 * courses["vtest"][-1][0]


def test_scores_in_empty_intervals_stay_far_from_an_event(
    courses: dict[str, Course], labels: dict[str, dict[str, Any]]
) -> None:
    """There is room: 99 % of the empty frames score below a tenth of what begins an event."""
    for clip in (PERSON, CAR):
        slack = labels[clip]["tolerance_s"]
        empty = [
            motion.score
            for media_s, motion in courses[clip]
            if any(start + slack < media_s < end - slack for start, end in labels[clip]["empty"])
        ]
        assert np.quantile(empty, 0.99) < 0.1 * DetectorConfig().motion_on


def course_of_scene(name: str, seed: int, duration_s: float) -> Course:
    gate = MotionGate(MotionConfig(), FPS)
    rendered = scene(name, seed, width=320, height=180)
    square = np.empty((SIZE_PX, SIZE_PX, 3), np.uint8)
    course: Course = []
    for index in range(round(duration_s * FPS)):
        preprocess(rendered.render(index / FPS), square, 0)
        course.append((index / FPS, gate.score(square, index / FPS)))
    return course


@pytest.mark.parametrize("name", ["empty", "lights"])
def test_a_scene_without_anybody_raises_no_event(name: str) -> None:
    """Sensor noise and lamps that are switched are no motion."""
    assert events_of(course_of_scene(name, seed=3, duration_s=40.0)) == []


def test_every_visitor_of_the_street_is_one_event_at_the_right_time() -> None:
    """Against exact ground truth: one event a visit, onset and end within 0.4 s."""
    spans = spans_of(course_of_scene("street", seed=1, duration_s=40.0))
    truth = scene("street", seed=1, width=320, height=180).events(40.0)
    assert len(spans) == len(truth) == 4
    for span, visit in zip(spans, truth, strict=True):
        assert span.start_s == pytest.approx(visit.start_s, abs=0.4)
        assert span.end_s == pytest.approx(visit.end_s, abs=0.4)


def test_every_visitor_of_the_corridor_is_one_event() -> None:
    """Who comes from far away is seen late, but once and only while there."""
    spans = spans_of(course_of_scene("corridor", seed=1, duration_s=40.0))
    truth = scene("corridor", seed=1, width=320, height=180).events(40.0)
    assert len(spans) == len(truth) == 4
    for span, visit in zip(spans, truth, strict=True):
        assert visit.start_s - 0.2 <= span.start_s < span.end_s <= visit.end_s + 0.4
