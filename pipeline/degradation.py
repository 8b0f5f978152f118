"""How much quality is given up for how much work: a ladder, and when to go up or down; pure.

In: what became of live windows, how busy the worker was, what a window costs. Out: a level; 0 is
full quality, and each rung above it leaves less work: windows further apart, then fewer frames a
second. On the last one cameras take turns: they hand in fresh windows all the time, and the worker
gets what it can do. Up when windows are lost because there is more work than time; down one rung
when its work would fit. Invariant: two changes are never closer than the time it takes to see the
effect of the first, and a rung that had to be left again is tried later and later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from pipeline.cost import FULL, Costs

SPAN_S = 3.0
"""Shortest time that is judged; longer where windows are rare or slow."""
DWELL_S = 10.0
"""Least seconds before a rung is left downwards; doubled each time that was too early."""
MAX_DWELL_S = 300.0
RELAPSE_S = 600.0
"""A rise so soon after a fall shows that the fall was too early."""
LOST_SHARE = 0.05
"""Share of live windows lost from which the worker, if it is busy, cannot keep up."""
KEPT_SHARE = 0.01
"""Share of live windows lost up to which everything is well."""
TOO_MUCH = 0.9
"""Demand (seconds of work a second) from which losses are the worker's: below, windows were lost
to something else, such as all cameras handing them in at once."""
ENOUGH = 1.1
"""Demand that the rung to go up to may have: where it is too much, the next rise follows."""
FITS = 0.7
"""Demand that the rung below may be expected to have."""

Kind = Literal["hop", "fps", "turns"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_MIN_WINDOWS = 4
_MIN_GAIN = 0.1
_FRESH = 0.8


@dataclass(frozen=True, slots=True)
class Rung:
    """One level of quality.

    Attributes:
        hop: frames between two windows.
        divisor: by which the analysis rate is divided.
        is_by_turns: more windows are handed in than can be served; cameras take turns.
    """

    hop: int
    divisor: int = 1
    is_by_turns: bool = False

    def kind(self) -> Kind:
        """Return which kind of step led here."""
        if self.is_by_turns:
            return "turns"
        return "fps" if self.divisor > 1 else "hop"

    def fps(self, configured_fps: float, min_fps: float) -> float:
        """Return a camera's analysis rate: never raised, and lowered only down to `min_fps`."""
        return max(configured_fps / self.divisor, min(configured_fps, min_fps))


@dataclass(frozen=True, slots=True)
class FullQuality:
    """What full quality is, and how far it may be lowered.

    Attributes:
        hop: configured frames between windows.
        n_frames: frames in a window.
        rates: configured analysis rates of the live cameras, frames a second.
        min_fps: rate below which no camera is taken.
        max_age_s: age at which a window is not inferred any more.
    """

    hop: int
    n_frames: int
    rates: tuple[float, ...]
    min_fps: float
    max_age_s: float

    def fps(self, rung: Rung) -> list[float]:
        """Return every camera's rate on a rung."""
        return [rung.fps(rate, self.min_fps) for rate in self.rates] or [1.0]

    def interval_s(self, rung: Rung) -> float:
        """Return the time between two windows of the slowest camera."""
        return rung.hop / min(self.fps(rung))


def build_ladder(full: FullQuality) -> list[Rung]:
    """Return the rungs, full quality first.

    The hop is doubled twice, at most to the window's length: beyond that frames would never be
    looked at. Then the rate is halved twice where `min_fps` lets any camera follow. Last come
    turns, with windows so close together that every camera always has one that is young enough;
    with windows further apart than they live, the same few cameras would have one each time the
    worker is free.
    """
    hops = sorted({max(full.hop, min(factor * full.hop, full.n_frames)) for factor in (1, 2, 4)})
    ladder = [Rung(hop) for hop in hops]
    for divisor in (2, 4):
        slower = Rung(hops[-1], divisor)
        if full.fps(slower) < full.fps(ladder[-1]):
            ladder.append(slower)
    young = int(_FRESH * full.max_age_s * min(full.fps(ladder[-1])))
    turns_hop = max(1, min(full.hop, young))
    return [*ladder, Rung(turns_hop, ladder[-1].divisor, is_by_turns=True)]


@dataclass(slots=True)
class _Slice:
    """What happened between two reviews; seconds of the worker by live windows, and by all."""

    began_at: float
    n_windows: int = 0
    n_lost: int = 0
    live_s: float = 0.0
    busy_s: float = 0.0

    def utilization(self, now: float) -> float:
        """Return the seconds of the worker a second."""
        return self.busy_s / max(now - self.began_at, 1e-9)

    def demand(self, now: float) -> float:
        """Return the seconds a second that live windows asked for, the lost ones included."""
        asked = self.n_windows / max(self.n_windows - self.n_lost, 1)
        return asked * self.live_s / max(now - self.began_at, 1e-9)


