"""Claims about pipeline.exam: one bundle, every question, one report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from model.bundle import save_bundle, untrained_bundle
from model.errors import EvaluationError
from model.evaluation.report import markdown, plain, write_json
from model.evaluation.truth import BUILT_IN, Vocabulary
from pipeline.cases import CLIP_S
from pipeline.exam import Exam, Plan, cases_of, examination, headline
from tests.clip_file import write_clip
from tests.replay_kit import MANIFEST, config_of, exam_of

PLAN = Plan(scenes=("empty",), scene_s=4.0, n_windows=60, n_objects=3, nuisance_minutes=1.25)


@pytest.fixture(scope="module")
def exam() -> Exam:
    return exam_of()


@pytest.fixture(scope="module")
def report(exam: Exam, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("report")
    found = exam.report(PLAN, folder)
    return found | {"folder": folder}


def test_a_report_has_every_part_that_was_asked_for(report: dict[str, Any]) -> None:
    """Windows, events of each group, and the comparison on nuisances."""
    assert list(report["trimmed"]) == ["rendered"]
    assert list(report["untrimmed"]) == ["scenes", "objects", "nuisances"]
    assert report["nuisances"]["hours"] == pytest.approx(5 * CLIP_S / 3600)
    assert report["bundle"]["name"] == "scripted"
    mean = report["trimmed"]["rendered"]["mean_average_precision"]
    assert list(mean) == ["motion labels", "nuisances"]
    assert mean["motion labels"]["value"] > 0.8


def test_every_picture_that_the_report_names_is_there(report: dict[str, Any]) -> None:
    """And no other file."""
    files = {path.name for path in report["folder"].iterdir()}
    assert files == set(report["pictures"])
    assert "nuisances-against-objects-det.png" in files
    assert "rendered-confusion.png" in files


def test_a_report_can_be_written_and_read(report: dict[str, Any], tmp_path: Path) -> None:
    """Strict JSON and Markdown."""
    kept = {key: value for key, value in report.items() if key != "folder"}
    write_json(kept, tmp_path / "r.json")
    assert (tmp_path / "r.json").stat().st_size > 1000
    assert "## Events: objects" in markdown(kept)


def test_a_bundle_carries_a_few_figures(report: dict[str, Any]) -> None:
    """Plain values that a manifest takes."""
    found = headline(report)
    assert found["objects"]["recall"] == 1.0
    assert set(found["rendered"]) == {"motion labels", "nuisances"}
    untrained_bundle(MANIFEST).with_facts(metrics={"evaluation": plain(found)})


def test_softmax_bundles_are_judged_by_their_highest_score(tmp_path: Path) -> None:
    """Top-1 and top-5 instead of independent labels."""
    bundle = untrained_bundle(MANIFEST.model_copy(update={"activation": "softmax"}))
    exam = exam_of(bundle)
    found = exam.trimmed_report(exam.rendered(Plan(n_windows=40)), tmp_path, "own")
    assert {"top1", "top5", "mean_class_accuracy"} <= found.keys()


def test_a_mistake_shows_before_anything_is_loaded(tmp_path: Path) -> None:
    """A truth file that is not there, or labels that the renderer does not know."""
    told: list[str] = []
    missing = Plan(truths=(tmp_path / "no.json",), n_windows=1000)
    with (
        pytest.raises(EvaluationError, match="cannot be read"),
        examination(config_of(), missing, told.append),
    ):
        raise AssertionError
    assert told == []
    with pytest.raises(EvaluationError, match="this bundle has a, b"):
        cases_of(Plan(n_windows=1), Vocabulary(("a", "b"), ("a",)))
    assert len(cases_of(PLAN, BUILT_IN)) == 1 + 3 + 5


def test_labels_and_videos_of_the_operators_own_are_judged(tmp_path: Path) -> None:
    """A bundle of two labels, one of which only explains; a truth file with one of its words."""
    write_clip(tmp_path / "a.mp4", 60)
    truth = {
        "clip": "a.mp4",
        "duration_s": 6.0,
        "events": [{"segment": [2, 4], "label": "fall"}],
        "empty": [[4.5, 6]],
    }
    (tmp_path / "a.json").write_text(json.dumps(truth))
    own = MANIFEST.model_copy(update={"labels": ("fall", "walk"), "kinds": {"walk": "silent"}})
    found = exam_of(untrained_bundle(own)).report(Plan(truths=(tmp_path,)), tmp_path)
    files = found["untrimmed"]["files"]
    assert list(files["labels"]) == ["fall", "walk"]
    assert files["labels"]["fall"]["counts"]["n_events"] == 1
    assert files["any"]["counts"]["empty_s"] == pytest.approx(1.5)
    assert "## Events: files" in markdown(found)


def test_a_bundle_is_loaded_with_its_engine_and_closed(tmp_path: Path) -> None:
    """The real network, small: it scores what is rendered."""
    facts = {"size_px": 32, "frames": 8, "hop": 4, "units": 16, "is_trained": True}
    save_bundle(untrained_bundle(MANIFEST.model_copy(update=facts)), tmp_path / "b")
    model = {"bundle": str(tmp_path / "b"), "engine": "tensorflow", "precision": "float32"}
    told: list[str] = []
    plan = Plan(n_windows=4)
    with examination(config_of(model=model), plan, told.append) as exam:
        assert exam.rendered(plan).scores.shape[1] == len(MANIFEST.labels)
    assert told[0] == "loading scripted on tensorflow"
