"""Boxes and times from maps, and answers whatever is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.errors import EngineFailedError
from pipeline.place import heat_of, place, place_of
from streamer.errors import WindowOverwrittenError
from streamer.notes import RingSpec
from streamer.worker_notes import Locate, WindowRef

CLIP = np.random.default_rng(1).integers(0, 256, (16, 32, 32, 3), np.uint8)
WINDOW = WindowRef(
    window_id=1, ring=RingSpec(path="/dev/shm/x", n_slots=40, size_px=32, n_frames=16), first_seq=0
)


def spot(t: slice, h: slice, w: slice, shape: tuple[int, int, int] = (4, 4, 4)) -> Any:
    scores = np.full(shape, -3.0, np.float32)
    scores[t, h, w] = 5.0
    return scores


class Maps:
    """Localizes with a given map, or fails."""

    labels = ("left", "right")

    def __init__(self, scores: Any, error: Exception | None = None) -> None:
        self.scores, self.error = scores, error

    def localize(self, clips: Any) -> Any:
        if self.error:
            raise self.error
        other = np.zeros_like(self.scores)
        return np.stack([other, self.scores], -1)[None]


def ask(classifier: Any, label: str = "right", **changes: Any) -> Any:
    note = Locate(event_id="e1", window=WINDOW, label=label, **changes)
    return place(note, classifier, lambda window: CLIP)


def test_the_box_lies_around_the_hot_places() -> None:
    """In shares of the picture, to an eighth of it on a map of 4 x 4; so does the time."""
    found = place_of(heat_of(spot(slice(1, 3), slice(0, 1), slice(2, 4))))
    assert found is not None
    left, top, right, bottom = found.box
    assert left == pytest.approx(0.5, abs=0.125)
    assert (top, right) == (0.0, 1.0)
    assert bottom == pytest.approx(0.25, abs=0.125)
    assert found.span == (0.25, 0.75)
    assert found.peak == 1


def test_heat_everywhere_is_the_whole_picture_but_the_median() -> None:
    """What is the same everywhere says nothing about a place."""
    assert place_of(heat_of(np.full((4, 4, 4), 7.0, np.float32))) is None
    assert place_of(np.full((4, 4, 4), np.nan, np.float32)) is None


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 3), (8, 4, 4), (3, 7, 5)])
def test_a_box_is_within_the_picture_for_any_map(shape: tuple[int, int, int]) -> None:
    """Also on maps of one place."""
    heat = np.random.default_rng(4).random(shape, np.float32)
    found = place_of(heat)
    assert found is not None
    left, top, right, bottom = found.box
    assert 0 <= left < right <= 1
    assert 0 <= top < bottom <= 1
    assert 0 <= found.span[0] < found.span[1] <= 1


def test_the_map_of_the_label_is_the_one_that_is_used() -> None:
    """The other one is flat and has no place."""
    maps = Maps(spot(slice(0, 4), slice(3, 4), slice(0, 1)))
    assert ask(maps).box[3] == 1.0
    assert ask(maps, label="left").box == ()


def test_an_overlay_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    """A PNG of the frame's size, nothing half-written beside it, and no more than were asked."""
    maps = Maps(spot(slice(0, 4), slice(3, 4), slice(0, 1)))
    for name in ("a", "b", "c"):
        found = ask(maps, overlay=str(tmp_path / f"door-{name}.png"), n_overlays=2)
        assert found.overlay == f"door-{name}.png"
    assert len(list(tmp_path.iterdir())) == 2
    assert (tmp_path / "door-c.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_is_gone_costs_the_picture_alone(tmp_path: Path) -> None:
    """The place is told all the same."""
    maps = Maps(spot(slice(0, 4), slice(3, 4), slice(0, 1)))
    found = ask(maps, overlay=str(tmp_path / "none" / "x.png"))
    assert found.overlay == ""
    assert found.box


def test_what_cannot_be_placed_is_answered_all_the_same() -> None:
    """An overwritten window, an unknown label, a refused clip; a broken engine ends the worker."""
    maps = Maps(spot(slice(0, 4), slice(3, 4), slice(0, 1)))

    def gone(window: WindowRef) -> Any:
        raise WindowOverwrittenError("too late")

    note = Locate(event_id="e1", window=WINDOW, label="right")
    assert place(note, maps, gone).box == ()  # type: ignore[arg-type]
    assert ask(maps, label="up").box == ()
    assert ask(Maps(maps.scores, ValueError("no"))).event_id == "e1"
    with pytest.raises(EngineFailedError):
        ask(Maps(maps.scores, EngineFailedError("out of memory")))
