"""Claims about importers: each published form, and what is missing or of another form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.data.importers import KINDS, ImportOptions, import_dataset, plain
from model.data.manifest import Segment
from model.errors import DataError
from tests.clip_file import write_clip


def touch(root: Path, *names: str) -> Path:
    """Make empty files: importers look for videos by name alone."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def segments(kind: str, source: Path, **options: object) -> tuple[Segment, ...]:
    return import_dataset(kind, source, ImportOptions(**options)).manifest.segments  # type: ignore[arg-type]


# ---- folder ---------------------------------------------------------------------------------


def test_a_folder_a_class(tmp_path: Path) -> None:
    """CLASS/clip is labelled by its folder, at any depth; other files are no videos."""
    root = touch(tmp_path, "walk/2.MP4", "run/a/1.avi", "run/notes.txt")
    assert segments("folder", root) == (
        Segment(path="run/a/1.avi", labels=("run",)),
        Segment(path="walk/2.MP4", labels=("walk",)),
    )


def test_a_folder_a_split(tmp_path: Path) -> None:
    """SPLIT/CLASS/clip gives splits too; val and training are understood."""
    root = touch(tmp_path, "training/walk/1.mp4", "val/run/2.mp4")
    assert segments("folder", root) == (
        Segment(path="training/walk/1.mp4", labels=("walk",), split="train"),
        Segment(path="val/run/2.mp4", labels=("run",), split="validation"),
    )


def test_a_video_outside_of_classes_is_an_error(tmp_path: Path) -> None:
    """A clip beside the class folders has no label."""
    with pytest.raises(DataError, match=r"1\.mp4: is in no class folder"):
        segments("folder", touch(tmp_path, "1.mp4", "walk/2.mp4"))


# ---- lists ----------------------------------------------------------------------------------


def test_kinetics(tmp_path: Path) -> None:
    """Cut clips are taken whole, uncut videos by their times; the video is the group."""
    touch(tmp_path / "clips", "abseiling/aaa_000010_000020.mp4", "bbb.mp4")
    listed = tmp_path / "train.csv"
    listed.write_text(
        "label,youtube_id,time_start,time_end,split\n"
        "abseiling,aaa,10,20,train\nair drumming,bbb,3,13,val\n"
    )
    assert segments("kinetics", listed, root=tmp_path / "clips") == (
        Segment(
            path="abseiling/aaa_000010_000020.mp4",
            labels=("abseiling",),
            group="aaa",
            split="train",
        ),
        Segment(
            path="bbb.mp4",
            labels=("air drumming",),
            start_s=3.0,
            end_s=13.0,
            group="bbb",
            split="validation",
        ),
    )


def test_ucf101(tmp_path: Path) -> None:
    """The lists of the asked split; the groups of one class stay together."""
    videos = touch(tmp_path / "v", "Archery/v_Archery_g01_c02.avi", "Archery/v_Archery_g08_c01.avi")
    (tmp_path / "trainlist02.txt").write_text("Archery/v_Archery_g08_c01.avi 3\n")
    (tmp_path / "testlist02.txt").write_text("Archery/v_Archery_g01_c02.avi\n")
    found = segments("ucf101", tmp_path, root=videos, fold=2)
    assert [(s.group, s.split) for s in found] == [
        ("Archery_g08", "train"),
        ("Archery_g01", "test"),
    ]
    with pytest.raises(DataError, match=r"trainlist01\.txt: No such file"):
        segments("ucf101", tmp_path, root=videos)


def test_hmdb51(tmp_path: Path) -> None:
    """1 is train, 2 is test, 0 is not used."""
    videos = touch(tmp_path / "v", "brush_hair/a.avi", "brush_hair/b.avi", "brush_hair/c.avi")
    (tmp_path / "brush_hair_test_split1.txt").write_text("a.avi 1\nb.avi 2 \nc.avi 0\n")
    assert segments("hmdb51", tmp_path, root=videos) == (
        Segment(path="brush_hair/a.avi", labels=("brush_hair",), split="train"),
        Segment(path="brush_hair/b.avi", labels=("brush_hair",), split="test"),
    )
    with pytest.raises(DataError, match=r"no \*_test_split3\.txt"):
        segments("hmdb51", tmp_path, root=videos, fold=3)


def test_activitynet(tmp_path: Path) -> None:
    """Each annotation is a segment; files may be called v_ID; a begin below 0 is 0."""
    videos = touch(tmp_path / "v", "v_abc.mp4", "xyz.mkv")
    annotations = [
        {"segment": [-0.1, 4.5], "label": "Archery"},
        {"segment": [5, 9], "label": "Run"},
    ]
    listed = tmp_path / "activity_net.json"
    listed.write_text(
        json.dumps(
            {
                "version": "1.3",
                "database": {
                    "abc": {"subset": "training", "duration": 9.5, "annotations": annotations},
                    "xyz": {"subset": "testing", "annotations": []},
                },
            }
        )
    )
    assert segments("activitynet", listed, root=videos) == (
        Segment(path="v_abc.mp4", labels=("Archery",), end_s=4.5, group="abc", split="train"),
        Segment(
            path="v_abc.mp4", labels=("Run",), start_s=5.0, end_s=9.0, group="abc", split="train"
        ),
    )


