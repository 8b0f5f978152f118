"""Claims about the sampler: the pictures of the live pipeline, from any time, and no others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.data.sampler import Sampling, length_s, sample, window, window_ending
from model.errors import DataError
from tests.clip_file import write_clip, write_sound
from tests.frame_code import read_code
from tests.model.data.live import live_pictures

SAMPLING = Sampling(fps=10.0, size_px=160)
SMALL = Sampling(fps=10.0, size_px=64)
CLIPS = (
    "camera_intel_ccby/car-detection.mp4",
    "camera_opencv_apache2/vtest_480x360.mp4",
    "gmdcsa24_small_mit/subject1/Fall/14.mp4",
    "gmdcsa24_small_mit/subject3/ADL/18.mp4",
    "asl_intel_ccby/walk.mkv",
)


def codes(pictures: np.ndarray) -> list[int | None]:
    return [read_code(picture) for picture in pictures]


# ---- as live --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("fps", [10.0, 7.5])
def test_windows_are_those_of_the_live_pipeline(shared_data: Path, name: str, fps: float) -> None:
    """Every picture of a real clip equals the one a live file source puts into the ring."""
    path = shared_data / name
    found = sample(path, Sampling(fps=fps, size_px=64))
    live, runs = live_pictures(path, fps, 64, n_slots=len(found.pictures) + 64)
    np.testing.assert_array_equal(found.pictures, live)
    assert found.runs.tolist() == runs


@pytest.mark.parametrize("fps", [5.0, 12.5, 25.0, 30.0])
def test_sources_of_any_rate_are_sampled_as_live(tmp_path: Path, fps: float) -> None:
    """Slower and faster videos than the grid are repeated and thinned as the live pipeline does."""
    path = write_clip(tmp_path / "clip.mp4", round(8 * fps), fps=fps)
    found = sample(path, SMALL)
    live, _ = live_pictures(path, 10.0, 64, n_slots=len(found.pictures) + 64)
    np.testing.assert_array_equal(found.pictures, live)


def test_a_gap_begins_a_new_run_as_live(tmp_path: Path) -> None:
    """After 3 s without a picture the next ones belong to another run, at their true time."""
    times = [k / 10 for k in range(40)] + [7 + k / 10 for k in range(40)]
    path = write_clip(tmp_path / "clip.mkv", 80, times_s=times)
    found = sample(path, SMALL)
    live, runs = live_pictures(path, 10.0, 64, n_slots=128)
    np.testing.assert_array_equal(found.pictures, live)
    assert found.runs.tolist() == runs == [0] * 40 + [1] * 40
    assert found.times_s[40] == pytest.approx(7.0, abs=0.01)


# ---- from any time --------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLIPS)
def test_seeking_gives_the_same_pictures_as_reading_from_the_beginning(
    shared_data: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A piece found by its key frame equals the one found by decoding everything before it."""
    path = shared_data / name
    whole_s = float(sample(path, SMALL).times_s[-1])
    for share in (0.4, 0.77):
        sought = sample(path, SMALL, whole_s * share, 8)
        with monkeypatch.context() as patch:
            patch.setattr("model.data.sampler._SEEK_FROM_S", 1e9)
            read = sample(path, SMALL, whole_s * share, 8)
        np.testing.assert_array_equal(sought.pictures, read.pictures)
        np.testing.assert_array_equal(sought.times_s, read.times_s)
        assert sought.times_s[0] == pytest.approx(whole_s * share, abs=0.1)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts", "h264"])
@pytest.mark.parametrize("n_b_frames", [0, 2])
def test_a_piece_begins_with_the_picture_of_its_time(
    tmp_path: Path, ending: str, n_b_frames: int
) -> None:
    """In any container, with or without reordered pictures, second 3.0 is picture 30 at 10 fps."""
    path = write_clip(tmp_path / f"clip.{ending}", 60, n_b_frames=n_b_frames)
    # Raw streams have no times: they are played at 25 pictures a second.
    rate = 10.0 if ending != "h264" else 25.0
    fast = Sampling(fps=rate, size_px=160)
    assert codes(sample(path, fast, 30 / rate, 5).pictures) == [30, 31, 32, 33, 34]


