"""Claims about `bresnet train`: its signals, its mistakes, its way from a recipe to a bundle."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from model.bundle import load_bundle
from pipeline.cli import main
from pipeline.training import stop_on_signals
from tests.conftest import REPOSITORY

RECIPE = """
name: small
init: {bundle: untrained, freeze: [stem, stem1, stem2, block0, block1]}
data: {kind: synthetic, windows: 2, clip_frames: 12}
phases: [{size_px: 32, frames: 4, steps: 4000, batch: 2}]
optimizer: {warmup_steps: 1, peak_learning_rate: 0.001}
validation_batches: 1
statistics_batches: 1
workers: 0
"""


def test_signals_become_an_answer_once() -> None:
    """The first asks to stop; handlers are then those of before."""
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals() as should_stop:
        assert not should_stop()
        signal.raise_signal(signal.SIGTERM)
        assert should_stop()
        assert signal.getsignal(signal.SIGTERM) == before
    with stop_on_signals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    ("text", "options", "complaint"),
    [
        ("name: a\nphases: []", [], "phases: must be a list of at least 1"),
        (RECIPE, ["--dry-run", "--export", "x"], "--dry-run and --export exclude each other"),
    ],
)
def test_mistakes_are_one_sentence(
    tmp_path: Path, text: str, options: list[str], complaint: str
) -> None:
    """Exit code 2, before anything is trained."""
    (tmp_path / "r.yaml").write_text(text)
    arguments = ["train", str(tmp_path / "r.yaml"), "--out", str(tmp_path / "run"), *options]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert complaint in done.stderr
    assert not (tmp_path / "run").exists()


def command(tmp_path: Path, *options: str) -> list[str]:
    recipe, run = str(tmp_path / "r.yaml"), str(tmp_path / "run")
    return [sys.executable, "-m", "pipeline", "train", recipe, "--out", run, *options]


@pytest.mark.slow
@pytest.mark.system
def test_a_run_ends_on_sigterm_and_its_checkpoint_becomes_a_bundle(tmp_path: Path) -> None:
    """Exit code 0 and the way on; --export then writes a bundle, and nothing without a run."""
    (tmp_path / "r.yaml").write_text(RECIPE)
    none = subprocess.run(
        command(tmp_path, "--export", str(tmp_path / "b")),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert none.returncode == 2
    assert "holds no checkpoint yet" in none.stderr

    process = subprocess.Popen(
        command(tmp_path), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    metrics = tmp_path / "run" / "metrics.jsonl"
    assert process.stderr is not None
    with process.stderr as lines:
        told = next(line for line in lines if line.startswith("step 100/4000: loss"))
    process.send_signal(signal.SIGTERM)
    out = process.communicate()[0]
    assert process.returncode == 0
    assert "the same command goes on" in out
    assert "left" in told
    assert metrics.read_text().startswith('{"step": 20')

    subprocess.run(
        command(tmp_path, "--export", str(tmp_path / "b")),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert load_bundle(str(tmp_path / "b")).manifest.name == "small"
