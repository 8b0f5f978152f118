"""Claims about targets: the rule in numbers, undecided frames, rates, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from model.data.target import Recency, moment_targets, window_targets
from model.labels import LABELS

FPS = 10.0
LEFT = LABELS.index("left")
LIGHT = LABELS.index("lighting")


def truth(n_frames: int, **spans: list[tuple[int, int, float]]) -> np.ndarray:
    """All 0 but for the named labels, each with (first, end, value) spans."""
    rows = np.zeros((n_frames, len(LABELS)), np.float32)
    for label, parts in spans.items():
        for first, end, value in parts:
            rows[first:end, LABELS.index(label)] = value
    return rows


def judged(rows: np.ndarray, label: int, fps: float = FPS) -> tuple[float, float]:
    targets, weights = window_targets(rows, np.array([len(rows) - 1]), fps)
    return float(targets[0, label]), float(weights[0, label])


@pytest.mark.parametrize(
    ("n_positive", "expected"),
    [(0, (0, 1)), (1, (0, 1)), (2, (0, 0)), (4, (0, 0)), (5, (1, 1)), (12, (1, 1))],
)
def test_motion_counts_from_half_a_second_on(n_positive: int, expected: tuple[int, int]) -> None:
    """At 10 fps 5 frames of the last 12 make a 1, fewer than 2 a 0, and between is undecided."""
    assert judged(truth(32, left=[(32 - n_positive, 32, 1.0)]), LEFT) == expected


def test_motion_before_the_span_is_forgotten() -> None:
    """Motion that ended 2 s before the end is not in the target; from 1.2 s on, who knows."""
    assert judged(truth(32, left=[(0, 12, 1.0)]), LEFT) == (0, 1)
    assert judged(truth(32, left=[(0, 20, 1.0)]), LEFT) == (0, 0)
    assert judged(truth(32, left=[(0, 25, 1.0)]), LEFT) == (1, 1)


@pytest.mark.parametrize(
    ("last_positive", "expected"),
    [(31, (0, 0)), (30, (0, 0)), (29, (1, 1)), (22, (1, 1)), (21, (0, 0)), (17, (0, 1))],
)
def test_one_frame_of_a_nuisance_counts_for_a_second(
    last_positive: int, expected: tuple[int, int]
) -> None:
    """A nuisance is 1 from 0.2 to 1.0 s after its frame, 0 from 1.4 s on, and else undecided."""
    rows = truth(32, lighting=[(last_positive, last_positive + 1, 1.0)])
    assert judged(rows, LIGHT) == expected


def test_undecided_frames_take_the_weight_away_but_no_certainty() -> None:
    """NaN in the span gives weight 0, unless the label is 1 already; before the span it is moot."""
    nan = float("nan")
    assert judged(truth(32, left=[(31, 32, nan)]), LEFT) == (0, 0)
    assert judged(truth(32, left=[(20, 26, 1.0), (31, 32, nan)]), LEFT) == (1, 1)
    assert judged(truth(32, left=[(0, 12, nan)]), LEFT) == (0, 1)
    assert judged(truth(32, left=[(0, 20, nan)]), LEFT) == (0, 0)
    assert judged(truth(32, lighting=[(18, 19, nan)]), LIGHT) == (0, 0)
    assert judged(truth(32, lighting=[(18, 19, nan), (28, 29, 1.0)]), LIGHT) == (1, 1)


def test_labels_do_not_disturb_each_other() -> None:
    """A label that moves leaves the others at 0 with full weight."""
    targets, weights = window_targets(truth(32, left=[(0, 32, 1.0)]), np.array([31]), FPS)
    assert targets.sum() == 1
    assert weights.min() == 1
    assert targets.dtype == weights.dtype == np.float32


@pytest.mark.parametrize("fps", [5.0, 8.0, 12.5, 15.0, 29.97])
def test_the_rule_is_in_seconds(fps: float) -> None:
    """At any rate half a second of motion is enough and a tenth of a second is not."""
    n_frames = round(3.2 * fps)
    enough, little = int(np.ceil(0.5 * fps - 1e-9)), int(0.15 * fps)
    assert judged(truth(n_frames, left=[(n_frames - enough, n_frames, 1)]), LEFT, fps) == (1, 1)
    assert judged(truth(n_frames, left=[(n_frames - little, n_frames, 1)]), LEFT, fps) == (0, 1)


def test_many_windows_are_judged_as_one_by_one() -> None:
    """Windows judged together equal those judged alone, on random truth with gaps."""
    rng = np.random.default_rng(5)
    rows = rng.choice(np.array([0, 1, np.nan], np.float32), (90, len(LABELS)), p=[0.9, 0.08, 0.02])
    ends = np.arange(31, 90)
    together = window_targets(rows, ends, FPS)
    for index, end in enumerate(ends):
        alone = window_targets(rows[end - 31 : end + 1], np.array([31]), FPS)
        np.testing.assert_array_equal(together[0][index], alone[0][0])
        np.testing.assert_array_equal(together[1][index], alone[1][0])


def test_a_moment_needs_half_of_its_frames() -> None:
    """Two frames of four make a moment true, one leaves it open, as does a frame not decided."""
    rows = truth(18, left=[(2, 4, 1.0), (7, 8, 1.0), (12, 13, np.nan)])
    assert moment_targets(rows).shape == (4, len(LABELS))
    np.testing.assert_array_equal(moment_targets(rows)[:, LEFT], [1, np.nan, 0, np.nan])
    assert not moment_targets(rows)[:, LIGHT].any()


def test_what_does_not_fit_is_refused() -> None:
    """A wrong number of labels, a frame that is not there and a rule upside down are errors."""
    with pytest.raises(ValueError, match="shape"):
        window_targets(np.zeros((5, 3), np.float32), np.array([4]), FPS)
    with pytest.raises(ValueError, match="outside"):
        window_targets(truth(5), np.array([5]), FPS)
    with pytest.raises(ValueError, match="off <= on"):
        Recency(motion_on_s=0.1)
    with pytest.raises(ValueError, match="off <= on"):
        Recency(motion_rest_s=1.0)
