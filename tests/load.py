"""What became of the windows of a running product that has too much to do.

In: a `Running` product and the instant from which it counts. Out: how much was asked for, how old
the pictures were when the network got them, how evenly the cameras were served, and every loss.
Invariant: every window that was submitted has one fate.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tests.product import Running


@dataclass(frozen=True)
class Load:
    """A stretch of a run.

    Attributes:
        seconds: its length.
        asked: seconds of work a second that windows at full quality would take.
        p99_age_s: age of a window's newest frame when the worker began with it.
        longest_batch_s: that the worker took.
        by_camera: windows that were scored.
        fates: of all windows so far, whenever they came.
        level: of the ladder of quality, in the end.
    """

    seconds: float
    asked: float
    p99_age_s: float
    longest_batch_s: float
    by_camera: dict[str, int]
    fates: dict[str, int]
    level: int

    @property
    def unfairness(self) -> float:
        """The most windows a camera got over the least."""
        return max(self.by_camera.values()) / max(min(self.by_camera.values()), 1e-9)

    def __str__(self) -> str:
        return (
            f"asked for {self.asked:.1f}x; {self.seconds:.0f} s: {sum(self.by_camera.values())}"
            f" windows, p99 age {self.p99_age_s:.3f} s, longest batch {self.longest_batch_s:.3f} s,"
            f" max/min {self.unfairness:.3f}, level {self.level}, {self.fates}"
        )


def asked(product: Running) -> float:
    """Seconds of work a second at full quality, by what the worker measured when it started."""
    ready, analysis = product.pipeline._worker.ready, product.pipeline.config.analysis
    assert ready is not None
    assert analysis.fps is not None
    assert analysis.hop is not None
    steps = ready.step_cost_s.get(analysis.hop, ready.cost_s)
    return len(product.pipeline.status.cameras) * analysis.fps / analysis.hop * steps[1]


def load_since(product: Running, began_at: float, now: float) -> Load:
    """Look at what was begun since an instant, and at all fates."""
    seen = [p for p in product.predictions if p.timeline.started_at >= began_at]
    ages = sorted(p.timeline.started_at - p.timeline.captured_at for p in seen)
    cameras = product.pipeline.status.cameras
    fates: Counter[str] = Counter()
    for camera in cameras.values():
        fates.update(camera.inferred)
    counts = Counter(p.window.camera for p in seen)
    return Load(
        seconds=now - began_at,
        asked=asked(product),
        p99_age_s=ages[int(0.99 * (len(ages) - 1))],
        longest_batch_s=max(p.timeline.scored_at - p.timeline.started_at for p in seen),
        by_camera={name: counts[name] for name in cameras},
        fates=dict(fates),
        level=product.pipeline.status.degradation[0],
    )
