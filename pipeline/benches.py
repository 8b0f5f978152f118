"""`bresnet bench ...`: the commands that measure this machine.

In: what the operator typed. Out: a Markdown table on stdout, what goes on meanwhile on stderr, and
a JSON file where one is asked for. Nothing heavy is imported before a command needs it.
Invariant: that a result cannot be written is found out before anything is measured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import click

from pipeline.arguments import CONTEXT, DEMO_SOURCES, SECONDS, YAML_FILE, assemble, touch
from pipeline.errors import ConfigError


@click.group(context_settings=CONTEXT)
def bench() -> None:
    """Measure this machine."""


@bench.command("pipeline")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option("--config", "file", type=YAML_FILE, help="YAML file instead of SOURCE arguments.")
@click.option("--loop", is_flag=True, help="Start files again at their end.")
@click.option("--seconds", type=SECONDS, default=60.0, show_default=True, help="Measured span.")
@click.option("--json", "json_path", type=YAML_FILE, help="Also write the figures to this file.")
def bench_pipeline(
    sources: tuple[str, ...],
    file: Path | None,
    loop: bool,
    seconds: float,
    json_path: Path | None,
) -> None:
    """Measure CPU, memory and latency by stage, with the two scenes of the demo or your sources."""
    if not sources and file is None:
        sources = DEMO_SOURCES
    config = assemble(sources, file, {"loop": loop, "port": 0})
    if json_path is not None:
        touch(json_path)

    from pipeline.bench import bench_pipeline as measure

    click.echo(measure(config, seconds=seconds, json_path=json_path), nl=False)


@bench.command("model")
@click.option(
    "--size", type=click.IntRange(32, 512), default=256, show_default=True, help="Side, px."
)
@click.option(
    "--frames", type=click.IntRange(4, 128), default=32, show_default=True, help="Frames a window."
)
@click.option(
    "--hop",
    "hops",
    type=click.IntRange(4, 124),
    multiple=True,
    default=(4, 8, 16),
    show_default=True,
    help="Frames between windows, a multiple of 4; may be given several times.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 32),
    default=4,
    show_default=True,
    help="Cameras in a step of several, at the smallest hop.",
)
@click.option(
    "--rounds", type=click.IntRange(1, 1000), default=15, show_default=True, help="Calls of each."
)
@click.option(
    "--only",
    "families",
    type=click.Choice(["tensorflow", "openvino", "peers"]),
    multiple=True,
    help="Measure these engines alone, beside Keras; peers: the network converted as it is.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the frames.")
@click.option(
    "--layers",
    "is_by_layer",
    is_flag=True,
    help="Take this project's engines apart instead: time and share of the peak by layer.",
)
@click.option("--json", "json_path", type=YAML_FILE, help="Also write the figures to this file.")
def bench_model(
    size: int,
    frames: int,
    hops: tuple[int, ...],
    batch: int,
    json_path: Path | None,
    **options: Any,
) -> None:
    """Measure every way to run the network, in turns: Keras, this project's engines, converters."""
    wrong = [hop for hop in hops if hop % 4 or hop >= frames]
    if wrong:
        raise ConfigError(f"--hop {wrong[0]}: must be a multiple of 4 below --frames {frames}")
    if json_path is not None:
        touch(json_path)

    from model.bench import FAMILIES, bench_model
    from model.layer_bench import bench_layers
    from model.ways import Subject

    subject = Subject(size, frames, tuple(sorted(set(hops))), batch, options["seed"])
    measure = bench_layers if options["is_by_layer"] else bench_model
    text = measure(
        subject,
        families=options["families"] or FAMILIES,
        rounds=options["rounds"],
        json_path=json_path,
        tell=_tell,
    )
    click.echo(text, nl=False)


@bench.command("capacity")
@click.option(
    "--fps",
    type=click.FloatRange(1, 120),
    default=25.0,
    show_default=True,
    help="Frames a second that are analysed.",
)
@click.option(
    "--hop",
    type=click.IntRange(1, 32),
    default=4,
    show_default=True,
    help="Frames between windows.",
)
@click.option(
    "--slo-ms",
    type=click.FloatRange(1, 60_000),
    default=300.0,
    show_default=True,
    help="Largest 99th percentile from capture to score, milliseconds.",
)
@click.option("--engine", help="Runtime of the network.")
@click.option("--precision", help="Precision of the engine.")
@click.option(
    "--mode",
    type=click.Choice(["both", "exact", "full"]),
    default="both",
    show_default=True,
    help="exact: from the new frames, with the same result; full: each window from all its frames.",
)
@click.option("--size", "size_px", type=click.IntRange(32, 512), help="Side of the pictures, px.")
@click.option(
    "--source",
    "sources",
    multiple=True,
    help="File or rtsp:// address; several are used in turns. A rendered clip where absent.",
)
@click.option(
    "--max-cameras",
    type=click.IntRange(1, 256),
    default=64,
    show_default=True,
    help="Largest number that is tried.",
)
@click.option("--seconds", type=SECONDS, default=20.0, show_default=True, help="Span of each try.")
@click.option("--json", "json_path", type=YAML_FILE, help="Also write the figures to this file.")
def bench_capacity(
    mode: Literal["both", "exact", "full"],
    slo_ms: float,
    json_path: Path | None,
    **demand: Any,
) -> None:
    """Find how many cameras this machine serves in time, by running more and more of them."""
    if json_path is not None:
        touch(json_path)

    from pipeline.capacity import Demand
    from pipeline.capacity import bench_capacity as measure
    from pipeline.capacity_report import Mode

    modes = get_args(Mode)[::-1] if mode == "both" else (mode,)
    asked = Demand(slo_s=slo_ms / 1e3, **demand)
    click.echo(measure(asked, modes, json_path=json_path, tell=_tell), nl=False)


def _tell(text: str) -> None:
    click.echo(text, err=True)
