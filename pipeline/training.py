"""`bresnet train`: teach the network with a recipe.

In: a recipe file and a folder for the run. Out: checkpoints, curves and a bundle in that folder;
progress on stderr. Nothing heavy is imported before the command needs it.
Invariant: Ctrl-C and SIGTERM end the run after a checkpoint, and the same command goes on from it.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import click

from pipeline.arguments import YAML_FILE
from pipeline.errors import ConfigError


@click.command()
@click.argument("recipe_file", type=YAML_FILE, metavar="RECIPE")
@click.option(
    "--out", "folder", type=YAML_FILE, required=True, help="Folder of the run; goes on if begun."
)
@click.option("--dry-run", is_flag=True, help="Time a few steps and estimate the whole run.")
@click.option(
    "--export",
    "bundle",
    type=YAML_FILE,
    help="Write the newest checkpoint as a bundle to this folder, also while the run goes on.",
)
def train(recipe_file: Path, folder: Path, *, dry_run: bool, bundle: Path | None) -> None:
    """Train the network as RECIPE says; the same command goes on where a run was ended."""
    from pipeline.recipefile import load_recipe

    recipe = load_recipe(recipe_file)
    if dry_run and bundle is not None:
        raise ConfigError("--dry-run and --export exclude each other; give one of them")
    _prepare()
    from model.training.source import open_source

    source = open_source(recipe)
    if dry_run:
        from model.training.estimate import estimate

        click.echo(estimate(recipe, source), nl=False)
        return

    from model.training.loop import TrainingLoop
    from model.training.progress import ProgressLine

    with stop_on_signals() as should_stop, ProgressLine(recipe.steps) as line:
        loop = TrainingLoop(recipe, source, folder, line.tell, should_stop)
        line.begin(loop.first_step)
        target = bundle or folder / "bundle"
        is_done = bundle is not None or loop.train()
        if bundle is not None and not loop.first_step:
            raise ConfigError(f"--out {folder}: holds no checkpoint yet; train first")
        if is_done:
            loop.export(target)
    if is_done:
        click.echo(f"step {loop.step} of {recipe.steps}: bundle written to {target}")
    else:
        click.echo(f"stopped at step {loop.step} of {recipe.steps}; the same command goes on")


@contextlib.contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into an answer; the second one acts as usual."""
    asked: list[int] = []
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = {kind: signal.getsignal(kind) for kind in kinds}

    def note(number: int, _at: FrameType | None) -> None:
        asked.append(number)
        for kind, handler in before.items():
            signal.signal(kind, handler)

    for kind in kinds:
        signal.signal(kind, note)
    try:
        yield lambda: bool(asked)
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def _prepare() -> None:
    from model.engines import prepare

    prepare()
    from model.training.backend import backend

    backend()
    from model.training.run import make_repeatable

    make_repeatable()
