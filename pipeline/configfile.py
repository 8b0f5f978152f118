"""A configuration file or SOURCE arguments in, a validated `PipelineConfig` out; and back to text.

The only place that reads configuration files and the environment. What is wrong becomes
`ConfigError`: one sentence with file and line (or option), key, value and remedy.
Invariant: what `show` prints can be fed back, except that credentials are hidden.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from pipeline.complaint import Place, complaints, one_line
from pipeline.config import PipelineConfig
from pipeline.environment import remember_address
from pipeline.errors import ConfigError
from pipeline.yamlfile import KeyPath, read_yaml
from streamer.config import parse_source
from streamer.redact import redact


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line sets on top of a file or SOURCE arguments; None leaves a value alone.

    Attributes:
        loop: files begin again at their end (SOURCE arguments only).
        pace: of files and synthetic scenes (SOURCE arguments only).
        gate: analysis.gate.
        fps: analysis.fps.
        hop: analysis.hop.
        bundle: model.bundle.
        engine: model.engine.
        precision: model.precision.
        host: http.host.
        port: http.port.
    """

    loop: bool = False
    pace: Literal["realtime", "fast"] | None = None
    gate: str | None = None
    fps: float | None = None
    hop: int | None = None
    bundle: str | None = None
    engine: str | None = None
    precision: str | None = None
    host: str | None = None
    port: int | None = None


_SECTIONS = {
    "gate": "analysis",
    "fps": "analysis",
    "hop": "analysis",
    "bundle": "model",
    "engine": "model",
    "precision": "model",
    "host": "http",
    "port": "http",
}
"""Section of the configuration each option belongs to."""


def load_config(
    path: Path, options: RunOptions = RunOptions(), environment: Mapping[str, str] = os.environ
) -> PipelineConfig:
    """Read and validate a configuration file.

    Args:
        path: YAML; file sources in it start at the current folder.
        options: what the command line overrides.
        environment: values of `${NAME}`.

    Returns:
        the validated configuration.

    Raises:
        ConfigError: one sentence that names file, line, key, value and remedy, and how many
            further problems there are.
    """
    found = _from_file(path, options, environment)
    if isinstance(found, PipelineConfig):
        return found
    more = f" (and {len(found) - 1} more: bresnet config check {path} lists all)"
    raise ConfigError(found[0] + (one_line(more) if len(found) > 1 else ""))


def check_config(path: Path, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return every problem of a configuration file, one sentence each; empty where it is good.

    Cameras and files that it names are not opened: when it runs, each camera's state tells.
    """
    try:
        found = _from_file(path, RunOptions(), environment)
    except ConfigError as err:
        return (one_line(str(err)),)
    return () if isinstance(found, PipelineConfig) else found


def from_sources(sources: Sequence[str], options: RunOptions = RunOptions()) -> PipelineConfig:
    """Make a configuration from SOURCE arguments.

    Args:
        sources: rtsp(s)://..., http(s)://..., webcam:N, /dev/videoN, synthetic:NAME or file
            paths; at least one.
        options: what else the command line says.

    Returns:
        the configuration; camera ids come from scene names and file stems (cam0, cam1, ... for
        addresses).

    Raises:
        ConfigError: a source is malformed, or an option does not go with it.
    """
    places: dict[KeyPath, Place] = {}
    cameras: list[dict[str, Any]] = []
    for index, text in enumerate(sources):
        place = Place(f"source {redact(text)!r}", is_option=True)
        places["cameras", index] = place
        remember_address(text)
        try:
            source = parse_source(text, loop=options.loop, pace=options.pace or "realtime")
        except ValueError as err:
            raise ConfigError(one_line(str(err))) from None
        _refuse_conflict(source, place.text, options)
        taken = {camera["id"] for camera in cameras}
        cameras.append({"id": _camera_id(source, index, taken), "source": source})
    found = _validated({"cameras": cameras}, places, options)
    if isinstance(found, PipelineConfig):
        return found
    raise ConfigError(found[0])


def show(config: PipelineConfig) -> str:
    """Return the effective configuration as YAML, with credentials hidden."""
    plain = _hidden(config.model_dump(mode="json"))
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)


def schema() -> str:
    """Return the JSON Schema of configuration files: sorted, indented, newline at the end."""
    described = PipelineConfig.model_json_schema()
    described["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    described["title"] = "bresnet-stream configuration"
    return json.dumps(described, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _from_file(
    path: Path, options: RunOptions, environment: Mapping[str, str]
) -> PipelineConfig | tuple[str, ...]:
    if options.loop or options.pace:
        raise ConfigError(
            "--loop, --realtime and --fast go with SOURCE arguments; with --config write "
            "`loop: true` or `pace: fast` into the file's source"
        )
    data, lines = read_yaml(path, environment)
    name = one_line(str(path))
    if data is None:
        raise ConfigError(f"{name}: is empty; it needs at least `cameras:` with one camera")
    if not isinstance(data, dict):
        raise ConfigError(f"{name}:{lines[()]}: must be a mapping that begins with `cameras:`")
    return _validated(data, {at: Place(f"{name}:{line}") for at, line in lines.items()}, options)


def _validated(
    data: dict[str, Any], places: dict[KeyPath, Place], options: RunOptions
) -> PipelineConfig | tuple[str, ...]:
    for option, section in _SECTIONS.items():
        value = getattr(options, option)
        inner = data.setdefault(section, {}) if value is not None else None
        if isinstance(inner, dict):
            inner[option] = value
            places[section, option] = Place(f"--{option}", is_option=True)
    try:
        return PipelineConfig.model_validate(data)
    except ValidationError as err:
        return complaints(err, PipelineConfig, data, places)


def _refuse_conflict(source: Mapping[str, Any], name: str, options: RunOptions) -> None:
    kind = source["kind"]
    if options.loop and kind not in ("file", "synthetic"):
        raise ConfigError(one_line(f"--loop is for files, {name} is live; leave --loop out"))
    if options.pace == "fast" and kind not in ("file", "synthetic"):
        raise ConfigError(
            one_line(
                f"--fast is for files and synthetic scenes, {name} comes at its own pace; "
                "leave --fast out"
            )
        )


def _camera_id(source: Mapping[str, Any], index: int, taken: set[str]) -> str:
    named = {
        "file": Path(source.get("path", "")).stem,
        "synthetic": source.get("name", ""),
        "webcam": Path(source.get("device", "")).name,
    }
    wish = re.sub(r"[^A-Za-z0-9_-]+", "-", named.get(source["kind"], "")).strip("-_")[:32]
    wish = wish or f"cam{index}"
    suffixes = [""] + [f"-{number}" for number in range(2, len(taken) + 2)]
    return next(
        name for suffix in suffixes if (name := wish[: 32 - len(suffix)] + suffix) not in taken
    )


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _hidden(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_hidden(inner) for inner in value]
    return redact(value) if isinstance(value, str) else value
