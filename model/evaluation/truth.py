"""What really happened in a video: when something moved, which way, and when nothing did.

In: a truth file (JSON), the events of a rendered scene, or the label of each frame of a rendered
clip. Out: a `Truth`: for each label, and for motion of any kind, the spans in which it happened and
those in which it surely did not. What is in neither is undecided: nothing there is right or wrong.
Invariant: events and `empty` of a label never overlap by more than the truth itself says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from model.errors import EvaluationError
from model.evaluation.span import Span, clip, gaps, merge, runs
from model.labels import LABELS, MOTION

ANY = "any"
"""Key of motion of whichever kind."""
JOIN_S = 2.0
"""Who stops for less than this has not ended an event: the default detector waits 1.5 s."""
SHORTEST_S = 0.5
"""Motion shorter than this is no event, and no lack of one: the recency target wants 0.5 s."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The labels of a bundle.

    Attributes:
        labels: all, in the order of the scores.
        alerting: those that raise events; the others explain or are silent.
    """

    labels: tuple[str, ...] = LABELS
    alerting: tuple[str, ...] = MOTION


BUILT_IN = Vocabulary()


@dataclass(frozen=True, slots=True)
class Course:
    """Of one label: when it happened, and when it surely did not.

    Attributes:
        events: each is to be told.
        empty: an alarm in here is false.
    """

    events: tuple[Span, ...] = ()
    empty: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Directed:
    """Motion whose direction is known.

    Attributes:
        span: when.
        labels: directions that are right; one is enough.
    """

    span: Span
    labels: frozenset[str]


@dataclass(frozen=True, slots=True)
class Truth:
    """The truth of one video.

    Attributes:
        name: of the video.
        duration_s: its length.
        courses: by label, and under `ANY` of motion of whichever kind.
        directed: motion whose direction is known.
        tolerance_s: how exact the times are.
    """

    name: str
    duration_s: float
    courses: Mapping[str, Course]
    directed: tuple[Directed, ...] = ()
    tolerance_s: float = 0.0

    def course(self, label: str) -> Course:
        """Return the course of a label; one of which nothing is known has neither."""
        return self.courses.get(label, Course())


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


Pair = tuple[float, float]


def _in_order(spans: Iterable[Pair]) -> None:
    for start_s, end_s in spans:
        if not 0 <= start_s < end_s:
            raise ValueError(f"[{start_s}, {end_s}] is no span; give start and end in seconds")


class TruthEvent(_Strict):
    """Something that happens."""

    segment: Pair
    """Start and end, seconds."""
    label: str = ""
    """What; a label of the bundle counts as its direction too, any other word is for people."""
    direction: str | None = None
    """Motion label that is right for it."""


class TruthFile(_Strict):
    """A truth file as JSON."""

    clip: str
    """The video, relative to the folder of this file or to that folder's parent."""
    duration_s: float = Field(gt=0)
    """Length of the video."""
    fps: float | None = Field(None, gt=0)
    """Frames per second, for people."""
    tolerance_s: float = Field(0.5, ge=0, le=10)
    """How exact the times are."""
    note: str = ""
    """For people."""
    events: tuple[TruthEvent, ...] = ()
    """What happens."""
    empty: tuple[Pair, ...] = ()
    """Spans in which nothing moves: an alarm there is false."""
    present: tuple[Pair, ...] = ()
    """Spans with somebody in the picture, for people."""

    @model_validator(mode="after")
    def _spans_have_order(self) -> TruthFile:
        _in_order([*(event.segment for event in self.events), *self.empty, *self.present])
        return self

    def truth(self, name: str, words: Vocabulary = BUILT_IN) -> Truth:
        """Return what the file says, by label."""
        known, alerting = set(words.labels), frozenset(words.alerting)
        accepted = [
            (Span(*event.segment), frozenset({event.label, event.direction or ""} & known))
            for event in self.events
        ]
        empty = tuple(Span(*pair) for pair in self.empty)
        moving = [(span, names) for span, names in accepted if not names or names & alerting]
        courses = {ANY: Course(tuple(span for span, _ in moving), empty)}
        for label in words.labels:
            own = tuple(span for span, names in accepted if label in names)
            # Other kinds of motion are labelled nowhere: what is not empty stays undecided.
            courses[label] = Course(own, empty)
        directed = tuple(Directed(span, names & alerting) for span, names in moving if names)
        return Truth(name, self.duration_s, courses, directed, self.tolerance_s)


