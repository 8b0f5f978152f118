"""A model for the worker process that reads the frame code of every frame of a window.

In: windows of coded pictures. Out: scores that name the window: the oldest and the newest counter,
the largest step between neighbours and the share of unreadable frames, so that a test sees exactly
which 32 frames were classified together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.classifier import Clips, Embeddings, Scores, WarmUp
from model.config import ModelConfig
from pipeline.records import Prediction
from pipeline.worker_process import LoadedModel
from tests.frame_code import read_code

LABELS = ("oldest", "newest", "largest_step", "smallest_step", "unreadable")
# Scores are float32 in 0..1: 24 bits of a counter fit exactly.
_SCALE = float(1 << 24)


class CodeReader:
    """Implements Classifier."""

    labels = LABELS

    def warm_up(self, max_batch: int) -> WarmUp:
        return WarmUp("code reader", "float32", "cpu", {1: 0.005, max_batch: 0.005 * max_batch})

    def predict(self, clips: Clips) -> tuple[Scores, Embeddings]:
        rows = [_row([read_code(frame) for frame in clip]) for clip in clips]
        return np.array(rows, np.float32), np.zeros((len(rows), 4), np.float32)

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
