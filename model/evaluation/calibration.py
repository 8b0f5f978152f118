"""Scores that mean what they say: a score of 0.8 is right in 8 of 10 cases.

In: scores and truth of a validation set. Out: for each label a scale and a bias on the logit
(Platt; one scale, no bias, for softmax: temperature), and figures before and after: negative log
likelihood and expected calibration error of 15 bins. A label with too few examples keeps its
scores, and so does one that would be no better.
Invariant: every scale is positive, so that no order of scores changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.evaluation.metric import Values

N_BINS = 15
MIN_EXAMPLES = 10
"""Positive and negative windows a label needs to be calibrated."""
EDGE = 1e-7
"""Scores are kept this far from 0 and 1 when they become logits: float32 ends there."""
SCALES = (0.05, 20.0)
"""Scales outside of this come from too few examples."""
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is done to the logits: logit * scale + bias.

    Attributes:
        scale: float64 (K,), positive.
        bias: float64 (K,).
    """

    scale: FloatArray
    bias: FloatArray

    def apply(self, logits: FloatArray) -> FloatArray:
        """Return the calibrated logits, (N, K)."""
        return logits * self.scale + self.bias


def identity(n_labels: int) -> Calibration:
    """Return the calibration that changes nothing."""
    return Calibration(np.ones(n_labels), np.zeros(n_labels))


def logits_of(scores: Values) -> FloatArray:
    """Return the logits of sigmoid scores (of softmax scores: up to a constant, their logs)."""
    from scipy.special import logit

    return np.asarray(logit(np.clip(scores.astype(np.float64), EDGE, 1 - EDGE)))


def log_scores(scores: Values) -> FloatArray:
    """Return logits of softmax scores; the constant that is lost changes no score."""
    return np.log(np.clip(scores.astype(np.float64), EDGE, 1.0))


def sigmoid(logits: FloatArray) -> FloatArray:
    """Return scores of logits."""
    from scipy.special import expit

    return np.asarray(expit(logits))


def softmax(logits: FloatArray) -> FloatArray:
    """Return scores of logits, each row adding up to 1."""
    from scipy.special import softmax as of

    return np.asarray(of(logits, axis=1))


def fit_platt(logits: FloatArray, targets: Values, weights: Values) -> Calibration:
    """Fit scale and bias of each label.

    Args:
        logits: (N, K).
        targets: (N, K), 0 or 1.
        weights: (N, K); 0 leaves the label of a window out.

    References:
        Platt 1999, with his targets slightly inside 0 and 1, so that separable scores stay finite.
    """
    found = identity(logits.shape[1])
    for label in range(logits.shape[1]):
        kept = weights[:, label] > 0
        truth = targets[kept, label] > 0.5
        if min(truth.sum(), (~truth).sum()) < MIN_EXAMPLES:
            continue
        scale, bias = _fit(logits[kept, label], truth, weights[kept, label].astype(np.float64))
        found.scale[label], found.bias[label] = scale, bias
    return found


def _fit(
    logits: FloatArray, truth: npt.NDArray[np.bool_], weights: FloatArray
) -> tuple[float, float]:
    from scipy.optimize import minimize

    n_on, n_off = truth.sum(), (~truth).sum()
    goal = np.where(truth, (n_on + 1) / (n_on + 2), 1 / (n_off + 2))

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        z = logits * parameters[0] + parameters[1]
        value = np.average(np.logaddexp(0, z) - goal * z, weights=weights)
        error = (sigmoid(z) - goal) * weights / weights.sum()
        return float(value), np.array([error @ logits, error.sum()])

    start = np.array([1.0, 0.0])
    bounds = [SCALES, (None, None)]
    result = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    is_better = loss(result.x)[0] < loss(start)[0]
    scale, bias = result.x if is_better else start
    return float(scale), float(bias)


