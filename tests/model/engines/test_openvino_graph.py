"""OpenVINO's full window computes what the unfused network does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from model.bundle import UNTRAINED, Bundle, untrained_bundle
from model.classifier import TOLERANCE
from model.engines.reference import disagreement, reference_outputs
from model.fuse import PairForm, fuse

pytest.importorskip("openvino", reason="the extra openvino is not installed")

from model.cache import Cache
from model.engines.openvino_device import Device
from model.engines.openvino_graph import Head, Layers, frames_shape, full_model


def small(**facts: Any) -> Bundle:
    facts = {"frames": 8, "size_px": 32, "units": 16, "name": "small"} | facts
    return untrained_bundle(UNTRAINED.model_copy(update=facts))


def head_of(bundle: Bundle) -> Head:
    parts = (bundle.weights["head/kernel"], bundle.weights["head/bias"])
    return Head(*parts, bundle.score_kernel, bundle.score_bias)


def outputs(bundle: Bundle, clips: Any, precision: str, stem: PairForm, blocks: PairForm) -> Any:
    network = fuse(bundle.weights, bundle.manifest.temporal_padding, stem=stem, blocks=blocks)
    n, frames, height, width, _ = clips.shape
    device = Device(precision, 1, Cache(None), {})
    write = lambda: full_model(Layers(network), frames, (height, width), n)  # noqa: E731
    request = device.request("full", write)
    request.inputs[0][:] = clips.reshape(frames_shape(n, frames, (height, width)))
    return head_of(bundle)(request.run()[0])


@pytest.mark.parametrize("padding", ["same", "causal"])
@pytest.mark.parametrize("shape", [(8, 32, 32), (9, 32, 48), (12, 47, 33), (6, 33, 34)])
def test_scores_are_those_of_the_network(padding: str, shape: Any, rng: Any) -> None:
    """1e-5 in float32, on square and other pictures, of even and odd sides, in batches."""
    bundle = small(temporal_padding=padding, frames=shape[0])
    clips = rng.integers(0, 256, (2, *shape, 3), np.uint8)
    found = outputs(bundle, clips, "float32", "collapsed", "pairs")
    assert disagreement(reference_outputs(bundle, clips), found, 1e-5) <= 1e-5


@pytest.mark.parametrize("forms", [("pairs", "pairs"), ("collapsed", "collapsed")])
def test_the_form_of_the_pairs_changes_nothing(forms: Any, rng: Any) -> None:
    """A choice of speed alone."""
    bundle = small()
    clips = rng.integers(0, 256, (1, 8, 32, 32, 3), np.uint8)
    found = outputs(bundle, clips, "float32", *forms)
    assert disagreement(reference_outputs(bundle, clips), found, 1e-5) <= 1e-5


def test_bfloat16_stays_within_its_tolerance(rng: Any) -> None:
    """On random pixels."""
    bundle = small()
    clips = rng.integers(0, 256, (2, 8, 32, 32, 3), np.uint8)
    found = outputs(bundle, clips, "bfloat16", "collapsed", "pairs")
    tolerance = TOLERANCE["bfloat16"]
    assert disagreement(reference_outputs(bundle, clips), found, tolerance) <= tolerance


def test_scores_never_overflow() -> None:
    """Logits of a thousand are 0 and 1."""
    one = np.ones((1, 1), np.float32)
    head = Head(one, 0 * one[0], 1000 * one, 0 * one[0])
    scores, embeddings = head(np.array([[-1.0], [0.0], [1.0]], np.float32))
    assert scores.ravel().tolist() == [0.0, 0.5, 1.0]
    assert embeddings.ravel().tolist() == [-1.0, 0.0, 1.0]
    assert scores.dtype == embeddings.dtype == np.float32
