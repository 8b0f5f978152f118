"""When steps over windows that were left out cost more than they are worth; pure.

In: for each window of a camera how many hops after the last one it comes, and what a step costs
beside a full window. Out: whether the camera's windows are computed step by step at all. Now and
then a window is left out and stepping over it keeps the stream going; where that happens again and
again, and the steps to one window cost more than the window in full, they only take time from
others. Invariant: a camera whose windows follow each other is always computed step by step.
"""

from __future__ import annotations

from dataclasses import dataclass

N_LATE = 8
"""Windows in a row that cost more in steps than in full, until they are computed in full. A worker
that can catch up has done so by then; and as many in a row without a gap end it."""

REST = 32
MAX_REST = 512
"""Windows computed in full before steps are tried again; doubled each time that was too early."""


@dataclass(slots=True)
class _Camera:
    """Counts of windows: late or prompt in a row, left to be computed in full now and next time."""

    n_late: int = 0
    n_prompt: int = 0
    rest: int = 0
    next_rest: int = REST


class Patience:
    """The patience with each camera's gaps."""

    def __init__(self) -> None:
        self._cameras: dict[str, _Camera] = {}

    def take(self, camera: str, n_hops: int, step_share: float) -> None:
        """Note a window.

        Args:
            camera: of the window.
            n_hops: from the camera's last window to this one.
            step_share: cost of one step relative to a full window.
        """
        own = self._cameras.setdefault(camera, _Camera())
        is_late = n_hops > 1 and n_hops * step_share > 1
        own.n_late = own.n_late + 1 if is_late and not own.rest else 0
        own.n_prompt = own.n_prompt + 1 if n_hops == 1 else 0
        own.rest = max(0, own.rest - 1)
        if own.n_prompt >= N_LATE:
            own.rest, own.next_rest = 0, REST
        elif own.n_late > N_LATE:
            own.rest, own.next_rest = own.next_rest, min(2 * own.next_rest, MAX_REST)
            own.n_late = 0

    def is_over(self, camera: str) -> bool:
        """Tell whether the camera's windows are computed in full for now."""
        own = self._cameras.get(camera)
        return own is not None and own.rest > 0

    def forget(self, camera: str) -> None:
        """Begin anew with a camera."""
        self._cameras.pop(camera, None)

    def clear(self) -> None:
        """Begin anew with all cameras."""
        self._cameras.clear()