class Degradation:
    """The policy: which rung is right.

    Args:
        full: full quality, and how far it may be lowered.
        now: monotonic seconds.
    """

    def __init__(self, full: FullQuality, now: float) -> None:
        self.level = 0
        self.ladder = tuple(build_ladder(full))
        self._full = full
        self._costs = Costs()
        self._slices: deque[_Slice] = deque()
        self._slice = _Slice(now)
        self._judged_from = now
        self._lowered_at = float("-inf")
        self._dwell_s = DWELL_S

    @property
    def rung(self) -> Rung:
        """Return the rung in force."""
        return self.ladder[self.level]

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
        level = self._better(now)
        if level == self.level:
            return False
        self._move(level, now)
        return True

    def _better(self, now: float) -> int:
        """Return the level that fits what was seen."""
        seen_s, span_s = now - self._judged_from, self._span_s()
        if seen_s >= span_s:
            recent = self._sum(now - span_s)
            above = self._above(recent.demand(now))
            if above > self.level and self._is_too_much(recent, now):
                return above
        patience_s = max(span_s, self._dwell_s)
        if self.level > 0 and seen_s >= patience_s:
            below = self._below()
            if self._is_little(self._sum(now - patience_s), self.ladder[below], now):
                return below
        return self.level

    def _is_too_much(self, seen: _Slice, now: float) -> bool:
        is_losing = seen.n_windows >= _MIN_WINDOWS and seen.n_lost >= LOST_SHARE * seen.n_windows
        return is_losing and max(seen.demand(now), seen.utilization(now)) >= TOO_MUCH

    def _is_little(self, seen: _Slice, below: Rung, now: float) -> bool:
        is_losing = seen.n_lost > KEPT_SHARE * seen.n_windows
        if is_losing and not self.rung.is_by_turns:
            return False
        return seen.demand(now) * self._load(below) / self._load(self.rung) <= FITS

    def _sum(self, since: float) -> _Slice:
        slices = [one for one in self._slices if one.began_at >= since - 1e-9]
        return _Slice(
            min((one.began_at for one in slices), default=since),
            sum(one.n_windows for one in slices),
            sum(one.n_lost for one in slices),
            sum(one.live_s for one in slices),
            sum(one.busy_s for one in slices),
        )

    def _move(self, level: int, now: float) -> None:
        if level < self.level:
            self._lowered_at = now
        elif now - self._lowered_at < RELAPSE_S:
            self._dwell_s = min(2 * self._dwell_s, MAX_DWELL_S)
        else:
            self._dwell_s = DWELL_S
        # Before the new pace shows, windows are first computed in full; at another rate the rings
        # must fill first, and for so long nothing is lost and nobody is busy.
        is_refilled = self.ladder[level].divisor != self.rung.divisor
        self.level = level
        refill_s = self._full.n_frames / min(self._full.fps(self.rung)) if is_refilled else 0.0
        self._judged_from = now + refill_s + self._full.interval_s(self.rung)

    def _above(self, demand: float) -> int:
        """Return the rung to go up to; the present one at the top.

        The first that leaves clearly less work; further where that would not do and only the hop
        changes, since another rate costs every camera a refill of its ring.
        """
        load = self._load(self.rung)
        rungs = range(self.level + 1, len(self.ladder))
        gains = [n for n in rungs if self._is_gain(self.ladder[n], load)]
        if not gains:
            return self.level
        first = self.ladder[gains[0]]
        alike = [n for n in gains if self.ladder[n].divisor == first.divisor]
        alike = [n for n in alike if self.ladder[n].is_by_turns == first.is_by_turns]
        fitting = (n for n in alike if demand * self._load(self.ladder[n]) / load <= ENOUGH)
        return next(fitting, alike[-1])

    def _is_gain(self, rung: Rung, load: float) -> bool:
        return rung.is_by_turns or self._load(rung) <= (1 - _MIN_GAIN) * load

    def _below(self) -> int:
        """Return the best rung that is clearly more work than this; 0 where there is none."""
        if self.rung.is_by_turns:
            return self.level - 1
        enough = self._load(self.rung) / (1 - _MIN_GAIN)
        rungs = range(self.level - 1, 0, -1)
        return next((n for n in rungs if self._load(self.ladder[n]) >= enough), 0)

    def _load(self, rung: Rung) -> float:
        """Return the demand of a rung while every camera moves."""
        window_s = self._costs.seconds(1, FULL if rung.is_by_turns else rung.hop) or 1.0
        return sum(self._full.fps(rung)) * window_s / rung.hop

    def _span_s(self) -> float:
        return max(SPAN_S, 2 * self._full.interval_s(self.rung), 4 * self._costs.seconds(1))
