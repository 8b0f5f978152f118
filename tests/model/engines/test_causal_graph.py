"""The causal network step by step on TensorFlow equals the Keras network over the whole stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from model.bundle import UNTRAINED, Bundle, untrained_bundle
from model.causal import CausalStepper
from model.classifier import TOLERANCE
from model.engines.causal_graph import TensorFlowCausalGraphs
from model.engines.graph import build_graph
from model.errors import EngineFailedError
from model.fuse import PairForm, fuse

HOPS = (4, 8, 16)
Run = Callable[[Any], Any]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """32 frames, random weights and random BatchNorm statistics."""
    facts = {"size_px": 32, "units": 16, "name": "causal", "temporal_padding": "causal"}
    return untrained_bundle(UNTRAINED.model_copy(update=facts))


@pytest.fixture(scope="module")
def whole(bundle: Bundle, network_of: Callable[[Bundle], Any]) -> Run:
    """The layers of the Keras network over a stream of any length: uint8 -> (N, T / 4, C)."""
    network = network_of(bundle)

    @tf.function(autograph=False, reduce_retracing=True)
    def positions(pixels: Any) -> Any:
        outputs = pixels
        for layer in network.stages[:-2]:
            outputs = layer(outputs)
        return tf.reduce_mean(outputs, (2, 3))

    def run(clip: Any) -> Any:
        return np.array(positions(clip.astype(np.float32) * bundle.manifest.pixel_scale))

    return run


def graphs_of(
    bundle: Bundle, precision: str = "float32", blocks: PairForm = "pairs"
) -> TensorFlowCausalGraphs:
    network = fuse(bundle.weights, "causal", blocks=blocks)
    return TensorFlowCausalGraphs(network, bundle.score_kernel, bundle.score_bias, precision)


@pytest.fixture(scope="module")
def graphs(bundle: Bundle) -> TensorFlowCausalGraphs:
    """In float32, for all hops and picture sizes."""
    return graphs_of(bundle)


def video(n: int, frames: int, height: int, width: int) -> Any:
    rng = np.random.default_rng(frames + height)
    return rng.integers(0, 256, (n, frames, height, width, 3), np.uint8)


def largest_difference(stepper: CausalStepper, bundle: Bundle, clip: Any, whole: Run) -> float:
    """Run streams; of scores and embeddings, relative to the largest value of the whole run."""
    hop, worst, every = stepper.hop, 0.0, whole(clip)
    *found, states = stepper.init(clip[:, :32])
    for end in range(32, clip.shape[1] + 1, hop):
        if end > 32:
            *found, states = stepper.step(clip[:, end - hop : end], states)
        pooled = every[:, end // 4 - 8 : end // 4].mean(1)
        embeddings = pooled @ bundle.weights["head/kernel"] + bundle.weights["head/bias"]
        scores = 1 / (1 + np.exp(-embeddings @ bundle.score_kernel - bundle.score_bias))
        for one, expected in zip(found, (scores, embeddings), strict=True):
            worst = max(worst, float(np.abs(one - expected).max() / np.abs(expected).max()))
    return worst


@pytest.mark.parametrize("size", [(64, 64), (96, 64), (47, 33)])
def test_steps_of_two_streams_equal_the_network_over_the_whole_stream(
    size: tuple[int, int], bundle: Bundle, graphs: TensorFlowCausalGraphs, whole: Run
) -> None:
    """1e-5 in float32 on random frames; square and not, odd and even; each stream its own."""
    clip = video(2, 96, *size)
    for hop in HOPS:
        stepper = CausalStepper(hop, 32, graphs)
        assert largest_difference(stepper, bundle, clip, whole) <= 1e-5, hop


@pytest.mark.parametrize("hop", [4, 16])
def test_200_steps_gather_no_error(
    hop: int, bundle: Bundle, graphs: TensorFlowCausalGraphs, whole: Run
) -> None:
    """Every slice is computed once and the mean anew each time, so nothing drifts."""
    stepper = CausalStepper(hop, 32, graphs)
    assert largest_difference(stepper, bundle, video(1, 32 + 200 * hop, 16, 16), whole) <= 1e-5


def test_the_first_window_is_the_network_as_it_stands(
    bundle: Bundle, graphs: TensorFlowCausalGraphs, network_of: Callable[[Bundle], Any]
) -> None:
    """`init` equals the Keras model called on the same frames, and the full fused graph."""
    clip = video(2, 32, 32, 32)
    scores, embeddings, _ = CausalStepper(4, 32, graphs).init(clip)
    keras = np.array(network_of(bundle)(clip.astype(np.float32) / 255, training=False))
    np.testing.assert_allclose(embeddings, keras, atol=1e-5 * np.abs(keras).max())
    head = (bundle.score_kernel, bundle.score_bias, "float32")
    full = build_graph(fuse(bundle.weights, "causal"), *head)(tf.constant(clip))
    for found, expected in zip((scores, embeddings), full[:2], strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_collapsed_blocks_are_the_same_function(bundle: Bundle, whole: Run) -> None:
    """The form of the pairs behind the pool is the engine's choice; it keeps other slices."""
    stepper = CausalStepper(4, 32, graphs_of(bundle, blocks="collapsed"))
    assert largest_difference(stepper, bundle, video(1, 56, 32, 32), whole) <= 1e-5


