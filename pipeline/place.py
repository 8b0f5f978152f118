"""Where in a window a label is: the class activation map, a box around it, a picture of it.

In: a `Locate` note, the classifier, and a way to read the window. Out: a `Placed` note. Runs in the
worker process, between two batches, for the few windows that raise an event. Invariant: whatever is
wrong with one window or one file, the worker goes on; only an engine that failed ends it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.classifier import Classifier, Clips
from streamer.errors import RingError
from streamer.worker_notes import Locate, Placed, WindowRef

log = logging.getLogger(__name__)

Heat = npt.NDArray[np.float32]
"""float32 (T', H', W'), >= 0: how much each place speaks for the label, beyond the usual."""

SHARE = 0.5
"""Places with so much of the largest heat are inside the box."""

FINE = 32
"""Cells a side into which the coarse map is interpolated: a box on 4 x 4 places would jump."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where and when, in shares.

    Attributes:
        box: left, top, right, bottom, 0..1.
        span: begin and end of the window's time, 0..1.
        peak: position in time, 0..T' - 1, at which the heat is largest.
    """

    box: tuple[float, float, float, float]
    span: tuple[float, float]
    peak: int


def place(note: Locate, classifier: Classifier, read: Callable[[WindowRef], Clips]) -> Placed:
    """Answer one question.

    Args:
        note: which label of which window.
        classifier: warmed up.
        read: returns a copy of a window's frames, uint8 (T, S, S, 3).

    Raises:
        EngineFailedError: the engine is unusable; this process must be replaced.
    """
    nothing = Placed(event_id=note.event_id)
    try:
        clip = read(note.window)
        label = list(classifier.labels).index(note.label)
        heat = heat_of(classifier.localize(clip[None])[0, ..., label])
    except (RingError, ValueError) as err:
        # As text: a log record that keeps the error keeps the ring mapped.
        log.warning("event %s cannot be placed: %s", note.event_id, str(err))
        return nothing
    found = place_of(heat)
    if found is None:
        return nothing
    overlay = _drawn(note, clip, heat, found) if note.overlay else ""
    return Placed(event_id=note.event_id, box=found.box, span=found.span, overlay=overlay)


def heat_of(scores: npt.NDArray[np.float32]) -> Heat:
    """Take the part of a label's map (T', H', W') that stands out from its median."""
    heat: Heat = np.maximum(scores - np.median(scores), 0).astype(np.float32)
    return heat


def place_of(heat: Heat) -> Place | None:
    """Find the box and the time of the heat; None where no place stands out."""
    top = float(heat.max())
    if not 0 < top < float("inf"):
        return None
    fine = _finer(_finer(heat.max(0), 0), 1)
    rows, columns = (np.flatnonzero((fine >= SHARE * fine.max()).any(axis)) for axis in (1, 0))
    times = np.flatnonzero(heat.max((1, 2)) >= SHARE * top)
    n = len(heat)
    box = (columns[0] / FINE, rows[0] / FINE, (columns[-1] + 1) / FINE, (rows[-1] + 1) / FINE)
    left, top_edge, right, bottom = (float(edge) for edge in box)
    return Place(
        (left, top_edge, right, bottom),
        (float(times[0] / n), float((times[-1] + 1) / n)),
        int(heat.max((1, 2)).argmax()),
    )


def _finer(values: Heat, axis: int) -> Heat:
    """Interpolate between the middles of the cells along one axis, to `FINE` cells."""
    n = values.shape[axis]
    at = (np.arange(FINE) + 0.5) / FINE * n - 0.5
    finer: Heat = np.apply_along_axis(lambda line: np.interp(at, np.arange(n), line), axis, values)
    return finer


def _drawn(note: Locate, clip: Clips, heat: Heat, found: Place) -> str:
    """Write the frame of the largest heat; return the file's name, or nothing."""
    # OpenCV takes 40 MB, and only who asks for pictures needs it.
    from streamer.overlay import draw, keep_newest

    path = Path(note.overlay)
    frame = clip[min((2 * found.peak + 1) * len(clip) // (2 * len(heat)), len(clip) - 1)]
    try:
        unfinished = path.with_name(f".{path.name}.part")
        unfinished.write_bytes(draw(frame, heat[found.peak], found.box))
        unfinished.replace(path)
        keep_newest(path.parent, note.n_overlays)
    except OSError as err:
        log.warning("overlay %s cannot be written: %s", path, err.strerror)
        return ""
    return path.name
