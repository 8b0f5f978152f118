"""Claims about the audit: each kind of flaw is found, weighed rightly, and sound data has none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from model.data.audit import Audit, Demand, audit
from model.data.importers import ImportOptions, import_dataset
from model.data.manifest import Manifest, Segment
from tests.clip_file import write_clip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a, b, c: 5 s of different pictures at 10 fps; slow: 5 fps; short: 1 s."""
    root = tmp_path_factory.mktemp("videos")
    for index, name in enumerate("abc"):
        write_clip(root / f"{name}.mp4", 50 + index * 10, first=index * 60)
    write_clip(root / "slow.mp4", 22, fps=5.0, first=200)
    write_clip(root / "short.mp4", 10, first=230)
    return root


def audited(root: Path, *segments: Segment, labels: tuple[str, ...] = ("x", "y")) -> Audit:
    return audit(Manifest(root, labels, segments))


def findings(found: Audit, code: str) -> list[tuple[str, str]]:
    return [(f.severity, f.subject) for f in found.findings if f.code == code]


GOOD = (
    Segment(path="a.mp4", labels=("x",), group="anna", split="train"),
    Segment(path="b.mp4", labels=("y",), end_s=5.0, group="anna", split="train"),
    Segment(path="c.mp4", labels=("x", "y"), start_s=1.0, end_s=6.0, group="bert", split="test"),
)


def test_sound_data_has_no_findings(root: Path) -> None:
    """Nothing is wrong with three whole videos of two people in two splits."""
    done: list[tuple[int, int]] = []
    found = audit(Manifest(root, ("x", "y"), GOOD), tell=lambda n, of: done.append((n, of)))
    assert found.findings == ()
    assert found.balance() == {"x": {"train": 1, "test": 1}, "y": {"train": 1, "test": 1}}
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert found.lengths_s()["most"] == pytest.approx(5.0, abs=0.02)
    assert json.loads(json.dumps(found.plain()))["n_errors"] == 0


def test_missing_and_unreadable_videos_are_errors(root: Path, tmp_path: Path) -> None:
    """A path without a file and a file without video are errors about that path."""
    shutil.copytree(root, tmp_path / "v")
    (tmp_path / "v/text.mp4").write_text("no video")
    found = audited(tmp_path / "v", *GOOD, Segment(path="none.mp4"), Segment(path="text.mp4"))
    assert findings(found, "unreadable") == [("error", "none.mp4"), ("error", "text.mp4")]
    assert found.n_errors == 2


