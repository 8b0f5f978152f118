"""Manifests: defaults of older ones, and what must fit together."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from model.manifest import Golden, Manifest, Threshold

FACTS: dict[str, Any] = {
    "name": "m",
    "is_trained": True,
    "labels": ["left", "lighting"],
    "analysis_fps": 10,
    "hop": 4,
}


def test_a_manifest_of_format_1_means_what_it_meant() -> None:
    """Sigmoid, no calibration, no tuned limits, no golden scores."""
    old = Manifest.model_validate(FACTS | {"format": 1})
    assert old.activation == "sigmoid"
    assert (old.calibration, old.thresholds, old.golden) == ({}, {}, None)


def test_labels_that_are_called_like_nuisances_are_nuisances() -> None:
    """Unless the manifest says what they are for."""
    manifest = Manifest.model_validate(FACTS)
    assert [manifest.kind(label) for label in manifest.labels] == ["motion", "nuisance"]
    named = Manifest.model_validate(FACTS | {"kinds": {"left": "silent", "lighting": "motion"}})
    assert [named.kind(label) for label in named.labels] == ["silent", "motion"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"kinds": {"right": "motion"}}, "kinds names 'right'"),
        ({"thresholds": {"right": {}}}, "thresholds names 'right'"),
        ({"calibration": {"right": {}}}, "calibration names 'right'"),
        ({"thresholds": {"left": {"on": 0.3, "off": 0.5}}}, "must not be above on"),
        ({"calibration": {"left": {"scale": 0}}}, "calibration.left.scale"),
        ({"calibration": {"left": {"bias": float("nan")}}}, "calibration.left.bias"),
        ({"golden": {"logits": [0], "scores": [0, 0]}}, "golden.logits has 1 values for 2"),
        ({"golden": {"logits": [0, 0], "scores": [0, 0, 0]}}, "golden.scores has 3 values"),
        ({"golden": {"logits": [0, float("inf")], "scores": [0, 0]}}, "golden.logits.1"),
        ({"activation": "relu"}, "activation"),
        ({"units": 5000}, "units"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    """Strange labels, limits the wrong way round, other numbers of classes, no numbers."""
    with pytest.raises(ValidationError) as refused:
        Manifest.model_validate(FACTS | changes)
    first = refused.value.errors()[0]
    assert named in f"{'.'.join(map(str, first['loc']))} {first['msg']}"


def test_nothing_is_lost_on_the_way_through_json() -> None:
    """All new facts, too."""
    manifest = Manifest.model_validate(
        FACTS
        | {
            "activation": "softmax",
            "calibration": {"left": {"scale": 0.7, "bias": -0.2}},
            "thresholds": {"left": Threshold(on=0.7, off=0.5).model_dump()},
            "golden": Golden(logits=(0.1, 0.2), scores=(0.5, 0.5)).model_dump(),
            "metrics": {"map": 0.96, "per_label": {"left": [1, 2]}},
            "recipe": {"steps": 3000},
            "seeds": {"data": 1},
        }
    )
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest
