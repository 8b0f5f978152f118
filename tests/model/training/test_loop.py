"""Claims about a whole run: it learns, survives a kill without a trace, and stops when asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.bundle import load_bundle
from model.errors import TrainingError
from model.training.checkpoint import Checkpoints
from model.training.loop import TrainingLoop
from model.training.network import PLACED
from model.training.recipe import PhaseRecipe, Recipe
from tests.conftest import REPOSITORY
from tests.model.training.stand_in import LATE, BlockBatches, BlockSource, late_recipe, tiny_recipe

CHILD = [sys.executable, "-m", "tests.model.training.train_child"]


def child(folder: Path) -> subprocess.Popen[str]:
    """Start a training process."""
    return subprocess.Popen(
        [*CHILD, str(folder)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def final_arrays(folder: Path, recipe: Recipe) -> dict[str, Any]:
    """The newest checkpoint of a run, which must be its last."""
    loaded = Checkpoints(folder / "checkpoints").load(recipe.fingerprint())
    assert loaded is not None
    assert loaded[1].step == recipe.steps
    return loaded[0]


def kill_at(folder: Path, step: int) -> str:
    """Train until a step is told, kill -9, and return the first line that was told."""
    process = child(folder)
    assert process.stdout is not None
    with process.stdout as lines:
        first = next(lines)
        for line in lines:
            if int(line) >= step:
                break
        process.kill()
    assert process.wait() == -9
    return first.strip()


@pytest.mark.slow
@pytest.mark.system
def test_a_killed_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    """SIGKILL in the first and in the second phase, resumed: every array is bit-equal.

    With Muon, which keeps AdamW's slots beside its own; half of the network is frozen.
    """
    recipe = late_recipe()
    whole = child(tmp_path / "whole")
    whole.communicate()
    assert whole.returncode == 0

    assert kill_at(tmp_path / "killed", 3) == "from 0"
    again = kill_at(tmp_path / "killed", 7)
    assert 0 < int(again.split()[1]) < 5
    last = child(tmp_path / "killed")
    told = last.communicate()[0].splitlines()
    assert last.returncode == 0
    assert 5 < int(told[0].split()[1]) < 10

    wanted, found = (
        final_arrays(tmp_path / "whole", recipe),
        final_arrays(tmp_path / "killed", recipe),
    )
    assert wanted.keys() == found.keys()
    assert any(name.startswith("optimizer/") for name in wanted)
    for name, array in wanted.items():
        np.testing.assert_array_equal(array, found[name], err_msg=name)
    lines = (tmp_path / "killed/metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == sorted(steps)


class Told:
    """Collects what a run tells; can ask it to stop."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.figures: dict[int, dict[str, float]] = {}
        self._stop_at = stop_at

    def tell(self, step: int, figures: Mapping[str, float]) -> None:
        self.figures.setdefault(step, {}).update(figures)

    def should_stop(self) -> bool:
        return self._stop_at is not None and self._stop_at in self.figures


def loop_of(recipe: Recipe, folder: Path, told: Told, source: Any = None) -> TrainingLoop:
    return TrainingLoop(recipe, source or BlockSource(recipe), folder, told.tell, told.should_stop)


@pytest.mark.slow
def test_a_run_learns_and_leaves_everything_behind(tmp_path: Path, fonts: Path) -> None:
    """Left and right are told apart; bundle, curves, figures and events are in the folder."""
    recipe, told = tiny_recipe(ema_decay=0.5, mixup_alpha=0.0, rate_share=0.5), Told()
    loop = loop_of(recipe, tmp_path, told)
    assert loop.train()
    loop.export(tmp_path / "bundle")
    assert told.figures[18]["validation/mean_average_precision"] > 0.9
    rated = {f"validation/rates/{block.name}/explained/rightward" for block in PLACED}
    assert rated <= told.figures[18].keys()
    assert {p.name for p in (tmp_path / "checkpoints").iterdir()} == {
        "step-00000017",
        "step-00000018",
    }
    bundle = load_bundle(str(tmp_path / "bundle"))
    assert bundle.manifest.labels == recipe.head.labels
    assert (bundle.manifest.frames, bundle.manifest.size_px) == (8, 32)
    assert bundle.manifest.is_trained
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert list((tmp_path / "tensorboard").iterdir())
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-2])
    assert last["train/learning_rate"] == pytest.approx(0.01 * 0.01, rel=1e-3)


def test_a_run_stops_when_asked_and_a_changed_recipe_is_refused(
    tmp_path: Path, fonts: Path
) -> None:
    """A stop leaves a checkpoint of that very step; another recipe does not go on from it."""
    recipe, told = tiny_recipe(**LATE, checkpoint_s=1000.0), Told(stop_at=3)
    assert not loop_of(recipe, tmp_path, told).train()
    assert loop_of(recipe, tmp_path, Told()).first_step == 3
    with pytest.raises(TrainingError, match=r"holds a run of another recipe; undo"):
        loop_of(tiny_recipe(**LATE, seed=4), tmp_path, Told())


class BrokenBatches(BlockBatches):
    """From the third step on, weights that are no numbers."""

    def batch(self, step: int) -> Any:
        found = super().batch(step)
        if step >= 2:
            found.weights[:] = np.nan
        return found


class BrokenSource(BlockSource):
    """A source whose truth breaks."""

    def training(self, phase: PhaseRecipe) -> BlockBatches:
        return BrokenBatches(phase, len(self._recipe.head.labels), 0)


def test_a_loss_that_is_no_number_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    """The run ends at that step, and what was spoilt is never saved."""
    recipe = tiny_recipe(**LATE, checkpoint_s=1000.0)
    loop = loop_of(recipe, tmp_path, Told(), BrokenSource(recipe))
    with pytest.raises(TrainingError, match=r"no number any more after step 2 .*lower optimizer"):
        loop.train()
    assert Checkpoints(tmp_path / "checkpoints").load(recipe.fingerprint()) is None
