"""What training sees of any data: numbered batches of clips with targets.

In: a step number. Out: a `Batch`. Rendered and recorded data look the same from here on.
Invariant: a batch depends on its step and on how its `Batches` was made, on nothing else, so that a
run that is resumed needs only the step number.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Clips = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
_UNKNOWN: Floats = np.empty((0, 0, 0), np.float32)
_NOWHERE: Floats = np.empty((0, 0, 0, 0, 0), np.float32)


class Batch(NamedTuple):
    """Clips and what they show.

    Attributes:
        clips: uint8 (N, T, S, S, 3), RGB, oldest frame first.
        targets: float32 (N, K) in [0, 1].
        weights: float32 (N, K); 0 where the truth is undecided.
        moments: float32 (N, P, K), 1, 0 or NaN (undecided): what is true of the frames that each of
            the network's P = T / 4 time positions stands for. Empty where only whole clips are
            judged.
        places: float32 (N, P, G, G, 7), 1, 0 or NaN: which motion labels are true of each cell of
            8 x 8 pixels during those frames. Empty where nobody knows where objects are.
        rates: float32 (N, P, G, G, 4), how fast what is in the cell moves, as in
            `rate.rate_targets`; NaN unknown. Empty as `places`.
    """

    clips: Clips
    targets: Floats
    weights: Floats
    moments: Floats = _UNKNOWN
    places: Floats = _NOWHERE
    rates: Floats = _NOWHERE


class Batches(Protocol):
    """An endless numbered sequence of batches; may be sent to another process."""

    def batch(self, step: int) -> Batch:
        """Return the batch of a step.

        Args:
            step: 0 or more.

        Returns:
            new arrays, owned by the caller.

        Raises:
            DataError: a file cannot be decoded; the message names it.
        """
        ...
