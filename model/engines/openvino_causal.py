"""The causal network as OpenVINO models: a stem a stream, blocks for the streams of a batch.

In: layers from `openvino_graph`, then frames and what streams kept. Out: `OpenVinoCausalGraphs`,
one for all hops. A stream's slices go in as the tensors that came out of the step before and are
never joined or cut in NumPy; behind the pool, where weights count, up to `STREAMS` streams run
together. Invariant: a tensor that came out is handed on and never written again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as op

from model import spec
from model.causal import POSITIONS, kept_slices
from model.classifier import Clips, Embeddings, Scores
from model.engines.openvino_graph import (
    Head,
    Layers,
    frames_shape,
    max_pool,
    parameter,
    result,
    slices,
    taken,
)
from model.errors import EngineFailedError
from model.fuse import FusedBlock, FusedConv

Compile = Callable[[str, Callable[[], Any]], Any]
"""Name of a graph, what writes it down -> compiled model."""

STREAMS = 4
"""Streams that run together; the rest of a batch one by one. At 256 px, hop 4 and bfloat16 a step
takes 7.6 ms a stream in fours and 9.0 alone; each further size would be another compiled model."""


class OpenVinoCausalGraphs:
    """`model.causal.Graphs` on OpenVINO; models are compiled at the first call that needs them.

    Args:
        layers: of a causal network with one kernel a convolution.
        head: behind the features.
        size: picture (height, width), px.
        precision: of the state.
        compile_model: puts a model on the device, or finds it there.
        frames: of a window.

    Raises:
        ValueError: the network is not causal, or a convolution of it is not collapsed.
    """

    def __init__(
        self,
        layers: Layers,
        head: Head,
        size: tuple[int, int],
        precision: str,
        compile_model: Compile,
        frames: int = spec.FRAMES,
    ) -> None:
        network = layers.network
        convs = (*network.stem, *(block.feature for block in network.blocks))
        kernels = [len(conv.kernels) for conv in convs]
        if network.temporal_padding != "causal" or max(kernels) > 1:
            raise ValueError(
                "needs temporal_padding 'causal' and one kernel a convolution, got"
                f" {network.temporal_padding!r} and {kernels}"
            )
        self._layers = layers
        self._head = head
        self._size = size
        self._precision = precision
        self._compile = compile_model
        self._n_positions = kept_slices(frames)[POSITIONS]
        self._requests: dict[tuple[int, int, bool], Any] = {}

    def first(self, clip: Clips) -> tuple[Scores, Embeddings, Sequence[Any]]:
        """Run the first window of a stream; see `Graphs.first`."""
        [positions], [values] = self._run(clip, [()])
        return *self._head(positions.mean(0, keepdims=True)), values

    def step(
        self, frames: Clips, streams: Sequence[Sequence[Any]]
    ) -> tuple[Scores, Embeddings, Sequence[Sequence[Any]]]:
        """Run what follows; see `Graphs.step`."""
        n = len(frames)
        sizes = [STREAMS] * (n // STREAMS) + [1] * (n % STREAMS)
        features, states, at = [], [], 0
        for size in sizes:
            own = slice(at, at + size)
            positions, values = self._run(frames[own], streams[own])
            features += [last.mean(0) for last in positions]
            states += values
            at += size
        return *self._head(np.stack(features)), states

    def n_bytes(self, value: Any) -> int:
        """Tell the memory a tensor takes; see `Graphs.n_bytes`."""
        return int(value.byte_size)

    def _run(
        self, frames: Clips, streams: Sequence[Sequence[Any]]
    ) -> tuple[list[Any], list[Sequence[Any]]]:
        """Positions to average and values to keep, of each stream."""
        try:
            found, *kept = self._infer(frames, streams)
        except RuntimeError as err:
            raise EngineFailedError(f"OpenVINO failed on {len(frames)} streams: {err}") from err
        each = len(kept) // len(frames)
        positions: list[Any] = []
        values: list[Sequence[Any]] = []
        for n, (new, past) in enumerate(zip(found.data, streams, strict=True)):
            every = np.concatenate([past[-1].data, new]) if past else new
            # A mean over what is kept, anew each time: a running sum would drift.
            positions.append(every[-self._n_positions :].copy())
            frame = self._tensor(frames[n, -1:].copy())
            own = kept[n * each : (n + 1) * each]
            values.append((frame, *own, ov.Tensor(positions[-1], shared_memory=True)))
        return positions, values

    def _infer(self, frames: Clips, streams: Sequence[Sequence[Any]]) -> list[Any]:
        """Results in tensors of their own."""
        request = self._request(len(frames), frames.shape[1], not streams[0])
        inputs = [self._tensor(own) for own in np.ascontiguousarray(frames)]
        inputs += [value for past in streams for value in past[:-1]]
        outputs = request.get_compiled_model().outputs
        results = [ov.Tensor(port.element_type, port.shape) for port in outputs]
        for n, tensor in enumerate(inputs):
            request.set_input_tensor(n, tensor)
        for n, tensor in enumerate(results):
            request.set_output_tensor(n, tensor)
        request.infer()
        return results

    def _tensor(self, frames: Any) -> Any:
        """Bytes (T, H, W, 3), without a copy."""
        shape = frames_shape(1, len(frames), self._size)
        return ov.Tensor(frames.reshape(shape), shared_memory=True)

    def _request(self, n: int, hop: int, is_first: bool) -> Any:
        key = (n, hop, is_first)
        if key not in self._requests:
            name = f"causal {n}x{hop} {is_first} {self._size} {self._precision}"
            compiled = self._compile(
                name,
                lambda: causal_model(self._layers, hop, self._size, self._precision, n, is_first),
            )
            self._requests[key] = compiled.create_infer_request()
        return self._requests[key]


def causal_model(
    layers: Layers, hop: int, size: tuple[int, int], precision: str, n: int, is_first: bool
) -> Any:
    """Write the graph of a step, or of a first window.

    Args:
        layers: of the network.
        hop: new frames.
        size: picture (height, width), px.
        precision: of the state.
        n: streams.
        is_first: nothing is taken, and the past is zeros.

    Returns:
        A model from the new frames of each stream, then all values each of them kept but its
        positions, to float32 features (n, new positions, C), then the values of each stream to
        keep, but for the last frame, which the caller has, and the positions.
    """
    return _Writer(layers, size, precision, n, is_first).model(hop)


class _Writer:
    """One graph in the making; arguments as for `causal_model`."""

    def __init__(
        self, layers: Layers, size: tuple[int, int], precision: str, n: int, is_first: bool
    ) -> None:
        self._layers = layers
        self._size = size
        self._precision = precision
        self._is_first = is_first
        self._kept = kept_slices()
        self._takes: list[list[Any]] = [[] for _ in range(n)]
        self._keeps: list[list[Any]] = [[] for _ in range(n)]

    def model(self, hop: int) -> Any:
        n = len(self._takes)
        frames = [op.parameter(frames_shape(1, hop, self._size), np.uint8) for _ in range(n)]
        outputs = _joined([self._stem(own, [at]) for at, own in enumerate(frames)], 0)
        for block in self._layers.network.blocks:
            outputs = self._block(outputs, block)
        # Float32, like all that follows the last convolution.
        features = op.reduce_mean(outputs, op.constant([3, 4]), keep_dims=False)
        features = op.transpose(features, op.constant([0, 2, 1]))
        takes = [value for own in self._takes for value in own]
        keeps = [value for own in self._keeps for value in own]
        return ov.Model([features, *keeps], [*frames, *takes], f"causal{hop}")

    def _stem(self, frames: Any, streams: list[int]) -> Any:
        first, *later = self._layers.network.stem
        time = None
        if not self._is_first:
            past = op.parameter(frames_shape(1, self._kept[first.name], self._size), np.uint8)
            self._takes[streams[0]].append(past)
            frames, time = op.concat([past, frames], 1), (0, 0)
        outputs = self._layers.stem(self._layers.pixels(frames), time)
        before = first.name
        for conv in later:
            outputs, before = self._over_time(outputs, conv, before, streams), conv.name
        return max_pool(outputs)

    def _block(self, inputs: Any, block: FusedBlock) -> Any:
        streams = list(range(len(self._takes)))
        narrow = self._layers.convolve(inputs, block.bottleneck)
        feature = self._over_time(narrow, block.feature, block.bottleneck.name, streams)
        average = self._average(inputs, block, streams)
        joined = op.concat([feature, average], 1)
        return self._layers.convolve(
            self._layers.named(f"{block.name}/joined", joined), block.merge
        )

    def _average(self, inputs: Any, block: FusedBlock, streams: list[int]) -> Any:
        now = _spatial_average(inputs, block.strides)
        # The first slice of a stream has none before it and stands in for it.
        old = slices(now, 0, 1) if self._is_first else self._past(now, 1, streams)
        self._keep(now, 1, streams)
        n = now.shape[2]
        before = op.concat([old, slices(now, 0, n - 1)], 2) if n > 1 else old
        half = op.constant(np.float32(0.5))
        average = op.multiply(op.add(now, before), half)
        return self._layers.named(f"{block.name}/average", average)

    def _over_time(self, inputs: Any, conv: FusedConv, before: str, streams: list[int]) -> Any:
        """A 3x3x3 convolution that begins where the step before ended; `before` names its input."""
        n = self._kept[conv.name]
        if self._is_first:
            self._keep(inputs, n, streams)
            return self._layers.convolve(inputs, conv)
        past = self._layers.named(before, self._past(inputs, n, streams))
        every = op.concat([past, inputs], 2)
        self._keep(inputs if inputs.shape[2] >= n else every, n, streams)
        return self._layers.convolve(every, conv, (0, 0))

    def _past(self, like: Any, n: int, streams: list[int]) -> Any:
        """The n slices before these, of all streams."""
        _, channels, _, *sides = like.shape
        own = [parameter((1, n, *sides, channels), self._precision) for _ in streams]
        for stream, value in zip(streams, own, strict=True):
            self._takes[stream].append(value)
        # Joined before they are transposed, which then costs nothing.
        return taken(_joined(own, 0))

    def _keep(self, values: Any, n: int, streams: list[int]) -> None:
        length = values.shape[2]
        last = values if length == n else slices(values, length - n, length)
        parts = [last]
        if len(streams) > 1:
            parts = op.split(last, op.constant(0), len(streams)).outputs()
        for stream, part in zip(streams, parts, strict=True):
            self._keeps[stream].append(result(part, self._precision))


def _spatial_average(inputs: Any, strides: spec.Triple) -> Any:
    """Average over 2x2 pixels; padding does not count."""
    sides = zip(inputs.shape[3:], strides[1:], strict=True)
    ends = [max((-(-length // s) - 1) * s + 2 - length, 0) for length, s in sides]
    window = [1, *spec.POOL[1:]]
    return op.avg_pool(inputs, list(strides), [0, 0, 0], [0, *ends], window, exclude_pad=True)


def _joined(parts: list[Any], axis: int) -> Any:
    return parts[0] if len(parts) == 1 else op.concat(parts, axis)
