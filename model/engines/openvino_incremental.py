"""A `PooledPlan` as OpenVINO models, and the `Stepper` on them.

In: layers from `openvino_graph` and a plan; then the new frames of each hop. Out: scores and
embeddings equal to those of full windows, and a `State` a stream. Graphs have fixed shapes, one
stream a call: a batch on a CPU saves nothing (DECISIONS) and would copy every state in and out.
Invariant: a `State` is never changed, and arrays in it are shared with the states before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as op

from model.classifier import Clips, Embeddings, Mode, Scores
from model.engines.openvino_device import Request
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
from model.fuse import FusedConv
from model.pooled import TAIL_FRAMES, PooledPlan

Array = npt.NDArray[Any]
Compile = Callable[[str, Callable[[], Any]], Request]
"""Name of a graph, and how to write it -> a request; see `Device.request`."""


@dataclass(frozen=True, slots=True)
class State:
    """What one stream keeps between windows, named as the next window sees it.

    Attributes:
        frames: uint8 (H, W, 3), the last ten.
        left: the first pooled slice of each later window whose start is known, the next one first.
        pooled: edge-free pooled slices.
        seam: a slice of stem2, pooled in space alone.
    """

    frames: tuple[Array, ...]
    left: tuple[Array, ...]
    pooled: tuple[Array, ...]
    seam: Array

    @property
    def n_bytes(self) -> int:
        """Memory it takes; the same after every step."""
        arrays = (*self.frames, *self.left, *self.pooled, self.seam)
        return sum(array.nbytes for array in arrays)


class PooledStepper:
    """`model.classifier.Stepper` on OpenVINO.

    Args:
        plan: hop and window length.
        layers: gives those of the network; called only for a graph that is not in the cache.
        head: behind the features.
        size: picture (height, width), px.
        precision: of the state.
        compiled: puts a graph on the device.
    """

    mode: Mode = "incremental"

    def __init__(
        self,
        plan: PooledPlan,
        layers: Callable[[], Layers],
        head: Head,
        size: tuple[int, int],
        precision: str,
        compiled: Compile,
    ) -> None:
        self.plan = plan
        self._head = head
        self._size = size
        shape = f"{plan.frames}x{size[0]}x{size[1]}"
        self._first = compiled(
            f"first{plan.hop} {shape}", lambda: first_model(plan, layers(), size, precision)
        )
        self._step = compiled(
            f"step{plan.hop} {shape}", lambda: step_model(plan, layers(), size, precision)
        )

    @property
    def hop(self) -> int:
        """Frames between two windows."""
        return self.plan.hop

    def init(self, clips: Clips) -> tuple[Scores, Embeddings, list[State]]:
        """Classify the first windows of N streams; see `Stepper.init`."""
        self._check(clips, self.plan.frames, "clips")
        return self._each(self._init(clip) for clip in clips)

    def step(
        self, frames: Clips, states: Sequence[State]
    ) -> tuple[Scores, Embeddings, list[State]]:
        """Classify the windows that end with these frames; see `Stepper.step`."""
        self._check(frames, self.hop, "frames")
        if len(frames) != len(states):
            raise ValueError(f"{len(frames)} streams of frames need as many states: {len(states)}")
        pairs = zip(frames, states, strict=True)
        return self._each(self._next(new, state) for new, state in pairs)

    def _each(self, found: Any) -> tuple[Scores, Embeddings, list[State]]:
        features, states = zip(*found, strict=True)
        scores, embeddings = self._head(np.concatenate(features))
        return scores, embeddings, list(states)

    def _init(self, clip: Array) -> tuple[Array, State]:
        self._first.inputs[0][:] = clip.reshape(self._first.inputs[0].shape)
        features, seam, *rest = self._first.run()
        n_left = len(self.plan.lefts)
        tail = tuple(frame.copy() for frame in clip[-TAIL_FRAMES:])
        pooled = tuple(part for kept in rest[n_left:] for part in _cut(kept))
        return features, State(tail, tuple(rest[:n_left]), pooled, seam)

    def _next(self, new: Array, state: State) -> tuple[Array, State]:
        plan, (frames, pooled, seam) = self.plan, self._step.inputs
        pictures = frames.reshape(TAIL_FRAMES + plan.hop, *self._size, -1)
        for n, frame in enumerate((*state.frames, *new)):
            pictures[n] = frame
        for n, own in enumerate((state.left[0], *state.pooled)):
            pooled[:, n : n + 1] = own
        seam[:] = state.seam
        features, fresh, after, left = self._step.run()
        tail = (*state.frames, *(frame.copy() for frame in new))[-TAIL_FRAMES:]
        # Slices of this window from its second on, without those at its end.
        known = (*state.pooled, *_cut(fresh))
        return features, State(
            tail,
            (*state.left[1:], left),
            known[plan.kept.start - 1 : plan.kept.stop - 1],
            after,
        )

    def _check(self, clips: Clips, frames: int, what: str) -> None:
        shape = (frames, *self._size, 3)
        if clips.dtype != np.uint8 or clips.shape[1:] != shape or not len(clips):
            raise ValueError(
                f"{what} must be uint8 (N, {', '.join(map(str, shape))}),"
                f" got {clips.dtype} {clips.shape}"
            )


def first_model(plan: PooledPlan, layers: Layers, size: tuple[int, int], precision: str) -> Any:
    """Write the graph of a first window.

    Returns:
        A model from uint8 frames (1, T, ...) to features, the seam, the left pooled slice of each
        window in `plan.lefts`, and the pooled slices of `plan.kept` where there are any.
    """
    frames = op.parameter(frames_shape(1, plan.frames, size), np.uint8)
    stem, stem1, stem2 = _stem(layers, layers.pixels(frames), None, (1, 1))
    pooled = max_pool(stem2)
    kept = [slices(pooled, plan.kept.start, plan.kept.stop)] if plan.kept else []
    seam = max_pool(slices(stem2, plan.seam, plan.seam + 1), 1)
    lefts = [
        _left(layers, slices(stem, at, at + 2), slices(stem1, at + 1, at + 3)) for at in plan.lefts
    ]
    state = [result(node, precision) for node in (seam, *lefts, *kept)]
    return ov.Model([layers.features(pooled), *state], [frames], f"first{plan.hop}")


def step_model(plan: PooledPlan, layers: Layers, size: tuple[int, int], precision: str) -> Any:
    """Write the graph of a later window.

    Returns:
        A model from uint8 frames (1, 10 + hop, ...), the old pooled slices and the seam to
        features, the new edge-free pooled slices, the new seam and a new left pooled slice.
    """
    side = [-(-length // 4) for length in size]
    channels = layers.network.stem[-1].bias.size
    frames = op.parameter(frames_shape(1, TAIL_FRAMES + plan.hop, size), np.uint8)
    old = parameter((1, plan.n_old, *side, channels), precision)
    seam = parameter((1, 1, *side, channels), precision)
    at = plan.first_stem
    stem, stem1, stem2 = _stem(layers, layers.pixels(frames), (0, 1), (0, 1))
    # Slices of one stage are numbered from its own first one.
    second = plan.left_at - at
    left = _left(
        layers,
        slices(stem, second, second + 2),
        slices(stem1, second, second + 2),
    )
    spatial = op.concat([layers.named("stem2", taken(seam)), max_pool(stem2, 1)], 2)
    over_time = op.max_pool(spatial, [2, 1, 1], [1, 1, 1], [0] * 3, [0] * 3, [2, 1, 1])
    over_time.set_friendly_name("pool/time")
    new = over_time.output(0)
    last = plan.seam - (at + 1)
    pooled = op.concat([layers.named("stem2", taken(old)), new], 2)
    state = [
        slices(new, 0, plan.hop // 4),
        slices(spatial, last, last + 1),
        left,
    ]
    results = [layers.features(pooled), *(result(node, precision) for node in state)]
    return ov.Model(results, [frames, old, seam], f"step{plan.hop}")


def _stem(
    layers: Layers, pixels: Any, first: tuple[int, int] | None, later: tuple[int, int]
) -> tuple[Any, Any, Any]:
    """Run the three stages before the pool, with zeros in time as stated."""
    stem = layers.stem(pixels, first)
    stem1 = layers.convolve(stem, layers.network.stem[1], later)
    return stem, stem1, layers.convolve(stem1, layers.network.stem[2], later)


def _left(layers: Layers, stem: Any, stem1: Any) -> Any:
    """First pooled slice of a window that starts here.

    Args:
        layers: of the network.
        stem: its first two slices.
        stem1: its second and third, which see no padding.
    """
    _, conv, last = layers.network.stem
    first = layers.convolve(stem, _without_past(conv), (0, 0))
    return max_pool(layers.convolve(op.concat([first, stem1], 2), last, (1, 0)))


def _without_past(conv: FusedConv) -> FusedConv:
    """The same convolution at a window's first slice: its first tap falls outside."""
    *before, last = conv.kernels
    return replace(conv, kernels=(*before, last[1:]))


def _cut(slices_: Array) -> tuple[Array, ...]:
    """Slices (1, 1, H, W, C), each of its own memory."""
    return tuple(slices_[:, n : n + 1].copy() for n in range(slices_.shape[1]))
