"""The causal network step by step on OpenVINO equals the same on TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from model.bundle import UNTRAINED, Bundle, untrained_bundle
from model.causal import CausalStepper
from model.classifier import TOLERANCE
from model.engines.causal_graph import TensorFlowCausalGraphs
from model.errors import EngineFailedError
from model.fuse import fuse

ov = pytest.importorskip("openvino", reason="needs the extra openvino")

HINT = {"float32": "f32", "bfloat16": "bf16"}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """32 frames, random weights and random BatchNorm statistics."""
    facts = {"size_px": 32, "units": 16, "name": "causal", "temporal_padding": "causal"}
    return untrained_bundle(UNTRAINED.model_copy(update=facts))


def openvino_graphs(
    bundle: Bundle, size: tuple[int, int], precision: str = "float32", **form: Any
) -> Any:
    from model.engines.openvino_causal import OpenVinoCausalGraphs
    from model.engines.openvino_graph import Head, Layers

    network = fuse(bundle.weights, **{"temporal_padding": "causal", "blocks": "collapsed"} | form)
    head = Head(network.head_kernel, network.head_bias, bundle.score_kernel, bundle.score_bias)
    core, options = ov.Core(), {"INFERENCE_PRECISION_HINT": HINT[precision]}

    def compiled(_: str, write: Callable[[], Any]) -> Any:
        return core.compile_model(write(), "CPU", options)

    return OpenVinoCausalGraphs(
        Layers(network),
        head,
        size,
        precision,
        compiled,
    )


@pytest.fixture(scope="module")
def reference(bundle: Bundle) -> TensorFlowCausalGraphs:
    """In float32; compared with the Keras network in test_causal_graph."""
    network = fuse(bundle.weights, "causal")
    return TensorFlowCausalGraphs(network, bundle.score_kernel, bundle.score_bias, "float32")


def largest_difference(hop: int, graphs: Any, reference: Any, clip: Any) -> float:
    """Of scores and embeddings of all windows, relative to the largest value."""
    worst = 0.0
    one, other = CausalStepper(hop, 32, graphs), CausalStepper(hop, 32, reference)
    found, expected = one.init(clip[:, :32]), other.init(clip[:, :32])
    for end in range(32, clip.shape[1] + 1, hop):
        if end > 32:
            found = one.step(clip[:, end - hop : end], found[2])
            expected = other.step(clip[:, end - hop : end], expected[2])
        for a, b in zip(found[:2], expected[:2], strict=True):
            worst = max(worst, float(np.abs(a - b).max() / np.abs(b).max()))
    return worst


def video(n: int, frames: int, height: int, width: int) -> Any:
    rng = np.random.default_rng(frames + height)
    return rng.integers(0, 256, (n, frames, height, width, 3), np.uint8)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("size", [(64, 64), (47, 33)])
def test_five_streams_equal_the_other_engine(
    size: tuple[int, int], precision: str, bundle: Bundle, reference: TensorFlowCausalGraphs
) -> None:
    """Four together and one alone, at two hops; even pictures fold pixels, odd ones cannot."""
    graphs = openvino_graphs(bundle, size, precision)
    for hop in (4, 8):
        difference = largest_difference(hop, graphs, reference, video(5, 32 + 3 * hop, *size))
        assert difference <= TOLERANCE[precision], hop


def test_100_steps_gather_no_error(bundle: Bundle, reference: TensorFlowCausalGraphs) -> None:
    """Every slice is computed once and the mean anew each time, so nothing drifts."""
    graphs = openvino_graphs(bundle, (16, 16))
    assert largest_difference(4, graphs, reference, video(1, 432, 16, 16)) <= 1e-5


def test_a_step_can_be_repeated_to_the_bit(bundle: Bundle) -> None:
    """What came out is never written again, though the engine reuses its requests."""
    stepper, clip = CausalStepper(4, 32, openvino_graphs(bundle, (32, 32))), video(4, 40, 32, 32)
    *_, states = stepper.init(clip[:, :32])
    first = stepper.step(clip[:, 32:36], states)
    stepper.step(clip[:, 36:40], first[2])
    again = stepper.step(clip[:, 32:36], states)
    np.testing.assert_array_equal(first[1], again[1])


def test_a_network_it_cannot_run_is_refused(bundle: Bundle) -> None:
    """Windows padded on both ends look ahead; a pair would keep what stands between its halves."""
    for form in ({"temporal_padding": "same"}, {"stem": "pairs"}, {"blocks": "pairs"}):
        with pytest.raises(ValueError, match="needs temporal_padding 'causal' and one kernel"):
            openvino_graphs(bundle, (32, 32), **form)


def test_a_failure_of_the_runtime_is_translated(bundle: Bundle) -> None:
    """A state of another picture size reaches the graph only past the stepper's own check."""
    graphs = openvino_graphs(bundle, (32, 32))
    *_, values = graphs.first(video(1, 32, 32, 32))
    *_, other = openvino_graphs(bundle, (16, 16)).first(video(1, 32, 16, 16))
    with pytest.raises(EngineFailedError, match="OpenVINO failed on 1 streams"):
        graphs.step(video(1, 4, 32, 32), [[*values[:3], *other[3:]]])
