"""The causal network step by step: new frames and what the past left behind, nothing twice.

In: the first frames of a stream, then only the new frames of each hop. Out: scores, embeddings and
a `CausalState` a stream. No layer of the causal network looks ahead, so every slice is computed
once and is final; what a step needs of the past is what the kernels reach back for (`kept_slices`).
The arithmetic is an engine's (`Graphs`). Invariant: a step equals the network run on the whole
stream so far, with the mean over its last positions; nothing is updated in place or summed up over
steps, so nothing drifts and an old state stays valid.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from model import spec
from model.classifier import Clips, Embeddings, Mode, Scores

FRAMES_A_POSITION = spec.STEM[0].strides[0] * spec.POOL[0]
"""Frames from one pooled position to the next; hop and window are multiples of it."""

POSITIONS = "positions"
"""Name of the pooled outputs of the last block, over whose mean the head looks."""


def kept_slices(frames: int = spec.FRAMES) -> dict[str, int]:
    """Tell what a stream keeps between steps, in the order of the network.

    Args:
        frames: length of a window, whose positions the head averages over.

    Returns:
        Slices in time by name: for a convolution over time (`stem`, `block0/feature`) those that
        its kernel reaches back for, for a block's average (`block0/average`) the one before; at
        the start of a stream the former are zeros and the latter is the first slice itself. Last
        the pooled positions, float32, of which a stream has all from its first window on.
    """
    kept = {stage.name: stage.kernel[0] - stage.strides[0] for stage in spec.STEM}
    for block in spec.BLOCKS:
        kernels = {name: kernel for name, _, _, kernel in spec.block_convs(block, 1)}
        kept[f"{block.name}/feature"] = kernels["feature"][0] - block.strides[0]
        kept[f"{block.name}/average"] = 1
    return kept | {POSITIONS: frames // FRAMES_A_POSITION}


class Graphs(Protocol):
    """The causal network on one runtime; tensors are the runtime's own and stay on its side."""

    def first(self, clip: Clips) -> tuple[Scores, Embeddings, Sequence[Any]]:
        """Run the first window of one stream.

        Args:
            clip: uint8 (1, T, H, W, 3).

        Returns:
            scores (1, K), embeddings (1, E), and the values of `kept_slices`.
        """
        ...

    def step(
        self, frames: Clips, streams: Sequence[Sequence[Any]]
    ) -> tuple[Scores, Embeddings, Sequence[Sequence[Any]]]:
        """Run what follows.

        Args:
            frames: uint8 (N, hop, H, W, 3), the new frames.
            streams: for each stream the values of the step before; not modified.

        Returns:
            scores (N, K), embeddings (N, E), and for each stream its new values; none of them
            keeps the memory of another stream's.
        """
        ...

    def n_bytes(self, value: Any) -> int:
        """Tell the memory a value takes."""
        ...


@dataclass(frozen=True, slots=True)
class CausalState:
    """What one stream keeps between steps.

    Attributes:
        values: tensors of the engine, in the order of `kept_slices`.
        picture: (H, W, 3) of its frames.
        n_bytes: memory of the values; the same after every step.
    """

    values: tuple[Any, ...]
    picture: tuple[int, ...]
    n_bytes: int


class CausalStepper:
    """`model.classifier.Stepper` of a causal network; holds no stream's state itself.

    Args:
        hop: frames of a step, a multiple of 4, at most `frames`.
        frames: of the first window, a multiple of 4; the head averages over that many.
        graphs: the network on a runtime; the same may serve steppers of several hops.
        size: (height, width) of all pictures, px; any where absent.

    Raises:
        ValueError: hop or frames do not fit the network's stride of 4 frames.
    """

    def __init__(
        self, hop: int, frames: int, graphs: Graphs, size: tuple[int, int] | None = None
    ) -> None:
        stride = FRAMES_A_POSITION
        if frames % stride or frames < stride:
            raise ValueError(f"frames must be a multiple of {stride}, got {frames}")
        if hop % stride or not stride <= hop <= frames:
            raise ValueError(
                f"hop must be a multiple of {stride} from {stride} to {frames}, got {hop}"
            )
        self._hop = hop
        self._frames = frames
        self._graphs = graphs
        self._size = size

    @property
    def hop(self) -> int:
        """Frames between two windows."""
        return self._hop

    @property
    def mode(self) -> Mode:
        """A step equals the run from `init` on."""
        return "causal"

    def init(self, clips: Clips) -> tuple[Scores, Embeddings, list[CausalState]]:
        """Classify the first windows of N streams; see `Stepper.init`.

        Args:
            clips: uint8 (N, T, H, W, 3), RGB, 0..255, oldest frame first. Not modified.

        Returns:
            scores (N, K), embeddings (N, E), and a state a stream for `step`.

        Raises:
            ValueError: shape or dtype differs.
        """
        size = self._size or clips.shape[2:4]
        _check(clips, (len(clips), self._frames, *size, spec.CHANNELS))
        # One by one: first windows are rare, and eight times as large as steps of 4 frames.
        parts = [self._graphs.first(clip[None]) for clip in clips]
        scores, embeddings, values = zip(*parts, strict=True)
        return np.concatenate(scores), np.concatenate(embeddings), self._states(values, clips)

    def step(
        self, frames: Clips, states: Sequence[CausalState]
    ) -> tuple[Scores, Embeddings, list[CausalState]]:
        """Classify the windows that end with these frames; see `Stepper.step`.

        Args:
            frames: uint8 (N, hop, H, W, 3), the frames that follow those of each state; that they
                do is the caller's to know, nothing here can tell.
            states: of the N streams after the step before, of one picture size; not modified.

        Returns:
            scores (N, K), embeddings (N, E), and the N states for the next step.

        Raises:
            ValueError: shape or dtype differs from those of the states.
        """
        pictures = {state.picture for state in states}
        if len(pictures) != 1:
            raise ValueError(f"states must be of one picture size, got {sorted(pictures)}")
        _check(frames, (len(states), self._hop, *pictures.pop()))
        scores, embeddings, values = self._graphs.step(frames, [state.values for state in states])
        return scores, embeddings, self._states(values, frames)

    def _states(self, streams: Iterable[Sequence[Any]], frames: Clips) -> list[CausalState]:
        return [
            CausalState(tuple(values), frames.shape[2:], sum(map(self._graphs.n_bytes, values)))
            for values in streams
        ]


def _check(clips: Clips, shape: tuple[int, ...]) -> None:
    if clips.dtype != np.uint8 or clips.shape != shape or not clips.size:
        raise ValueError(f"frames must be uint8 {shape}, got {clips.dtype} {clips.shape}")
