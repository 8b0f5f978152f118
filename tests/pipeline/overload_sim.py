"""Cameras, policy and a worker whose cost is known, on a simulated clock.

In: how many cameras, what a window costs, when there is motion. Through: the product's own
`Windowing`, `Batcher` and `Overload`. Out: a `Record` of what was served when, how old it was, and
every level. The worker keeps its own account of streams, so that what the batcher expects of it can
be compared. Invariant: the same arguments give the same record.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.batching import Batch, Batcher
from pipeline.config import BatchingConfig
from pipeline.degradation import FullQuality
from pipeline.overload import LiveCamera, Overload, Quality
from pipeline.records import InferenceOutcome, Window
from pipeline.windowing import GatePolicy, Windowing
from streamer.clock import SystemClock
from tests.pipeline.factories import ready
from tests.records import frame_note

N_FRAMES, HOP, FPS = 32, 8, 10.0
REVIEW_S = 0.25


class SimClock(SystemClock):
    """Time that moves when the simulation says so."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at


@dataclass
class Record:
    """What happened.

    Attributes:
        served: (camera, instant of dispatch, age of its newest frame) of each window.
        fates: outcomes by window id.
        submitted: ids of the windows the cameras submitted.
        possible: fates of possible windows at the cameras.
        levels: (instant, level) of each change.
        batches: seconds of each batch.
        cameras: all of them.
        n_wrong_modes: windows that the worker computed in another mode than the batcher expected.
        n_steps: windows the worker computed as steps.
    """

    served: list[tuple[str, float, float]] = field(default_factory=list)
    fates: dict[int, list[InferenceOutcome]] = field(default_factory=lambda: defaultdict(list))
    submitted: list[int] = field(default_factory=list)
    possible: Counter[str] = field(default_factory=Counter)
    levels: list[tuple[float, int]] = field(default_factory=list)
    batches: list[float] = field(default_factory=list)
    cameras: list[str] = field(default_factory=list)
    n_wrong_modes: int = 0
    n_steps: int = 0

    @property
    def level(self) -> int:
        return self.levels[-1][1] if self.levels else 0

    def p99_age_s(self) -> float:
        ages = sorted(age for *_, age in self.served)
        return ages[int(0.99 * (len(ages) - 1))]

    def unfairness(self, since: float = 0.0) -> float:
        """Return the most windows a camera got over the least; a camera without any counts."""
        counts = Counter(camera for camera, at, _ in self.served if at >= since)
        numbers = [counts[camera] for camera in self.cameras]
        return max(numbers) / max(min(numbers), 1e-9)

    def lost_since(self, at: float, ready_at: Mapping[int, float]) -> int:
        return sum(
            fates != ["ok"] for number, fates in self.fates.items() if ready_at[number] >= at
        )


@dataclass
class _Camera:
    name: str
    windowing: Windowing
    latency_s: float
    fps: float
    is_live: bool
    run: int = 0
    seq: int = -1
    wanted_fps: float = 0.0


