"""Claims about pipeline.cases: what is replayed, with which truth, from which seeds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from model.errors import EvaluationError
from model.evaluation.truth import ANY, BUILT_IN, Vocabulary
from pipeline.cases import (
    CLIP_S,
    KINDS,
    ClipPlan,
    clip_cases,
    file_cases,
    play,
    render_holdout,
    scene_cases,
    seeds_of,
    truth_files,
    vocabulary_of,
)
from pipeline.config import DetectorConfig
from tests.replay_kit import MANIFEST, rendered, replayer_of


def test_labels_that_raise_events_are_those_of_kind_motion() -> None:
    """Nuisances and silent labels do not."""
    assert vocabulary_of(MANIFEST) == BUILT_IN
    own = MANIFEST.model_copy(
        update={"labels": ("fall", "walk", "lighting"), "kinds": {"walk": "silent"}}
    )
    assert vocabulary_of(own) == Vocabulary(("fall", "walk", "lighting"), ("fall",))


def test_truth_files_are_those_named_and_those_in_folders(tmp_path: Path) -> None:
    """A folder without any is a mistake."""
    (tmp_path / "b.json").touch()
    (tmp_path / "a.json").touch()
    (tmp_path / "note.txt").touch()
    other = tmp_path / "other.json"
    assert truth_files([tmp_path, other]) == [tmp_path / "a.json", tmp_path / "b.json", other]
    (tmp_path / "empty").mkdir()
    with pytest.raises(EvaluationError, match="holds no truth file"):
        truth_files([tmp_path / "empty"])


def test_a_mistake_in_a_truth_file_shows_before_anything_is_replayed(tmp_path: Path) -> None:
    """All files are read at once."""
    good = {"clip": "a.mp4", "duration_s": 5}
    (tmp_path / "a.mp4").touch()
    (tmp_path / "a.json").write_text(json.dumps(good))
    (case,) = file_cases([tmp_path], BUILT_IN)
    assert (case.group, case.name) == ("files", "a")
    (tmp_path / "b.json").write_text(json.dumps(good | {"clip": "b.mp4"}))
    with pytest.raises(EvaluationError, match=r"clip 'b\.mp4' is neither"):
        file_cases([tmp_path], BUILT_IN)


def test_no_two_uses_or_groups_share_a_clip() -> None:
    """Nor do two seeds; the same choice gives the same clips, and more of them begin alike."""
    chosen = {
        (group, seed, use): tuple(seeds_of(group, 20, seed, use))
        for group in ("objects", "nuisances", "windows")
        for seed in (0, 1)
        for use in ("test", "tune", "calibrate")
    }
    assert len({number for numbers in chosen.values() for number in numbers}) == 20 * len(chosen)
    assert seeds_of("objects", 30, 0, "test")[:20] == list(chosen["objects", 0, "test"])


def test_rendered_clips_take_the_kinds_in_turns() -> None:
    """And are replayed with the truth they were drawn with."""
    cases = clip_cases("nuisances", 6, BUILT_IN, seed=0, render=rendered)
    assert [case.name for case in cases] == [
        f"{kind}-{index}" for index, kind in enumerate((*KINDS["nuisances"], "lighting"))
    ]
    replayer, _ = replayer_of()
    told: list[str] = []
    (video,) = play(cases[:1], replayer, DetectorConfig(), told.append)
    assert told == ["replaying nuisances lighting-0"]
    assert video.group == "nuisances"
    assert video.recording.duration_s == pytest.approx(CLIP_S)
    assert len(video.truth.course("lighting").events) == 1
    assert video.truth.course(ANY).events == ()


def test_a_bundle_with_other_labels_has_no_rendered_truth() -> None:
    """The renderer does not know them."""
    with pytest.raises(EvaluationError, match="this bundle has fall, walk"):
        clip_cases("objects", 1, Vocabulary(("fall", "walk"), ("fall",)), seed=0)


def test_a_named_scene_tells_its_own_truth() -> None:
    """Two walkers and cars a cycle of 10 s; another use is another day."""
    replayer, _ = replayer_of()
    (case,) = scene_cases(["street"], 12.0, BUILT_IN, seed=0)
    (other,) = scene_cases(["street"], 12.0, BUILT_IN, seed=0, use="tune")
    recording, truth = case.play(replayer)
    assert recording.duration_s == pytest.approx(12.0)
    assert truth.course(ANY).events[0].start_s >= 3.0
    assert other.play(replayer)[1].courses != truth.courses


def test_a_scene_that_is_not_there_is_one_sentence() -> None:
    """With those that are."""
    (case,) = scene_cases(["moon"], 5.0, BUILT_IN, seed=0)
    with pytest.raises(EvaluationError, match="--scene moon: there is no scene 'moon'; choose"):
        case.play(replayer_of()[0])


def test_clips_are_rendered_with_looks_that_training_never_has() -> None:
    """Small and short here; the same seed gives the same clip."""
    plan = ClipPlan(10, 10.0, 32)
    one, two = render_holdout(5, "empty", plan), render_holdout(5, "empty", plan)
    assert one.pictures.shape == (10, 32, 32, 3)
    assert one.labels.shape == (10, len(MANIFEST.labels))
    assert np.array_equal(one.pictures, two.pictures)
