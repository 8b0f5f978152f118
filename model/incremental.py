"""A window that slides: exact results from the new frames and what the windows before left behind.

In: a first window, then only the new frames of each hop. Out: scores and embeddings equal to those
of the full windows, and a `State` a stream. The arithmetic is an engine's (`Graphs`); here is what
is the same for all: which values are handed in, which are kept, and under which name the next
window knows them. Invariant: a `State` is never changed; a step makes a new one that shares the
slices it kept, so an old state stays valid for as long as somebody holds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from model.classifier import Clips, Embeddings, Mode, Scores
from model.plan import TAIL_FRAMES, Plan
from model.slice import Value

Frames = npt.NDArray[np.uint8]
"""uint8 (T, H, W, 3), RGB, 0..255, oldest frame first."""


class Graphs(Protocol):
    """A plan on one runtime; tensors are the runtime's own and stay on its side."""

    def first(self, clips: Clips) -> tuple[Scores, Embeddings, Sequence[Any]]:
        """Run `plan.first`.

        Args:
            clips: uint8 (N, T, H, W, 3).

        Returns:
            scores (N, K), embeddings (N, E), and the values of `plan.first.keeps`.
        """
        ...

    def step(self, frames: Clips, taken: Sequence[Any]) -> tuple[Scores, Embeddings, Sequence[Any]]:
        """Run `plan.step`.

        Args:
            frames: uint8 (N, 2 + hop, H, W, 3): the last two old frames, then the new ones.
            taken: the values of `plan.step.takes`.

        Returns:
            scores (N, K), embeddings (N, E), and the values of `plan.step.keeps`.
        """
        ...

    def join(self, values: Sequence[Any]) -> Any:
        """Put tensors of several streams into one, along the first axis."""
        ...

    def split(self, value: Any, n: int) -> Sequence[Any]:
        """Cut a tensor of n streams into one a stream; no part keeps the memory of another."""
        ...

    def n_bytes(self, value: Any) -> int:
        """Tell the memory a tensor takes."""
        ...


@dataclass(frozen=True, slots=True)
class State:
    """What one stream keeps between windows.

    Attributes:
        values: slices by their name as the next window sees them; tensors of the engine, (1, ...).
        tail: uint8 (2, H, W, 3), the last frames.
        n_bytes: memory of all of it; the same after every step.
    """

    values: dict[Value, Any]
    tail: Frames
    n_bytes: int


class SlidingWindow:
    """Exact inference over windows that move by a fixed hop; a `model.classifier.Stepper`.

    Args:
        plan: hop and window length.
        graphs: the same plan on a runtime.
        size: (height, width) of all pictures, px; any where absent.
        chunk: streams that are run together; more are run one chunk after the other.
    """

    def __init__(
        self,
        plan: Plan,
        graphs: Graphs,
        size: tuple[int, int] | None = None,
        chunk: int | None = None,
    ) -> None:
        self.plan = plan
        self._graphs = graphs
        self._size = size
        self._chunk = chunk

    @property
    def hop(self) -> int:
        """Frames between two windows."""
        return self.plan.hop

    @property
    def mode(self) -> Mode:
        """A step equals the full window."""
        return "incremental"

    def init(self, clips: Clips) -> tuple[Scores, Embeddings, list[State]]:
        """Classify the first windows of N streams.

        Args:
            clips: uint8 (N, T, H, W, 3), RGB, 0..255, oldest frame first. Not modified.

        Returns:
            scores (N, K), embeddings (N, E), and a state a stream for `step`.

        Raises:
            ValueError: shape or dtype differs.
        """
        _check(clips, (len(clips), self.plan.frames, *(self._size or clips.shape[2:4]), 3))
        return _together([self._init(clips[part]) for part in self._chunks(len(clips))])

    def step(
        self, frames: Clips, states: Sequence[State]
    ) -> tuple[Scores, Embeddings, list[State]]:
        """Classify the windows that end with these frames.

        Args:
            frames: uint8 (N, hop, H, W, 3), the frames that follow those of each state; that they
                do is the caller's to know, nothing here can tell.
            states: of the N streams after the window before, of one picture size; not modified.

        Returns:
            scores (N, K), embeddings (N, E), and the N states for the next step.

        Raises:
            ValueError: shape or dtype differs from those of the states.
        """
        picture = states[0].tail.shape[1:] if states else ()
        _check(frames, (len(states), self.plan.hop, *picture))
        return _together(
            [self._step(frames[part], states[part]) for part in self._chunks(len(frames))]
        )

    def _chunks(self, n: int) -> list[slice]:
        chunk = self._chunk or n
        return [slice(at, at + chunk) for at in range(0, n, chunk)]

    def _init(self, clips: Clips) -> tuple[Scores, Embeddings, list[State]]:
        scores, embeddings, kept = self._graphs.first(clips)
        states = []
        for tail, own in zip(clips[:, -TAIL_FRAMES:], self._split(kept, len(clips)), strict=True):
            values = self._renamed(dict(zip(self.plan.first.keeps, own, strict=True)))
            n_bytes = tail.nbytes + sum(self._graphs.n_bytes(value) for value in values.values())
            states.append(State(values, tail.copy(), n_bytes))
        return scores, embeddings, states

    def _step(
        self, frames: Clips, states: Sequence[State]
    ) -> tuple[Scores, Embeddings, list[State]]:
        tails = np.stack([state.tail for state in states])
        scores, embeddings, kept = self._graphs.step(
            np.concatenate([tails, frames], axis=1),
            [self._join([s.values[value] for s in states]) for value in self.plan.step.takes],
        )
        after = []
        for state, tail, own in zip(
            states, frames[:, -TAIL_FRAMES:], self._split(kept, len(states)), strict=True
        ):
            values = state.values | dict(zip(self.plan.step.keeps, own, strict=True))
            after.append(replace(state, values=self._renamed(values), tail=tail.copy()))
        return scores, embeddings, after

    def _join(self, values: list[Any]) -> Any:
        return values[0] if len(values) == 1 else self._graphs.join(values)

    def _split(self, values: Sequence[Any], n: int) -> list[tuple[Any, ...]]:
        """Each stream's part of all values."""
        if n == 1:
            return [tuple(values)]
        return list(zip(*(self._graphs.split(value, n) for value in values), strict=True))

    def _renamed(self, values: dict[Value, Any]) -> dict[Value, Any]:
        """Values as the next window names them, without those it has no use for."""
        return {value: values[value.moved(self.plan.hop)] for value in self.plan.state}


def _together(
    parts: list[tuple[Scores, Embeddings, list[State]]],
) -> tuple[Scores, Embeddings, list[State]]:
    """The results of chunks as those of one call."""
    if len(parts) == 1:
        return parts[0]
    scores, embeddings, states = zip(*parts, strict=True)
    return np.concatenate(scores), np.concatenate(embeddings), [s for part in states for s in part]


def _check(clips: Clips, shape: tuple[int, ...]) -> None:
    if clips.dtype != np.uint8 or clips.shape != shape or not clips.size:
        raise ValueError(f"frames must be uint8 {shape}, got {clips.dtype} {clips.shape}")
