"""Video files: what they deliver, at which pace, and how they are refused."""

from __future__ import annotations

import os
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from streamer.clock import SystemClock
from streamer.config import CaptureConfig, FileSource
from streamer.errors import SourceLostError, SourceOpenError
from streamer.file import FileVideo
from streamer.frame import Frame
from tests.clip_file import write_clip, write_sound
from tests.conftest import FakeClock
from tests.frame_code import read_code
from tests.ticking_event import TickingEvent

CAPTURE = CaptureConfig()


def file_source(path: Path, **options: object) -> FileVideo:
    config = FileSource.model_validate({"path": path, "pace": "fast", **options})
    return FileVideo(config, CAPTURE, SystemClock(), threading.Event())


def read_file(path: Path, limit: int | None = None, **options: object) -> list[Frame]:
    source = file_source(path, **options)
    frames: list[Frame] = []
    try:
        source.open()
        for frame in source.frames():
            frames.append(frame)
            if limit is not None and len(frames) == limit:
                source._stop.set()
    finally:
        source.close()
    return frames


def opening_failure(path: Path) -> SourceOpenError:
    source = file_source(path)
    with pytest.raises(SourceOpenError) as failure:
        source.open()
    source.close()
    return failure.value


# ---- files: what they deliver -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "n_b_frames"),
    # AVI cannot state the order of pictures that are coded out of order.
    [(e, n) for e in ("mp4", "mkv", "ts", "avi", "h264") for n in (0, 2) if (e, n) != ("avi", 2)],
)
def test_a_file_delivers_every_picture_once_in_order(
    tmp_path: Path, ending: str, n_b_frames: int
) -> None:
    """Container and coding order make no difference to what comes out."""
    clip = write_clip(tmp_path / f"clip.{ending}", 12, n_b_frames=n_b_frames)
    frames = read_file(clip)
    assert [read_code(frame.picture()) for frame in frames] == list(range(12))
    assert [frame.index for frame in frames] == list(range(12))
    assert [f.is_keyframe for f in frames] == [k % 10 == 0 for k in range(12)]


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts", "avi", "h264"])
def test_times_of_a_file_rise_by_the_frame_interval(tmp_path: Path, ending: str) -> None:
    """Formats that state no times (raw H.264) get them from the frame rate."""
    frames = read_file(write_clip(tmp_path / f"clip.{ending}", 12, fps=25))
    times = [frame.pts_s for frame in frames]
    assert None not in times
    steps = [b - a for a, b in pairwise(t for t in times if t is not None)]
    assert steps == pytest.approx([0.04] * 11, abs=0.0015)


def test_an_opened_file_is_described(tmp_path: Path) -> None:
    """Codec, size and rate are known before the first picture; a file is not live."""
    source = file_source(write_clip(tmp_path / "clip.mp4", fps=25, size=(176, 144)))
    info = source.open()
    source.close()
    assert (info.codec, info.width, info.height, info.fps) == ("h264", 176, 144, 25.0)
    assert not info.is_live
    assert not info.is_paced


@pytest.mark.parametrize("ending", ["mp4", "ts", "h264"])
def test_a_loop_is_seamless(tmp_path: Path, ending: str) -> None:
    """Over the seam the time goes on by one frame interval, and no picture is lost or doubled."""
    clip = write_clip(tmp_path / f"clip.{ending}", 5, fps=25)
    frames = read_file(clip, limit=17, loop=True)
    assert [read_code(frame.picture()) for frame in frames] == [k % 5 for k in range(17)]
    assert [frame.index for frame in frames] == list(range(17))
    times = [frame.pts_s or 0.0 for frame in frames]
    assert [b - a for a, b in pairwise(times)] == pytest.approx([0.04] * 16, abs=0.0015)


def test_a_file_changed_into_nonsense_while_looping_is_lost(tmp_path: Path) -> None:
    """The seam opens the file again; what it then finds is reported, not retried for ever."""
    clip = write_clip(tmp_path / "clip.mp4", 3)
    source = file_source(clip, loop=True)
    source.open()
    frames = source.frames()
    for _ in range(3):
        next(frames)
    clip.write_text("no video")
    with pytest.raises(SourceLostError) as loss:
        next(frames)
    source.close()
    assert loss.value.kind == "codec"


