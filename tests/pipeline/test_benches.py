"""Claims about pipeline.benches: wrong arguments cost nothing, and the tables go to stdout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from model.comparison import BASELINE
from pipeline.cli import main


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("model --hop 6", "error: --hop 6: must be a multiple of 4 below --frames 32"),
        ("model --frames 12 --hop 12", "error: --hop 12: must be a multiple of 4 below"),
        ("model --only keras", "Invalid value for '--only': 'keras' is not one of"),
        ("model --size 1000", "Invalid value for '--size': 1000 is not in the range"),
        ("model --rounds 0", "Invalid value for '--rounds': 0 is not in the range"),
        ("capacity --slo-ms 0", "Invalid value for '--slo-ms': 0.0 is not in the range"),
        ("capacity --mode quick", "Invalid value for '--mode': 'quick' is not one of"),
        ("capacity --seconds inf", "Invalid value for '--seconds': inf is not a finite number"),
        ("capacity --engine steam --source a.mp4", "error: --engine 'steam': "),
        ("capacity --source gopher://h/x", "error: source 'gopher://h/x' has scheme 'gopher'"),
    ],
)
def test_a_wrong_argument_is_one_sentence(command: str, sentence: str) -> None:
    """Exit code 2, before anything is measured."""
    result = CliRunner().invoke(main, ["bench", *command.split()])
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("command", ["model", "capacity", "pipeline"])
def test_a_result_that_cannot_be_written_is_found_out_first(command: str, tmp_path: Path) -> None:
    """Minutes of measuring are not thrown away for a wrong path."""
    path = tmp_path / "no" / "bench.json"
    result = CliRunner().invoke(main, ["bench", command, "--json", str(path)])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: --json {path}: No such file or directory; ")


@pytest.mark.parametrize("command", ["model", "capacity", "pipeline"])
def test_every_bench_explains_itself(command: str) -> None:
    """-h works, and names the JSON file."""
    result = CliRunner().invoke(main, ["bench", command, "-h"])
    assert result.exit_code == 0
    assert "--json" in result.stdout


def test_the_model_bench_prints_a_table_and_writes_its_figures(tmp_path: Path) -> None:
    """A real run, small, one round: Keras, TensorFlow, the matrix product; Markdown on stdout, what
    goes on meanwhile on stderr; ratios refer to eager; peers that were not asked for are not there.
    """
    path = tmp_path / "model.json"
    words = (
        "bench model --size 32 --frames 12 --hop 4 --batch 1 --rounds 1 --seed 7 --only tensorflow"
    )
    result = CliRunner().invoke(main, [*words.split(), "--json", str(path)])
    assert result.exit_code == 0, result.output
    values = json.loads(path.read_text())
    rows = {(row["name"], row["precision"]): row for row in values["rows"]}
    eager = rows[BASELINE, "float32"]
    full = rows["fused, full window", "float32"]
    assert eager["ratio"] == 1.0
    assert full["ratio"] == eager["median_s"] / full["median_s"]
    assert full["difference"] <= 1e-5
    assert all(len(row["samples_s"]) == 1 for row in values["rows"])
    assert values["gemm"][0]["gflops"] > 1
    settings = {"size_px": 32, "frames": 12, "hops": [4], "seed": 7}
    assert values["settings"] | settings == values["settings"]
    names = {row["name"] for row in values["rows"]} | {way["name"] for way in values["absent"]}
    assert {"exact incremental, hop 4", "causal, hop 4"} <= names
    assert all(f"| {name} |" in result.stdout for name in names)
    assert {row["engine"] for row in values["rows"] + values["absent"]} == {"tensorflow"}
    assert f"measuring {len(values['rows'])} ways in 1 rounds" in result.stderr


def test_the_model_bench_takes_engines_apart(tmp_path: Path) -> None:
    """With --layers: one table a way, a line a layer, and convolutions in all that multiply."""
    path = tmp_path / "layers.json"
    words = "bench model --layers --size 32 --frames 12 --hop 8 --rounds 1 --only tensorflow"
    result = CliRunner().invoke(main, [*words.split(), "--json", str(path)])
    assert result.exit_code == 0, result.output
    ways = json.loads(path.read_text())["ways"]
    assert result.stdout.count("| layer |") == len(ways) == 2
    for way in ways:
        found = {one["layer"] for one in way["layers"] if one["arithmetic_s"] and one["share"]}
        assert {"stem", "stem1", "stem2", "block0", "block1", "block2", "block3"} <= found
    assert "taking 2 ways apart" in result.stderr
