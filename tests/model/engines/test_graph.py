"""The fused TensorFlow graph equals the unfused Keras network on random input and statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from model.bundle import UNTRAINED, Bundle, untrained_bundle
from model.classifier import TOLERANCE
from model.engines.graph import build_graph
from model.engines.reference import disagreement
from model.fuse import fuse
from tests.conftest import needs_bfloat16

SHAPES = [(8, 32, 32), (8, 40, 33), (12, 64, 48), (7, 33, 47)]


def outputs(network: Any, bundle: Bundle, clips: Any) -> tuple[Any, Any]:
    """Scores and embeddings of the unfused network."""
    embeddings = np.array(network(clips.astype(np.float32) / 255, training=False))
    logits = embeddings @ bundle.score_kernel + bundle.score_bias
    return 1 / (1 + np.exp(-logits)), embeddings


def run(graph: Any, clips: Any) -> tuple[Any, Any]:
    scores, embeddings, _ = graph(clips)
    return np.array(scores), np.array(embeddings)


@pytest.fixture(scope="module")
def causal_bundle() -> Bundle:
    return untrained_bundle(
        UNTRAINED.model_copy(
            update={"frames": 8, "size_px": 32, "units": 16, "temporal_padding": "causal"}
        )
    )


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=needs_bfloat16)])
@pytest.mark.parametrize("stem", ["pairs", "collapsed"])
@pytest.mark.parametrize("blocks", ["pairs", "collapsed"])
def test_every_form_equals_the_network(
    precision: str, stem: Any, blocks: Any, small_bundle: Bundle, small_network: Any
) -> None:
    """1e-5 in float32, 2e-2 and the same label on top in bfloat16; square and not, odd and even."""
    fused = fuse(small_bundle.weights, stem=stem, blocks=blocks)
    graph = build_graph(fused, small_bundle.score_kernel, small_bundle.score_bias, precision)
    for seed, shape in enumerate(SHAPES):
        clips = np.random.default_rng(seed).integers(0, 256, (2, *shape, 3), np.uint8)
        expected = outputs(small_network, small_bundle, clips)
        tolerance = TOLERANCE[precision]
        assert disagreement(expected, run(graph, clips), tolerance) <= tolerance, shape


@pytest.mark.parametrize("stem", ["pairs", "collapsed"])
@pytest.mark.parametrize("blocks", ["pairs", "collapsed"])
def test_the_causal_form_equals_the_causal_network(
    stem: Any,
    blocks: Any,
    causal_bundle: Bundle,
    network_of: Callable[[Bundle], Any],
    small_bundle: Bundle,
) -> None:
    """Same weights, other padding, other function: equal to its own network, not to the other."""
    fused = fuse(causal_bundle.weights, "causal", stem=stem, blocks=blocks)
    graph = build_graph(fused, causal_bundle.score_kernel, causal_bundle.score_bias, "float32")
    network = network_of(causal_bundle)
    for seed, shape in enumerate(SHAPES):
        clips = np.random.default_rng(seed).integers(0, 256, (1, *shape, 3), np.uint8)
        found = run(graph, clips)
        assert disagreement(outputs(network, causal_bundle, clips), found, 1e-5) <= 1e-5, shape
        other = outputs(network_of(small_bundle), small_bundle, clips) if seed == 0 else None
        assert other is None or np.abs(other[1] - found[1]).max() > 1e-3


def test_a_wrong_weight_is_noticed(small_bundle: Bundle, small_network: Any) -> None:
    """The comparison can fail: one stem tap off by 1 %, or the padding of the other form."""
    clips = np.random.default_rng(3).integers(0, 256, (2, 8, 32, 32, 3), np.uint8)
    expected = outputs(small_network, small_bundle, clips)
    head = (small_bundle.score_kernel, small_bundle.score_bias, "float32")
    name = "stem1/conv/temporal/kernel"
    wrong = dict(small_bundle.weights)
    wrong[name] = wrong[name].copy()
    wrong[name][0] *= 1.01
    for network in (fuse(wrong), fuse(small_bundle.weights, "causal")):
        assert disagreement(expected, run(build_graph(network, *head), clips), 1e-5) > 1e-5
