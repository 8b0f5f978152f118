"""What a live camera process puts into its ring for a file: the peer of the sampler."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from streamer.clock import SystemClock
from streamer.config import FileSource, ReaderConfig
from streamer.notes import FrameNote, FromCapture
from streamer.reader import Reader
from streamer.ring import RingReader, create_ring, remove_ring

N_FRAMES = 32


def live_pictures(
    path: Path, fps: float, size_px: int, n_slots: int
) -> tuple[np.ndarray, list[int]]:
    """Return the pictures of a whole file and the run of each; n_slots is above their number."""
    notes: list[FromCapture] = []
    spec = create_ring("door", n_slots, size_px, N_FRAMES)
    try:
        source = FileSource(path=path, pace="fast")
        config = ReaderConfig(camera="door", source=source, analysis_fps=fps, size_px=size_px)
        reader = Reader(config, spec, notes.append, SystemClock())
        reader.order_open()
        reader.advance(n_slots)
        reader.run()
        frames = [note for note in notes if isinstance(note, FrameNote)]
        runs = [note.run for note in frames for _ in range(note.n_places)]
        with RingReader(spec) as ring:
            pieces = [
                ring.window(first, min(N_FRAMES, len(runs) - first)).copy()
                for first in range(0, len(runs), N_FRAMES)
            ]
    finally:
        remove_ring(spec)
    return np.concatenate(pieces), runs
