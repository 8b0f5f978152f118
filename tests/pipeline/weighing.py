"""A classifier whose scores depend on every frame of a window and on its place.

Its steppers keep the frames themselves as state, so a state used for the wrong window shows in the
scores. Nothing of the product is patched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model.classifier import Clips, Embeddings, Mode, Scores, Stepper, WarmUp

N_FRAMES, HOP = 8, 4


def weighed(clips: Clips) -> tuple[Scores, Embeddings]:
    values = clips[:, :, 0, 0, 0].astype(np.float64) @ np.arange(1, N_FRAMES + 1)
    scores = np.stack([values / 1e5, 1 - values / 1e5], 1).astype(np.float32)
    return scores, np.stack([values, -values], 1).astype(np.float32)


@dataclass(frozen=True)
class State:
    clip: Clips
    n_bytes: int = 100


@dataclass
class Steps:
    """A `Stepper` that keeps the frames."""

    engine: Engine
    hop: int = HOP
    mode: Mode = "incremental"
    error: float = 0.0

    def init(self, clips: Clips) -> tuple[Scores, Embeddings, list[Any]]:
        self.engine.calls.append(f"init {len(clips)}")
        self.engine.fail("init")
        answer = weighed(clips)
        self.engine.during()
        return *answer, [State(clip.copy()) for clip in clips]

    def step(self, frames: Clips, states: Sequence[Any]) -> tuple[Scores, Embeddings, list[Any]]:
        self.engine.calls.append(f"step {len(frames)}")
        self.engine.fail("step")
        clips = np.stack(
            [
                np.concatenate([s.clip, new])[-N_FRAMES:]
                for s, new in zip(states, frames, strict=True)
            ]
        )
        scores, embeddings = weighed(clips)
        return scores, embeddings + np.float32(self.error), [State(clip) for clip in clips]


@dataclass
class Engine:
    """A `Classifier` with steppers for HOP alone."""

    has_steps: bool = True
    calls: list[str] = field(default_factory=list)
    failing: dict[str, Exception] = field(default_factory=dict)
    labels: tuple[str, ...] = ("one", "other")
    during: Callable[[], object] = lambda: None

    def __post_init__(self) -> None:
        self.steps = Steps(self)

    def warm_up(self, max_batch: int, hops: Sequence[int] = ()) -> WarmUp:
        return WarmUp("weighing", "float32", "cpu", {1: 0.001}, {}, {HOP: {1: 0.001}})

    def fail(self, call: str) -> None:
        if call in self.failing:
            raise self.failing[call]

    def predict(self, clips: Clips) -> tuple[Scores, Embeddings]:
        self.calls.append(f"predict {len(clips)}")
        self.fail("predict")
        return weighed(clips)

    def stepper(self, hop: int) -> Stepper | None:
        return self.steps if self.has_steps and hop == HOP else None

    def close(self) -> None:
        pass
