"""What the detector goes by: operator over bundle over defaults."""

from __future__ import annotations

from typing import Any

import pytest

from model.manifest import Manifest
from pipeline.config import DetectorConfig
from pipeline.limits import rules_of


def manifest(**changes: Any) -> Manifest:
    facts = {"name": "m", "is_trained": True, "labels": ("left", "up", "camera"), "hop": 4}
    return Manifest.model_validate({"analysis_fps": 10, **facts, **changes})


TUNED = manifest(
    thresholds={"left": {"on": 0.8, "off": 0.7, "min_duration_s": 0.1, "smoothing_s": 0.9}}
)


def test_without_a_bundle_the_defaults_hold() -> None:
    """As they always were, for every label and for motion."""
    rules = rules_of(DetectorConfig())
    assert (rules.motion.on, rules.motion.off) == (0.5, 0.25)
    for limits in (rules.limits("left"), rules.motion):
        assert (limits.min_duration_s, limits.smoothing_s) == (0.3, 0.3)
        assert (limits.quiet_s, limits.update_s) == (1.5, 5.0)
    assert (rules.limits("left").on, rules.limits("left").off) == (0.6, 0.4)
    assert rules.kind("anything") == "motion"


def test_a_bundle_brings_the_limits_of_its_labels() -> None:
    """Labels it does not name, and motion, keep the defaults."""
    rules = rules_of(DetectorConfig(), TUNED)
    left = rules.limits("left")
    assert (left.on, left.off, left.min_duration_s, left.smoothing_s) == (0.8, 0.7, 0.1, 0.9)
    assert rules.limits("up").on == 0.6
    assert rules.motion.smoothing_s == 0.3
    assert (rules.kind("left"), rules.kind("camera")) == ("motion", "nuisance")


def test_what_the_operator_set_wins() -> None:
    """Value by value."""
    config = DetectorConfig(score_on=0.9, min_duration_s=1.0)
    left = rules_of(config, TUNED).limits("left")
    assert (left.on, left.off, left.min_duration_s, left.smoothing_s) == (0.9, 0.7, 1.0, 0.9)


@pytest.mark.parametrize(
    ("set_by_hand", "on", "off"), [({"score_on": 0.5}, 0.5, 0.5), ({"score_off": 0.9}, 0.9, 0.9)]
)
def test_off_is_never_above_on(set_by_hand: dict[str, float], on: float, off: float) -> None:
    """Half of a pair from the operator, half from the bundle: the operator's half stays."""
    left = rules_of(DetectorConfig(**set_by_hand), TUNED).limits("left")
    assert (left.on, left.off) == (on, off)


@pytest.mark.parametrize(
    ("wish", "is_trained", "gate"),
    [
        ("auto", False, "raise"),
        ("auto", True, "confirm"),
        ("always", True, "raise"),
        ("never", True, "never"),
        ("never", False, "never"),
    ],
)
def test_the_gate_raises_events_where_nobody_knows_better(
    wish: Any, is_trained: bool, gate: str
) -> None:
    """Or where the operator says so."""
    config = DetectorConfig(motion_events=wish)
    assert rules_of(config, manifest(is_trained=is_trained)).gate == gate
