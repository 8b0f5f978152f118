"""From any pixel format to RGB, and which way is up."""

from __future__ import annotations

import threading
from pathlib import Path

import av
import pytest

from streamer.clock import SystemClock
from streamer.config import CaptureConfig, FileSource
from streamer.file import FileVideo
from streamer.frame import Frame
from streamer.picture import Converter, upright_deg
from tests.clip_file import write_clip
from tests.frame_code import read_code


def read_file(path: Path) -> list[Frame]:
    config = FileSource(path=path, pace="fast")
    source = FileVideo(config, CaptureConfig(), SystemClock(), threading.Event())
    try:
        source.open()
        return list(source.frames())
    finally:
        source.close()


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "ending"),
    [
        ("libx264", "gray", "mp4"),
        ("libx264", "yuv444p", "mp4"),
        ("libx264", "yuv420p10le", "mp4"),
        ("png", "rgba", "avi"),
        ("png", "gray16be", "avi"),
        ("gif", "pal8", "gif"),
        ("mjpeg", "yuvj420p", "avi"),
        ("rawvideo", "yuyv422", "mkv"),
        ("ffv1", "gbrp12le", "mkv"),
    ],
)
def test_every_pixel_format_becomes_rgb_of_8_bits(
    tmp_path: Path, codec: str, pix_fmt: str, ending: str
) -> None:
    """10 and 16 bit, gray, palette, alpha and packed formats all read back their number."""
    clip = tmp_path / f"clip.{ending}"
    if pix_fmt == "pal8":
        write_clip(clip, 3, codec=codec, pix_fmt="rgb8")
    else:
        write_clip(clip, 3, codec=codec, pix_fmt=pix_fmt)
    frames = read_file(clip)
    assert [read_code(frame.picture()) for frame in frames] == [0, 1, 2]
    picture = frames[0].picture()
    assert (picture.dtype, picture.shape) == ("uint8", (120, 160, 3))


@pytest.mark.parametrize(("name", "turn"), [("0", 0), ("90", 90), ("180", 180), ("270", 270)])
def test_the_display_matrix_says_how_to_turn_the_picture(
    shared_data: Path, name: str, turn: int
) -> None:
    """Phones record sideways; the quarter turns that set a picture upright come with each frame."""
    frames = read_file(shared_data / "odd" / "decord_apache2" / f"video_{name}.mov")
    assert {frame.rotation_deg for frame in frames} == {turn}


def test_a_broken_display_matrix_turns_nothing(shared_data: Path) -> None:
    """An angle that is no quarter turn is damage."""
    frames = read_file(shared_data / "odd" / "mp4parse_mpl2" / "no_timescale.mp4")
    assert {frame.rotation_deg for frame in frames} == {0}


@pytest.mark.parametrize(
    ("matrix_deg", "turn_deg"),
    [(0, 0), (90, 270), (-90, 90), (180, 180), (-180, 180), (45, 0), (-2147483648, 0)],
)
def test_an_angle_of_the_matrix_becomes_a_clockwise_turn(matrix_deg: int, turn_deg: int) -> None:
    """libav counts counterclockwise; what is no quarter turn is damage."""
    assert upright_deg(matrix_deg) == turn_deg


def test_a_picture_is_converted_once(tmp_path: Path) -> None:
    """Asking again gives the same array."""
    frame = read_file(write_clip(tmp_path / "clip.mp4", 1))[0]
    assert frame.picture() is frame.picture()


def test_converting_starts_no_thread(tmp_path: Path) -> None:
    """libav would start some for every picture, which costs more than the conversion."""
    clip = write_clip(tmp_path / "clip.mp4", 1, size=(640, 480))
    with av.open(str(clip), timeout=(5, 5)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        picture = next(container.decode(video=0))
        tasks = Path("/proc/self/task")
        before = {task.name for task in tasks.iterdir()}
        assert Converter(picture)().shape == (480, 640, 3)
        assert {task.name for task in tasks.iterdir()} <= before