def test_a_container_that_lies_about_key_frames_is_read_from_its_beginning(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the found key frame is after the time asked for, decoding begins at the beginning."""
    path = shared_data / "odd/androidx_media_apache2/iibbibb_editlist_videoonly.mp4"
    for start_s in (1.5, 3.0, 6.0, 9.0):
        sought = sample(path, SMALL, start_s, 4)
        with monkeypatch.context() as patch:
            patch.setattr("model.data.sampler._SEEK_FROM_S", 1e9)
            read = sample(path, SMALL, start_s, 4)
        np.testing.assert_array_equal(sought.pictures, read.pictures)
        assert sought.times_s.tolist() == read.times_s.tolist()


# ---- windows --------------------------------------------------------------------------------


def test_a_window_has_its_frames_or_is_an_error(tmp_path: Path) -> None:
    """A window that the video cannot fill is refused with the file and both times."""
    path = write_clip(tmp_path / "clip.mp4", 40)
    assert codes(window(path, SAMPLING, 0.8, 32)) == list(range(8, 40))
    with pytest.raises(DataError, match=r"clip\.mp4: ends 1\.0 s after 3\.0 s, .* 3\.2 s"):
        window(path, SAMPLING, 3.0, 32)


def test_a_window_over_a_gap_is_an_error(tmp_path: Path) -> None:
    """Live windows never span two runs; here neither, and the time is named."""
    times = [k / 10 for k in range(20)] + [5 + k / 10 for k in range(40)]
    path = write_clip(tmp_path / "clip.mkv", 60, times_s=times)
    with pytest.raises(DataError, match=r"gap .* before 5\.0 s"):
        window(path, SAMPLING, 0.0, 32)
    assert len(window(path, SAMPLING, 5.0, 32)) == 32


def test_a_window_by_its_end_is_what_is_known_at_that_time(tmp_path: Path) -> None:
    """Its last picture is that of the end; before the video's begin the first one stands still."""
    path = write_clip(tmp_path / "clip.mp4", 60)
    assert codes(window_ending(path, SAMPLING, 4.0, 8)) == list(range(33, 41))
    assert codes(window_ending(path, SAMPLING, 0.3, 8)) == [0, 0, 0, 0, 0, 1, 2, 3]


def test_an_end_a_little_behind_the_video_is_its_end(tmp_path: Path) -> None:
    """Up to half a second late the window ends with the last picture; later is an error."""
    path = write_clip(tmp_path / "clip.mp4", 60)
    assert codes(window_ending(path, SAMPLING, 6.3, 8)) == list(range(52, 60))
    with pytest.raises(DataError, match=r"clip\.mp4: ends 0\.8 s before 6\.7 s"):
        window_ending(path, SAMPLING, 6.7, 8)


# ---- damage ---------------------------------------------------------------------------------


def damaged(tmp_path: Path, ending: str) -> Path:
    """10 s with a key frame a second, of which some bytes between 5 and 6 s are wrong."""
    path = write_clip(tmp_path / f"clip.{ending}", 100)
    data = bytearray(path.read_bytes())
    middle = len(data) * 55 // 100
    for at in range(middle, middle + 1500, 7):
        data[at] ^= 0xFF
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("ending", ["ts", "mp4"])
def test_damage_within_a_piece_is_an_error_with_its_time(tmp_path: Path, ending: str) -> None:
    """A piece with damage is refused, naming file and time; pieces far from it are served.

    In a transport stream the decoder conceals the damage; only the container knows of it.
    """
    path = damaged(tmp_path, ending)
    with pytest.raises(DataError, match=rf"clip\.{ending}: cannot be decoded at [4-6]\.\d s"):
        sample(path, SAMPLING, 2.5, 45)
    assert codes(sample(path, SAMPLING, 1.0, 10).pictures) == list(range(10, 20))
    assert codes(sample(path, SAMPLING, 8.5, 10).pictures) == list(range(85, 95))


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("odd/decord_apache2/corrupted.mp4", "cannot be decoded at 2"),
        ("odd/androidx_media_apache2/invalid-bitstream.webm", "no picture that can be decoded"),
        ("odd/mp4parse_mpl2/chunk_out_of_range.mp4", "damaged"),
    ],
)
def test_damaged_files_are_errors_with_their_name(shared_data: Path, name: str, named: str) -> None:
    """Files that are damaged throughout end in one sentence that names them."""
    with pytest.raises(DataError, match=named) as failure:
        sample(shared_data / name, SMALL)
    assert str(failure.value).count(Path(name).name) == 1


def test_what_is_no_video_is_an_error_with_its_name(tmp_path: Path) -> None:
    """Sound, folders and files that do not exist are named."""
    sound = write_sound(tmp_path / "sound.mp4")
    for path in (sound, tmp_path, tmp_path / "none.mp4"):
        with pytest.raises(DataError, match=path.name):
            sample(path, SMALL)
        with pytest.raises(DataError, match=path.name):
            length_s(path, SMALL)


def test_the_length_is_announced_or_found(tmp_path: Path) -> None:
    """Containers announce their length; a raw stream is decoded for it."""
    assert length_s(write_clip(tmp_path / "a.mp4", 40), SMALL) == pytest.approx(4.0, abs=0.1)
    raw = write_clip(tmp_path / "a.h264", 50)
    assert length_s(raw, SMALL) == pytest.approx(2.0, abs=0.15)
