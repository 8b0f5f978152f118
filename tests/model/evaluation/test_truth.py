"""Claims about model.evaluation.truth: files, scenes and frames say the same in the same form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.errors import EvaluationError
from model.evaluation.span import Span
from model.evaluation.truth import ANY, Vocabulary, frames_truth, read_truth, scene_truth
from model.labels import LABELS
from streamer.scenes import SceneEvent

FILE: dict[str, Any] = {
    "clip": "a.mp4",
    "duration_s": 20.0,
    "tolerance_s": 0.4,
    "events": [
        {"segment": [2, 4], "label": "car", "direction": "up"},
        {"segment": [6, 7], "label": "enter"},
        {"segment": [9, 10], "label": "lighting"},
        {"segment": [11, 12], "label": "left"},
    ],
    "empty": [[0, 1.5], [13, 20]],
}


def written(folder: Path, **changes: Any) -> Path:
    (folder / "a.mp4").touch()
    path = folder / "a.json"
    path.write_text(json.dumps(FILE | changes))
    return path


def test_a_file_tells_directions_and_motion_of_any_kind(tmp_path: Path) -> None:
    """A nuisance is no motion; a word of the operator's is motion of some kind."""
    video, truth = read_truth(written(tmp_path))
    assert video == tmp_path / "a.mp4"
    assert truth.name == "a"
    assert truth.course(ANY).events == (Span(2, 4), Span(6, 7), Span(11, 12))
    assert truth.course(ANY).empty == (Span(0, 1.5), Span(13, 20))
    assert truth.course("up").events == (Span(2, 4),)
    assert truth.course("lighting").events == (Span(9, 10),)
    assert [(d.span, set(d.labels)) for d in truth.directed] == [
        (Span(2, 4), {"up"}),
        (Span(11, 12), {"left"}),
    ]


def test_a_bundle_with_other_labels_has_other_directions(tmp_path: Path) -> None:
    """ "enter" is a label of this one, "up" is not."""
    words = Vocabulary(("enter", "lighting"), ("enter",))
    _, truth = read_truth(written(tmp_path), words)
    assert truth.course("enter").events == (Span(6, 7),)
    assert truth.course("up").events == ()
    assert len(truth.course(ANY).events) == 3


def test_the_clip_may_lie_beside_the_folder_of_the_file(tmp_path: Path) -> None:
    """labels/a.json names clips/a.mp4 from the folder above."""
    (tmp_path / "labels").mkdir()
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").touch()
    path = tmp_path / "labels" / "a.json"
    path.write_text(json.dumps(FILE | {"clip": "clips/a.mp4"}))
    assert read_truth(path)[0] == tmp_path / "clips" / "a.mp4"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"clip": "b.mp4"}, "clip 'b.mp4' is neither below"),
        ({"events": [{"segment": [4, 2]}]}, r"\[4.0, 2.0\] is no span"),
        ({"empty": [[0, "x"]]}, "empty.0.1: "),
        ({"colour": 1}, "colour: Extra inputs are not permitted"),
        ({"duration_s": -1}, "duration_s: "),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    """With the path of the file and the key."""
    path = written(tmp_path, **changes)
    with pytest.raises(EvaluationError, match=sentence) as caught:
        read_truth(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    """No traceback."""
    with pytest.raises(EvaluationError, match="cannot be read: No such file"):
        read_truth(tmp_path / "no.json")


def test_a_scene_tells_everything_that_happens_in_it() -> None:
    """What is no event of a label is empty for it."""
    events = [SceneEvent("left", "walker", 1, 3), SceneEvent("lighting", "lamp", 5, 6)]
    truth = scene_truth("s", events, 10.0)
    assert truth.course(ANY).events == (Span(1, 3),)
    assert truth.course(ANY).empty == (Span(0, 1), Span(3, 10))
    assert truth.course("left").empty == truth.course(ANY).empty
    assert truth.course("right").empty == (Span(0, 10),)
    assert truth.course("lighting").events == (Span(5, 6),)


def frames(**columns: list[float]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """10 fps; labels not named are 0."""
    n = len(next(iter(columns.values())))
    found = np.zeros((n, len(LABELS)), np.float32)
    for label, values in columns.items():
        found[:, LABELS.index(label)] = values
    return found


def test_frames_become_events_and_empty_spans() -> None:
    """1 s off, 1 s left, half a second undecided, 1.5 s off."""
    nan = float("nan")
    truth = frames_truth("c", frames(left=[0] * 10 + [1] * 10 + [nan] * 5 + [0] * 15), 10.0)
    (event,) = truth.course("left").events
    assert (event.start_s, event.end_s) == pytest.approx((1.0, 2.0))
    empty = [(s.start_s, s.end_s) for s in truth.course("left").empty]
    assert empty == [pytest.approx((0.0, 1.0)), pytest.approx((2.5, 4.0))]
    assert truth.course(ANY).events == (event,)
    assert [set(d.labels) for d in truth.directed] == [{"left"}]
    assert truth.duration_s == 4.0


def test_a_short_stop_does_not_end_an_event() -> None:
    """1.9 s still between two walks: one event; 2.5 s: two."""
    walk = [1.0] * 10
    one = frames_truth("c", frames(left=walk + [0] * 19 + walk), 10.0)
    two = frames_truth("c", frames(left=walk + [0] * 25 + walk), 10.0)
    assert len(one.course("left").events) == 1
    assert one.course("left").empty == ()
    assert len(two.course("left").events) == 2
    assert len(two.course("left").empty) == 1


def test_what_is_too_short_is_undecided() -> None:
    """0.3 s of motion is no event, and no place for a false alarm."""
    truth = frames_truth("c", frames(up=[0] * 20 + [1] * 3 + [0] * 20), 10.0)
    assert truth.course("up").events == ()
    assert [s.duration_s for s in truth.course("up").empty] == pytest.approx([2.0, 2.0])


def test_a_diagonal_has_two_directions_and_nuisances_are_no_motion() -> None:
    """Either direction is right."""
    on = [1.0] * 20
    truth = frames_truth("c", frames(left=on, up=on, camera=on), 10.0)
    assert [set(d.labels) for d in truth.directed] == [{"left", "up"}]
    assert len(truth.course("camera").events) == 1
    assert len(truth.course(ANY).events) == 1


def test_motion_of_any_kind_is_undecided_where_a_kind_is() -> None:
    """One undecided and none certain: neither event nor empty."""
    nan = float("nan")
    truth = frames_truth("c", frames(left=[nan] * 20, camera=[0.0] * 20), 10.0)
    assert truth.course(ANY).events == ()
    assert truth.course(ANY).empty == ()
    assert len(truth.course("camera").empty) == 1
