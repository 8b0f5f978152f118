"""A frame is facts that nobody changes, and pixels only for those who ask."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from streamer.frame import Frame, Picture


def test_the_picture_is_made_only_when_it_is_asked_for() -> None:
    """Converting costs time: frames that are dropped are never converted."""
    made: list[int] = []

    def picture() -> Picture:
        made.append(1)
        return np.zeros((4, 6, 3), np.uint8)

    frame = Frame(0, None, 1.0, 6, 4, picture)
    assert made == []
    assert frame.picture().shape == (4, 6, 3)
    assert made == [1]


def test_a_frame_cannot_be_changed() -> None:
    """Stages may keep it without copying."""
    frame = Frame(0, None, 1.0, 6, 4, lambda: np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(dataclasses.FrozenInstanceError):
        frame.index = 1  # type: ignore[misc]


def test_a_frame_is_whole_upright_and_dependent_unless_said_otherwise() -> None:
    """What a source does not know is the harmless value, except that nothing is a key frame."""
    frame = Frame(0, None, 1.0, 6, 4, lambda: np.zeros((4, 6, 3), np.uint8))
    assert not frame.is_corrupt
    assert not frame.is_keyframe
    assert (frame.decode_s, frame.rotation_deg) == (0.0, 0)
