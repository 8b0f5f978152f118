"""Incremental inference on TensorFlow equals the full fused window, on pictures and real widths."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from model.bundle import UNTRAINED, Bundle, untrained_bundle
from model.classifier import TOLERANCE
from model.engines.graph import build_graph
from model.engines.incremental_graph import TensorFlowGraphs
from model.fuse import fuse
from model.incremental import SlidingWindow
from model.plan import Plan
from tests.conftest import needs_bfloat16

HOPS = (4, 8, 16)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """32 frames, random weights and random BatchNorm statistics."""
    return untrained_bundle(
        UNTRAINED.model_copy(update={"size_px": 32, "units": 16, "name": "sliding"})
    )


@pytest.fixture(scope="module")
def full(bundle: Bundle) -> Callable[[str], Any]:
    """The full-window graph of a precision; built once."""
    head = (bundle.score_kernel, bundle.score_bias)
    return functools.cache(lambda precision: build_graph(fuse(bundle.weights), *head, precision))


@pytest.fixture(scope="module")
def sliding(bundle: Bundle) -> Callable[..., SlidingWindow]:
    """The window of a hop and a precision; it holds no stream, so all tests share its graphs."""

    @functools.cache
    def make(hop: int, precision: str = "float32") -> SlidingWindow:
        return SlidingWindow(Plan(hop), graphs_of(bundle, hop, precision))

    return make


def graphs_of(bundle: Bundle, hop: int, precision: str = "float32") -> TensorFlowGraphs:
    head = (bundle.score_kernel, bundle.score_bias)
    return TensorFlowGraphs(Plan(hop), fuse(bundle.weights), *head, precision)


def video(n: int, frames: int, height: int, width: int) -> Any:
    rng = np.random.default_rng(frames + height)
    return rng.integers(0, 256, (n, frames, height, width, 3), np.uint8)


def largest_difference(window: SlidingWindow, graph: Any, clip: Any, every: int = 1) -> float:
    """Run a stream; of scores and embeddings, relative to the largest full-window value."""
    hop, worst = window.plan.hop, 0.0
    *found, states = window.init(clip[:, :32])
    for n, at in enumerate(range(0, clip.shape[1] - 31, hop)):
        if at:
            *found, states = window.step(clip[:, at + 32 - hop : at + 32], states)
        if n % every == 0:
            expected = [np.array(part) for part in graph(clip[:, at : at + 32])[:2]]
            differences = [
                np.abs(np.array(f) - e).max() / np.abs(e).max()
                for f, e in zip(found, expected, strict=True)
            ]
            worst = max(worst, *map(float, differences))
    return worst


def largest_constant(graph: Any) -> int:
    """Bytes of the largest weights that a traced function holds as its own."""
    return max(
        len(node.attr["value"].tensor.tensor_content) for node in graph.graph.as_graph_def().node
    )


def test_only_the_step_of_one_stream_has_constants_of_its_own(bundle: Bundle) -> None:
    """First windows and steps of several streams share one copy of the weights behind the pool."""
    graphs = graphs_of(bundle, 16)
    window = SlidingWindow(Plan(16), graphs)
    clip = video(2, 48, 32, 32)
    for n in (1, 2):
        window.step(clip[:n, 32:], window.init(clip[:n, :32])[2])
    largest = {key[:2]: largest_constant(graph) for key, graph in graphs._graphs.items()}
    of_stem = max(kernel[0].nbytes for conv in fuse(bundle.weights).stem for kernel in conv.kernels)
    rich = [(n_taken > 0, n) for (n_taken, n), size in largest.items() if size > of_stem]
    assert len(largest) == 4
    assert rich == [(True, 1)]


@pytest.mark.parametrize("hop", HOPS)
@pytest.mark.parametrize("size", [(64, 64), (32, 48), (47, 33)])
def test_windows_of_two_streams_equal_the_full_ones(
    hop: int,
    size: tuple[int, int],
    sliding: Callable[..., SlidingWindow],
    full: Callable[[str], Any],
) -> None:
    """1e-5 in float32 on random frames; square and not, odd and even; each stream its own."""
    clip = video(2, 32 + 7 * hop, *size)
    assert largest_difference(sliding(hop), full("float32"), clip) <= 1e-5


@pytest.mark.parametrize("hop", HOPS)
def test_200_steps_gather_no_error(hop: int, bundle: Bundle, full: Callable[[str], Any]) -> None:
    """Every value is computed once and never updated, so nothing drifts; no step traces again."""
    graphs = graphs_of(bundle, hop)
    window = SlidingWindow(Plan(hop), graphs)
    clip = video(1, 32 + 200 * hop, 32, 32)
    assert largest_difference(window, full("float32"), clip, every=8) <= 1e-5
    assert graphs.n_graphs == 2


@pytest.mark.parametrize("hop", HOPS)
def test_collapsed_blocks_are_the_same_function(
    hop: int, bundle: Bundle, full: Callable[[str], Any]
) -> None:
    """The form of the pairs behind the pool is the engine's choice."""
    head = (bundle.score_kernel, bundle.score_bias, "float32")
    graphs = TensorFlowGraphs(Plan(hop), fuse(bundle.weights, blocks="collapsed"), *head)
    window = SlidingWindow(Plan(hop), graphs)
    assert largest_difference(window, full("float32"), video(1, 32 + 2 * hop, 32, 32)) <= 1e-5


