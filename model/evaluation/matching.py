"""The rule by which alarms and truth are compared.

In: the alarms of one label (or of all motion labels) in one video, and the truth. Out: what became
of each event and of each alarm.

An event is TOLD when an alarm is raised (`detected_s`) inside it, widened by the tolerance; COVERED
when an alarm goes on at some time of it. An alarm is a HIT when it tells or covers an event, else
FALSE when it reaches into an `empty` span narrowed by the tolerance, else undecided. A hit that is
in an `empty` span before its event or more than `LINGER_S` after it OVERSTAYS. False episodes are
of both. Besides, without that grace: alarms RAISED IN EMPTY and those that REACH INTO EMPTY.
Invariant: hits + false + undecided = alarms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from model.evaluation.span import Span, clip, gaps, merge
from model.evaluation.truth import Course, Truth

EPISODE_S = 1.0
"""False alarms of one camera that overlap or follow within this are one: somebody looks once."""
LINGER_S = 1.0
"""An alarm may go on for so long after its event: a window speaks of its last 1.2 s."""
OPPOSITE = {
    "left": "right",
    "right": "left",
    "up": "down",
    "down": "up",
    "approach": "recede",
    "recede": "approach",
}


@dataclass(frozen=True, slots=True)
class Alarm:
    """An event as the detector told it.

    Attributes:
        label: what.
        span: from the (back-dated) onset to the end.
        detected_s: when it was told.
    """

    label: str
    span: Span
    detected_s: float


@dataclass(frozen=True, slots=True)
class EventFate:
    """What became of one event.

    Attributes:
        span: the event.
        is_told: an alarm was raised inside.
        is_covered: an alarm went on at some time of it.
        delay_s: from its start to the first alarm inside; None where none was, or where the event
            had begun before anything could be told.
        n_repeats: further alarms of a label that had already been raised inside.
        n_pieces: stretches with an alarm; 1 is whole, more are fragments.
    """

    span: Span
    is_told: bool
    is_covered: bool
    delay_s: float | None
    n_repeats: int
    n_pieces: int


@dataclass(frozen=True, slots=True)
class Matched:
    """Alarms of one video compared with its truth.

    Attributes:
        events: one fate each.
        n_hits: alarms that tell or cover an event.
        n_false: false alarms.
        n_overstaying: hits that are also where nothing moves.
        n_false_episodes: false alarms and stretches overstayed, those within `EPISODE_S` of each
            other counted once.
        n_raised_in_empty: alarms raised in an empty span, whatever they hit.
        n_reaching_into_empty: alarms that begin, go on or end in one, whatever they hit.
        empty_s: seconds in which an alarm would be false.
        watched_s: seconds in which an alarm was possible.
    """

    events: tuple[EventFate, ...]
    n_hits: int
    n_false: int
    n_overstaying: int
    n_false_episodes: int
    n_raised_in_empty: int
    n_reaching_into_empty: int
    empty_s: float
    watched_s: float


def match(
    alarms: Sequence[Alarm], course: Course, truth: Truth, watched_from_s: float = 0.0
) -> Matched:
    """Compare alarms with the truth of a label.

    Args:
        alarms: of the label, or of every label that counts for it.
        course: of the label.
        truth: of the video; gives its length and tolerance.
        watched_from_s: before this nothing could be told (the first window was not full): events
            that end by then do not count, those that began before have no delay.
    """
    watched = Span(watched_from_s, max(truth.duration_s, watched_from_s))
    slack_s = truth.tolerance_s
    events = [span for span in course.events if span.end_s > watched.start_s + slack_s]
    fates = tuple(_fate(span, alarms, slack_s, watched) for span in events)
    near = [span.grown(slack_s) for span in course.events]
    empty = [span.grown(-slack_s) for span in clip(course.empty, watched)]
    empty = [span for span in empty if span.duration_s > 0]
    hits = [alarm for alarm in alarms if _is_hit(alarm, near)]
    in_empty = [alarm for alarm in alarms if any(alarm.span.overlaps(e) for e in empty)]
    false = [alarm.span for alarm in in_empty if alarm not in hits]
    overstayed = [_overstayed(alarm, course.events, slack_s, empty) for alarm in hits]
    return Matched(
        events=fates,
        n_hits=len(hits),
        n_false=len(false),
        n_overstaying=sum(bool(spans) for spans in overstayed),
        n_false_episodes=len(merge([*false, *chain.from_iterable(overstayed)], EPISODE_S)),
        n_raised_in_empty=sum(any(e.holds(alarm.detected_s) for e in empty) for alarm in alarms),
        n_reaching_into_empty=len(in_empty),
        empty_s=sum(span.duration_s for span in clip(course.empty, watched)),
        watched_s=watched.duration_s,
    )


def _is_hit(alarm: Alarm, near: Sequence[Span]) -> bool:
    return any(span.holds(alarm.detected_s) or alarm.span.overlaps(span) for span in near)


def _overstayed(
    alarm: Alarm, events: Sequence[Span], slack_s: float, empty: Sequence[Span]
) -> list[Span]:
    """Return where a hit is, although it has not begun or long ended what it hits."""
    own = [event for event in events if _is_hit(alarm, [event.grown(slack_s)])]
    allowed = [Span(e.start_s - slack_s, e.end_s + slack_s + LINGER_S) for e in own]
    return [part for span in gaps(allowed, alarm.span) for part in clip(empty, span)]


def _fate(span: Span, alarms: Sequence[Alarm], slack_s: float, watched: Span) -> EventFate:
    near = span.grown(slack_s)
    told = [alarm for alarm in alarms if near.holds(alarm.detected_s)]
    covering = [alarm.span for alarm in alarms if alarm.span.overlaps(near)]
    first_s = min((alarm.detected_s for alarm in told), default=None)
    is_timed = first_s is not None and span.start_s >= watched.start_s
    return EventFate(
        span=span,
        is_told=bool(told),
        is_covered=bool(told or covering),
        delay_s=max(0.0, first_s - span.start_s) if is_timed and first_s is not None else None,
        n_repeats=len(told) - len({alarm.label for alarm in told}),
        n_pieces=len(merge(covering)),
    )


@dataclass(frozen=True, slots=True)
class Directions:
    """How often the direction was right.

    Attributes:
        n_right: an accepted direction was raised inside, and the opposite of none.
        n_told: some direction was raised inside.
        n: events with a known direction.
    """

    n_right: int
    n_told: int
    n: int


def directions(alarms: Sequence[Alarm], truth: Truth, watched_from_s: float = 0.0) -> Directions:
    """Judge the directions of a video's motion alarms.

    An opposite that another event of the same time explains is no mistake.
    """
    n_right = n_told = n = 0
    for event in truth.directed:
        if event.span.end_s <= watched_from_s + truth.tolerance_s:
            continue
        near = event.span.grown(truth.tolerance_s)
        told = {alarm.label for alarm in alarms if near.holds(alarm.detected_s)}
        others = [other for other in truth.directed if other.span.overlaps(near)]
        explained = frozenset[str]().union(*(other.labels for other in others))
        wrong = {OPPOSITE[label] for label in event.labels if label in OPPOSITE} - explained
        n += 1
        n_told += bool(told)
        n_right += bool(told & event.labels) and not told & wrong
    return Directions(n_right, n_told, n)
