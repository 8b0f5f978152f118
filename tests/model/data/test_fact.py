"""Claims about facts: what a video holds, damage with its time, copies known from takes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from model.data.fact import VideoFacts, find_facts, pairs_of_same_content
from streamer.encode import write_video
from tests.clip_file import write_clip, write_sound


def scene(n_frames: int, seed: int, size: tuple[int, int] = (160, 120)) -> list[np.ndarray]:
    """A square that goes through a textured room; the seed chooses where it goes, not the room."""
    room = np.random.default_rng(0).integers(60, 180, (12, 16, 3), dtype=np.uint8)
    room = cv2.resize(room, (320, 240), interpolation=cv2.INTER_CUBIC)
    top, speed = np.random.default_rng(seed).integers([20, 2], [140, 5])
    pictures = []
    for k in range(n_frames):
        picture = room.copy()
        left = 10 + int(speed) * k % 240
        picture[top : top + 60, left : left + 60] = (250, 20, 20) if seed % 2 else (5, 5, 5)
        pictures.append(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
    return pictures


def test_a_sound_video_is_described(tmp_path: Path) -> None:
    """Codec, size, rate, true length and number of pictures."""
    path = write_clip(tmp_path / "a.mp4", 50, fps=12.5)
    facts = find_facts(path)
    assert (facts.problem, facts.n_damaged, facts.gaps_s) == ("", 0, ())
    assert (facts.codec, facts.width, facts.height, facts.n_frames) == ("h264", 160, 120, 50)
    assert facts.fps == pytest.approx(12.5, rel=0.01)
    assert facts.length_s == pytest.approx(4.0, abs=0.02)
    assert facts.announced_s == pytest.approx(4.0, abs=0.1)
    assert facts.n_bytes == path.stat().st_size
    assert len(facts.digest) == 64
    assert len(facts.marks) == 4


def test_gaps_are_found_and_do_not_change_the_rate(tmp_path: Path) -> None:
    """A hole of 4 s is a gap at its end; the rate is that of the pictures around it."""
    times = [k / 10 for k in range(20)] + [6 + k / 10 for k in range(20)]
    facts = find_facts(write_clip(tmp_path / "a.mkv", 40, times_s=times))
    assert facts.gaps_s == (pytest.approx(6.0, abs=0.01),)
    assert facts.fps == pytest.approx(10.0, rel=0.01)
    assert facts.length_s == pytest.approx(8.0, abs=0.02)


@pytest.mark.parametrize("ending", ["ts", "mp4"])
def test_damage_is_found_with_its_time(tmp_path: Path, ending: str) -> None:
    """Refused pictures and packets that the container knows to be damaged are both counted."""
    path = write_clip(tmp_path / f"a.{ending}", 100)
    data = bytearray(path.read_bytes())
    middle = len(data) * 55 // 100
    for at in range(middle, middle + 1500, 7):
        data[at] ^= 0xFF
    path.write_bytes(data)
    facts = find_facts(path)
    assert facts.n_damaged >= 1
    assert all(4.5 <= at_s <= 8.0 for at_s in facts.damaged_s)


def test_nothing_raises(tmp_path: Path, shared_data: Path) -> None:
    """Folders, missing files, sound, and every odd file of the collection end in facts."""
    odd = [p for p in (shared_data / "odd").rglob("*") if p.is_file() and p.name != "LICENSE"]
    sound = write_sound(tmp_path / "sound.mp4")
    for path in (tmp_path, tmp_path / "none.mp4", sound, *odd):
        facts = find_facts(path)
        assert bool(facts.n_frames) or bool(facts.problem), path
    assert find_facts(tmp_path / "none.mp4").problem.startswith("No such file")
    assert "no video stream" in find_facts(sound).problem


def test_copies_are_known_from_takes_of_the_same_room(tmp_path: Path) -> None:
    """Coded smaller and anew, a video is known again; another walk in the room is another video."""
    write_video(tmp_path / "take1.mp4", scene(50, 1, (320, 240)), 10)
    write_video(tmp_path / "take2.mp4", scene(50, 2, (320, 240)), 10)
    write_video(tmp_path / "take3.mp4", scene(50, 3, (320, 240)), 10)
    write_video(tmp_path / "copy1.mkv", scene(50, 1, (160, 120)), 10)
    write_video(tmp_path / "piece1.mp4", scene(40, 1, (320, 240)), 10)
    facts = {path.name: find_facts(path) for path in sorted(tmp_path.iterdir())}
    assert {frozenset(pair) for pair in pairs_of_same_content(facts)} == {
        frozenset({"take1.mp4", "copy1.mkv"})
    }


def test_real_takes_are_not_copies(shared_data: Path) -> None:
    """Falls of one person in one room are different videos."""
    paths = sorted((shared_data / "gmdcsa24_small_mit/subject3").rglob("*.mp4"))
    facts = {str(path): find_facts(path) for path in paths}
    assert len(facts) > 5
    assert pairs_of_same_content(facts) == []


def test_what_could_not_be_decoded_is_like_nothing() -> None:
    """Videos without pictures are copies of none."""
    assert pairs_of_same_content({"a": VideoFacts(problem="x"), "b": VideoFacts()}) == []