class Simulation:
    """One run.

    Args:
        cost_s: seconds of a batch of full windows, by size.
        step_cost_s: seconds of a batch of steps, by hop, then by size.
        n_cameras: live cameras at 10 frames a second, hop 8.
        motion: tells whether a camera (by index) sees motion at an instant; else it is gated.
        latency_s: of each camera's pictures, by index; 50 ms where it is not told.
        is_degrading: review the level at all.
        in_phase: all cameras began at the same instant.
        batcher: the policy; the product's where absent.
        min_fps: see `Overload`.
    """

    def __init__(
        self,
        cost_s: Mapping[int, float],
        n_cameras: int,
        *,
        step_cost_s: Mapping[int, Mapping[int, float]] | None = None,
        motion: Callable[[int, float], bool] = lambda index, at: True,
        latency_s: Sequence[float] = (),
        is_degrading: bool = True,
        in_phase: bool = False,
        batcher: Batcher | None = None,
        min_fps: float = 5.0,
        is_live: bool = True,
    ) -> None:
        self.clock = SimClock()
        self.record = Record()
        self.ready_at: dict[int, float] = {}
        self._cost_s = dict(cost_s)
        self._step_cost_s = {hop: dict(costs) for hop, costs in (step_cost_s or {}).items()}
        self._motion = motion
        self._is_degrading = is_degrading
        config = BatchingConfig(max_batch=4, max_age_s=1.0)
        self.batcher = batcher if batcher is not None else Batcher(config)
        self.batcher.set_costs(self._cost_s, self._step_cost_s)
        ids = itertools.count()
        gate = GatePolicy(is_on=True, threshold=0.25, hold_s=0.0)
        self._cameras = [
            _Camera(
                name=f"cam{index}",
                windowing=Windowing(
                    camera=f"cam{index}",
                    n_frames=N_FRAMES,
                    hop=HOP,
                    gate=gate,
                    window_ids=ids,
                    is_live=is_live,
                ),
                latency_s=latency_s[index] if index < len(latency_s) else 0.05,
                fps=FPS,
                is_live=is_live,
            )
            for index in range(n_cameras)
        ]
        self.record.cameras = [camera.name for camera in self._cameras]
        self.overload = Overload(
            [LiveCamera(c.windowing, self._setter(c)) for c in self._cameras],
            FullQuality(HOP, N_FRAMES, (FPS,) * n_cameras, min_fps, max_age_s=1.0),
            self.clock,
            self._changed,
        )
        self.overload.model(ready(cost_s=self._cost_s, step_cost_s=self._step_cost_s))
        # Frames come neither in phase nor in a nice ratio, unless the test wants them so.
        self._events = [
            (0.0 if in_phase else (k * 0.37 % 1.0) * HOP / FPS, k) for k in range(n_cameras)
        ]
        heapq.heapify(self._events)
        self._streams: dict[str, tuple[int, int, int]] = {}
        self._busy: tuple[float, Batch, float] | None = None
        self._review_at = REVIEW_S

    def run(self, until: float) -> Record:
        """Go on to an instant."""
        while self.clock.at < until:
            due_at = self.batcher.next_due_at(self.clock.at) if self._busy is None else None
            self.clock.at = min(
                self._events[0][0],
                self._review_at,
                self._busy[0] if self._busy else until,
                due_at if due_at is not None else until,
                until,
            )
            self._step()
        return self.record

    def set_costs(self, cost_s: Mapping[int, float]) -> None:
        """Let the worker be slower or faster than it measured, as on a busy machine."""
        self._cost_s = dict(cost_s)

    def _step(self) -> None:
        now = self.clock.at
        if self._busy is not None and now >= self._busy[0]:
            self._answer(*self._busy)
        while self._events[0][0] <= now:
            at, index = heapq.heappop(self._events)
            self._frame(index, at)
            heapq.heappush(self._events, (at + 1 / self._cameras[index].fps, index))
        if now >= self._review_at:
            self._review_at += REVIEW_S
            if self._is_degrading:
                self.overload.review(is_ready=True)
        self._resolve(self.batcher.expire(now))
        batch = self.batcher.due(now, is_idle=self._busy is None)
        if batch is not None:
            self._dispatch(batch)

    def _frame(self, index: int, at: float) -> None:
        camera = self._cameras[index]
        is_reset = camera.seq < 0
        if camera.wanted_fps:
            camera.fps, camera.wanted_fps, is_reset = camera.wanted_fps, 0.0, True
            camera.run += 1
        camera.seq += 1
        note = frame_note(
            camera.seq,
            camera=camera.name,
            run=camera.run,
            reset="config" if is_reset else None,
            media_s=at,
            captured_at=at - camera.latency_s,
            arrived_at=at,
            placed_at=at,
            motion=1.0 if self._motion(index, at) else 0.0,
        )
        for possible in camera.windowing.take(note, at):
            self.record.possible[possible.outcome] += 1
            if possible.window is not None:
                self.record.submitted.append(possible.window.window_id)
                self.ready_at[possible.window.window_id] = at
                self._resolve(self.batcher.offer(possible.window, self.clock.at))

    def _dispatch(self, batch: Batch) -> None:
        now = self.clock.at
        counts: Counter[int] = Counter()
        for window in batch.windows:
            mode = self._mode(window)
            counts[mode] += 1
            self.record.n_wrong_modes += mode != batch.mode
            self.record.n_steps += mode > 0
            age_s = now - window.timeline.captured_at
            self.record.served.append((window.camera, now, age_s))
        seconds = sum(self._seconds(mode, n) for mode, n in counts.items())
        self.record.batches.append(seconds)
        self._busy = (now + seconds, batch, now)

    def _mode(self, window: Window) -> int:
        """What the worker does: a step only where it has the state of the window before."""
        before = (window.run, window.last_seq - window.hop, window.hop)
        is_step = self._streams.get(window.camera) == before and window.hop in self._step_cost_s
        self._streams[window.camera] = (window.run, window.last_seq, window.hop)
        return window.hop if is_step else 0

    def _seconds(self, mode: int, n: int) -> float:
        table = self._step_cost_s[mode] if mode else self._cost_s
        return table[n] if n in table else n * table[1]

    def _answer(self, at: float, batch: Batch, began_at: float) -> None:
        self._busy = None
        self.overload.served(batch.windows, at - began_at)
        self._resolve((window, "ok") for window in batch.windows)

    def _resolve(self, resolved: object) -> None:
        for window, outcome in resolved:  # type: ignore[attr-defined]
            self.record.fates[window.window_id].append(outcome)
            self.overload.resolved(window, outcome)

    def _setter(self, camera: _Camera) -> Callable[[float], None]:
        def set_fps(fps: float) -> None:
            camera.wanted_fps = fps

        return set_fps

    def _changed(self, quality: Quality) -> None:
        self.record.levels.append((self.clock.at, quality.level))


def pending(simulation: Simulation) -> int:
    """Return how many submitted windows have no outcome yet."""
    n_busy = len(simulation._busy[1].windows) if simulation._busy else 0
    return len(simulation.batcher) + n_busy
