"""Stand-ins for what feeds batches: a renderer whose pictures say what was asked, plain batches.

Importable by name, because worker processes must find them.
"""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.data.batch import Batch
from model.data.place import Objects
from model.data.synthetic import Rendered, SyntheticPlan
from model.errors import DataError
from model.labels import LABELS, MOTION

RENDERED: list[tuple[int, str | None]] = []
"""What `draw` was asked for in this process."""


def draw(seed: int, kind: str | None, plan: SyntheticPlan) -> Rendered:
    """Frame t is filled with t; the seed is in the corner; "left" holds in the last third.

    What goes left is an object in the left quarter of the picture.
    """
    RENDERED.append((seed, kind))
    pictures = np.empty((plan.clip_frames, plan.size_px, plan.size_px, 3), np.uint8)
    pictures[:] = np.arange(plan.clip_frames, dtype=np.uint8)[:, None, None, None]
    pictures[:, 0, 0] = [seed >> 16 & 255, seed >> 8 & 255, seed & 255]
    truth = np.zeros((plan.clip_frames, len(LABELS)), np.float32)
    truth[plan.clip_frames * 2 // 3 :, LABELS.index("left")] = 1
    boxes = np.tile(np.array([0.0, 0.0, 0.25, 1.0], np.float32), (1, plan.clip_frames, 1))
    return Rendered(pictures, truth, Objects(boxes, truth[None, :, : len(MOTION)]))


@dataclass(frozen=True)
class CountingBatches:
    """Batch k holds k everywhere; steps may fail, hang or kill their process."""

    n_clips: int = 2
    size_px: int = 8
    n_cells: int = 1
    failing: int = -1
    deadly: int = -1
    hanging: int = -1
    pid_file: str = ""

    def batch(self, step: int) -> Batch:
        if self.pid_file:
            Path(f"{self.pid_file}.{os.getpid()}").touch()
        if step == self.failing:
            raise DataError("clip 7.mp4 is damaged; record it again")
        if step == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if step == self.hanging:
            threading.Event().wait()
        shape = (self.n_clips, 4, self.size_px, self.size_px, 3)
        facts = np.full((self.n_clips, 3), (os.getpid(), step, os.nice(0)), np.float32)
        moments = np.full((2, 1, 3), step, np.float32)
        places = np.full((2, 1, self.n_cells, 1, 7), step, np.float32)
        clips = np.full(shape, step % 256, np.uint8)
        return Batch(clips, facts, np.ones_like(facts), moments, places)
