"""Keeps the pipeline within what the machine can do: applies the ladder to the live cameras.

In: outcomes of windows and batches, the worker's costs, and a call of `review` several times a
second. Out: each live camera's hop, turns and analysis rate, and the level for people and metrics.
Cameras of `fast` sources are never touched: they wait instead. Invariant: at level 0 every camera
runs as configured.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.degradation import Degradation, Rung, build_ladder
from pipeline.records import InferenceOutcome, Window
from pipeline.windowing import Windowing
from streamer.clock import Clock
from streamer.notes import Ready

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LiveCamera:
    """A camera that can be slowed down.

    Attributes:
        windowing: forms its windows.
        fps: its configured analysis rate.
        set_fps: has its capture process sample at another rate, which begins a new run.
    """

    windowing: Windowing
    fps: float
    set_fps: Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Quality:
    """What is given up now.

    Attributes:
        level: 0 is full quality.
        text: for people; empty at level 0.
        factors: how many times less each kind of step leaves: hop, fps, turns; 1 is nothing less.
    """

    level: int
    text: str
    factors: Mapping[str, float]


class Overload:
    """The ladder, applied.

    Args:
        cameras: the live ones.
        hop: configured frames between windows.
        n_frames: frames in a window.
        min_fps: no camera is sampled more slowly than this because of overload.
        clock: time.
        on_change: told of each change.
    """

    def __init__(  # noqa: PLR0913 - the composition root wires it once, all by keyword
        self,
        *,
        cameras: Sequence[LiveCamera],
        hop: int,
        n_frames: int,
        min_fps: float,
        clock: Clock,
        on_change: Callable[[Quality], None],
    ) -> None:
        rates = [camera.fps for camera in cameras]
        self._cameras = tuple(cameras)
        self._ladder = build_ladder(hop, n_frames, rates, min_fps)
        self._policy = Degradation(self._ladder, rates, n_frames, min_fps, clock.now())
        self._min_fps = min_fps
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
        old, new = self._ladder[before], self._policy.rung
        self._apply(old, new)
        quality = self._quality(new)
        if quality.level > before:
            log.warning("more work than this machine can do: %s", quality.text)
        else:
            log.info("less work again: %s", quality.text or "back to full quality")
        self._on_change(quality)

    def _apply(self, old: Rung, new: Rung) -> None:
        for index, camera in enumerate(self._cameras):
            phase = index / len(self._cameras) if new != self._ladder[0] else 0.0
            camera.windowing.set_pace(new.hop, new.turns, phase)
            fps = new.fps(camera.fps, self._min_fps)
            if fps != old.fps(camera.fps, self._min_fps):
                camera.set_fps(fps)

    def _quality(self, rung: Rung) -> Quality:
        full = self._ladder[0]
        factors = {"hop": rung.hop / full.hop, "fps": rung.divisor, "turns": rung.turns}
        parts = [f"level {self._policy.level} of {len(self._ladder) - 1}"]
        if rung.hop > full.hop:
            parts.append(f"a window every {rung.hop} frames instead of {full.hop}")
        if rung.divisor > 1:
            parts.append(f"1/{rung.divisor} of the analysis frame rate")
        if rung.turns > 1:
            parts.append(f"1 of {rung.turns} windows")
        return Quality(self._policy.level, ", ".join(parts) if rung != full else "", factors)
