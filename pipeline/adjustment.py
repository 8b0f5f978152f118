"""What `calibrate` and `tune` change in a bundle, and how it is written back.

In: a bundle with scored windows, or with tuned limits. Out: the bundle with a new calibration or
new thresholds, its figures before and after, and the files of the report.
Invariant: weights are never changed, and are stored as precisely as they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from model.bundle import Bundle, bundle_names, locate, save_bundle
from model.errors import EvaluationError
from model.evaluation.calibration import (
    Bins,
    Calibration,
    FloatArray,
    calibration_figures,
    cross_fitted,
    fit_platt,
    fit_temperature,
    log_scores,
    logits_of,
    reliability,
    sigmoid,
    softmax,
)
from model.evaluation.report import plain
from model.evaluation.trimmed import WindowSet
from pipeline.tuner import Tuned


def place_of(name_or_path: str, to: Path | None) -> Path:
    """Return where the changed bundle goes.

    Raises:
        EvaluationError: a bundle of this package is not changed in place.
    """
    if to is not None:
        return to
    if name_or_path in bundle_names():
        raise EvaluationError(
            f"bundle {name_or_path!r} comes with this package and is not changed in place;"
            " say where the changed one goes with --to FOLDER"
        )
    return locate(name_or_path)


def save(bundle: Bundle, path: Path) -> None:
    """Write a bundle with the precision its weights have.

    Raises:
        BundleError: it cannot be written.
    """
    halves = all(
        np.array_equal(array, array.astype(np.float16).astype(np.float32))
        for array in (*bundle.weights.values(), *(bundle.trained_scores or ()))
        if array.ndim > 1
    )
    save_bundle(bundle, path, np.float16 if halves else np.float32)


def calibrated(
    bundle: Bundle, windows: WindowSet
) -> tuple[Bundle, dict[str, Any], dict[str, Bins]]:
    """Calibrate a bundle.

    The figures after are of windows whose video the calibration had not seen (cross-fitted); the
    calibration itself is then fitted on all.

    Args:
        bundle: as loaded, perhaps calibrated before.
        windows: its scores on a validation set.

    Returns:
        the bundle with the new calibration (and without thresholds, which belong to the old
        scores), figures, and reliability before and after of all labels pooled.
    """
    facts = bundle.manifest
    fit = _softmax if facts.activation == "softmax" else _sigmoid
    calibration, before, after = fit(windows)
    old = [facts.calibration.get(label) for label in facts.labels]
    lines = {}
    for index, (label, was) in enumerate(zip(facts.labels, old, strict=True)):
        scale, bias = float(calibration.scale[index]), float(calibration.bias[index])
        first = (1.0, 0.0) if was is None else (was.scale, was.bias)
        # The scores came from logits that were scaled already.
        lines[label] = {"scale": first[0] * scale, "bias": first[1] * scale + bias}
    figures = {
        name: calibration_figures(*parts) for name, parts in (("before", before), ("after", after))
    }
    summary = {
        name: {key: one[key] for key in ("mean_ece", "pooled_ece", "mean_nll")}
        for name, one in figures.items()
    }
    metrics = dict(facts.metrics) | {"calibration": plain(summary)}
    changed = bundle.with_facts(calibration=lines, thresholds={}, metrics=metrics)
    counts = {"n_windows": len(windows.scores), "n_videos": windows.n_groups}
    report = {"labels": list(facts.labels), "calibration": lines, **figures, **counts}
    return changed, report, {"before": _pooled(before), "after": _pooled(after)}


Judged = tuple[FloatArray, Any, Any]
"""Scores, targets and weights, (N, K)."""


def _sigmoid(windows: WindowSet) -> tuple[Calibration, Judged, Judged]:
    logits = logits_of(windows.scores)
    truth = windows.targets, windows.weights
    after = cross_fitted(logits, *truth, windows.groups)
    return fit_platt(logits, *truth), (sigmoid(logits), *truth), (after, *truth)


def _softmax(windows: WindowSet) -> tuple[Calibration, Judged, Judged]:
    """Judge the score of the chosen label alone, as is usual for softmax."""
    logits, truth = log_scores(windows.scores), windows.targets.argmax(axis=1)
    fitted = fit_temperature(logits, truth)
    before, after = softmax(logits), np.empty_like(logits)
    halves = windows.groups % 2 == 0
    for own in (halves, ~halves):
        after[own] = softmax(fit_temperature(logits[~own], truth[~own]).apply(logits[own]))
    return fitted, _chosen(before, truth), _chosen(after, truth)


def _chosen(scores: FloatArray, truth: Any) -> Judged:
    is_right = (scores.argmax(axis=1) == truth).astype(np.float32)[:, None]
    return scores.max(axis=1, keepdims=True), is_right, np.ones_like(is_right)


def _pooled(judged: Judged) -> Bins:
    scores, targets, weights = judged
    return reliability(
        scores.ravel(), targets.ravel().astype(np.float64), weights.ravel().astype(np.float64)
    )


def tuned(bundle: Bundle, outcome: Tuned, budget: float) -> tuple[Bundle, dict[str, Any]]:
    """Put tuned limits into a bundle; return it and the report."""
    thresholds = {
        label: {
            "on": limit.on,
            "off": limit.off,
            "min_duration_s": limit.min_duration_s,
            "smoothing_s": limit.smoothing_s,
        }
        for label, limit in outcome.limits.items()
    }
    figures: Mapping[str, Any] = {
        "max_fa_per_hour": budget,
        "false_per_hour": outcome.false_per_hour,
        "false_per_hour_95": outcome.false_per_hour_limit,
        "recall": outcome.recall,
        "delay_p50_s": outcome.delay_p50_s,
        "hours": outcome.hours,
        "is_met": outcome.is_met,
        "untuned": list(outcome.untuned),
    }
    metrics = dict(bundle.manifest.metrics) | {"tuning": plain(figures)}
    changed = bundle.with_facts(thresholds=thresholds, metrics=metrics)
    return changed, {"thresholds": thresholds, **figures}
