"""Claims about model.evaluation.span: merged and free stretches of time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.evaluation.span import Span, clip, gaps, merge, runs

TENTHS = st.integers(0, 100).map(lambda n: n / 10)
SPANS = st.lists(st.tuples(TENTHS, TENTHS).map(lambda pair: Span(min(pair), max(pair))), max_size=8)
WHOLE = Span(0.0, 10.0)


def total(spans: list[Span]) -> float:
    return sum(span.duration_s for span in spans)


def test_spans_that_touch_or_nearly_touch_become_one() -> None:
    """Up to gap_s apart counts as one."""
    spans = [Span(5, 6), Span(0, 1), Span(1.5, 2)]
    assert merge(spans) == [Span(0, 1), Span(1.5, 2), Span(5, 6)]
    assert merge(spans, gap_s=0.5) == [Span(0, 2), Span(5, 6)]


def test_gaps_are_what_is_left_of_the_whole() -> None:
    """Also before the first and behind the last span."""
    assert gaps([Span(2, 3), Span(2.5, 4), Span(9, 20)], WHOLE) == [Span(0, 2), Span(4, 9)]
    assert gaps([], WHOLE) == [WHOLE]
    assert gaps([Span(-1, 11)], WHOLE) == []


@given(SPANS)
def test_spans_and_gaps_fill_the_whole_exactly(spans: list[Span]) -> None:
    """Nothing is lost and nothing counts twice."""
    covered = clip(merge(spans), WHOLE)
    assert abs(total(covered) + total(gaps(spans, WHOLE)) - 10.0) < 1e-9


def test_overlap_needs_more_than_a_common_end() -> None:
    """A moment inside counts, touching does not."""
    assert Span(0, 2).overlaps(Span(1, 3))
    assert Span(1, 1).overlaps(Span(0, 2))
    assert not Span(0, 1).overlaps(Span(1, 2))


def test_runs_last_to_the_end_of_their_last_frame() -> None:
    """Frames 1 and 2 of four at 10 fps are 0.1 s to 0.3 s."""
    is_on = np.array([False, True, True, False, True])
    assert runs(is_on, [0.0, 0.1, 0.2, 0.3, 0.4], 0.1) == [
        Span(0.1, 0.2 + 0.1),
        Span(0.4, 0.5),
    ]
    assert runs(np.zeros(3, bool), [0.0, 0.1, 0.2], 0.1) == []