def fit_temperature(logits: FloatArray, truth: npt.NDArray[np.int64]) -> Calibration:
    """Fit the one scale of softmax scores.

    Args:
        logits: (N, K).
        truth: int64 (N,), the label that holds.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    n_labels = logits.shape[1]
    if len(truth) < MIN_EXAMPLES:
        return identity(n_labels)
    rows = np.arange(len(truth))

    def loss(log_scale: float) -> float:
        return -float(log_softmax(logits * np.exp(log_scale), axis=1)[rows, truth].mean())

    result = minimize_scalar(loss, bounds=tuple(np.log(SCALES)), method="bounded")
    scale = float(np.exp(result.x)) if loss(result.x) < loss(0.0) else 1.0
    return Calibration(np.full(n_labels, scale), np.zeros(n_labels))


def cross_fitted(
    logits: FloatArray,
    targets: Values,
    weights: Values,
    groups: npt.NDArray[np.int64],
    n_folds: int = 5,
) -> FloatArray:
    """Return each window's scores by a calibration that has not seen its video.

    With fewer groups than folds there are as many folds as groups; a single group is fitted on
    itself, for want of another.
    """
    names = np.unique(groups)
    if len(names) < 2:
        return sigmoid(fit_platt(logits, targets, weights).apply(logits))
    from sklearn.model_selection import GroupKFold

    found = np.empty_like(logits)
    folds = GroupKFold(min(n_folds, len(names))).split(logits, groups=groups)
    for others, own in folds:
        fitted = fit_platt(logits[others], targets[others], weights[others])
        found[own] = sigmoid(fitted.apply(logits[own]))
    return found


@dataclass(frozen=True, slots=True)
class Bins:
    """A reliability curve.

    Attributes:
        score: float64 (B,), mean score in each bin; NaN in an empty one.
        share: float64 (B,), share of positives.
        weight: float64 (B,), total weight.
    """

    score: FloatArray
    share: FloatArray
    weight: FloatArray

    @property
    def error(self) -> float:
        """Return the expected calibration error: the weighted mean distance of score and share."""
        filled = self.weight > 0
        if not filled.any():
            return float("nan")
        distance = np.abs(self.score[filled] - self.share[filled])
        return float(np.average(distance, weights=self.weight[filled]))


def reliability(
    scores: FloatArray, truth: FloatArray, weights: FloatArray, n_bins: int = N_BINS
) -> Bins:
    """Sort scores into bins of equal width.

    Args:
        scores: (N,), 0..1.
        truth: (N,), 0 or 1.
        weights: (N,).
        n_bins: number of bins.
    """
    index = np.clip((scores * n_bins).astype(int), 0, n_bins - 1)
    weight = np.bincount(index, weights, n_bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(index, weights * scores, n_bins) / weight
        share = np.bincount(index, weights * truth, n_bins) / weight
    return Bins(mean, share, np.asarray(weight, np.float64))


def negative_log_likelihood(scores: FloatArray, truth: FloatArray, weights: FloatArray) -> float:
    """Return the weighted mean NLL of binary scores; NaN without any."""
    if not weights.sum() > 0:
        return float("nan")
    from sklearn.metrics import log_loss

    kept = weights > 0
    inside = np.clip(scores[kept], EDGE, 1 - EDGE)
    return float(log_loss(truth[kept], inside, sample_weight=weights[kept], labels=[0, 1]))


def calibration_figures(
    scores: FloatArray, targets: Values, weights: Values
) -> dict[str, list[float] | float]:
    """Return ECE and NLL: of each label, their means, and the ECE of all labels pooled."""
    columns = [
        (scores[:, k], targets[:, k].astype(np.float64), weights[:, k].astype(np.float64))
        for k in range(scores.shape[1])
    ]
    ece = [reliability(*column).error for column in columns]
    nll = [negative_log_likelihood(*column) for column in columns]
    pooled = [np.concatenate(parts) for parts in zip(*columns, strict=True)]
    return {
        "ece": ece,
        "nll": nll,
        "mean_ece": _mean(ece),
        "mean_nll": _mean(nll),
        "pooled_ece": reliability(pooled[0], pooled[1], pooled[2]).error,
    }


def _mean(values: list[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")
