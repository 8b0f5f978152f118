"""Golden scores: right weights pass, any other do not, and so for engines."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from model.bundle import Bundle
from model.errors import BundleError
from model.golden import activate, check_engine, check_weights, golden_clip, golden_of


def with_golden(bundle: Bundle) -> Bundle:
    golden = golden_of(bundle.manifest, bundle.weights, bundle.score_kernel, bundle.score_bias)
    manifest = bundle.manifest.model_copy(update={"golden": golden})
    return Bundle(manifest, bundle.weights, bundle.score_kernel, bundle.score_bias, bundle.sha256)


def test_the_golden_clip_moves_and_is_the_same_everywhere() -> None:
    """Pinned by its hash: engines and machines are compared on it."""
    clip = golden_clip(32, 64)
    assert clip.shape == (32, 64, 64, 3)
    assert clip.dtype == np.uint8
    assert hashlib.sha256(clip.tobytes()).hexdigest().startswith("a98b06fb78d7fe89850b277a6d6a")
    assert (np.abs(np.diff(clip.astype(int), axis=0)).max(axis=(1, 2, 3)) > 0).all()
    assert not np.array_equal(clip, golden_clip(32, 64, seed=1))


def test_the_weights_that_were_tested_pass_and_others_do_not(small_bundle: Bundle) -> None:
    """A small change of one array out of hundred is seen, and both sides are named."""
    good = with_golden(small_bundle)
    check_weights(good.manifest, good.weights, good.score_kernel, good.score_bias)
    bias = good.score_bias + np.float32(0.01)
    with pytest.raises(BundleError, match=r"logit \S+ on the golden clip, the manifest says \S+;"):
        check_weights(good.manifest, good.weights, good.score_kernel, bias)


def test_a_manifest_without_golden_scores_is_believed(small_bundle: Bundle) -> None:
    """Format 1 had none."""
    facts = small_bundle
    check_weights(facts.manifest, facts.weights, facts.score_kernel, facts.score_bias)
    check_engine(facts.manifest, np.zeros(11, np.float32), "float32")


def test_weights_that_give_no_number_get_no_golden_scores(small_bundle: Bundle) -> None:
    """They would never pass."""
    weights = {name: array * np.float32(1e30) for name, array in small_bundle.weights.items()}
    with pytest.raises(BundleError, match="not finite"):
        golden_of(
            small_bundle.manifest, weights, small_bundle.score_kernel, small_bundle.score_bias
        )


@pytest.mark.parametrize(("precision", "difference"), [("float32", 0.002), ("int8", 0.3)])
def test_an_engine_is_held_to_the_tolerance_of_its_precision(
    small_bundle: Bundle, precision: str, difference: float
) -> None:
    """The refusal names label, both scores and what to do."""
    manifest = with_golden(small_bundle).manifest
    assert manifest.golden is not None
    scores = np.array(manifest.golden.scores, np.float32)
    check_engine(manifest, scores + np.float32(difference / 4), precision)
    scores[2] += difference
    with pytest.raises(BundleError, match=r"scores up .*the manifest says.*model\.precision"):
        check_engine(manifest, scores, precision)
    with pytest.raises(BundleError, match="scores left nan"):
        check_engine(manifest, np.full(11, np.nan, np.float32), precision)


def test_both_activations_are_exact_and_never_overflow() -> None:
    """Sigmoids are independent, a softmax sums to 1."""
    logits = np.array([[-1000.0, 0.0, 2.0, 1000.0]], np.float32)
    sigmoid, softmax = activate(logits, "sigmoid"), activate(logits[:, :3], "softmax")
    np.testing.assert_allclose(sigmoid, [[0, 0.5, 1 / (1 + np.exp(-2)), 1]], rtol=1e-6)
    np.testing.assert_allclose(softmax, [[0, 1 / (1 + np.exp(2)), 1 / (1 + np.exp(-2))]], 1e-6)
    assert sigmoid.dtype == softmax.dtype == np.float32
