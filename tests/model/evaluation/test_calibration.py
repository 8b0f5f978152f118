"""Claims about model.evaluation.calibration: what was done to scores is undone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.evaluation.calibration import (
    EDGE,
    SCALES,
    calibration_figures,
    cross_fitted,
    fit_platt,
    fit_temperature,
    identity,
    log_scores,
    logits_of,
    negative_log_likelihood,
    reliability,
    sigmoid,
    softmax,
)

Floats = npt.NDArray[np.float32]


def drawn(
    n: int, scale: float, bias: float, seed: int = 0
) -> tuple[npt.NDArray[np.float64], Floats, Floats]:
    """True logits are scale * z + bias; return z and labels drawn from them."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 2, (n, 1))
    targets = (rng.random((n, 1)) < sigmoid(scale * z + bias)).astype(np.float32)
    return z, targets, np.ones_like(targets)


def test_scale_and_bias_are_found_again() -> None:
    """Overconfident by two and shifted by one."""
    found = fit_platt(*drawn(20_000, 0.5, -1.0))
    assert found.scale[0] == pytest.approx(0.5, abs=0.03)
    assert found.bias[0] == pytest.approx(-1.0, abs=0.05)


def test_calibration_makes_the_error_small() -> None:
    """Judged on windows whose group was not seen."""
    z, targets, weights = drawn(5000, 0.4, 0.5)
    before = calibration_figures(sigmoid(z), targets, weights)
    after = cross_fitted(z, targets, weights, np.arange(5000) // 50)
    found = calibration_figures(after, targets, weights)
    assert before["pooled_ece"] > 0.1
    assert found["pooled_ece"] < 0.03
    assert found["mean_nll"] < before["mean_nll"]


def test_few_examples_leave_scores_alone() -> None:
    """Nine positives are no basis; windows without weight are no examples."""
    z, targets, weights = drawn(200, 0.5, 0.0)
    targets[:] = 0
    targets[:9] = 1
    assert fit_platt(z, targets, weights).scale[0] == 1.0
    targets[:20] = 1
    weights[:15] = 0
    assert fit_platt(z, targets, weights).scale[0] == 1.0


def test_perfectly_separable_scores_stay_finite() -> None:
    """The targets lie slightly inside 0 and 1, and the scale is bounded."""
    z = np.linspace(-5, 5, 100)[:, None]
    targets = (z > 0).astype(np.float32)
    found = fit_platt(z, targets, np.ones_like(targets))
    assert SCALES[0] <= found.scale[0] <= SCALES[1]
    assert np.isfinite(found.bias[0])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.floats(0.1, 4), st.floats(-3, 3))
def test_calibration_never_changes_an_order(seed: int, scale: float, bias: float) -> None:
    """The scale is positive, whatever the data."""
    z, targets, weights = drawn(60, scale, bias, seed)
    found = fit_platt(z, 1 - targets if seed % 2 else targets, weights)
    assert found.scale[0] > 0
    assert (np.argsort(found.apply(z)[:, 0]) == np.argsort(z[:, 0])).all()


def test_a_temperature_is_found_again() -> None:
    """Labels drawn from half the logits: the scale is 1/2 for all classes, and there is no bias."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (8000, 4))
    chances = softmax(logits / 2)
    truth = np.array([rng.choice(4, p=row) for row in chances])
    found = fit_temperature(logits, truth)
    assert found.scale == pytest.approx([0.5] * 4, abs=0.02)
    assert (found.bias == 0).all()
    assert fit_temperature(logits[:5], truth[:5]).scale.tolist() == [1.0] * 4


def test_logits_are_those_of_the_scores() -> None:
    """Also of scores that float32 has rounded to 0 and 1."""
    scores = np.array([[0.0, 0.5, 1.0, 0.8]], np.float32)
    assert np.isfinite(logits_of(scores)).all()
    assert sigmoid(logits_of(scores)) == pytest.approx(scores.astype(float), abs=2 * EDGE)
    rows = np.array([[0.7, 0.2, 0.1]], np.float32)
    assert softmax(log_scores(rows)) == pytest.approx(rows.astype(float), abs=1e-6)
    assert identity(2).apply(logits_of(rows[:, :2])) == pytest.approx(logits_of(rows[:, :2]))


def test_the_error_of_bins_by_hand() -> None:
    """Bin 1: scores 0.1, shares 1/2, weight 2. Bin 14: score 0.95, share 1, weight 2."""
    scores = np.array([0.1, 0.1, 0.95, 0.95])
    bins = reliability(scores, np.array([0.0, 1.0, 1.0, 1.0]), np.ones(4))
    assert bins.weight[[1, 14]].tolist() == [2, 2]
    assert bins.error == pytest.approx((0.4 + 0.05) / 2)
    assert reliability(np.ones(1), np.ones(1), np.ones(1)).error == 0
    assert np.isnan(reliability(scores, scores, np.zeros(4)).error)


def test_weights_count_in_the_error_and_in_the_likelihood() -> None:
    """A window of weight 0 is not there."""
    scores, truth = np.array([0.8, 0.2]), np.array([1.0, 1.0])
    weights = np.array([1.0, 0.0])
    assert reliability(scores, truth, weights).error == pytest.approx(0.2)
    assert negative_log_likelihood(scores, truth, weights) == pytest.approx(-np.log(0.8))
    assert np.isnan(negative_log_likelihood(scores, truth, np.zeros(2)))


def test_one_group_is_fitted_on_itself() -> None:
    """There is no other to fit it on."""
    z, targets, weights = drawn(500, 0.5, 0.0)
    own = sigmoid(fit_platt(z, targets, weights).apply(z))
    assert cross_fitted(z, targets, weights, np.zeros(500, np.int64)) == pytest.approx(own)
