"""The one interface the worker sees: uint8 clips in, scores out.

Each runtime (`engines/*.py`) implements `Classifier`. Windows of one stream that follow each other
at a fixed hop are cheaper through its `Stepper`, which is handed the new frames alone. A classifier
is used by one thread of one process. Invariant: for the same bundle, all classifiers agree within
the tolerance of their precision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

Clips = npt.NDArray[np.uint8]
"""uint8 (N, T, S, S, 3), RGB, 0..255, oldest frame first."""

Scores = npt.NDArray[np.float32]
"""float32 (N, K) in [0, 1]."""

Embeddings = npt.NDArray[np.float32]
"""float32 (N, E)."""

Maps = npt.NDArray[np.float32]
"""float32 (N, T', H', W', K): what each place of a clip adds to the logits; T' positions share the
clip's time evenly, H' x W' its picture. The mean over places is the logit."""

TOLERANCE = {"float32": 1e-5, "bfloat16": 2e-2, "float16": 5e-3, "int8": 0.1}
"""Largest accepted difference of embeddings by precision, relative to the largest component of the
reference. int8 was 0.03 to 0.06 off on rendered scenes at 64 to 256 px, the same label on top."""

Mode = Literal["full", "incremental", "causal"]
"""How a window is computed: from all its frames; from the new frames and what the windows before
left behind, with the same result; so too, by a network trained to look at the past only."""


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What a classifier measured about itself.

    Attributes:
        engine: runtime name and version.
        precision: the precision in use.
        device: cpu or gpu.
        cost_s: median seconds of a full window, by batch size.
        report: further measured figures by name (relative differences, milliseconds of rejected
            choices).
        step_cost_s: median seconds of a step by hop, then by batch size; only hops that have a
            `Stepper`.
    """

    engine: str
    precision: str
    device: str
    cost_s: Mapping[int, float]
    report: Mapping[str, float] = field(default_factory=dict)
    step_cost_s: Mapping[int, Mapping[int, float]] = field(default_factory=dict)


class StreamState(Protocol):
    """What one stream keeps between windows; opaque to all but the `Stepper` that made it."""

    @property
    def n_bytes(self) -> int:
        """Memory it takes; the same after every step."""
        ...


class Stepper(Protocol):
    """Windows that follow each other at one hop, several streams at once; holds no state itself.

    States are never changed: a step makes new ones, and an old one stays valid.
    """

    @property
    def hop(self) -> int:
        """Frames between two windows."""
        ...

    @property
    def mode(self) -> Mode:
        """incremental: a step equals the full window; causal: it equals the run from `init` on."""
        ...

    def init(self, clips: Clips) -> tuple[Scores, Embeddings, list[Any]]:
        """Classify the first windows of N streams.

        Args:
            clips: uint8 (N, T, S, S, 3), as for `Classifier.predict`.

        Returns:
            scores (N, K), embeddings (N, E), and a `StreamState` a stream for `step`.

        Raises:
            ValueError: shape or dtype differs from the bundle's.
            EngineFailedError: the runtime failed.
        """
        ...

    def step(self, frames: Clips, states: Sequence[Any]) -> tuple[Scores, Embeddings, list[Any]]:
        """Classify the windows that end with these frames.

        Args:
            frames: uint8 (N, hop, S, S, 3), those that follow the frames of each state.
            states: of the N streams after the window before; not modified.

        Returns:
            scores (N, K), embeddings (N, E), and the N states for the next step.

        Raises:
            ValueError: shape or dtype differs from those of the states.
            EngineFailedError: the runtime failed.
        """
        ...


class Classifier(Protocol):
    """A loaded model on one runtime."""

    @property
    def labels(self) -> Sequence[str]:
        """The K label names, in the order of the scores."""
        ...

    def warm_up(self, max_batch: int, hops: Sequence[int] = ()) -> WarmUp:
        """Build the graphs, choose precision and threads, verify, measure batch costs.

        Blocks for seconds. Must be called once, before `predict`.

        Args:
            max_batch: most clips or streams in one call.
            hops: for which a `Stepper` is wanted; a hop gets none where the network's geometry does
                not allow it, where it does not verify, or where it is no faster than full windows.

        Raises:
            EngineFailedError: the runtime failed or no precision verifies.
        """
        ...

    def predict(self, clips: Clips) -> tuple[Scores, Embeddings]:
        """Classify clips.

        Blocks the calling thread; call only from the worker process.

        Args:
            clips: uint8 (N, T, S, S, 3), RGB, 0..255, oldest frame first; 1 <= N <= max_batch.
                Not modified, and not kept after the return.

        Returns:
            float32 (N, K) in [0, 1] and float32 (N, E); new arrays, owned by the caller.

        Raises:
            ValueError: shape or dtype differs from the bundle's.
            EngineFailedError: the runtime failed; this object is unusable afterwards.
        """
        ...

    def localize(self, clips: Clips) -> Maps:
        """Say what each place of a clip adds to each label's logit.

        A second pass in full, for the few windows that raise an event; blocks as `predict` does.

        Args:
            clips: as for `predict`.

        Returns:
            float32 (N, T', H', W', K); a new array, owned by the caller.

        Raises:
            ValueError: shape or dtype differs from the bundle's.
            EngineFailedError: the runtime failed; this object is unusable afterwards.
        """
        ...

    def stepper(self, hop: int) -> Stepper | None:
        """Return the stepper of a hop that was asked for at warm-up; None where it has none."""
        ...

    def close(self) -> None:
        """Free the runtime's resources; idempotent."""
        ...


def check_clips(clips: Clips, max_batch: int, one: tuple[int, ...]) -> None:
    """Refuse clips a classifier was not warmed up for.

    Args:
        clips: as handed to `predict`.
        max_batch: as handed to `warm_up`.
        one: shape of a clip, (T, S, S, 3).

    Raises:
        ValueError: dtype, shape or number differs.
    """
    if clips.dtype != np.uint8 or clips.shape[1:] != one or not 1 <= len(clips) <= max_batch:
        raise ValueError(
            f"clips must be uint8 (1..{max_batch}, {', '.join(map(str, one))}),"
            f" got {clips.dtype} {clips.shape}"
        )
