"""Pictures of places: what they show, and how many are kept."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamer.overlay import draw, keep_newest


def test_cold_places_are_the_frame_and_hot_ones_are_red() -> None:
    """In the colours of the frame, of its size, with a white box; the frame is untouched."""
    frame = np.full((64, 64, 3), (10, 60, 20), np.uint8)
    kept = frame.copy()
    heat = np.zeros((4, 4), np.float32)
    heat[3, 3] = 0.2
    content = draw(frame, heat, (0.5, 0.5, 1.0, 1.0))
    picture = cv2.cvtColor(
        cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB
    )
    assert picture.shape == frame.shape
    assert picture[5, 5].tolist() == [10, 60, 20]
    red, green, blue = picture[60, 60].astype(int)
    assert red > 60 > blue
    assert red > green
    assert picture[32, 50].tolist() == [255, 255, 255]
    np.testing.assert_array_equal(frame, kept)


def test_a_map_without_heat_is_just_the_frame() -> None:
    """No division by zero."""
    frame = np.full((32, 32, 3), 90, np.uint8)
    content = draw(frame, np.zeros((1, 1), np.float32), (0, 0, 1, 1))
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert (picture[1:-1, 1:-1] == 90).all()


def test_only_the_newest_pictures_are_kept_and_other_files_are_left_alone(tmp_path: Path) -> None:
    """By the time they were written."""
    for index in range(5):
        path = tmp_path / f"{index}.png"
        path.write_bytes(b"")
        os.utime(path, (index, index))
    (tmp_path / "notes.txt").write_text("mine")
    keep_newest(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3.png", "4.png", "notes.txt"]
    keep_newest(tmp_path / "none", 2)


def test_a_folder_that_cannot_be_read_is_an_os_error(tmp_path: Path) -> None:
    """The caller logs it."""
    picture = tmp_path / "x.png"
    picture.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match=r"nowhere|x\.png"):
        keep_newest(tmp_path, 1)