@needs_bfloat16
@pytest.mark.parametrize("hop", HOPS)
def test_bfloat16_is_as_far_from_float32_as_the_full_window(
    hop: int, sliding: Callable[..., SlidingWindow], full: Callable[[str], Any]
) -> None:
    """Partial sums are rounded too, which must not show beyond the tolerance of the precision."""
    window = sliding(hop, "bfloat16")
    clip = video(1, 32 + 6 * hop, 64, 64)
    tolerance = TOLERANCE["bfloat16"]
    assert largest_difference(window, full("bfloat16"), clip) <= tolerance / 2
    assert largest_difference(window, full("float32"), clip) <= tolerance


@pytest.mark.parametrize(("hop", "limit_mb"), [(4, 18), (8, 14), (16, 9)])
def test_a_state_at_256_px_stays_within_its_budget(
    hop: int, limit_mb: float, sliding: Callable[..., SlidingWindow]
) -> None:
    """bfloat16, computed from a state at 64 px: slices and frames grow with the area alone."""
    *_, [state] = sliding(hop, "bfloat16").init(video(1, 32, 64, 64))
    assert state.n_bytes * 16 <= limit_mb * 1e6


def test_a_wrong_frame_in_the_state_is_noticed(
    sliding: Callable[..., SlidingWindow], full: Callable[[str], Any]
) -> None:
    """The comparison can fail: one pixel off, in the last frame of the window before."""
    window = sliding(4)
    clip = video(1, 36, 32, 32)
    *_, [state] = window.init(clip[:, :32])
    tail = state.tail.copy()
    tail[1, 16, 16] ^= 255
    _, embeddings, _ = window.step(clip[:, 32:], [replace(state, tail=tail)])
    expected = np.array(full("float32")(clip[:, 4:])[1])
    assert np.abs(np.array(embeddings) - expected).max() > 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_step_can_be_repeated_to_the_bit(
    precision: str, sliding: Callable[..., SlidingWindow]
) -> None:
    """oneDNN adds in place, but never to a slice that somebody still holds."""
    window = sliding(4, precision)
    clip = video(2, 40, 32, 32)
    *_, states = window.init(clip[:, :32])
    first = window.step(clip[:, 32:36], states)
    window.step(clip[:, 36:40], first[2])
    again = window.step(clip[:, 32:36], states)
    np.testing.assert_array_equal(first[1], again[1])
    # A batch of two is cut into two states, and each goes its way alone.
    one = window.step(clip[1:, 36:40], [again[2][1]])
    both = window.step(clip[:, 36:40], again[2])
    tolerance = TOLERANCE[precision] * np.abs(both[1]).max()
    assert np.abs(np.array(one[1][0]) - np.array(both[1][1])).max() <= tolerance


def test_a_network_the_plan_does_not_describe_is_refused(bundle: Bundle) -> None:
    """Causal padding has other edges; pairs in the stem have no single kernel to take taps of."""
    head = (bundle.score_kernel, bundle.score_bias, "float32")
    for network in (fuse(bundle.weights, "causal"), fuse(bundle.weights, stem="pairs")):
        with pytest.raises(ValueError, match="needs temporal_padding 'same' and one kernel"):
            TensorFlowGraphs(Plan(4), network, *head)
