"""What a batch will cost: measured seconds by (batch size, mode), and the mode a window will take.

In: what the worker measured at warm-up, the windows that are given to it, those that failed there.
Out: the steps a window will be computed in (0: in full) and the seconds of a batch. Pure
bookkeeping that mirrors the worker's: a wrong guess costs time, never a wrong answer. Invariant: a
window is expected to be a step only if the last window of its camera that was given out, and not
lost, ended exactly its hop before it in the same run and at the same hop.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.records import Window

FULL = 0
"""In place of a hop: the window is computed from all its frames."""


class Costs:
    """Measured costs, and where each camera's stream stands; without figures everything is free."""

    def __init__(self) -> None:
        self._cost_s: dict[int, dict[int, float]] = {}
        self._streams: dict[str, tuple[int, int, int]] = {}

    def set(
        self, cost_s: Mapping[int, float], step_cost_s: Mapping[int, Mapping[int, float]]
    ) -> None:
        """Take a worker's figures; it knows no stream yet.

        Args:
            cost_s: seconds of full windows by batch size.
            step_cost_s: seconds of steps by hop, then by batch size.
        """
        self.forget_streams()
        tables = {FULL: cost_s, **step_cost_s}
        clean = {
            hop: {size: cost for size, cost in table.items() if size >= 1 and cost > 0}
            for hop, table in tables.items()
        }
        self._cost_s = {hop: table for hop, table in clean.items() if table}

    @property
    def is_known(self) -> bool:
        """Full windows have been measured."""
        return FULL in self._cost_s

    def mode(self, window: Window) -> int:
        """Return the hop the window will be a step of, or `FULL`."""
        stream = (window.run, window.last_seq - window.hop, window.hop)
        follows = self._streams.get(window.camera) == stream
        return window.hop if follows and window.hop in self._cost_s else FULL

    def given(self, window: Window) -> None:
        """Note that the worker gets this window now."""
        self._streams[window.camera] = (window.run, window.last_seq, window.hop)

    def failed(self, camera: str) -> None:
        """Note that the worker did not answer the camera's last window."""
        self._streams.pop(camera, None)

    def forget_streams(self) -> None:
        """Note that the worker was lost, and with it what it kept of every camera."""
        self._streams.clear()

    def seconds(self, size: int, mode: int = FULL) -> float:
        """Return a batch's cost: as measured, on a line between neighbours, or in proportion.

        Args:
            size: windows.
            mode: `FULL`, or the hop they are steps of; full where that hop has no steps.
        """
        table = self._cost_s.get(mode) or self._cost_s.get(FULL, {})
        if not table:
            return 0.0
        if size in table:
            return table[size]
        below = max((n for n in table if n < size), default=None)
        above = min((n for n in table if n > size), default=None)
        if below is None or above is None:
            nearest = below or above or size
            return table[nearest] * size / nearest
        share = (size - below) / (above - below)
        return table[below] + share * (table[above] - table[below])