def test_damage_counts_where_a_segment_holds_it(root: Path, tmp_path: Path) -> None:
    """Damage within a segment is an error with its time; elsewhere it is a warning."""
    path = write_clip(tmp_path / "bad.ts", 100)
    data = bytearray(path.read_bytes())
    for at in range(len(data) * 55 // 100, len(data) * 55 // 100 + 1500, 7):
        data[at] ^= 0xFF
    path.write_bytes(data)
    inside = audited(tmp_path, Segment(path="bad.ts", start_s=4, end_s=8, split="train"))
    assert findings(inside, "decode") == [("error", "bad.ts")]
    assert " at 5." in inside.findings[0].text
    outside = audited(tmp_path, Segment(path="bad.ts", start_s=0, end_s=4, split="train"))
    assert findings(outside, "decode") == [("warning", "bad.ts")]


def test_gaps_count_where_a_segment_holds_them(tmp_path: Path) -> None:
    """No window can be cut over a gap: an error within a segment, a warning elsewhere."""
    times = [k / 10 for k in range(40)] + [8 + k / 10 for k in range(40)]
    write_clip(tmp_path / "a.mkv", 80, times_s=times)
    inside = audited(tmp_path, Segment(path="a.mkv"))
    assert findings(inside, "gap") == [("error", "a.mkv")]
    outside = audited(tmp_path, Segment(path="a.mkv", end_s=3.9))
    assert findings(outside, "gap") == [("warning", "a.mkv")]


@pytest.mark.parametrize(
    ("start_s", "end_s", "severity"),
    [(0, 5.0, None), (0, 5.3, "warning"), (0, 5.6, "error"), (7, 9, "error")],
)
def test_segments_outside_of_their_video(
    root: Path, start_s: float, end_s: float, severity: str | None
) -> None:
    """Up to half a second too long is rounding; more, or a begin behind the end, is an error."""
    found = audited(root, Segment(path="a.mp4", start_s=start_s, end_s=end_s))
    assert [s for s, _ in findings(found, "outside")] == ([severity] if severity else [])


def test_groups_and_videos_in_two_splits_are_leaks(root: Path) -> None:
    """One person, or one video, in train and test makes the test's result untrue."""
    found = audited(
        root,
        GOOD[0],
        Segment(path="b.mp4", labels=("x",), group="anna", split="test"),
        Segment(path="c.mp4", labels=("y",), end_s=2, split="train"),
        Segment(path="c.mp4", labels=("y",), start_s=2, end_s=4, split="test"),
    )
    assert findings(found, "leak") == [("error", "anna"), ("error", "c.mp4")]


def test_copies_are_found(root: Path, tmp_path: Path) -> None:
    """The same bytes in two splits are an error, in one split a warning; so are listed twice."""
    videos = shutil.copytree(root, tmp_path / "v")
    shutil.copy(videos / "a.mp4", videos / "a2.mp4")
    for split, severity in (("test", "error"), ("train", "warning")):
        copy = Segment(path="a2.mp4", labels=("x",), split=split)  # type: ignore[arg-type]
        assert findings(audited(videos, *GOOD, copy), "duplicate") == [(severity, "a.mp4")]
    assert findings(audited(root, *GOOD, GOOD[0]), "duplicate") == [("warning", "a.mp4")]


def test_the_same_content_coded_anew_is_a_warning(root: Path, tmp_path: Path) -> None:
    """A video in another container and size is named as a copy, with the split it is in."""
    videos = shutil.copytree(root, tmp_path / "v")
    write_clip(videos / "again.mkv", 50, size=(320, 240))
    write_clip(videos / "first.mp4", 50, size=(160, 120))
    found = audited(
        videos, Segment(path="again.mkv", split="train"), Segment(path="a.mp4", split="train")
    )
    duplicates = [f.text for f in found.findings if f.code == "duplicate"]
    assert all("coded differently" in text for text in duplicates)


def test_short_and_slow_videos_are_warnings(root: Path) -> None:
    """A video shorter than a window and one slower than the model are told with their figures."""
    demand = Demand(fps=10.0, window_s=3.2)
    segments = (Segment(path="short.mp4"), Segment(path="slow.mp4"))
    found = audit(Manifest(root, (), segments), demand)
    assert findings(found, "short") == [("warning", "short.mp4")]
    assert findings(found, "fps") == [("warning", "slow.mp4")]
    assert found.n_errors == 0


def test_what_is_missing_from_the_balance_is_told(root: Path) -> None:
    """Labels without segments, labels that train lacks, and eleven to one are warnings."""
    found = audited(root, *GOOD, labels=("x", "y", "z"))
    assert findings(found, "balance") == [("warning", "z")]
    untrained = Segment(path="c.mp4", labels=("z",), end_s=1.0, split="test")
    assert findings(audited(root, *GOOD, untrained, labels=("x", "y", "z")), "balance") == [
        ("warning", "z")
    ]
    many = [
        Segment(path="a.mp4", labels=("x",), start_s=k / 10, end_s=4, split="train")
        for k in range(11)
    ]
    assert findings(audited(root, *many, GOOD[1]), "balance") == [("warning", "x")]
    assert findings(audited(root, Segment(path="a.mp4", labels=("x",))), "split") == [
        ("warning", "all")
    ]


def test_a_video_that_is_cut_short_is_told(tmp_path: Path) -> None:
    """A recording that broke off, so that it holds less than it announces, is a warning."""
    path = write_clip(tmp_path / "a.mkv", 200)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    found = audited(tmp_path, Segment(path="a.mkv", end_s=4.0))
    assert findings(found, "length") == [("warning", "a.mkv")]


def test_the_real_falls_have_one_wrong_segment(shared_data: Path) -> None:
    """In the 23 clips one published segment ends 0.9 s after its video; the rest is sound."""
    options = ImportOptions(columns={"group": "subject"}, where={"present": "1"}, n_stripped=1)
    source = shared_data / "gmdcsa24_small_mit/segments.csv"
    found = audit(import_dataset("csv", source, options).manifest)
    errors = [(f.code, f.subject) for f in found.findings if f.severity == "error"]
    assert errors == [("outside", "subject3/Fall/16.mp4")]
    assert not any(facts.n_damaged for facts in found.videos.values())