def test_bfloat16_stays_within_its_tolerance(bundle: Bundle, whole: Run) -> None:
    """Kept slices are rounded as the full run would round them, so steps add no error."""
    stepper = CausalStepper(4, 32, graphs_of(bundle, "bfloat16"))
    tolerance = TOLERANCE["bfloat16"]
    assert largest_difference(stepper, bundle, video(1, 32 + 4 * 20, 64, 64), whole) <= tolerance


def test_outputs_are_float32_arrays_of_the_stated_shapes(
    bundle: Bundle, graphs: TensorFlowCausalGraphs
) -> None:
    """For `init` and `step` alike."""
    stepper, clip = CausalStepper(4, 32, graphs), video(2, 36, 32, 32)
    first = stepper.init(clip[:, :32])
    for scores, embeddings, _ in (first, stepper.step(clip[:, 32:], first[2])):
        assert (scores.shape, embeddings.shape) == ((2, len(bundle.manifest.labels)), (2, 16))
        assert scores.dtype == embeddings.dtype == np.float32


def test_neither_a_batch_nor_a_stream_traces_again(bundle: Bundle) -> None:
    """Two graphs for first windows, two a hop for steps, whoever comes and goes."""
    graphs = graphs_of(bundle)
    stepper, clip = CausalStepper(4, 32, graphs), video(3, 48, 16, 16)
    *_, states = stepper.init(clip[:, :32])
    stepper.init(clip[:1, :32])
    assert graphs.n_graphs == 2
    for at, n in ((32, 3), (36, 1), (40, 2)):
        *_, after = stepper.step(clip[:n, at : at + 4], states[:n])
        states = after + states[n:]
    assert graphs.n_graphs == 4


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_step_can_be_repeated(precision: str, bundle: Bundle) -> None:
    """To the bit with the same company, within rounding alone: no state is ever overwritten."""
    stepper, clip = CausalStepper(4, 32, graphs_of(bundle, precision)), video(2, 40, 32, 32)
    *_, states = stepper.init(clip[:, :32])
    first = stepper.step(clip[:, 32:36], states)
    both = stepper.step(clip[:, 36:40], first[2])
    again = stepper.step(clip[:, 32:36], states)
    np.testing.assert_array_equal(first[1], again[1])
    one = stepper.step(clip[1:, 36:40], [again[2][1]])
    tolerance = TOLERANCE[precision] * np.abs(both[1]).max()
    assert np.abs(one[1][0] - both[1][1]).max() <= tolerance


def test_a_stream_that_stands_still_holds_no_other(bundle: Bundle) -> None:
    """The parts of a batch have memory of their own: what `n_bytes` says is what they hold."""
    stepper, clip = CausalStepper(4, 32, graphs_of(bundle)), video(2, 36, 32, 32)
    *_, states = stepper.init(clip[:, :32])
    *_, [one, other] = stepper.step(clip[:, 32:], states)
    for a, b in zip(one.values, other.values, strict=True):
        begins = [np.frombuffer(memoryview(v), np.uint8).ctypes.data for v in (a, b)]
        # Parts of one tensor follow each other, to the byte.
        assert begins[1] - begins[0] != a.shape.num_elements() * a.dtype.size


def test_a_wrong_slice_in_the_state_is_noticed(
    bundle: Bundle, graphs: TensorFlowCausalGraphs
) -> None:
    """The comparison can fail: each kept value shows in the next outputs."""
    clip = video(1, 36, 32, 32)
    *_, values = graphs.first(clip[:, :32])
    expected = np.array(graphs.step(clip[:, 32:], [values])[1])
    for n, value in enumerate(values):
        other = [*values[:n], value + tf.cast(1, value.dtype), *values[n + 1 :]]
        found = np.array(graphs.step(clip[:, 32:], [other])[1])
        assert np.abs(found - expected).max() > 1e-5 * np.abs(expected).max(), n


@pytest.mark.parametrize(("precision", "limit_mb"), [("float32", 14), ("bfloat16", 7.2)])
def test_a_state_at_256_px_stays_within_its_budget(
    precision: str, limit_mb: float, bundle: Bundle
) -> None:
    """Computed from a state at 64 px: all but the positions grows with the area alone."""
    *_, [state] = CausalStepper(4, 32, graphs_of(bundle, precision)).init(video(1, 32, 64, 64))
    positions = 8 * 2048 * 4
    assert (state.n_bytes - positions) * 16 + positions <= limit_mb * 1e6


def test_a_network_it_cannot_run_is_refused(bundle: Bundle) -> None:
    """Windows padded on both ends look ahead; pairs in the stem would keep wider slices."""
    head = (bundle.score_kernel, bundle.score_bias, "float32")
    for network in (fuse(bundle.weights), fuse(bundle.weights, "causal", stem="pairs")):
        with pytest.raises(ValueError, match="needs temporal_padding 'causal' and one kernel"):
            TensorFlowCausalGraphs(network, *head)


def test_a_failure_of_the_runtime_is_translated(graphs: TensorFlowCausalGraphs) -> None:
    """A state of another picture size reaches the graph only past the stepper's own check."""
    *_, values = graphs.first(video(1, 32, 32, 32))
    graphs.step(video(1, 4, 32, 32), [values])
    *_, other = graphs.first(video(1, 32, 16, 16))
    with pytest.raises(EngineFailedError, match="TensorFlow failed on 1 causal steps"):
        graphs.step(video(1, 4, 32, 32), [other])
