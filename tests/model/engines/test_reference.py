"""The judge of engines: what it runs and when it says no."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from model.bundle import Bundle
from model.engines.reference import disagreement, probe_clips, reference_outputs


def result(*scores: float, embedding: float = 1.0) -> tuple[Any, Any]:
    return np.array([scores], np.float32), np.array([[embedding, -2.0]], np.float32)


def test_the_reference_is_the_keras_network(small_bundle: Bundle, small_network: Any) -> None:
    """Embeddings are those of the network on pixels in [0, 1]; scores are one layer above."""
    clips = probe_clips(small_bundle)
    scores, embeddings = reference_outputs(small_bundle, clips)
    expected = np.array(small_network(clips.astype(np.float32) / 255, training=False))
    np.testing.assert_allclose(embeddings, expected, rtol=1e-5, atol=1e-6)
    assert scores.shape == (2, 11)
    assert ((scores > 0) & (scores < 1)).all()


def test_probes_are_not_constant(small_bundle: Bundle) -> None:
    """Every frame and every border differs from its neighbour."""
    random, golden = probe_clips(small_bundle)
    assert random.std() > 60
    assert (np.abs(np.diff(golden.astype(int), axis=0)).sum(axis=(1, 2, 3)) > 0).all()


def test_a_difference_is_relative_to_the_largest_component() -> None:
    """0.5 off where the largest is 2 is a quarter."""
    assert disagreement(result(0.9, 0.1), result(0.9, 0.1, embedding=1.5), 1e-2) == 0.25


def test_another_label_on_top_never_agrees() -> None:
    """However close the embeddings are, unless the two labels are a tie."""
    assert disagreement(result(0.6, 0.4), result(0.4, 0.6), 2e-2) == float("inf")
    assert disagreement(result(0.500, 0.499), result(0.499, 0.500), 2e-2) == 0.0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_a_number_never_agrees(bad: float) -> None:
    """NaN compares false with everything; it must not slip through."""
    assert disagreement(result(0.6), result(0.6, embedding=bad), 2e-2) == float("inf")
