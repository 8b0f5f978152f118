"""Keeps the pipeline within what the machine can do: applies the ladder to the live cameras.

In: outcomes of windows and batches, the worker's costs, and a call of `review` several times a
second. Out: each live camera's hop and analysis rate, and the level for people and metrics.
Cameras of `fast` sources are never touched: they wait instead. Invariant: at level 0 every camera
runs as configured.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.degradation import KINDS, Degradation, FullQuality, Rung
from pipeline.records import InferenceOutcome, Window
from pipeline.windowing import Windowing
from streamer.clock import Clock
from streamer.worker_notes import Ready

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LiveCamera:
    """A camera that can be slowed down.

    Attributes:
        windowing: forms its windows.
        set_fps: has its capture process sample at another rate, which begins a new run.
    """

    windowing: Windowing
    set_fps: Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Quality:
    """What is given up now.

    Attributes:
        level: 0 is full quality.
        text: for people; empty at level 0.
        steps: how many steps of each kind are in force: hop, fps, turns; their sum is the level.
    """

    level: int
    text: str
    steps: Mapping[str, int]


class Overload:
    """The ladder, applied.

    Args:
        cameras: the live ones.
        full: full quality, and how far it may be lowered; `rates` in the order of the cameras.
        clock: time.
        on_change: told of each change.
    """

    def __init__(
        self,
        cameras: Sequence[LiveCamera],
        full: FullQuality,
        clock: Clock,
        on_change: Callable[[Quality], None],
    ) -> None:
        self._cameras = tuple(cameras)
        self._full = full
        self._policy = Degradation(full, clock.now())
        self._clock = clock
        self._on_change = on_change

    def resolved(self, window: Window, outcome: InferenceOutcome) -> None:
        """Note the outcome of a submitted window."""
        if window.is_live:
            self._policy.resolved(is_lost=outcome in ("rejected", "expired"))

    def served(self, windows: Sequence[Window], seconds: float) -> None:
        """Note a batch and the seconds from its dispatch to its answer."""
        n_live = sum(window.is_live for window in windows)
        self._policy.busy(seconds, n_live / len(windows))

    def model(self, note: Ready) -> None:
        """Take what a new worker measured."""
        self._policy.set_costs(note.cost_s, note.step_cost_s)

    def review(self, *, is_ready: bool) -> None:
        """Change the level where it must; is_ready: the worker takes batches."""
        before = self._policy.level
        if not self._cameras or not self._policy.review(self._clock.now(), is_ready=is_ready):
            return
        self._apply(self._policy.ladder[before], self._policy.rung)
        quality = self._quality(self._policy.rung)
        if quality.level > before:
            log.warning("more work than this machine can do: %s", quality.text)
        else:
            log.info("less work again: %s", quality.text or "back to full quality")
        self._on_change(quality)

    def _apply(self, old: Rung, new: Rung) -> None:
        n = len(self._cameras)
        rates = zip(self._full.fps(old), self._full.fps(new), strict=True)
        for index, (camera, (old_fps, fps)) in enumerate(zip(self._cameras, rates, strict=True)):
            camera.windowing.set_hop(new.hop, index / n if self._policy.level else 0.0)
            if fps != old_fps:
                camera.set_fps(fps)

    def _quality(self, rung: Rung) -> Quality:
        level, full = self._policy.level, self._policy.ladder[0]
        kinds = Counter(below.kind() for below in self._policy.ladder[1 : level + 1])
        steps = {str(kind): kinds[kind] for kind in KINDS}
        parts = [f"level {level} of {len(self._policy.ladder) - 1}"]
        if rung.is_by_turns:
            parts.append("cameras take turns")
        elif rung.hop > full.hop:
            parts.append(f"a window every {rung.hop} frames instead of {full.hop}")
        if rung.divisor > 1:
            parts.append(f"1/{rung.divisor} of the analysis frame rate")
        return Quality(level, ", ".join(parts) if level else "", steps)
