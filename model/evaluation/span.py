"""Stretches of time and what they leave free: the arithmetic under truth and alarms.

In and out: `Span`s, seconds. Pure.
Invariant: the results of `merge` and `gaps` are in order, do not touch each other and are not
empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """From one time to another, seconds.

    Attributes:
        start_s: first moment.
        end_s: last moment, not before the first.
    """

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """Return the length in seconds."""
        return self.end_s - self.start_s

    def overlaps(self, other: Span) -> bool:
        """Tell whether they have more than a moment in common, or one lies in the other."""
        return self.start_s < other.end_s and other.start_s < self.end_s

    def holds(self, t_s: float) -> bool:
        """Tell whether the time is inside, the ends included."""
        return self.start_s <= t_s <= self.end_s

    def grown(self, by_s: float) -> Span:
        """Return a span that is longer by `by_s` at either end (shorter where negative)."""
        return Span(self.start_s - by_s, self.end_s + by_s)


def merge(spans: Iterable[Span], gap_s: float = 0.0) -> list[Span]:
    """Join spans that overlap or are at most `gap_s` apart."""
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.start_s <= joined[-1].end_s + gap_s:
            end_s = max(joined[-1].end_s, span.end_s)
            joined[-1] = Span(joined[-1].start_s, end_s)
        else:
            joined.append(span)
    return joined


def gaps(spans: Iterable[Span], whole: Span) -> list[Span]:
    """Return what the spans leave free of `whole`."""
    free, since_s = [], whole.start_s
    for span in merge(spans):
        if span.start_s > since_s:
            free.append(Span(since_s, min(span.start_s, whole.end_s)))
        since_s = max(since_s, span.end_s)
        if since_s >= whole.end_s:
            break
    if since_s < whole.end_s:
        free.append(Span(since_s, whole.end_s))
    return [span for span in free if span.duration_s > 0]


def clip(spans: Iterable[Span], whole: Span) -> list[Span]:
    """Return the parts of the spans that lie in `whole`."""
    cut = [Span(max(s.start_s, whole.start_s), min(s.end_s, whole.end_s)) for s in spans]
    return [span for span in cut if span.duration_s > 0]


def runs(is_on: npt.NDArray[np.bool_], times_s: Sequence[float], step_s: float) -> list[Span]:
    """Return the stretches in which a condition holds, from frame to frame.

    Args:
        is_on: bool (n,), by frame.
        times_s: n times of the frames.
        step_s: how long a frame lasts.
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([False], is_on, [False])).astype(np.int8)))
    return [
        Span(times_s[start], times_s[end - 1] + step_s)
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ]