def test_csv(tmp_path: Path) -> None:
    """Our columns, or others by name; rows, folders and labels are chosen as asked."""
    touch(tmp_path, "s1/a.mp4", "s2/b.mp4")
    listed = tmp_path / "list.csv"
    listed.write_text(
        "path,here,person,label,start_s,end_s\n"
        "set/s1/a.mp4,1,s1,Fall (side),1.5,3\n"
        "set/s1/gone.mp4,0,s1,Fall (side),1,2\n"
        "set/s2/b.mp4,1,s2,Sit|Read,,\n"
    )
    found = segments(
        "csv",
        listed,
        columns={"group": "person"},
        where={"here": "1"},
        n_stripped=1,
        renames=(("Fall*", "fall"), ("Read", ""), ("*", "daily")),
    )
    assert found == (
        Segment(path="s1/a.mp4", labels=("fall",), start_s=1.5, end_s=3.0, group="s1"),
        Segment(path="s2/b.mp4", labels=("daily",), group="s2"),
    )


def test_the_real_falls_are_imported(shared_data: Path) -> None:
    """The timed segments of GMDCSA24 become falls and daily life by four people."""
    found = import_dataset(
        "csv",
        shared_data / "gmdcsa24_small_mit/segments.csv",
        ImportOptions(
            columns={"group": "subject"},
            where={"present": "1"},
            n_stripped=1,
            renames=(("Fall*", "fall"), ("*", "daily")),
        ),
    )
    counts = plain(found.manifest)
    assert (counts["segments"], counts["videos"], counts["groups"]) == (46, 23, 4)
    assert found.manifest.labels == ("daily", "fall")


def test_ends_are_trimmed_where_that_is_asked(tmp_path: Path) -> None:
    """A segment longer than its video ends with it, and is counted; others stay as they are."""
    write_clip(tmp_path / "a.mp4", 40)
    listed = tmp_path / "list.csv"
    listed.write_text("path,label,start_s,end_s\na.mp4,x,1,9\na.mp4,x,1,3\na.mp4,x,,\n")
    assert [s.end_s for s in segments("csv", listed)] == [9.0, 3.0, None]
    found = import_dataset("csv", listed, ImportOptions(is_trimming=True))
    assert found.n_trimmed == 1
    ends = [s.end_s for s in found.manifest.segments]
    assert ends == [pytest.approx(4.0, abs=0.1), 3.0, None]
    listed.write_text("path,label,start_s,end_s\na.mp4,x,8,9\n")
    with pytest.raises(DataError, match="not after start_s=8"):
        import_dataset("csv", listed, ImportOptions(is_trimming=True))


# ---- what is wrong --------------------------------------------------------------------------


def test_missing_videos_are_an_error_or_counted(tmp_path: Path) -> None:
    """What the list names and the folder lacks stops the import, unless leaving out is asked."""
    touch(tmp_path, "a.mp4")
    listed = tmp_path / "list.csv"
    listed.write_text("path,label\na.mp4,x\nb.mp4,x\nc.mp4,y\n")
    with pytest.raises(DataError, match=r"does not hold b\.mp4, nor 1 other .* --skip-missing"):
        segments("csv", listed)
    found = import_dataset("csv", listed, ImportOptions(is_skipping=True))
    assert (found.n_missing, len(found.manifest.segments)) == (2, 1)
    assert found.manifest.labels == ("x",)


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_of_another_kind_is_one_sentence(tmp_path: Path, kind: str) -> None:
    """Each importer refuses an empty folder, and a file that is something else."""
    other = tmp_path / "other.bin"
    other.write_bytes(b"\x00\x01,2\n")
    for source in (tmp_path / "none", other, touch(tmp_path / "empty")):
        with pytest.raises(DataError):
            segments(kind, source)


@pytest.mark.parametrize(
    ("kind", "file", "text", "named"),
    [
        ("csv", "l.csv", "path,label,split\na.mp4,x,exam\n", "l.csv:2: split is 'exam'"),
        ("csv", "l.csv", "path,label,end_s\na.mp4,x,late\n", "end_s is 'late'"),
        ("kinetics", "l.csv", "label,youtube_id,time_start,time_end\nx,a,,\n", "time_start"),
        ("ucf101", "trainlist01.txt", "a.mp4 1\n", "is not CLASS/VIDEO"),
        ("hmdb51", "x_test_split1.txt", "a.mp4 7\n", "0, 1 or 2"),
        ("activitynet", "l.json", '{"database":{"a":{"annotations":[{}]}}}', "segment"),
    ],
)
def test_wrong_lines_are_named(tmp_path: Path, kind: str, file: str, text: str, named: str) -> None:
    """A line that is not of the form ends in a sentence about it."""
    touch(tmp_path, "a.mp4")
    (tmp_path / file).write_text(text)
    source = tmp_path if kind in ("ucf101", "hmdb51") else tmp_path / file
    with pytest.raises(DataError, match=named):
        segments(kind, source, root=tmp_path)


def test_two_videos_of_one_name_are_not_guessed_between(tmp_path: Path) -> None:
    """Where a list names videos without folders, two of a name are an error."""
    touch(tmp_path, "a/x.mp4", "b/x.mkv")
    (tmp_path / "l.csv").write_text("label,youtube_id,time_start,time_end\nrun,x,0,5\n")
    with pytest.raises(DataError, match="several videos named 'x'"):
        segments("kinetics", tmp_path / "l.csv")
