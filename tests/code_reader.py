"""A model for the worker process that reads the frame code of every frame of a window.

In: windows of coded pictures. Out: scores that name the window: the oldest and the newest counter,
the largest step between neighbours and the share of unreadable frames, so that a test sees exactly
which 32 frames were classified together.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.classifier import Clips, Embeddings, Scores, Stepper, WarmUp
from model.config import ModelConfig
from pipeline.records import Prediction
from pipeline.worker_process import LoadedModel
from tests.frame_code import read_code

LABELS = ("oldest", "newest", "largest_step", "smallest_step", "unreadable")
# Scores are float32 in 0..1: 24 bits of a counter fit exactly.
_SCALE = float(1 << 24)
SLOW_BATCH_S = 0.15
N_CRASHES = 6


@dataclass
class CodeReader:
    """Implements Classifier.

    Attributes:
        batch_s: seconds every batch takes besides the reading.
    """

    batch_s: float = 0.0
    labels = LABELS

    def warm_up(self, max_batch: int, hops: Sequence[int] = ()) -> WarmUp:
        cost_s = {n: self.batch_s + 0.005 * n for n in (1, max_batch)}
        return WarmUp("code reader", "float32", "cpu", cost_s)

    def predict(self, clips: Clips) -> tuple[Scores, Embeddings]:
        rows = [_row([read_code(frame) for frame in clip]) for clip in clips]
        time.sleep(self.batch_s)
        return np.array(rows, np.float32), np.zeros((len(rows), 4), np.float32)

    def stepper(self, hop: int) -> Stepper | None:
        return None

    def close(self) -> None:
        """Holds nothing."""


def _row(codes: list[int | None]) -> list[float]:
    read = [code for code in codes if code is not None]
    steps = np.diff(np.array(read, np.int64)) if len(read) > 1 else np.zeros(1, np.int64)
    oldest, newest = (read[0], read[-1]) if read else (0, 0)
    return [
        oldest / _SCALE,
        newest / _SCALE,
        float(np.clip(steps.max(), 0, 1 << 24)) / _SCALE,
        float(np.clip(steps.min(), 0, 1 << 24)) / _SCALE,
        1 - len(read) / len(codes),
    ]


@dataclass(frozen=True)
class Seen:
    """What the model saw in one window.

    Attributes:
        oldest, newest: counters of the first and last readable frame.
        largest_step, smallest_step: between neighbouring frames; 0 also stands for going back.
        n_unreadable: frames without an intact code.
    """

    oldest: int
    newest: int
    largest_step: int
    smallest_step: int
    n_unreadable: int


def seen(prediction: Prediction, n_frames: int = 32) -> Seen:
    """Return what the model saw, from the scores of a prediction."""
    scores = dict(zip(prediction.labels, prediction.scores, strict=True))
    counters = [round(scores[label] * _SCALE) for label in LABELS[:4]]
    return Seen(*counters, n_unreadable=round(scores["unreadable"] * n_frames))


def load_code_reader(config: ModelConfig) -> LoadedModel:
    """Return the model; it is marked untrained so that its scores raise no event."""
    return LoadedModel("code-reader", "1", "0" * 64, False, CodeReader())


def load_slow_code_reader(config: ModelConfig) -> LoadedModel:
    """Return one whose batches take long enough to be interrupted."""
    return LoadedModel("code-reader", "1", "0" * 64, False, CodeReader(SLOW_BATCH_S))


def load_after_crashes(config: ModelConfig) -> LoadedModel:
    """Exit 1 at the first `N_CRASHES` starts; the file `starts` in the bundle's folder has all."""
    with (Path(config.bundle) / "starts").open("a+", encoding="ascii") as starts:
        starts.write(f"{time.monotonic()}\n")
        starts.seek(0)
        n_starts = len(starts.readlines())
    if n_starts <= N_CRASHES:
        os._exit(1)
    return load_code_reader(config)


@dataclass
class BusyAtFirst(CodeReader):
    """Each window costs `window_s` for the first `busy_s` seconds of batches, then hardly anything.

    Attributes:
        window_s: seconds a window costs at first, as it also measures at warm-up.
        busy_s: seconds from the first batch on.
    """

    window_s: float = 0.64
    busy_s: float = 6.0
    until: float = 0.0

    def warm_up(self, *limits: object) -> WarmUp:
        cost_s = {n: self.window_s * n for n in (1, 2, 4)}
        return WarmUp("busy at first", "float32", "cpu", cost_s)

    def predict(self, clips: Clips) -> tuple[Scores, Embeddings]:
        now = time.monotonic()
        self.until = self.until or now + self.busy_s
        if now < self.until:
            time.sleep(self.window_s * len(clips))
        shape = (len(clips), len(LABELS))
        return np.zeros(shape, np.float32), np.zeros((len(clips), 4), np.float32)


def load_busy_at_first(config: ModelConfig) -> LoadedModel:
    """Return a model on a machine that has something else to do for a while."""
    return LoadedModel("busy", "1", "0" * 64, False, BusyAtFirst())
