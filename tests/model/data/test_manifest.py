"""Claims about manifests: they survive writing, move with their data and name what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.data.manifest import Manifest, Segment, load_manifest, save_manifest
from model.errors import DataError

SEGMENTS = (
    Segment(path="a/1.mp4", labels=("fall",), start_s=1.5, end_s=4.0, group="anna", split="train"),
    Segment(path="b/2.mp4", labels=("fall", "walk"), split="test"),
    Segment(path="b/2.mp4"),
)


def manifest(root: Path) -> Manifest:
    return Manifest(root, ("fall", "walk"), SEGMENTS)


def test_a_manifest_survives_writing(tmp_path: Path) -> None:
    """What was written is read back, label order included."""
    save_manifest(manifest(tmp_path / "clips"), tmp_path / "set.json")
    read = load_manifest(tmp_path / "set.json")
    assert (read.labels, read.segments) == (("fall", "walk"), SEGMENTS)
    assert read.file(SEGMENTS[0]).resolve() == (tmp_path / "clips/a/1.mp4").resolve()
    assert read.of("test") == SEGMENTS[1:2]


def test_a_manifest_beside_or_among_its_videos_moves_with_them(tmp_path: Path) -> None:
    """Root and file in one tree are tied relatively, others absolutely."""
    here = tmp_path / "here"
    (here / "clips").mkdir(parents=True)
    for root, path, written in (
        (here / "clips", here / "set.json", "clips"),
        (here, here / "clips/set.json", ".."),
        (here, here / "set.json", "."),
    ):
        save_manifest(manifest(root), path)
        assert json.loads(path.read_text())["root"] == written
    save_manifest(manifest(tmp_path / "elsewhere"), here / "set.json")
    assert Path(json.loads((here / "set.json").read_text())["root"]).is_absolute()


def test_a_file_holds_one_segment_a_line(tmp_path: Path) -> None:
    """Manifests can be compared and cut with line tools."""
    save_manifest(manifest(tmp_path), tmp_path / "set.json")
    lines = (tmp_path / "set.json").read_text().splitlines()
    assert sum('"path"' in line for line in lines) == len(SEGMENTS)


@pytest.mark.parametrize(
    ("segment", "named"),
    [
        ({"path": "/etc/passwd"}, "relative"),
        ({"path": "../x.mp4"}, "below the root"),
        ({"path": ""}, "relative"),
        ({"path": "x.mp4", "start_s": -1}, "start_s is -1"),
        ({"path": "x.mp4", "start_s": 3, "end_s": 3}, "not after start_s=3"),
        ({"path": "x.mp4", "labels": ["run"]}, "label 'run'"),
        ({"path": "x.mp4", "split": "exam"}, "split"),
        ({"path": "x.mp4", "lable": "run"}, "lable"),
        ({"path": 3}, "path"),
        ({"path": "x.mp4", "start_s": "0"}, "start_s"),
    ],
)
def test_a_wrong_segment_is_named(tmp_path: Path, segment: object, named: str) -> None:
    """The message names the file, which segment, and what is wrong with it."""
    path = tmp_path / "set.json"
    good = {"path": "good.mp4", "labels": ["walk"]}
    content = {"format": "bresnet-manifest/1", "root": ".", "labels": ["walk"]}
    path.write_text(json.dumps({**content, "segments": [good, segment]}))
    with pytest.raises(DataError, match=named) as failure:
        load_manifest(path)
    assert str(failure.value).startswith(f"{path}: ")
    assert "segments[1]" in str(failure.value)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "is no manifest"),
        (b"\xff\xfe", "is no manifest"),
        (b"[1]", "is no manifest"),
        (b'{"format":"x","root":".","labels":[],"segments":[]}', "format is 'x'"),
        (
            b'{"format":"bresnet-manifest/1","root":".","labels":["a","a"],"segments":[]}',
            "repeated name",
        ),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: bytes, named: str) -> None:
    """Any other file is one sentence."""
    path = tmp_path / "set.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=named):
        load_manifest(path)


def test_files_that_cannot_be_read_or_written_are_named(tmp_path: Path) -> None:
    """A missing manifest and a folder in the place of one are named."""
    with pytest.raises(DataError, match=r"none\.json: No such file"):
        load_manifest(tmp_path / "none.json")
    with pytest.raises(DataError, match="Is a directory"):
        save_manifest(manifest(tmp_path), tmp_path)


def test_labels_can_take_the_order_of_a_model(tmp_path: Path) -> None:
    """A data set takes another label list, if it holds all of its labels."""
    assert manifest(tmp_path).ordered(("walk", "sit", "fall")).labels == ("walk", "sit", "fall")
    with pytest.raises(DataError, match=r"label 'walk' .* \(and \d more\)|label 'walk'"):
        manifest(tmp_path).ordered(("fall",))


def test_further_problems_are_counted(tmp_path: Path) -> None:
    """One problem is told, the others are counted."""
    bad = [Segment(path="../x.mp4")] * 3
    with pytest.raises(DataError, match=r"\(and 2 more\)"):
        Manifest(tmp_path, (), bad)
