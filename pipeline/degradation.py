"""How much quality is given up for how much work: a ladder, and when to go up or down; pure.

In: what became of live windows, how busy the worker was, what a window costs. Out: a level; 0 is
full quality, and each rung above it leaves less work: windows further apart, then fewer frames a
second, then windows by turns. Up one rung when windows are lost although the worker is busy; down
one when the work of the rung below would fit. Invariant: two changes are never closer than the
time it takes to see the effect of the first, and a rung that had to be left again is tried later
and later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.cost import FULL, Costs

SPAN_S = 3.0
"""Shortest time that is judged; longer where windows are rare or slow."""
DWELL_S = 10.0
"""Least seconds before a rung is left downwards; doubled each time that was too early."""
MAX_DWELL_S = 300.0
LOST_SHARE = 0.05
"""Share of live windows lost from which the worker, if it is busy, cannot keep up."""
KEPT_SHARE = 0.01
"""Share of live windows lost up to which everything is well."""
BUSY = 0.85
"""Utilization from which losses are the worker's: below, windows were lost to something else."""
FITS = 0.7
"""Utilization that the rung below may be expected to cause."""

_MIN_WINDOWS = 4
_MIN_GAIN = 0.1
_TURNS = (2, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class Rung:
    """One level of quality.

    Attributes:
        hop: frames between two windows.
        divisor: by which the analysis rate is divided.
        turns: one of so many windows is submitted.
    """

    hop: int
    divisor: int = 1
    turns: int = 1

    def fps(self, configured_fps: float, min_fps: float) -> float:
        """Return a camera's analysis rate: never raised, and lowered only down to `min_fps`."""
        return max(configured_fps / self.divisor, min(configured_fps, min_fps))


def build_ladder(hop: int, n_frames: int, rates: Iterable[float], min_fps: float) -> list[Rung]:
    """Return the rungs, full quality first.

    The hop is doubled twice, at most to the window's length: beyond that frames would never be
    looked at. Then the rate is halved twice where `min_fps` lets any camera follow; then turns.

    Args:
        hop: configured frames between windows.
        n_frames: frames in a window.
        rates: configured analysis rates of the live cameras, frames a second.
        min_fps: rate below which no camera is taken.
    """
    hops = sorted({max(hop, min(factor * hop, n_frames)) for factor in (1, 2, 4)})
    ladder = [Rung(hop) for hop in hops]
    rates = list(rates)
    for divisor in (2, 4):
        slower = Rung(hops[-1], divisor)
        if any(slower.fps(rate, min_fps) < ladder[-1].fps(rate, min_fps) for rate in rates):
            ladder.append(slower)
    return ladder + [Rung(hops[-1], ladder[-1].divisor, turns) for turns in _TURNS]


@dataclass(slots=True)
class _Slice:
    """What happened between two reviews; seconds of the worker by live windows, and by all."""

    began_at: float
    n_windows: int = 0
    n_lost: int = 0
    live_s: float = 0.0
    busy_s: float = 0.0


class Degradation:
    """The policy: which rung is right.

    Args:
        ladder: the rungs, full quality first.
        rates: configured analysis rate of each live camera, frames a second.
        n_frames: frames in a window.
        min_fps: rate below which no camera is taken.
        now: monotonic seconds.
    """

    def __init__(
        self,
        ladder: Sequence[Rung],
        rates: Iterable[float],
        n_frames: int,
        min_fps: float,
        now: float,
    ) -> None:
        self.level = 0
        self._ladder = tuple(ladder)
        self._rates = tuple(rates)
        self._n_frames = n_frames
        self._min_fps = min_fps
        self._costs = Costs()
        self._slices: deque[_Slice] = deque()
        self._slice = _Slice(now)
        self._judged_from = now
        self._lowered_at = float("-inf")
        self._dwell_s = DWELL_S

    @property
    def rung(self) -> Rung:
        """Return the rung in force."""
        return self._ladder[self.level]

    def set_costs(
        self, cost_s: Mapping[int, float], step_cost_s: Mapping[int, Mapping[int, float]]
    ) -> None:
        """Take what the worker measured: full windows by size; steps by hop, then by size."""
        self._costs.set(cost_s, step_cost_s)

    def resolved(self, *, is_lost: bool) -> None:
        """Note a live window that got its outcome; lost: replaced by a newer one, or too old."""
        self._slice.n_windows += 1
        self._slice.n_lost += is_lost

    def busy(self, seconds: float, live_share: float) -> None:
        """Note a batch.

        Args:
            seconds: from its dispatch to its answer.
            live_share: share of live windows in it, 0..1.
        """
        self._slice.busy_s += seconds
        self._slice.live_s += seconds * live_share

    def review(self, now: float, *, is_ready: bool) -> bool:
        """Decide; to be called several times a second.

        Args:
            now: monotonic seconds.
            is_ready: the worker takes batches; what is lost without one is no overload.

        Returns:
            True when the level has changed.
        """
        self._slices.append(self._slice)
        self._slice = _Slice(now)
        if not is_ready:
            self._judged_from = now
        keep_from = max(self._judged_from, now - max(self._span_s(), self._dwell_s))
        while self._slices and self._slices[0].began_at < keep_from:
            self._slices.popleft()
        if self._is_too_much(now):
            return self._move(self._above(), now)
        if self._is_too_little(now):
            return self._move(self._below(), now)
        return False

    def _is_too_much(self, now: float) -> bool:
        span_s = self._span_s()
        if now - self._judged_from < span_s:
            return False
        seen = self._sum(now - span_s)
        is_losing = seen.n_windows >= _MIN_WINDOWS and seen.n_lost >= LOST_SHARE * seen.n_windows
        return is_losing and seen.busy_s >= BUSY * (now - seen.began_at)

    def _is_too_little(self, now: float) -> bool:
        patience_s = max(self._span_s(), self._dwell_s)
        if self.level == 0 or now - self._judged_from < patience_s:
            return False
        seen = self._sum(now - patience_s)
        if seen.n_lost > KEPT_SHARE * seen.n_windows:
            return False
        growth = self._load(self._ladder[self._below()]) / self._load(self.rung)
        return seen.live_s * growth <= FITS * (now - seen.began_at)

    def _sum(self, since: float) -> _Slice:
        slices = [one for one in self._slices if one.began_at >= since - 1e-9]
        return _Slice(
            min((one.began_at for one in slices), default=since),
            sum(one.n_windows for one in slices),
            sum(one.n_lost for one in slices),
            sum(one.live_s for one in slices),
            sum(one.busy_s for one in slices),
        )

    def _move(self, level: int, now: float) -> bool:
        if level == self.level:
            return False
        if level < self.level:
            self._lowered_at = now
        elif now - self._lowered_at < 2 * self._dwell_s + SPAN_S:
            # The rung below did not hold: it only seemed to fit.
            self._dwell_s = min(2 * self._dwell_s, MAX_DWELL_S)
        else:
            self._dwell_s = DWELL_S
        # Before the new pace shows, windows are first computed in full; at another rate the rings
        # must fill first, and for so long nothing is lost and nobody is busy.
        is_refilled = self._ladder[level].divisor != self.rung.divisor
        self.level = level
        refill_s = self._n_frames / self._slowest_fps() if is_refilled else 0.0
        self._judged_from = now + refill_s + self._interval_s()
        return True

    def _above(self) -> int:
        """Return the next rung that leaves clearly less work; the present one at the top."""
        enough = (1 - _MIN_GAIN) * self._load(self.rung)
        rungs = range(self.level + 1, len(self._ladder))
        return next((n for n in rungs if self._load(self._ladder[n]) <= enough), self.level)

    def _below(self) -> int:
        """Return the best rung that is clearly more work; 0 where there is none between."""
        enough = self._load(self.rung) / (1 - _MIN_GAIN)
        rungs = range(self.level - 1, 0, -1)
        return next((n for n in rungs if self._load(self._ladder[n]) >= enough), 0)

    def _load(self, rung: Rung) -> float:
        """Return the utilization that rung asks for while every camera moves."""
        mode = rung.hop if rung.turns == 1 else FULL
        window_s = self._costs.seconds(1, mode) or 1.0
        fps = sum(rung.fps(rate, self._min_fps) for rate in self._rates) or 1.0
        return fps * window_s / (rung.hop * rung.turns)

    def _slowest_fps(self) -> float:
        return min((self.rung.fps(rate, self._min_fps) for rate in self._rates), default=1.0)

    def _interval_s(self) -> float:
        """Return the time between two windows of the slowest camera."""
        return self.rung.hop * self.rung.turns / self._slowest_fps()

    def _span_s(self) -> float:
        return max(SPAN_S, 2 * self._interval_s(), 4 * self._costs.seconds(1))
