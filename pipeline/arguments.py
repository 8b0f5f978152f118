"""What several commands take: seconds, files, SOURCE arguments and where they come from.

In: what the operator typed. Out: checked values, and the configuration they make. Nothing heavy is
imported before a command needs it.
Invariant: a mistake of the operator becomes a `click` usage error or a `ConfigError`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.config import PipelineConfig

DEMO_SOURCES = ("synthetic:street", "synthetic:corridor")
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
YAML_FILE = click.Path(path_type=Path)


class Seconds(click.FloatRange):
    """A positive, finite number of seconds."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse infinity and not-a-number too, which pass every comparison."""
        seconds = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value} is not a finite number of seconds.", param, ctx)
        return seconds


SECONDS = Seconds()


def assemble(
    sources: tuple[str, ...], file: Path | None, options: dict[str, Any]
) -> PipelineConfig:
    """Make the configuration of a run from its arguments.

    Args:
        sources: SOURCE arguments.
        file: a configuration file.
        options: fields of `RunOptions`.

    Raises:
        ConfigError: both or neither of sources and file, or either is wrong.
    """
    from pipeline.configfile import RunOptions, from_sources, load_config

    if file is not None and sources:
        raise ConfigError("SOURCE arguments and --config exclude each other; give one of them")
    if file is not None:
        return load_config(file, RunOptions(**options))
    if not sources:
        raise ConfigError(
            "nothing to watch; give a SOURCE such as rtsp://camera/stream, webcam:0 or "
            "synthetic:street, or --config FILE"
        )
    return from_sources(sources, RunOptions(**options))


def touch(path: Path) -> None:
    """Find out before the measurement, not after it, that its result cannot be written."""
    try:
        path.touch()
    except OSError as err:
        raise ConfigError(
            f"--json {path}: {err.strerror}; give a file that can be written"
        ) from None