def read_truth(path: Path, words: Vocabulary = BUILT_IN) -> tuple[Path, Truth]:
    """Read a truth file.

    Args:
        path: JSON.
        words: labels of the bundle that is judged.

    Returns:
        the video it is about, and the truth.

    Raises:
        EvaluationError: the file cannot be read, or the video is not there.
    """
    try:
        told = TruthFile.model_validate_json(path.read_bytes())
    except OSError as err:
        raise EvaluationError(f"truth file {path} cannot be read: {err.strerror}") from err
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "content"
        raise EvaluationError(f"truth file {path}: {key}: {first['msg']}") from err
    places = [path.parent / told.clip, path.parent.parent / told.clip]
    for video in places:
        if video.is_file():
            return video, told.truth(path.stem, words)
    raise EvaluationError(
        f"truth file {path}: clip {told.clip!r} is neither below {places[0].parent} nor below"
        f" {path.parent.parent}; correct `clip`"
    )


class _Happening(Protocol):
    """What a scene tells of one event."""

    @property
    def label(self) -> str: ...
    @property
    def start_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...


def scene_truth(
    name: str,
    events: Sequence[_Happening],
    duration_s: float,
    words: Vocabulary = BUILT_IN,
    tolerance_s: float = 0.5,
) -> Truth:
    """Return the truth of a rendered scene, which tells everything that happens in it."""
    whole = Span(0.0, duration_s)
    spans = {
        label: [Span(e.start_s, e.end_s) for e in events if e.label == label]
        for label in words.labels
    }
    moving = [span for label in words.alerting for span in spans[label]]
    courses = {label: Course(tuple(own), tuple(gaps(own, whole))) for label, own in spans.items()}
    courses[ANY] = Course(tuple(sorted(moving)), tuple(gaps(moving, whole)))
    directed = tuple(
        Directed(Span(e.start_s, e.end_s), frozenset({e.label}))
        for e in events
        if e.label in words.alerting
    )
    return Truth(name, duration_s, courses, directed, tolerance_s)


def frames_truth(
    name: str,
    frame_labels: npt.NDArray[np.float32],
    fps: float,
    words: Vocabulary = BUILT_IN,
    tolerance_s: float = 0.3,
) -> Truth:
    """Return the truth of a rendered clip from the truth of its frames.

    Stretches of a label that are at most `JOIN_S` apart are one event; events shorter than
    `SHORTEST_S` are undecided.

    Args:
        name: of the clip.
        frame_labels: float32 (n, K), 1 happens, 0 does not, NaN undecided.
        fps: frames a second.
        words: the K names.
        tolerance_s: how exact the times are.
    """
    labels = words.labels
    motion = [index for index, label in enumerate(labels) if label in words.alerting]
    columns = {label: frame_labels[:, index] for index, label in enumerate(labels)}
    columns[ANY] = _any_of(frame_labels[:, motion])
    courses = {label: _course(column, fps) for label, column in columns.items()}
    directed = []
    for span in courses[ANY].events:
        names = [labels[i] for i in motion if _share(courses[labels[i]].events, span) >= 0.5]
        if names:
            directed.append(Directed(span, frozenset(names)))
    return Truth(name, len(frame_labels) / fps, courses, tuple(directed), tolerance_s)


def _any_of(columns: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """1 where one is 1; else NaN where one is NaN; else 0."""
    is_undecided = np.isnan(columns).any(axis=1)
    is_on = (columns == 1).any(axis=1)
    return np.where(is_on, 1, np.where(is_undecided, np.nan, 0)).astype(np.float32)


def _course(column: npt.NDArray[np.float32], fps: float) -> Course:
    times_s, step_s = [index / fps for index in range(len(column))], 1 / fps
    found = merge(runs(column == 1, times_s, step_s), JOIN_S)
    events = tuple(span for span in found if span.duration_s >= SHORTEST_S - 1e-6)
    # A pause inside an event is no place for a false alarm, nor is what is too short to count.
    whole = Span(0.0, len(column) / fps)
    off = runs(column == 0, times_s, step_s)
    outside = gaps(found, whole)
    empty = [part for span in outside for part in clip(off, span)]
    return Course(events, tuple(empty))


def _share(events: Sequence[Span], span: Span) -> float:
    return sum(part.duration_s for part in clip(events, span)) / span.duration_s
