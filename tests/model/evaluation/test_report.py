"""Claims about model.evaluation.report: strict JSON, readable Markdown, early complaints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.errors import EvaluationError
from model.evaluation.detection import direction_figures, figures_of
from model.evaluation.matching import Alarm, Directions, match
from model.evaluation.report import (
    interval,
    markdown,
    number,
    plain,
    prepare_folder,
    table,
    write_json,
)
from model.evaluation.span import Span
from model.evaluation.trimmed import WindowSet, multi_label_report
from model.evaluation.truth import Course, Truth

NAN, INFINITY = float("nan"), float("inf")


def test_json_is_strict(tmp_path: Path) -> None:
    """What is no number is null; arrays and tuples are lists."""
    value = {"a": NAN, "b": np.array([1.0, INFINITY]), "c": (np.float32(0.5), np.int64(2), "x")}
    assert plain(value) == {"a": None, "b": [1.0, None], "c": [0.5, 2, "x"]}
    write_json(value, tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text())["a"] is None


def test_a_folder_that_cannot_be_had_is_one_sentence(tmp_path: Path) -> None:
    """Before anything is computed; a good one stays empty."""
    (tmp_path / "file").touch()
    with pytest.raises(EvaluationError, match=r"--out .*; give a folder that can be written"):
        prepare_folder(tmp_path / "file" / "inner")
    prepare_folder(tmp_path / "new" / "folder")
    assert list((tmp_path / "new" / "folder").iterdir()) == []
    with pytest.raises(EvaluationError, match="cannot be written"):
        write_json({}, tmp_path / "no" / "r.json")


def test_numbers_for_people() -> None:
    """A dash for what could not be computed, a word for what never happens."""
    assert [number(v) for v in (0.5, NAN, INFINITY, 3, None)] == ["0.500", "-", "never", "3", "-"]
    assert interval({"value": 0.5, "low": 0.4, "high": 0.6}, 1) == "0.5 (0.4 to 0.6)"
    assert interval({"value": 0.5, "low": NAN, "high": NAN}, 1) == "0.5"
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


def events() -> dict[str, Any]:
    course = Course((Span(10, 14),), (Span(20, 3620),))
    one = match([Alarm("left", Span(10, 14), 11)], course, Truth("v", 3620.0, {}))
    figures = figures_of([one], n_rounds=0).as_json()
    rates = {"1": {"value": 0.25, "low": NAN, "high": NAN}}
    return {
        "any": figures,
        "motion_gate": figures,
        "labels": {"left": figures},
        "directions": direction_figures([Directions(5, 6, 6)]),
        "miss_rate_at": rates,
        "motion_gate_miss_rate_at": rates,
        "videos": [
            {
                "name": "door",
                "n_told": 11,
                "n_events": 12,
                "n_direction_right": 5,
                "n_directed": 6,
                "n_false": 0,
                "n_raised_in_empty": 1,
                "n_reaching_into_empty": 2,
            }
        ],
    }


def test_many_videos_are_not_listed_one_by_one() -> None:
    """The JSON has them all."""
    few = events()
    many = few | {"videos": few["videos"] * 31}
    bundle = {"name": "m", "version": "1", "frames": 8, "size_px": 32, "analysis_fps": 10.0}
    head = {"bundle": bundle | {"hop": 4, "sha256": "0" * 64}, "trimmed": {}}
    assert "| door |" in markdown(head | {"untrimmed": {"files": few}})
    assert "| door |" not in markdown(head | {"untrimmed": {"files": many}})


def test_the_report_for_people_shows_every_part() -> None:
    """Windows, events, nuisances, pictures."""
    scores = np.array([[0.9], [0.1]], np.float32)
    targets = np.array([[1], [0]], np.float32)
    windows = WindowSet(scores, targets, np.ones_like(scores), np.arange(2))
    gate = {"value": 9.0, "low": 8.0, "high": 10.0}
    report = {
        "bundle": {
            "name": "motion-events",
            "version": "1",
            "frames": 32,
            "size_px": 112,
            "analysis_fps": 10.0,
            "hop": 4,
            "sha256": "ab" * 32,
        },
        "trimmed": {
            "rendered": multi_label_report(windows, ["left"], {"motion": [0]}, np.array([0.5]))
        },
        "untrimmed": {"files": events()},
        "nuisances": {
            "hours": 0.5,
            "recall": 0.9,
            "false_per_hour": gate,
            "at_equal_recall": [
                {
                    "recall": 0.9,
                    "model_false_per_hour": 1.0,
                    "motion_gate_false_per_hour": INFINITY,
                }
            ],
            "by_kind": {
                "lighting": {"model_false_per_hour": gate, "motion_gate_false_per_hour": gate}
            },
        },
        "pictures": ["files-det.png"],
    }
    text = markdown(report)
    assert "# Evaluation of motion-events 1" in text
    assert "| mAP, motion | 1.000 (1.000 to 1.000) |" in text
    assert "| direction right | 5 of 6 (6 told) | - |" in text
    assert "| door | 11 of 12 | 5 of 6 | 0 | 1 | 2 |" in text
    assert "| miss rate at 1 false alarms an hour | 0.250 | 0.250 |" in text
    assert "| 0.900 | 1.00 | never |" in text
    assert "| lighting | 9.00 (8.00 to 10.00) | 9.00 (8.00 to 10.00) |" in text
    assert "![files-det](files-det.png)" in text
