"""Claims about pipeline.adjustment: what is changed in a bundle, and what is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.bundle import Bundle, load_bundle, save_bundle, untrained_bundle
from model.errors import EvaluationError
from model.evaluation.calibration import sigmoid
from model.evaluation.trimmed import WindowSet
from model.manifest import Calibration, Threshold
from pipeline.adjustment import calibrated, place_of, save, tuned
from pipeline.tuner import Tuned
from tests.replay_kit import MANIFEST

K = len(MANIFEST.labels)


def bundle_with(**changes: object) -> Bundle:
    return untrained_bundle(MANIFEST.model_copy(update=changes))


def overconfident(n: int = 4000) -> WindowSet:
    """Scores from logits three times too large; every label holds as often as the third says."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (n, K))
    targets = (rng.random((n, K)) < sigmoid(logits)).astype(np.float32)
    scores = sigmoid(3 * logits).astype(np.float32)
    groups = np.arange(n, dtype=np.int64) // 20
    return WindowSet(scores, targets, np.ones_like(targets), groups)


def test_overconfident_scores_are_brought_down() -> None:
    """The scale is found; the error after is of videos that were not seen."""
    changed, report, curves = calibrated(bundle_with(), overconfident())
    lines = changed.manifest.calibration
    assert [lines[label].scale for label in MANIFEST.labels] == pytest.approx([1 / 3] * K, rel=0.15)
    assert report["before"]["mean_ece"] > 0.08
    assert report["after"]["mean_ece"] < 0.03
    assert curves["after"].error < curves["before"].error
    assert changed.manifest.metrics["calibration"]["after"]["mean_ece"] < 0.03  # type: ignore[index,call-overload]


def test_a_second_calibration_goes_on_from_the_first() -> None:
    """The scores came from calibrated logits: scale and bias are those of both together."""
    once = {label: Calibration(scale=2.0, bias=1.0) for label in MANIFEST.labels}
    windows = overconfident(800)
    first, _, _ = calibrated(bundle_with(), windows)
    second, _, _ = calibrated(bundle_with(calibration=once), windows)
    for label in MANIFEST.labels:
        one, two = first.manifest.calibration[label], second.manifest.calibration[label]
        assert two.scale == pytest.approx(2 * one.scale)
        assert two.bias == pytest.approx(one.scale * 1.0 + one.bias)


def test_thresholds_of_the_old_scores_are_dropped() -> None:
    """They meant other scores."""
    thresholds = {"left": Threshold(on=0.9, off=0.1)}
    changed, _, _ = calibrated(bundle_with(thresholds=thresholds), overconfident(800))
    assert changed.manifest.thresholds == {}


def test_softmax_scores_get_one_temperature() -> None:
    """The same scale for all labels, no bias; the error is of the label that is chosen."""
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (4000, K))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(K, p=row) for row in chances])
    sharp = chances**3 / (chances**3).sum(axis=1, keepdims=True)
    targets = np.eye(K, dtype=np.float32)[truth]
    windows = WindowSet(
        sharp.astype(np.float32), targets, np.ones_like(targets), np.arange(4000, dtype=np.int64)
    )
    changed, report, _ = calibrated(bundle_with(activation="softmax"), windows)
    scales = {line.scale for line in changed.manifest.calibration.values()}
    assert len(scales) == 1
    assert scales.pop() == pytest.approx(1 / 3, rel=0.1)
    assert {line.bias for line in changed.manifest.calibration.values()} == {0.0}
    assert report["after"]["mean_ece"] < 0.05 < report["before"]["mean_ece"]


def test_tuned_limits_go_into_the_bundle() -> None:
    """With the budget and what it costs."""
    limits = {label: Threshold(on=0.7, off=0.3) for label in MANIFEST.labels}
    outcome = Tuned(limits, 0.0, 0.9, 0.8, 2.0, is_met=True, untuned=("tamper",))
    changed, report = tuned(bundle_with(), outcome, 1.0)
    assert changed.manifest.thresholds["left"] == limits["left"]
    assert report["thresholds"]["left"]["on"] == 0.7
    assert report["false_per_hour_95"] == pytest.approx(1.5, abs=0.01)
    assert changed.manifest.metrics["tuning"]["recall"] == 0.9  # type: ignore[index,call-overload]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_weights_are_stored_as_precisely_as_they_were(tmp_path: Path, dtype: type) -> None:
    """A bundle of halves stays one: its file does not double."""
    save_bundle(bundle_with(), tmp_path / "b", dtype)
    before = (tmp_path / "b" / "weights.npz").stat().st_size
    loaded = load_bundle(str(tmp_path / "b"))
    save(loaded.with_facts(version="2"), tmp_path / "b")
    again = load_bundle(str(tmp_path / "b"))
    assert (tmp_path / "b" / "weights.npz").stat().st_size == before
    assert again.manifest.version == "2"
    for name, array in loaded.weights.items():
        assert np.array_equal(array, again.weights[name])


def test_a_bundle_of_the_package_is_not_changed_in_place(tmp_path: Path) -> None:
    """Unless it is named by its path, or a place is given."""
    with pytest.raises(EvaluationError, match="say where the changed one goes with --to"):
        place_of("untrained", None)
    assert place_of("untrained", tmp_path / "new") == tmp_path / "new"
    save_bundle(bundle_with(), tmp_path / "b")
    assert place_of(str(tmp_path / "b"), None) == tmp_path / "b"
