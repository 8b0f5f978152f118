"""Claims about `bresnet data`: import, split and check from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from model.data.manifest import load_manifest
from pipeline.cli import main
from pipeline.datasets import KINDS, SPLITS
from tests.clip_file import write_clip


def bresnet(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["data", *map(str, arguments)])


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two people, each in a clip of each of two classes."""
    root = tmp_path / "clips"
    for index, name in enumerate(("fall/anna", "fall/bert", "sit/anna", "sit/bert")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_clip(root / f"{name}.mp4", 40, first=index * 40)
    rows = [
        f"{p.relative_to(root).as_posix()},{p.parent.name},{p.stem}" for p in root.rglob("*.mp4")
    ]
    (root / "list.csv").write_text("\n".join(["path,label,who", *sorted(rows)]) + "\n")
    return root


def test_the_choices_are_those_that_the_model_knows() -> None:
    """The command line offers every importer and split, without importing them."""
    from model.data import importers, manifest

    assert set(KINDS) == set(importers.KINDS)
    assert manifest.SPLITS == SPLITS


def test_from_a_folder_to_a_checked_division(clips: Path, tmp_path: Path) -> None:
    """import, split and check in a row: no person on two sides, nothing wrong, exit code 0."""
    whole, parted = tmp_path / "set.json", tmp_path / "parted.json"
    done = bresnet("import", "csv", clips / "list.csv", "--out", whole, "--column", "group=who")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"{whole}: 4 segments of 4 videos in 2 groups, 2 labels; ")
    done = bresnet(
        *("split", whole, "--out", parted, "--share", "train=1", "--share", "test=1"),
        *("--fix", "bert=test"),
    )
    assert done.stdout.endswith("splits: test 2, train 2\n")
    assert {s.group for s in load_manifest(parted).of("test")} == {"bert"}
    done = bresnet("check", parted)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "0 errors, 0 warnings" in done.stdout


def test_check_finds_and_fails(clips: Path, tmp_path: Path) -> None:
    """With an error the exit code is 1; the table and the JSON name it."""
    (clips / "fall/bert.mp4").write_bytes(b"damaged")
    bresnet("import", "folder", clips, "--out", tmp_path / "set.json")
    done = bresnet("check", tmp_path / "set.json")
    assert done.exit_code == 1
    assert "fall/bert.mp4" in done.stdout
    assert "1 errors, 1 warnings" in done.stdout
    told = bresnet("check", tmp_path / "set.json", "--json", "--window", "5")
    found = json.loads(told.stdout)
    assert told.exit_code == 1
    assert (found["n_errors"], found["n_segments"]) == (1, 4)
    assert found["findings"][0]["code"] == "unreadable"
    assert {f["code"] for f in found["findings"]} == {"unreadable", "short", "split"}
    assert found["videos"]["sit/anna.mp4"]["n_frames"] == 40


def test_missing_videos_stop_an_import_or_are_counted(clips: Path, tmp_path: Path) -> None:
    """Nothing is written when videos are missing, unless leaving them out is asked."""
    (clips / "sit/bert.mp4").unlink()
    out = tmp_path / "set.json"
    done = bresnet("import", "csv", clips / "list.csv", "--out", out)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert not out.exists()
    done = bresnet("import", "csv", clips / "list.csv", "--out", out, "--skip-missing")
    assert done.exit_code == 0
    assert done.stderr == "left out: 1 listed videos that are not there\n"


def test_segments_are_trimmed_where_that_is_asked(clips: Path, tmp_path: Path) -> None:
    """A list whose segment is too long is imported, trimmed, told and then found good."""
    listed = clips / "times.csv"
    listed.write_text("path,label,end_s\nfall/anna.mp4,fall,7\nsit/anna.mp4,sit,3.5\n")
    out = tmp_path / "set.json"
    done = bresnet("import", "csv", listed, "--out", out, "--trim")
    assert done.stderr == "trimmed: 1 segments that end after their video\n"
    assert bresnet("check", out).exit_code == 0


def test_labels_are_renamed_and_rows_chosen(clips: Path, tmp_path: Path) -> None:
    """Patterns with an equals sign, conditions and column names come as pairs."""
    out = tmp_path / "set.json"
    done = bresnet(
        *("import", "csv", clips / "list.csv", "--out", out, "--where", "who=anna"),
        *("--label", "f*l=down", "--label", "a=b=c", "--label", "*=other"),
    )
    assert done.exit_code == 0
    assert load_manifest(out).labels == ("down", "other")
    assert len(load_manifest(out).segments) == 2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("import", "zip", "x", "--out", "y"), "'zip' is not one of"),
        (("import", "csv", "x", "--out", "y", "--where", "a"), "'a' is not NAME=VALUE"),
        (("import", "csv", "x", "--out", "y", "--label", "=b"), "'=b' is not PATTERN=LABEL"),
        (("split", "x", "--out", "y", "--share", "exam=1"), "'exam' is none of train"),
        (("split", "x", "--out", "y", "--share", "test=-1"), "'-1' is not a share"),
        (("split", "x", "--out", "y", "--share", "test=nan"), "'nan' is not a share"),
        (("split", "x", "--out", "y", "--share", "test=0"), "must be positive"),
        (("split", "x", "--out", "y", "--fix", "anna=exam"), "'exam' is none of"),
        (("check", "none.json"), "error: none.json: No such file"),
    ],
)
def test_mistakes_are_told_in_a_sentence(arguments: tuple[str, ...], named: str) -> None:
    """What the operator got wrong is named, with exit code 2 and no traceback."""
    done = bresnet(*arguments)
    assert done.exit_code == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_names_from_files_cannot_write_to_the_terminal(clips: Path, tmp_path: Path) -> None:
    """A file name with an escape sequence or markup is shown, not obeyed."""
    (clips / "fall/bert.mp4").rename(clips / "fall/b[red]\x1b[2Jt.mp4")
    (clips / "fall/b[red]\x1b[2Jt.mp4").write_bytes(b"x")
    bresnet("import", "folder", clips, "--out", tmp_path / "set.json")
    done = bresnet("check", tmp_path / "set.json")
    assert "\x1b" not in done.stdout
    assert "[red]" in done.stdout
