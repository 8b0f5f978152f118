"""A `Plan` as TensorFlow graphs: one for the first window of a stream, one for every later one.

In: plain arrays from `fuse` and a plan. Out: `TensorFlowGraphs`. Every slice is a tensor of its
own, (N, H, W, C), and every tap a 2D convolution that oneDNN adds to the partial sum in place, so
that nothing large is concatenated, padded or cut. Invariant: shapes are fixed by the first call
with a batch and picture size, and a stream never traces again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model.classifier import Clips, Embeddings, Scores
from model.engines.graph import apply_block, captured, convolve, hold, scope, scores_of
from model.errors import EngineFailedError
from model.fuse import FusedBlock, FusedNetwork
from model.plan import Plan, Step
from model.slice import BLOCK1_PARTS, Operation, Product, Slice, Sum, Value

Values = dict[Value, Any]


class TensorFlowGraphs:
    """`model.incremental.Graphs` on TensorFlow.

    Args:
        plan: hop and window length.
        network: from `fuse`, with a collapsed stem and padding on both ends of time.
        score_kernel: float32 (E, K).
        score_bias: float32 (K,).
        precision: of convolutions and of the state; pooling to the embedding and everything after
            is float32.
        is_constant: the weights behind the pool are constants of the graph that steps one stream,
            which is faster and takes 70 MB more.

    Raises:
        ValueError: the network is causal, or its stem is not collapsed.
    """

    def __init__(
        self,
        plan: Plan,
        network: FusedNetwork,
        score_kernel: npt.NDArray[np.float32],
        score_bias: npt.NDArray[np.float32],
        precision: str,
        *,
        is_constant: bool = True,
    ) -> None:
        kernels = [len(conv.kernels) for conv in network.stem]
        if network.temporal_padding != "same" or max(kernels) > 1:
            raise ValueError(
                "needs temporal_padding 'same' and one kernel a stem convolution, got"
                f" {network.temporal_padding!r} and {kernels}"
            )
        self._plan = plan
        self._precision = precision
        # The first window of a stream is rare, and several streams share what laying out costs:
        # not worth constants of their own.
        self._held = hold(network, precision)
        self._network = network if is_constant else self._held
        head = (network.head_kernel, network.head_bias, score_kernel, score_bias)
        self._head = [captured(array) for array in head]
        # Every sum holds the middle tap once. The others get a zero, because oneDNN takes an
        # addition into a convolution only behind a bias; a constant zero would be optimized away.
        self._taps = {
            (conv.name, tap): (
                conv.kernels[0][tap],
                captured(conv.bias if tap == 1 else 0 * conv.bias, precision),
            )
            for conv in network.stem[1:]
            for tap in range(3)
        }
        self._graphs: dict[tuple[int, ...], Any] = {}

    @property
    def n_graphs(self) -> int:
        """Graphs traced so far: two for each batch and picture size."""
        return len(self._graphs)

    def first(self, clips: Clips) -> tuple[Scores, Embeddings, Sequence[Any]]:
        """Run the first window; see `Graphs.first`."""
        return self._call(self._plan.first, clips, ())

    def step(self, frames: Clips, taken: Sequence[Any]) -> tuple[Scores, Embeddings, Sequence[Any]]:
        """Run a later window; see `Graphs.step`."""
        return self._call(self._plan.step, frames, taken)

    def join(self, values: Sequence[Any]) -> Any:
        """Put tensors of several streams into one; see `Graphs.join`."""
        return tf.concat(values, 0)

    def split(self, value: Any, n: int) -> Sequence[Any]:
        """Cut a tensor of n streams into one a stream; see `Graphs.split`."""
        # The parts of a split share its memory: one stream that stands still would hold all.
        return [tf.raw_ops.DeepCopy(x=part) for part in tf.split(value, n)]

    def n_bytes(self, value: Any) -> int:
        """Tell the memory a tensor takes; see `Graphs.n_bytes`."""
        return int(value.shape.num_elements() * value.dtype.size)

    def _call(
        self, step: Step, frames: Clips, taken: Sequence[Any]
    ) -> tuple[Scores, Embeddings, Sequence[Any]]:
        """Run the graph for these shapes; the first call with them traces it.

        Raises:
            EngineFailedError: TensorFlow failed.
        """
        try:
            return self._run_traced(step, frames, taken)
        except tf.errors.OpError as err:
            raise EngineFailedError(
                f"TensorFlow failed on {len(frames)} streams: {err.message}"
            ) from err

    def _run_traced(
        self, step: Step, frames: Clips, taken: Sequence[Any]
    ) -> tuple[Scores, Embeddings, Sequence[Any]]:
        key = (len(taken), *frames.shape)
        tensors = (tf.constant(frames), *taken)
        if key not in self._graphs:

            def run(frames: Any, *taken: Any) -> Any:
                return self._run(step, frames, dict(zip(step.takes, taken, strict=True)))

            specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tensors]
            self._graphs[key] = tf.function(run, autograph=False).get_concrete_function(*specs)
        scores, embeddings, kept, _ = self._graphs[key](*tensors)
        return scores.numpy(), embeddings.numpy(), kept

    def _run(self, step: Step, frames: Any, values: Values) -> Any:
        is_held = step is self._plan.first or frames.shape[0] > 1
        network = self._held if is_held else self._network
        with scope("stem"):
            pixels = tf.cast(frames, self._precision)
            slices = tf.unstack(convolve(pixels, network.stem[0], is_causal=False), axis=1)
        values.update(zip(step.stem, slices, strict=True))
        for operation in step.operations:
            with scope(_stage(operation.result)):
                values[operation.result] = self._operate(operation, values)
        outputs = self._behind_pool(step, values, network.blocks)
        scores, embeddings = scores_of(outputs, self._head, self._network.activation)
        # Of sums read once TensorFlow's optimizer would make one addition of three terms, which no
        # convolution takes in; results are left alone. Measured 1 to 2 ms of 65 (hop 4).
        sums = [values[o.result] for o in step.operations if isinstance(o.result, Sum)]
        return scores, embeddings, [values[value] for value in step.keeps], sums

    def _operate(self, operation: Operation, values: Values) -> Any:
        addends = [values[value] for value in operation.addends]
        if operation.activation == "max":
            return tf.nn.relu(tf.maximum(*addends))
        if operation.product is not None:
            output = self._product(operation.product, values)
            if addends:
                output = tf.add(output, addends[0])
        else:
            output = tf.add(*addends)
        if operation.activation == "none":
            return output
        if isinstance(operation.result, Slice) and operation.result.stage == "stem2":
            # The spatial half of the pool, here already, and the ReLU behind all of it: a maximum
            # does not mind, and both then touch a quarter of the memory.
            with scope("pool"):
                return tf.nn.max_pool2d(output, 2, 2, "SAME")
        return tf.nn.relu(output)

    def _product(self, product: Product, values: Values) -> Any:
        kernel, bias = self._taps[product.stage, product.tap]
        # A constant of the graph, small as it is: oneDNN then lays it out once, not each time.
        output = tf.nn.conv2d(
            values[product.source], tf.constant(kernel, self._precision), 1, "SAME"
        )
        return tf.nn.bias_add(output, bias)

    def _behind_pool(self, step: Step, values: Values, blocks: Sequence[FusedBlock]) -> Any:
        """Everything behind the pool; slices of block0 that are at hand are not made again."""
        pooled = [values[value] for value in self._plan.pooled()]
        begin, *later = step.block0
        parts = [[part] for part in _block0(pooled, begin, blocks)]
        for own in later:
            outputs = _block0(pooled, own, blocks)
            for part, output, name in zip(parts, outputs, BLOCK1_PARTS, strict=True):
                at_hand = range(begin.stop, own.start)
                part += [*(values[Slice(name, n)][:, None] for n in at_hand), output]
        with scope("block1/joined"):
            whole = [tf.concat(part, 1) if len(part) > 1 else part[0] for part in parts]
        for part, name in zip(whole, BLOCK1_PARTS, strict=True):
            values.update({Slice(name, n): part[:, n] for n in self._plan.interior("block0")})
        return _later_blocks(whole[0], whole[1], blocks)


def _stage(value: Value) -> str:
    """The layer a value belongs to."""
    first = value.terms[0] if isinstance(value, Sum) else value
    return first.stage


def _block0(pooled: list[Any], own: range, blocks: Sequence[FusedBlock]) -> tuple[Any, Any]:
    """What block1 makes of the slices `own` of block0, each by itself."""
    block, next_block = blocks[:2]
    begin, end = max(0, own.start - 1), min(len(pooled), own.stop + 1)
    with scope("block0/joined"):
        inputs = tf.stack(pooled[begin:end], 1)
    cut = slice(own.start - begin, own.stop - begin)
    feature = convolve(convolve(inputs, block.bottleneck, False), block.feature, False)
    with scope("block0/average"):
        average = tf.nn.avg_pool3d(inputs, 2, 1, "SAME")
        joined = tf.concat([feature[:, cut], average[:, cut]], -1)
    outputs = convolve(joined, block.merge, False)
    strides = (1, *next_block.strides, 1)
    with scope("block1/average"):
        small = tf.nn.avg_pool3d(outputs, (1, 2, 2), strides, "SAME")
    return convolve(outputs, next_block.bottleneck, False), small


def _later_blocks(narrow: Any, small: Any, blocks: Sequence[FusedBlock]) -> Any:
    _, block, *rest = blocks
    feature = convolve(narrow, block.feature, False)
    with scope("block1/average"):
        average = tf.nn.avg_pool3d(small, (2, 1, 1), 1, "SAME")
        joined = tf.concat([feature, average], -1)
    outputs = convolve(joined, block.merge, False)
    for block in rest:
        outputs = apply_block(outputs, block, False)
    return outputs
