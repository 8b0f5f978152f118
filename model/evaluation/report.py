"""An evaluation as text: JSON for programs, Markdown for people.

In: plain values as `bresnet evaluate` collects them. Out: files. What could not be computed is null
in JSON and a dash in Markdown.
Invariant: the JSON is strict: no NaN and no infinity.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model.errors import EvaluationError

Values = Mapping[str, Any]
MOST_VIDEOS = 30
"""More videos of a group than this are not listed one by one for people."""


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: spans and tuples as lists, NaN and infinity as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(report: Values, path: Path) -> None:
    """Write a report.

    Raises:
        EvaluationError: the file cannot be written.
    """
    write_text(json.dumps(plain(report), indent=1, allow_nan=False) + "\n", path)


def write_text(text: str, path: Path) -> None:
    """Write a text.

    Raises:
        EvaluationError: the file cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as err:
        raise EvaluationError(f"{path} cannot be written: {err.strerror}") from err


def prepare_folder(path: Path) -> None:
    """Make the folder of a report, before anything is computed.

    Raises:
        EvaluationError: it cannot be had.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".bresnet-probe"
        probe.touch()
        probe.unlink()
    except OSError as err:
        raise EvaluationError(
            f"--out {path}: {err.strerror}; give a folder that can be written"
        ) from err


def number(value: Any, digits: int = 3) -> str:
    """Show a figure."""
    if not isinstance(value, int | float) or math.isnan(value):
        return "-"
    if math.isinf(value):
        return "never"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)


def interval(value: Values, digits: int = 3) -> str:
    """Show a figure with its limits."""
    text = number(value["value"], digits)
    if not math.isfinite(value["low"]):
        return text
    return f"{text} ({number(value['low'], digits)} to {number(value['high'], digits)})"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def markdown(report: Values) -> str:
    """Return a report of `bresnet evaluate` for people."""
    bundle = report["bundle"]
    parts = [
        f"# Evaluation of {bundle['name']} {bundle['version']}\n",
        f"{bundle['frames']} frames of {bundle['size_px']} px at {bundle['analysis_fps']:g} fps,"
        f" a window every {bundle['hop']} frames; weights {bundle['sha256'][:12]}. In brackets:"
        " 95 % intervals, drawn by video.\n",
    ]
    parts += [_windows(name, one) for name, one in report["trimmed"].items()]
    parts += [_events(name, one) for name, one in report["untrimmed"].items()]
    if nuisances := report.get("nuisances"):
        parts.append(_nuisances(nuisances))
    if pictures := report.get("pictures"):
        parts.append("\n".join(f"![{Path(p).stem}]({p})" for p in pictures) + "\n")
    return "\n".join(parts)


def _windows(name: str, one: Values) -> str:
    figures = [
        [f"mAP, {group}", interval(value)] for group, value in one["mean_average_precision"].items()
    ]
    named = (("top1", "top-1"), ("top5", "top-5"), ("mean_class_accuracy", "mean class accuracy"))
    figures += [[text, interval(one[key])] for key, text in named if key in one]
    rows = [
        [
            label,
            number(one["average_precision"][label]),
            *(number(row[key]) for key in ("precision", "recall", "f1")),
            f"{row['n_positive']} of {row['n']}",
        ]
        for label, row in one["labels"].items()
    ]
    heads = ["label", "AP", "precision", "recall", "F1", "positive windows"]
    title = f"## Windows: {name}\n\n{one['n_windows']} windows of {one['n_videos']} videos.\n"
    return "\n".join([title, table(["figure", ""], figures), table(heads, rows)])


_EVENT_ROWS = (
    ("recall", "recall (told inside)"),
    ("recall_covered", "recall (alarm goes on)"),
    ("precision", "precision"),
    ("f1", "F1"),
    ("false_per_hour", "false alarms an hour"),
    ("delay_p50_s", "time to detect, median, s"),
    ("delay_p90_s", "time to detect, 90 %, s"),
    ("repeats", "repeated alarms an event"),
    ("fragmented", "fragmented events"),
)


def _events(name: str, one: Values) -> str:
    rows = [
        [text, interval(one["any"][key]), interval(one["motion_gate"][key])]
        for key, text in _EVENT_ROWS
    ]
    counts = (
        ("n_events", "events"),
        ("n_told", "told inside"),
        ("n_false", "false alarms"),
        ("n_overstaying", "alarms that go on too long"),
        ("n_raised_in_empty", "alarms raised in empty spans"),
        ("n_reaching_into_empty", "alarms reaching into empty spans"),
    )
    rows += [
        [text, *(number(int(one[who]["counts"][key])) for who in ("any", "motion_gate"))]
        for key, text in counts
    ]
    rows += [
        [f"miss rate at {budget} false alarms an hour", interval(value), interval(gate)]
        for (budget, value), gate in zip(
            one["miss_rate_at"].items(), one["motion_gate_miss_rate_at"].values(), strict=True
        )
    ]
    told = one["directions"]
    rows.append(
        ["direction right", f"{told['n_right']} of {told['n']} ({told['n_told']} told)", "-"]
    )
    labels = [
        [label, number(int(own["counts"]["n_events"]))]
        + [interval(own[key]) for key in ("recall", "precision", "f1", "false_per_hour")]
        + [interval(own["delay_p50_s"])]
        for label, own in one["labels"].items()
    ]
    heads = ["label", "events", "recall", "precision", "F1", "false an hour", "delay, s"]
    hours = one["any"]["counts"]["watched_s"] / 3600
    empty = one["any"]["counts"]["empty_s"] / 3600
    title = (
        f"## Events: {name}\n\n{len(one['videos'])} videos, {hours:.2f} hours,"
        f" {empty:.2f} of them without motion.\n"
    )
    first = table(["motion of any kind", "bundle", "motion gate alone"], rows)
    parts = [title, first, table(heads, labels)]
    if len(one["videos"]) <= MOST_VIDEOS:
        parts.append(_videos(one["videos"]))
    return "\n".join(parts)


def _videos(videos: Sequence[Values]) -> str:
    heads = ["video", "told inside", "direction right", "false", "raised in empty", "reach into it"]
    rows = [
        [
            video["name"],
            f"{video['n_told']} of {video['n_events']}",
            f"{video['n_direction_right']} of {video['n_directed']}",
            *(
                str(video[f"n_{key}"])
                for key in ("false", "raised_in_empty", "reaching_into_empty")
            ),
        ]
        for video in videos
    ]
    return table(heads, rows)


def _nuisances(one: Values) -> str:
    rows = [
        [
            number(row["recall"]),
            number(row["model_false_per_hour"], 2),
            number(row["motion_gate_false_per_hour"], 2),
        ]
        for row in one["at_equal_recall"]
    ]
    kinds = [
        [
            kind,
            interval(row["model_false_per_hour"], 2),
            interval(row["motion_gate_false_per_hour"], 2),
        ]
        for kind, row in one["by_kind"].items()
    ]
    title = (
        f"## Nuisances without any object\n\n{one['hours']:.2f} hours; at the bundle's own limits"
        f" {interval(one['false_per_hour'], 2)} false alarms an hour at a recall of"
        f" {number(one['recall'])} on rendered objects.\n"
    )
    heads = ["recall on objects", "bundle: false an hour", "motion gate: false an hour"]
    by_kind = ["kind, at own limits", *heads[1:]]
    return "\n".join([title, table(heads, rows), table(by_kind, kinds)])
