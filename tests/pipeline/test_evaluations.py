"""Claims about pipeline.evaluations: the commands, from what was typed to the files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from model.bundle import UNTRAINED, load_manifest, save_bundle, untrained_bundle
from model.data.manifest import Manifest, Segment, save_manifest
from pipeline import evaluations
from pipeline.cli import main


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights that claim to be trained, small."""
    path = tmp_path_factory.mktemp("bundle") / "small"
    facts = {"name": "small", "is_trained": True, "frames": 8, "hop": 8, "size_px": 64, "units": 16}
    save_bundle(untrained_bundle(UNTRAINED.model_copy(update=facts)), path)
    return path


def run(command: str, *paths: Path | str) -> Result:
    return CliRunner().invoke(main, [*command.split(), *map(str, paths)])


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("evaluate no-such-bundle", "error: bundle 'no-such-bundle' is neither built in"),
        ("evaluate untrained --truth no.json", "error: truth file no.json cannot be read"),
        ("evaluate untrained --views 3x3", "Invalid value for '--views': '3x3' is not one of"),
        ("evaluate untrained --objects -1", "Invalid value for '--objects': -1 is not in"),
        ("evaluate untrained --record", "error: bundle 'untrained' comes with this package"),
        ("evaluate untrained --dataset no.json", "error: no.json"),
        ("calibrate untrained", "error: bundle 'untrained' comes with this package"),
        (
            "evaluate b --windows 0 --objects 0 --nuisance-minutes 0",
            "error: there is nothing to evaluate on",
        ),
        ("evaluate b", "error: bundle 'b' is neither built in"),
        ("calibrate b --windows 0", "error: there is nothing to calibrate on"),
        ("tune untrained --to x --max-fa-per-hour -1", "Invalid value for '--max-fa-per-hour'"),
        ("tune b --objects 0 --nuisance-minutes 0", "error: there is nothing to tune on"),
        ("tune untrained", "error: bundle 'untrained' comes with this package"),
    ],
)
def test_a_mistake_is_one_sentence(
    command: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2 before anything is rendered."""
    monkeypatch.chdir(tmp_path)
    result = run(command)
    assert result.exit_code == 2, result.output
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["evaluate", "calibrate", "tune"])
def test_nothing_is_rendered_for_labels_of_ones_own(command: str, tmp_path: Path) -> None:
    """Unless it is asked for, which is then refused."""
    facts = {"name": "own", "labels": ("fall", "daily"), "frames": 8, "size_px": 32, "units": 8}
    save_bundle(untrained_bundle(UNTRAINED.model_copy(update=facts)), tmp_path / "own")
    plain = run(command, tmp_path / "own", "--out", tmp_path / "report")
    assert plain.exit_code == 2
    assert "error: there is nothing to" in plain.stderr
    option = "--windows" if command == "calibrate" else "--objects"
    asked = run(command, tmp_path / "own", "--out", tmp_path / "report", option, "4")
    assert asked.exit_code == 2
    assert "error: rendered clips know the labels" in asked.stderr


@pytest.mark.parametrize("command", ["evaluate", "calibrate", "tune"])
def test_a_report_that_cannot_be_written_is_found_out_first(
    command: str, bundle: Path, tmp_path: Path
) -> None:
    """Minutes of computing are not thrown away for a wrong path."""
    (tmp_path / "file").touch()
    result = run(command, bundle, "--out", tmp_path / "file" / "x")
    assert result.exit_code == 2
    assert "give a folder that can be written" in result.stderr


@pytest.mark.parametrize("command", ["evaluate", "calibrate", "tune"])
def test_every_command_explains_itself(command: str) -> None:
    """-h works and names the folder of the report."""
    result = run(command, "-h")
    assert result.exit_code == 0
    assert "--out" in result.stdout


@pytest.mark.slow
def test_a_small_rendered_set_is_evaluated(bundle: Path, tmp_path: Path) -> None:
    """The real renderer, network, gate and detector: Markdown on stdout, files in the folder, and
    the main figures in the bundle."""
    out = tmp_path / "report"
    words = "evaluate --engine tensorflow --precision float32 --scene street --scene-seconds 8"
    more = "--objects 2 --nuisance-minutes 1 --windows 40 --record --out"
    result = run(f"{words} {more}", out, bundle)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("# Evaluation of small 0")
    assert "replaying nuisances lighting-0" in result.stderr
    report = json.loads((out / "evaluation.json").read_text())
    assert set(report["untrimmed"]) == {"scenes", "objects", "nuisances"}
    assert (out / "evaluation.md").read_text() == result.stdout
    assert all((out / name).is_file() for name in report["pictures"])
    assert "objects" in load_manifest(str(bundle)).metrics["evaluation"]  # type: ignore[operator]


@pytest.mark.slow
def test_a_bundle_is_calibrated_and_tuned(bundle: Path, tmp_path: Path) -> None:
    """Into another folder; the first stays as it is. What is tuned is what was calibrated."""
    engine = "--engine tensorflow --precision float32"
    before = (bundle / "manifest.json").read_text()
    first = run(
        f"calibrate {engine} --windows 60 --out", tmp_path / "c", bundle, "--to", tmp_path / "one"
    )
    assert first.exit_code == 0, first.output
    assert "before: mean_ece" in first.stdout
    assert (tmp_path / "c" / "reliability.png").is_file()
    words = f"tune {engine} --scene lights --scene-seconds 8 --objects 1 --nuisance-minutes 0"
    second = run(f"{words} --out", tmp_path / "t", tmp_path / "one", "--to", tmp_path / "two")
    assert second.exit_code == 0, second.output
    assert "false alarms an hour" in second.stdout
    assert json.loads((tmp_path / "t" / "tuning.json").read_text())["max_fa_per_hour"] == 1.0
    one, two = load_manifest(str(tmp_path / "one")), load_manifest(str(tmp_path / "two"))
    assert one.calibration == two.calibration != {}
    assert set(two.thresholds) == set(two.labels)
    assert (bundle / "manifest.json").read_text() == before


def test_a_data_set_is_asked_for_what_it_keeps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Evaluation takes the split test and says so; where there is none, everything is taken."""
    segments = [
        Segment("a.mp4", ("fall",), split="train"),
        Segment("b.mp4", ("fall",), split="test"),
    ]
    save_manifest(Manifest(tmp_path, ("fall",), segments), tmp_path / "split.json")
    assert evaluations._kept(tmp_path / "split.json", "test") == "test"
    assert "split.json: taking its split test; --split takes another" in capsys.readouterr().err
    assert evaluations._kept(tmp_path / "split.json", "validation") is None
    assert evaluations.KEPT == {"test": "test", "calibrate": "validation"}
