"""How long to wait before a lost process is started again.

In: how long it was healthy. Out: seconds. Pure. Invariant: waits double up to the cap, and a
process that was healthy for long starts the series anew.
"""

from __future__ import annotations

HEALTHY_S = 60.0


class RestartPolicy:
    """How long to wait before a lost worker is started again; pure.

    Args:
        initial_s: first wait.
        cap_s: longest wait.
        healthy_s: a worker that lived this long starts the series anew.
    """

    def __init__(self, initial_s: float, cap_s: float, healthy_s: float = HEALTHY_S) -> None:
        self._initial_s = initial_s
        self._cap_s = cap_s
        self._healthy_s = healthy_s
        self._next_s = initial_s

    def wait_s(self, healthy_for_s: float) -> float:
        """Return the seconds to wait after a worker that was ready for `healthy_for_s` seconds."""
        if healthy_for_s >= self._healthy_s:
            self._next_s = self._initial_s
        wait_s = self._next_s
        self._next_s = min(self._cap_s, 2 * wait_s)
        return wait_s
