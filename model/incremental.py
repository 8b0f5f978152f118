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

from model.classifier import Clips
from model.plan import TAIL_FRAMES, Plan
from model.slice import Value

Frames = npt.NDArray[np.uint8]
"""uint8 (T, H, W, 3), RGB, 0..255, oldest frame first."""


class Graphs(Protocol):
    """A plan on one runtime; tensors are the runtime's own and stay on its side."""

    def first(self, clips: Clips) -> tuple[Any, Any, Sequence[Any]]:
        """Run `plan.first`.

        Args:
            clips: uint8 (N, T, H, W, 3).

        Returns:
            scores (N, K), embeddings (N, E), and the values of `plan.first.keeps`.
        """
        ...

    def step(self, frames: Clips, taken: Sequence[Any]) -> tuple[Any, Any, Sequence[Any]]:
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
        """Cut a tensor of n streams into one a stream."""
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
    """Exact inference over windows that move by a fixed hop; holds no stream's state itself.

    Args:
        plan: hop and window length.
        graphs: the same plan on a runtime.
    """

    def __init__(self, plan: Plan, graphs: Graphs) -> None:
        self.plan = plan
        self._graphs = graphs

    def init(self, clips: Clips) -> tuple[Any, Any, list[State]]:
        """Classify the first windows of N streams.

        Args:
            clips: uint8 (N, T, H, W, 3), RGB, 0..255, oldest frame first. Not modified.

        Returns:
            scores (N, K), embeddings (N, E), and a state a stream for `step`.

        Raises:
            ValueError: shape or dtype differs.
        """
        _check(clips, (len(clips), self.plan.frames, *clips.shape[2:]))
        scores, embeddings, kept = self._graphs.first(clips)
        states = []
        for tail, own in zip(clips[:, -TAIL_FRAMES:], self._split(kept, len(clips)), strict=True):
            values = self._renamed(dict(zip(self.plan.first.keeps, own, strict=True)))
            n_bytes = tail.nbytes + sum(self._graphs.n_bytes(value) for value in values.values())
            states.append(State(values, tail.copy(), n_bytes))
        return scores, embeddings, states

    def step(self, frames: Clips, states: Sequence[State]) -> tuple[Any, Any, list[State]]:
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
        tails = np.stack([state.tail for state in states])
        _check(frames, (len(states), self.plan.hop, *tails.shape[2:]))
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


def _check(clips: Clips, shape: tuple[int, ...]) -> None:
    if clips.dtype != np.uint8 or clips.shape != shape or not clips.size:
        raise ValueError(f"frames must be uint8 {shape}, got {clips.dtype} {clips.shape}")
