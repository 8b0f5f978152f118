"""The one interface the worker sees: uint8 clips in, scores out.

Each runtime (`engines/*.py`) implements `Classifier`. A classifier is used by one thread of one
process. Invariant: for the same bundle, all classifiers agree within the tolerance of their
precision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

Clips = npt.NDArray[np.uint8]
"""uint8 (N, T, S, S, 3), RGB, 0..255, oldest frame first."""

Scores = npt.NDArray[np.float32]
"""float32 (N, K) in [0, 1]."""

Embeddings = npt.NDArray[np.float32]
"""float32 (N, E)."""


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What a classifier measured about itself.

    Attributes:
        engine: runtime name and version.
        precision: the precision in use.
        device: cpu or gpu.
        cost_s: median seconds by batch size.
        report: further measured figures by name (relative differences, milliseconds of rejected
            choices).
    """

    engine: str
    precision: str
    device: str
    cost_s: Mapping[int, float]
    report: Mapping[str, float] = field(default_factory=dict)


class Classifier(Protocol):
    """A loaded model on one runtime."""

    @property
    def labels(self) -> Sequence[str]:
        """The K label names, in the order of the scores."""
        ...

    def warm_up(self, max_batch: int) -> WarmUp:
        """Build the graphs, choose precision and threads, verify, measure batch costs.

        Blocks for seconds. Must be called once, before `predict`.

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

    def close(self) -> None:
        """Free the runtime's resources; idempotent."""
        ...