# ---- files: pace ---------------------------------------------------------------------------------


def paced_arrivals(clip: Path, clock: FakeClock) -> list[float]:
    config = FileSource(path=clip, pace="realtime")
    source = FileVideo(config, CAPTURE, clock, TickingEvent(clock))
    began_at = clock.now()
    info = source.open()
    arrivals = [frame.arrived_at - began_at for frame in source.frames()]
    source.close()
    assert info.is_paced
    return arrivals


def test_realtime_delivers_each_frame_when_it_is_due(tmp_path: Path, clock: FakeClock) -> None:
    """A file in real time is as slow as the camera that recorded it."""
    arrivals = paced_arrivals(write_clip(tmp_path / "clip.mp4", 8, fps=10), clock)
    assert arrivals == pytest.approx([k / 10 for k in range(8)], abs=0.002)


def test_a_jump_in_the_times_of_a_file_is_not_waited_for(tmp_path: Path, clock: FakeClock) -> None:
    """A broken time stamp hours ahead must not stop the camera for hours."""
    times_s = [0.0, 0.1, 5000.0, 5000.1]
    arrivals = paced_arrivals(write_clip(tmp_path / "clip.mkv", 4, times_s=times_s), clock)
    assert arrivals == pytest.approx([0.0, 0.1, 0.1, 0.2], abs=0.002)


def test_the_stop_event_ends_a_wait_at_once(tmp_path: Path) -> None:
    """Closing does not wait for the next frame of a slow file."""
    clip = write_clip(tmp_path / "clip.mkv", 3, times_s=[0.0, 8.0, 16.0])
    stop = threading.Event()
    source = FileVideo(FileSource(path=clip), CAPTURE, SystemClock(), stop)
    source.open()
    frames = source.frames()
    next(frames)
    threading.Timer(0.05, stop.set).start()
    began_at = time.monotonic()
    assert list(frames) == []
    source.close()
    assert time.monotonic() - began_at < 4.0


