"""`bresnet bundle`: what it prints, and how it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from model.bundle import CARD, UNTRAINED, WEIGHTS, load_bundle, save_bundle, untrained_bundle
from model.manifest import Calibration, Threshold
from pipeline.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle with everything a trained one has."""
    facts = {"frames": 8, "size_px": 32, "units": 16, "name": "small", "is_trained": True}
    bundle = untrained_bundle(UNTRAINED.model_copy(update=facts)).with_facts(
        thresholds={"left": Threshold(on=0.72, off=0.31)},
        calibration={"left": Calibration(scale=0.8, bias=-0.25)},
        metrics={"map": 0.96},
        licence="MIT",
    )
    path = tmp_path_factory.mktemp("bundles") / "small"
    save_bundle(bundle, path)
    (path / CARD).write_text("# Small\n", encoding="utf-8")
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["bundle", *arguments])


def test_inspect_shows_labels_limits_and_history(folder: Path) -> None:
    """For people, as a table; markup of a bundle is text."""
    done = run("inspect", str(folder))
    assert done.exit_code == 0
    for part in ("8 frames of 32x32 at 10 fps", "0.72", "0.31", "-0.25", "nuisance", "0.96", "MIT"):
        assert part in done.output


def test_inspect_as_json_is_the_manifest(folder: Path) -> None:
    """For programs, all of it."""
    told = json.loads(run("inspect", str(folder), "--json").output)
    assert told["thresholds"]["left"]["on"] == 0.72
    assert told == json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def test_verify_says_that_a_bundle_is_intact(folder: Path) -> None:
    """With the hash of the weights as they are used."""
    assert "intact, with its golden scores" in run("verify", str(folder)).output
    told = json.loads(run("verify", str(folder), "--json").output)
    assert (told["name"], told["has_golden"]) == ("small", True)
    assert told["sha256"] == load_bundle(str(folder)).sha256


def test_verify_with_an_engine_compares_the_golden_clip(folder: Path) -> None:
    """At the bundle's own size, in the precision that the engine chooses."""
    done = run("verify", str(folder), "--engine", "tensorflow", "--json")
    told = json.loads(done.output.splitlines()[-1])
    assert told["engine"].startswith("tensorflow")
    assert 0 <= told["golden_difference"] <= 0.1


def test_a_packed_bundle_is_the_same_in_one_file(folder: Path, tmp_path: Path) -> None:
    """The parts byte by byte, the card too."""
    file = tmp_path / "small.zip"
    assert run("pack", str(folder), str(file)).exit_code == 0
    assert load_bundle(str(file)).sha256 == load_bundle(str(folder)).sha256
    again = tmp_path / "again.zip"
    assert run("pack", str(file), str(again)).exit_code == 0
    assert b"# Small" in file.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("inspect", "motion-x"), "neither built in"),
        (("verify", "motion-x"), "neither built in"),
        (("pack", "untrained", "x.zip"), "there are no files"),
        (("pack", "untrained", "x.tar"), "must end in .zip"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(
    arguments: tuple[str, ...], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback."""
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == 2
    assert named in done.output
    assert done.output.startswith("error: ")
    assert len(done.output.splitlines()) == 1


def test_a_damaged_bundle_is_refused_by_verify_and_not_packed(folder: Path, tmp_path: Path) -> None:
    """In one sentence that names the file."""
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for part in folder.iterdir():
        (damaged / part.name).write_bytes(part.read_bytes())
    content = bytearray((damaged / WEIGHTS).read_bytes())
    content[5000] ^= 1
    (damaged / WEIGHTS).write_bytes(content)
    for arguments in (("verify", str(damaged)), ("pack", str(damaged), str(tmp_path / "x.zip"))):
        done = run(*arguments)
        assert done.exit_code == 2
        assert "sha256" in done.output
    assert not (tmp_path / "x.zip").exists()
