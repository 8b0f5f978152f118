"""What a classifier was not warmed up for is refused with what was given."""

from __future__ import annotations

import numpy as np
import pytest

from model.classifier import check_clips

ONE = (8, 32, 32, 3)


def test_good_clips_pass() -> None:
    """One, and as many as allowed."""
    for n in (1, 3):
        check_clips(np.zeros((n, *ONE), np.uint8), 3, ONE)


@pytest.mark.parametrize(
    "clips",
    [
        np.zeros((1, *ONE), np.float32),
        np.zeros((0, *ONE), np.uint8),
        np.zeros((4, *ONE), np.uint8),
        np.zeros((1, 7, 32, 32, 3), np.uint8),
        np.zeros(ONE, np.uint8),
    ],
)
def test_others_are_named(clips: np.ndarray) -> None:
    """Expected and found shape in one sentence."""
    with pytest.raises(
        ValueError, match=r"clips must be uint8 \(1\.\.3, 8, 32, 32, 3\)"
    ) as refused:
        check_clips(clips, 3, ONE)
    assert str(clips.shape) in str(refused.value)
