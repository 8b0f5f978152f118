"""The commands: what the operator typed in, an exit code and readable sentences out.

Nothing heavy is imported before a command needs it, so that `bresnet --help` is instant. Exit
codes: 0 done or stopped on request, 1 our fault, 2 the operator's input, 130 interrupted before
anything ran.
Invariant: an operator's mistake is one line on stderr, without traceback or credentials.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import click

from model.errors import (
    BundleError,
    DataError,
    EngineUnavailableError,
    EvaluationError,
    TrainingError,
)
from pipeline.arguments import CONTEXT, DEMO_SOURCES, SECONDS, YAML_FILE, assemble
from pipeline.benches import bench
from pipeline.bundles import bundle_group
from pipeline.datasets import data
from pipeline.errors import ConfigError
from pipeline.evaluations import calibrate, evaluate, tune
from pipeline.title import hide_arguments
from pipeline.training import train
from streamer.redact import redact

if TYPE_CHECKING:
    from pipeline.config import PipelineConfig


OPERATOR_ERRORS = (
    ConfigError,
    BundleError,
    DataError,
    EngineUnavailableError,
    EvaluationError,
    TrainingError,
)


class Commands(click.Group):
    """The command group: turns what the operator got wrong into one sentence and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; mistakes of the operator end here, a bug keeps its traceback."""
        sys.excepthook = _print_bug
        hide_arguments()
        try:
            return super().invoke(ctx)
        except OPERATOR_ERRORS as err:
            from pipeline.complaint import one_line

            click.echo(f"error: {one_line(str(err))}", err=True)
            ctx.exit(2)
        except click.UsageError as err:
            # click quotes what was typed, which may be an address with a password.
            raise click.UsageError(redact(err.format_message()), ctx=err.ctx) from None
        except KeyboardInterrupt:
            ctx.exit(130)


def _print_bug(_kind: type[BaseException], err: BaseException, _at: TracebackType | None) -> None:
    """Print the traceback of a bug: messages of libraries in it may quote an address."""
    click.echo(redact("".join(traceback.format_exception(err))), err=True, nl=False)


@click.group(cls=Commands, context_settings=CONTEXT)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda ctx, _, is_asked: _print_version(ctx) if is_asked else None,
    help="Show the version and exit.",
)
def main() -> None:
    """Watch cameras live: motion and activity events, with latency figures."""


def _print_version(ctx: click.Context) -> None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("bresnet-stream")
    except PackageNotFoundError:
        number = "(run from its sources, not installed)"
    click.echo(f"bresnet {number}")
    ctx.exit()


@main.command()
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option("--config", "file", type=YAML_FILE, help="YAML file instead of SOURCE arguments.")
@click.option("--loop", is_flag=True, help="Start files again at their end.")
@click.option(
    "--realtime/--fast",
    "is_realtime",
    default=None,
    help="Play files and synthetic scenes as a camera would (default), or as quickly as possible.",
)
@click.option("--json", "is_json", is_flag=True, help="Print events as JSON lines, no table.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Least serious log lines that go to stderr.",
)
@click.option("--duration", type=SECONDS, metavar="S", help="End by itself after S seconds.")
@click.option("--host", help="Address of the HTTP server.")
@click.option("--port", type=int, help="Port of the HTTP server; 0 takes a free one.")
@click.option(
    "--gate", type=click.Choice(["off", "skip"]), help="Infer static scenes, or skip them."
)
@click.option("--fps", type=float, help="Frames per second the model sees.")
@click.option("--hop", type=int, help="Frames between two windows.")
@click.option("--bundle", help="Name of a built-in bundle, or path of one.")
@click.option(
    "--engine", type=click.Choice(["tensorflow", "openvino"]), help="Runtime of the network."
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16", "int8"]),
    help="Precision of the engine; int8 with openvino alone, and only close to the network.",
)
def run(
    sources: tuple[str, ...],
    file: Path | None,
    is_json: bool,
    log_level: str,
    duration: float | None,
    is_realtime: bool | None,
    **options: Any,
) -> None:
    """Analyse cameras, files or scenes until Ctrl-C or their end.

    SOURCE is rtsp://..., rtsps://..., http(s)://... (MJPEG, HLS, mp4), a file, webcam:N,
    /dev/videoN or synthetic:NAME.
    """
    pace = None if is_realtime is None else ("realtime" if is_realtime else "fast")
    config = assemble(sources, file, {**options, "pace": pace})
    _run(config, "json" if is_json else "table", duration, log_level)


@main.command()
@click.option("--duration", type=SECONDS, metavar="S", help="End by itself after S seconds.")
@click.option("--port", type=int, help="Port of the HTTP server; 0 takes a free one.")
def demo(duration: float | None, port: int | None) -> None:
    """Watch two rendered scenes: no camera needed."""
    _run(assemble(DEMO_SOURCES, None, {"port": port}), "table", duration, "info")


def _run(
    config: PipelineConfig,
    output: Literal["table", "json"],
    duration: float | None,
    log_level: str,
) -> None:
    from pipeline.runner import run_pipeline

    code = run_pipeline(config, output=output, duration_s=duration, log_level=log_level)
    click.get_current_context().exit(code)


@main.group("config", context_settings=CONTEXT)
def config_group() -> None:
    """Check and show configuration files."""


@config_group.command("check")
@click.argument("file", type=YAML_FILE)
def config_check(file: Path) -> None:
    """Say whether FILE is good; list every problem otherwise. No camera is opened."""
    from pipeline.complaint import one_line
    from pipeline.configfile import check_config

    problems = check_config(file)
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    if problems:
        click.get_current_context().exit(2)
    click.echo(one_line(f"{file}: good"))


@config_group.command("show")
@click.argument("file", type=YAML_FILE)
def config_show(file: Path) -> None:
    """Print the effective configuration of FILE, defaults included, secrets hidden."""
    from pipeline.configfile import load_config, show

    click.echo(show(load_config(file)), nl=False)


@config_group.command("schema")
def config_schema() -> None:
    """Print the JSON Schema of configuration files, for editors."""
    from pipeline.configfile import schema

    click.echo(schema(), nl=False)


@main.command()
@click.option(
    "--size", type=click.IntRange(1, 4096), default=256, show_default=True, help="Side, px."
)
@click.option(
    "--frames", type=click.IntRange(1, 4096), default=32, show_default=True, help="Frames."
)
@click.option(
    "--units", type=click.IntRange(1, 65536), default=256, show_default=True, help="Embedding."
)
def summary(size: int, frames: int, units: int) -> None:
    """Print the layers of the network with shapes, parameters and cost."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from model.spec import layer_table

    rows = layer_table(frames, size, units)
    table = Table(title=f"BResNet162 (2+1)D, {frames} frames of {size}x{size}", box=box.SIMPLE)
    table.add_column("stage", no_wrap=True)
    table.add_column("what")
    for heading in ("output", "weights", "BatchNorm", "MMACs"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        shape = "x".join(str(length) for length in row.output)
        numbers = (f"{row.conv_params:,}", f"{row.norm_params:,}", f"{row.macs / 1e6:,.1f}")
        table.add_row(row.name, row.definition, shape, *numbers)
    weights, norm = (
        sum(getattr(row, name) for row in rows) for name in ("conv_params", "norm_params")
    )
    console = Console()
    if not console.is_terminal:
        console.width = 110  # a pipe has no width of its own: do not fold the table
    console.print(table)
    macs = sum(row.macs for row in rows)
    console.print(f"Parameters without BatchNorm (as published): {weights:,}", highlight=False)
    console.print(
        f"Parameters with BatchNorm: {weights + norm:,} ({weights + norm // 2:,} trainable)",
        highlight=False,
    )
    console.print(f"Cost of a window: {macs / 1e9:,.2f} GMACs", highlight=False)


@main.command()
@click.option("--json", "is_json", is_flag=True, help="Print one JSON object.")
@click.option("--port", type=click.IntRange(1, 65535), default=8080, help="Port to try.")
def doctor(is_json: bool, port: int) -> None:
    """Say what works here: versions, CPU, engines, webcams, ports; exit code 1 if one fails."""
    from pipeline.doctor import diagnose, report

    if not is_json:
        click.echo("trying the engines, which takes a while ...", err=True)
    checks = diagnose(port)
    click.echo(report(checks, is_json=is_json))
    click.get_current_context().exit(int(any(check.verdict == "fail" for check in checks)))


for command in (bench, bundle_group, data, train, calibrate, tune, evaluate):
    main.add_command(command)
