"""The commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from pipeline.cli import assemble, main

REPOSITORY = Path(__file__).parents[2]
HEAVY = ("pydantic", "yaml", "rich", "fastapi", "uvicorn", "numpy", "cv2", "av", "tensorflow")


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Python process in the repository and return what it said."""
    environment = {**os.environ, "COLUMNS": "100"}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=REPOSITORY,
        env=environment,
    )


def test_help_is_there_at_once() -> None:
    """`bresnet --help` answers within 0.5 s; the best of three, other work may be going on."""
    took = []
    for _ in range(3):
        began = time.monotonic()
        done = python("-m", "pipeline", "--help")
        took.append(time.monotonic() - began)
        assert done.returncode == 0
        for command in ("run", "demo", "config", "summary", "doctor", "bench"):
            assert f"  {command} " in done.stdout
    assert min(took) < 0.5


def test_the_command_line_imports_nothing_heavy() -> None:
    """What costs time or memory is imported by the command that needs it."""
    code = f"import sys, pipeline.cli; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = python("-X", "frozen_modules=on", "-c", code)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    "command", ["", "run", "demo", "config", "config check", "bench", "doctor"]
)
def test_every_command_explains_itself(command: str) -> None:
    """-h works everywhere."""
    result = CliRunner().invoke(main, [*command.split(), "-h"])
    assert result.exit_code == 0
    assert "Usage: " in result.stdout


def test_version_is_one_line() -> None:
    """Installed or run from its sources, --version answers."""
    result = CliRunner().invoke(main, ["--version"])
    assert result.exit_code == 0
    assert result.stdout.startswith("bresnet ")
    assert result.stdout.count("\n") == 1


def test_check_says_that_a_good_file_is_good() -> None:
    """Exit code 0 and the name of the file."""
    path = REPOSITORY / "configs" / "demo.yaml"
    result = CliRunner().invoke(main, ["config", "check", str(path)])
    assert (result.exit_code, result.stdout) == (0, f"{path}: good\n")


def test_show_prints_yaml_without_secrets(tmp_path: Path) -> None:
    """The effective configuration with defaults; the password is not in it."""
    path = tmp_path / "x.yaml"
    path.write_text("cameras: [{id: a, source: 'rtsp://viewer:cli-sh0w-secret@h/x'}]\n")
    result = CliRunner().invoke(main, ["config", "show", str(path)])
    shown = yaml.safe_load(result.stdout)
    assert shown["cameras"][0]["source"]["url"] == "rtsp://***@h/x"
    assert shown["http"]["port"] == 8080
    assert "cli-sh0w-secret" not in result.output


def test_schema_prints_the_file_we_ship() -> None:
    """`make check` compares the two; so does this test."""
    result = CliRunner().invoke(main, ["config", "schema"])
    assert result.stdout == (REPOSITORY / "configs" / "schema.json").read_text()


def test_summary_prints_the_pinned_counts() -> None:
    """Both published parameter counts, a row a stage, and the cost of a window."""
    result = CliRunner().invoke(main, ["summary"])
    assert result.exit_code == 0
    for text in ("4,493,986", "4,527,138", "4,510,562", "GMACs", "stem", "block3", "8x8x8x2048"):
        assert text in result.stdout


def test_summary_follows_its_options() -> None:
    """Another input changes shapes and cost, other units change the parameters."""
    result = CliRunner().invoke(
        main, ["summary", "--size", "128", "--frames", "16", "--units", "5"]
    )
    assert "16 frames of 128x128" in result.stdout
    assert "4x4x4x2048" in result.stdout
    assert "4,493,986" not in result.stdout
    assert CliRunner().invoke(main, ["summary", "--size", "0"]).exit_code == 2


def test_the_options_of_run_reach_the_configuration() -> None:
    """What is typed is what runs."""
    options = {"loop": True, "pace": None, "gate": "off", "fps": 5.0, "hop": 4, "port": 0}
    config = assemble(("a.mp4", "synthetic:street"), None, options)
    assert config.model_dump()["cameras"][0]["source"]["loop"] is True
    assert (config.analysis.gate, config.analysis.fps, config.analysis.hop) == ("off", 5.0, 4)
    assert config.http.port == 0


def test_the_options_of_run_override_a_file() -> None:
    """--config with --port and --precision."""
    path = REPOSITORY / "configs" / "demo.yaml"
    config = assemble((), path, {"port": 1234, "precision": "float32"})
    assert [camera.id for camera in config.cameras] == ["street", "corridor"]
    assert (config.http.port, config.model.precision) == (1234, "float32")


def test_the_traceback_of_a_bug_hides_addresses_and_known_secrets() -> None:
    """Our own mistakes are shown in full, exit code 1, but not what a library quotes in them."""
    code = (
        "from pipeline.cli import main\n"
        "from streamer.redact import redact\n"
        "@main.command()\n"
        "def boom():\n"
        "    redact.remember(['kn0wn-value'])\n"
        "    raise RuntimeError('rtsp://viewer:qu0ted' + '-one@h/ and kn0wn' + '-value')\n"
        "main(['boom'])\n"
    )
    done = python("-c", code)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("RuntimeError: rtsp://***@h/ and ***\n")


@pytest.mark.parametrize("command", ["config check", "config show", "run --config"])
def test_a_strange_file_name_cannot_write_to_the_terminal(command: str, tmp_path: Path) -> None:
    """Line ends, escape codes and bytes that are no text are shown as escapes."""
    path = f"{tmp_path}/a\n\x1b[31m\u202e\udcff.yaml"
    result = CliRunner().invoke(main, [*command.split(), path])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert r"a\n\x1b[31m\u202e\udcff.yaml: cannot be read" in result.stderr


def test_doctor_prints_one_json_array() -> None:
    """For scripts: nothing but JSON on stdout, and the exit code agrees with the verdicts."""
    result = CliRunner().invoke(main, ["doctor", "--json", "--port", "1"])
    verdicts = {check["name"]: check["verdict"] for check in json.loads(result.stdout)}
    assert {"python", "engine tensorflow", "port 1"} <= set(verdicts)
    assert result.exit_code == int("fail" in verdicts.values())


def test_bench_finds_out_first_that_its_result_cannot_be_written(tmp_path: Path) -> None:
    """A minute of measuring is not thrown away for a wrong path."""
    path = tmp_path / "no" / "bench.json"
    result = CliRunner().invoke(main, ["bench", "pipeline", "--json", str(path)])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: --json {path}: No such file or directory; ")