# ---- files: what is refused ----------------------------------------------------------------------


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The sentence says which path and what to do."""
    error = opening_failure(tmp_path / "none.mp4")
    assert error.kind == "not_found"
    assert str(error) == f"file {tmp_path}/none.mp4 does not exist; check the path"


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda path: path.mkdir(), "rejected", "is a folder"),
        (lambda path: path.touch(), "codec", "is empty"),
        (lambda path: path.write_text("just text\n" * 100), "codec", "holds no video"),
        (lambda path: path.write_bytes(b"\0" * 5000), "codec", "holds no video"),
        (os.mkfifo, "rejected", "is no regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "rejected", "is no regular file"),
        (lambda path: path.symlink_to(path), "not_found", "leads to itself"),
        (write_sound, "codec", "holds no video stream"),
    ],
    ids=["folder", "empty", "text", "zeros", "fifo", "device", "link-loop", "sound"],
)
def test_what_is_no_video_file_is_refused_in_one_sentence(
    tmp_path: Path, make: object, kind: str, words: str
) -> None:
    """Whatever carries the name of a video: a kind, a sentence with the path, no hang."""
    path = tmp_path / "clip.mp4"
    make(path)  # type: ignore[operator]
    error = opening_failure(path)
    assert error.kind == kind
    assert words in str(error)
    assert str(path) in str(error)
    assert "\n" not in str(error)


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    """Permissions are a kind of their own."""
    clip = write_clip(tmp_path / "clip.mp4", 2)
    clip.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read everything
    try:
        error = opening_failure(clip)
    finally:
        os.seteuid(user)
    assert error.kind == "permission"
    assert "may not be read" in str(error)


@pytest.mark.parametrize("name", ["a:b.mp4", "100%d.mp4", "-x.mp4", "http:__x.mp4", "ü ñ.mp4"])
def test_a_name_is_only_ever_a_name(tmp_path: Path, name: str) -> None:
    """No file name is taken for a protocol, a pattern or an option."""
    assert len(read_file(write_clip(tmp_path / "x.mp4", 3).rename(tmp_path / name))) == 3


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile other.mp4\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nother.mp4\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n",
    ],
    ids=["concat", "playlist", "sdp"],
)
def test_a_file_cannot_make_libav_open_another_one(tmp_path: Path, text: str) -> None:
    """Playlists and scripts are not videos, whatever they are called."""
    write_clip(tmp_path / "other.mp4", 3)
    (tmp_path / "clip.mp4").write_text(text)
    assert opening_failure(tmp_path / "clip.mp4").kind == "codec"


def test_pictures_above_the_limit_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    """A crafted file of 200 kB must not cost gigabytes."""
    clip = write_clip(tmp_path / "clip.mp4", 2, size=(1280, 720))
    capture = CaptureConfig(max_pixels=640 * 480)
    source = FileVideo(
        FileSource(path=clip, pace="fast"), capture, SystemClock(), threading.Event()
    )
    with pytest.raises(SourceOpenError) as failure:
        source.open()
    assert failure.value.kind == "rejected"
    assert "1280x720" in str(failure.value)
    assert "capture.max_pixels=307200" in str(failure.value)


def test_pictures_that_grow_above_the_limit_are_never_decoded(tmp_path: Path) -> None:
    """A stream may begin small: the limit holds in the decoder, too."""
    small = write_clip(tmp_path / "small.h264", 4)
    giant = write_clip(tmp_path / "giant.h264", 4, size=(1280, 720))
    both = tmp_path / "both.h264"
    # The first part must be longer than what libav looks at while it opens the file.
    both.write_bytes(small.read_bytes() * 60 + giant.read_bytes())
    capture = CaptureConfig(max_pixels=640 * 480)
    source = FileVideo(
        FileSource(path=both, pace="fast"), capture, SystemClock(), threading.Event()
    )
    source.open()
    sizes = {(frame.width, frame.height) for frame in source.frames()}
    source.close()
    assert sizes == {(160, 120)}
    assert source.statistics().decode_errors >= 4


def test_a_file_without_a_picture_says_so(shared_data: Path) -> None:
    """An encrypted file opens; its end without a picture is an error, not a success."""
    path = shared_data / "odd" / "mp4parse_mpl2" / "short-cenc.mp4"
    with pytest.raises(SourceLostError, match="has no picture that can be decoded: 10 ") as loss:
        read_file(path)
    assert loss.value.kind == "codec"


ODD_COUNT = 50


def odd_files() -> list[str]:
    folder = Path(__file__).parents[3] / "shared" / "data" / "odd"
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "LICENSE"]
    return sorted(str(path.relative_to(folder)) for path in files)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", odd_files() or ["absent"])
def test_an_odd_file_ends_with_pictures_or_a_reason(shared_data: Path, name: str) -> None:
    """Corrupted, truncated, encrypted, rotated, 10 bit: no crash, no hang, one sentence at most."""
    error: SourceOpenError | SourceLostError | None = None
    frames: list[Frame] = []
    try:
        frames = read_file(shared_data / "odd" / name)
    except (SourceOpenError, SourceLostError) as err:
        error = err
    assert (error is None) == bool(frames)
    if error is not None:
        assert (error.kind, str(error).count("\n"), name in str(error)) == ("codec", 0, True)
    for frame in frames[:: max(1, len(frames) // 3)]:
        assert frame.picture().shape == (frame.height, frame.width, 3)


def test_a_file_can_be_entered_in_its_middle(tmp_path: Path) -> None:
    """After `seek` frames begin at a key frame before that time, with the times of the whole."""
    source = file_source(write_clip(tmp_path / "clip.mp4", 60))
    source.open()
    try:
        assert source.duration_s == pytest.approx(6.0, abs=0.1)
        assert source.start_s == pytest.approx(0.0, abs=0.01)
        assert source.seek(4.5)
        first = next(source.frames())
        assert first.pts_s is not None
        assert 4.0 <= first.pts_s <= 4.5
        assert read_code(first.picture()) == round(first.pts_s * 10)
    finally:
        source.close()
