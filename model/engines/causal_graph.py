"""The causal network as TensorFlow graphs: a stem a stream, blocks for all streams of a batch.

In: plain arrays from `fuse`, then frames and what streams kept. Out: `TensorFlowCausalGraphs`, one
for all hops. The stem has most of the activations and few weights: each stream runs it alone, and
its slices are never joined or cut. Behind the pool weights count: there the streams run together.
Both parts are traced for a first window and for a step. Invariant: a graph serves every batch size,
so a stream that joins a batch never traces again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model import spec
from model.causal import POSITIONS, kept_slices
from model.classifier import Clips, Embeddings, Scores
from model.engines.graph import activated, captured, weights
from model.errors import EngineFailedError
from model.fuse import FusedBlock, FusedConv, FusedNetwork

Array = npt.NDArray[np.float32]
Past = Iterator[Any] | None
"""Values of a step, taken in the order of `kept_slices`; None at the start of a stream."""


class TensorFlowCausalGraphs:
    """`model.causal.Graphs` on TensorFlow.

    Args:
        network: from `fuse`, causal, with a collapsed stem.
        score_kernel: float32 (E, K).
        score_bias: float32 (K,).
        precision: of convolutions and of the slices kept; pooling to the embedding and everything
            after is float32.
        frames: of a window.

    Raises:
        ValueError: the network is not causal, or its stem is not collapsed.
    """

    def __init__(
        self,
        network: FusedNetwork,
        score_kernel: Array,
        score_bias: Array,
        precision: str,
        frames: int = spec.FRAMES,
    ) -> None:
        kernels = [len(conv.kernels) for conv in network.stem]
        if network.temporal_padding != "causal" or max(kernels) > 1:
            raise ValueError(
                "needs temporal_padding 'causal' and one kernel a stem convolution, got"
                f" {network.temporal_padding!r} and {kernels}"
            )
        self._network = network
        self._precision = precision
        self._kept = kept_slices(frames)
        head = (network.head_kernel, network.head_bias, score_kernel, score_bias)
        self._head = [captured(array) for array in head]
        self._graphs: dict[tuple[Any, ...], Any] = {}

    @property
    def n_graphs(self) -> int:
        """Graphs traced so far: for each picture size two of a first window, two of a step."""
        return len(self._graphs)

    def first(self, clip: Clips) -> tuple[Scores, Embeddings, Sequence[Any]]:
        """Run the first window of a stream; see `Graphs.first`."""
        scores, embeddings, [values] = self._call(clip, [()])
        return scores, embeddings, values

    def step(
        self, frames: Clips, streams: Sequence[Sequence[Any]]
    ) -> tuple[Scores, Embeddings, Sequence[Sequence[Any]]]:
        """Run what follows; see `Graphs.step`."""
        return self._call(frames, streams)

    def n_bytes(self, value: Any) -> int:
        """Tell the memory a tensor takes; see `Graphs.n_bytes`."""
        return int(value.shape.num_elements() * value.dtype.size)

    def _call(
        self, frames: Clips, streams: Sequence[Sequence[Any]]
    ) -> tuple[Scores, Embeddings, Sequence[Sequence[Any]]]:
        n_stem = len(self._network.stem)
        try:
            stems = [
                self._run(self._stem, tf.constant(own[None]), past[:n_stem])
                for own, past in zip(frames, streams, strict=True)
            ]
            past = [_joined(values) for values in zip(*(s[n_stem:] for s in streams), strict=True)]
            pooled = _joined([outputs for outputs, *_ in stems])
            scores, embeddings, *kept = self._run(self._blocks, pooled, past)
            parts = list(zip(*(_parted(value, len(frames)) for value in kept), strict=True))
        except tf.errors.OpError as err:
            raise EngineFailedError(
                f"TensorFlow failed on {len(frames)} causal steps: {err.message}"
            ) from err
        states = [(*stem[1:], *part) for stem, part in zip(stems, parts, strict=True)]
        return scores.numpy(), embeddings.numpy(), states

    def _run(self, part: Any, inputs: Any, past: Sequence[Any]) -> Any:
        """Run a part of the network, traced at the first call with these shapes."""
        key = (part.__name__, bool(past), *inputs.shape[1:])
        if key not in self._graphs:

            def run(inputs: Any, *past: Any) -> Any:
                return part(inputs, iter(past) if past else None)

            n = 1 if part == self._stem else None
            specs = [tf.TensorSpec((n, *t.shape[1:]), t.dtype) for t in (inputs, *past)]
            self._graphs[key] = tf.function(run, autograph=False).get_concrete_function(*specs)
        return self._graphs[key](inputs, *past)

    def _stem(self, frames: Any, past: Past) -> list[Any]:
        """Bytes (1, T, H, W, 3) to what the blocks read, and the slices to keep."""
        outputs, kept = frames, []
        for conv in self._network.stem:
            outputs, own = self._over_time(outputs, conv, past)
            kept.append(own)
        return [tf.nn.max_pool3d(outputs, spec.POOL, spec.POOL, "SAME"), *kept]

    def _blocks(self, pooled: Any, past: Past) -> list[Any]:
        """What the pool gave to scores and embeddings, and the slices to keep."""
        outputs, kept = pooled, []
        for block in self._network.blocks:
            outputs, own = self._block(outputs, block, past)
            kept += own
        positions = tf.reduce_mean(tf.cast(outputs, tf.float32), (2, 3))
        if past is not None:
            positions = tf.concat([next(past), positions], 1)
        positions = positions[:, -self._kept[POSITIONS] :]
        # A mean over what is kept, anew each time: a running sum would drift.
        embeddings = tf.matmul(tf.reduce_mean(positions, 1), self._head[0]) + self._head[1]
        logits = tf.matmul(embeddings, self._head[2]) + self._head[3]
        scores = activated(logits, self._network.activation)
        return [scores, embeddings, *kept, positions]

    def _block(self, inputs: Any, block: FusedBlock, past: Past) -> tuple[Any, list[Any]]:
        narrow = self._convolve(inputs, block.bottleneck, past)
        feature, kept = self._over_time(narrow, block.feature, past)
        now = tf.nn.avg_pool3d(inputs, (1, 2, 2), (1, *block.strides, 1), "SAME")
        # The first slice of a stream has none before it and stands in for it.
        before = [now[:, :1] if past is None else next(past)]
        if now.shape[1] > 1:
            before = [tf.concat([*before, now[:, :-1]], 1)]
        joined = tf.concat([feature, (now + before[0]) / 2], -1)
        return self._convolve(joined, block.merge, past), [kept, _last(now, 1)]

    def _convolve(self, inputs: Any, conv: FusedConv, past: Past) -> Any:
        """A 1x1x1 convolution, which has no past of its own."""
        outputs = self._product(inputs, conv.kernels[0], conv.strides, past)
        return tf.nn.relu(tf.nn.bias_add(outputs, weights(conv.bias, outputs.dtype)))

    def _over_time(self, inputs: Any, conv: FusedConv, past: Past) -> tuple[Any, Any]:
        """A 3x3x3 convolution that begins where the step before ended, and what it keeps."""
        n, new = self._kept[conv.name], inputs
        strides = conv.strides
        for kernel in conv.kernels[:-1]:
            new = self._product(new, kernel, (1, *strides[1:]), past)
            strides = (strides[0], 1, 1)
        if past is None:
            every = tf.pad(new, [(0, 0), (n, 0), (0, 0), (0, 0), (0, 0)])
        else:
            every = tf.concat([next(past), new], 1)
        kept = _last(new if new.shape[1] >= n else every, n)
        pixels = tf.cast(every, self._precision)
        outputs = self._product(
            _padded(pixels, conv.kernels[-1], strides), conv.kernels[-1], strides, past, "VALID"
        )
        return tf.nn.relu(tf.nn.bias_add(outputs, weights(conv.bias, outputs.dtype))), kept

    def _product(
        self, inputs: Any, kernel: Array, strides: spec.Triple, past: Past, padding: str = "SAME"
    ) -> Any:
        # Constants of the graph: oneDNN lays them out once, which took 3 of 10.6 ms otherwise.
        # A first window is too rare for the copies that costs.
        held = captured if past is None else weights
        return tf.nn.conv3d(inputs, held(kernel, inputs.dtype), (1, *strides, 1), padding)


def _padded(inputs: Any, kernel: Array, strides: spec.Triple) -> Any:
    """Pad height and width as SAME would; constants, so that oneDNN pads inside its convolution."""
    sides = []
    for length, k, s in zip(inputs.shape[2:4], kernel.shape[1:3], strides[1:], strict=True):
        total = max((-(-length // s) - 1) * s + k - length, 0)
        sides.append((total // 2, total - total // 2))
    return tf.pad(inputs, [(0, 0), (0, 0), *sides, (0, 0)]) if any(map(any, sides)) else inputs


def _last(values: Any, n: int) -> Any:
    """The last n slices in time, without a copy where that is all of them."""
    return values if values.shape[1] == n else values[:, -n:]


def _joined(values: Sequence[Any]) -> Any:
    return values[0] if len(values) == 1 else tf.concat(values, 0)


def _parted(value: Any, n: int) -> Sequence[Any]:
    """One tensor a stream; copied, as the parts of a split would share the memory of all."""
    return [value] if n == 1 else [tf.raw_ops.DeepCopy(x=part) for part in tf.split(value, n)]
