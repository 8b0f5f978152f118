"""`bresnet bundle ...`: what a model is, whether it is intact, and as one file.

In: the name of a built-in bundle, or the folder or zip of another. Out: a table or one JSON object
on stdout. `verify` runs all checks of loading, and with an engine also compares the golden clip at
the bundle's own size. Invariant: a damaged bundle is one sentence on stderr and exit code 2.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.arguments import CONTEXT

if TYPE_CHECKING:
    from model.manifest import Manifest

_NAME = click.argument("name", metavar="NAME_OR_PATH")
_JSON = click.option("--json", "is_json", is_flag=True, help="Print one JSON object.")


@click.group("bundle", context_settings=CONTEXT)
def bundle_group() -> None:
    """Look into bundles: a model with labels, limits and history."""


@bundle_group.command("inspect")
@_NAME
@_JSON
def inspect(name: str, is_json: bool) -> None:
    """Print what a bundle says about itself; its weights are not read."""
    from model.bundle import load_manifest

    manifest = load_manifest(name)
    if is_json:
        click.echo(manifest.model_dump_json(indent=2))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console.width = 110  # a pipe has no width of its own: do not fold the table
    facts = Table(box=box.SIMPLE, show_header=False, title=f"Bundle {manifest.name}")
    for key, value in _facts(manifest):
        facts.add_row(key, Text(value))
    table = Table(box=box.SIMPLE)
    for heading in ("label", "kind", "on", "off", "min s", "smoothing s", "scale", "bias"):
        table.add_column(heading)
    for row in _labels(manifest):
        table.add_row(*row)
    console.print(facts)
    console.print(table)


@bundle_group.command("verify")
@_NAME
@click.option(
    "--engine",
    type=click.Choice(["tensorflow", "openvino"]),
    help="Also compare this runtime with the golden clip at the bundle's own size.",
)
@_JSON
def verify(name: str, engine: str | None, is_json: bool) -> None:
    """Check hash, sizes, shapes, numbers and golden scores of a bundle."""
    from model.bundle import load_bundle

    started_at = time.monotonic()
    bundle = load_bundle(name)
    facts = bundle.manifest
    told: dict[str, Any] = {
        "name": facts.name,
        "version": facts.version,
        "sha256": bundle.sha256,
        "is_trained": facts.is_trained,
        "has_golden": facts.golden is not None,
        "load_s": round(time.monotonic() - started_at, 3),
    }
    if engine is not None:
        told |= _verify_engine(bundle, engine)
    if is_json:
        click.echo(json.dumps(told))
        return
    golden = "its golden scores" if told["has_golden"] else "no golden scores"
    click.echo(f"{facts.name} {facts.version}: intact, with {golden} ({told['load_s']:.2f} s)")
    click.echo(f"weights as used: sha256 {bundle.sha256}")
    if engine is not None:
        largest = told["golden_difference"]
        shown = "nothing to compare" if largest is None else f"golden scores within {largest:.2g}"
        click.echo(f"{told['engine']}, {told['precision']}: {shown}")


@bundle_group.command("pack")
@_NAME
@click.argument("file", type=click.Path(path_type=Path))
def pack(name: str, file: Path) -> None:
    """Check a bundle and write it as one zip FILE."""
    from model.bundle import pack_bundle
    from pipeline.errors import ConfigError

    if file.suffix != ".zip":
        raise ConfigError(f"{file} must end in .zip, so that it is found as a bundle again")
    pack_bundle(name, file)
    click.echo(f"{file}: {file.stat().st_size / 1e6:.1f} MB")


def _verify_engine(bundle: Any, engine: str) -> dict[str, Any]:
    """Warm an engine up and hold it to the golden scores."""
    import contextlib

    from model.config import ModelConfig
    from model.engines import open_classifier
    from model.golden import check_engine, golden_clip

    facts = bundle.manifest
    config = ModelConfig.model_validate({"engine": engine, "mode": "full"})
    with contextlib.closing(open_classifier(bundle, config)) as classifier:
        warm = classifier.warm_up(1)
        told = {"engine": warm.engine, "precision": warm.precision, "golden_difference": None}
        if facts.golden is not None:
            clip = golden_clip(facts.frames, facts.size_px, facts.golden.seed)
            scores, _ = classifier.predict(clip[None])
            check_engine(facts, scores[0], warm.precision)
            pairs = zip(scores[0].tolist(), facts.golden.scores, strict=True)
            told["golden_difference"] = max(abs(found - golden) for found, golden in pairs)
    return told


def _facts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """What is not about one label."""
    side = manifest.size_px
    yield "version", manifest.version + ("" if manifest.is_trained else " (untrained)")
    yield "window", f"{manifest.frames} frames of {side}x{side} at {manifest.analysis_fps:g} fps"
    yield "hop", f"{manifest.hop} frames, {manifest.hop / manifest.analysis_fps:.2g} s"
    yield "form", f"{manifest.temporal_padding}, {manifest.units} units, {manifest.activation}"
    for key in ("description", "licence", "weights_sha256"):
        if value := getattr(manifest, key):
            yield key, value
    for key in ("metrics", "recipe", "seeds"):
        for name, value in getattr(manifest, key).items():
            yield f"{key}.{name}", json.dumps(value)


def _labels(manifest: Manifest) -> Iterator[tuple[str, ...]]:
    """One row a label; what is not tuned is left empty."""
    for label in manifest.labels:
        limits, line = manifest.thresholds.get(label), manifest.calibration.get(label)
        tuned = (limits.on, limits.off, limits.min_duration_s, limits.smoothing_s) if limits else ()
        lines = (line.scale, line.bias) if line else ()
        cells = [f"{n:g}" for n in tuned] or [""] * 4
        yield label, manifest.kind(label), *cells, *([f"{n:g}" for n in lines] or [""] * 2)
