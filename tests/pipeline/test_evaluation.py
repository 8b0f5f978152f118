"""Claims about pipeline.evaluation: figures of replayed videos, beside those of the motion gate."""

from __future__ import annotations

import numpy as np
import pytest

from model.evaluation.truth import BUILT_IN, scene_truth
from pipeline.cases import Video, clip_cases, play
from pipeline.config import DetectorConfig
from pipeline.evaluation import (
    SHIFTS,
    Sweeps,
    crossed,
    delays_of,
    events_report,
    nuisance_report,
    sweeps_of,
)
from pipeline.replay import PictureSource
from pipeline.sweep import Tracks, bundle_limits, shifted
from streamer.visit import SceneEvent
from tests.replay_kit import (
    FPS,
    MANIFEST,
    during,
    pictures_of,
    rendered,
    replayer_of,
    scores_of,
)

LIMITS = bundle_limits(MANIFEST, DetectorConfig())


def videos_of(group: str, n_clips: int) -> list[Video]:
    cases = clip_cases(group, n_clips, BUILT_IN, seed=0, render=rendered)
    replayer, _ = replayer_of()
    return list(play(cases, replayer, DetectorConfig(), lambda _: None))


@pytest.fixture(scope="module")
def objects() -> list[Video]:
    """Five clips of 15 s in which something moves left from 5 s to 9 s, told 0.5 s later."""
    return videos_of("objects", 5)


@pytest.fixture(scope="module")
def nuisances() -> list[Video]:
    """Ten clips in which nothing moves; some of those with a shaking camera look like motion."""
    return videos_of("nuisances", 10)


@pytest.fixture(scope="module")
def sweeps(objects: list[Video], nuisances: list[Video]) -> dict[str, Sweeps]:
    return {
        "objects": sweeps_of(objects, LIMITS, BUILT_IN),
        "nuisances": sweeps_of(nuisances, LIMITS, BUILT_IN),
    }


def test_lenient_limits_of_motion_do_not_turn_nuisances_on() -> None:
    """The camera scores 0.45 throughout, below its own limit: an object of 0.4 is found where
    motion is believed more easily, and would not be if the camera were too."""
    scores = scores_of(150, camera=lambda _: 0.45, left=during(5.0, 9.0, high=0.4))
    truth = scene_truth("v", [SceneEvent("left", "walker", 5.0, 9.0)], 15.0)
    recording = replayer_of()[0].replay_source("v", PictureSource(pictures_of(scores), FPS))
    video = Video("objects", Tracks(recording, DetectorConfig(), MANIFEST), truth)
    points = sweeps_of([video], LIMITS, BUILT_IN).model.points()
    assert max(point.recall for point in points) == 1.0
    everything = {label: shifted(limit, -1.5) for label, limit in LIMITS.items()}
    assert video.tracks.alarms(everything) == []


def test_every_object_is_told_with_its_direction(
    objects: list[Video], sweeps: dict[str, Sweeps]
) -> None:
    """The scores come 0.5 s late, the detector needs some 0.6 s more."""
    found = events_report(objects, LIMITS, BUILT_IN, sweeps["objects"])
    assert found["any"]["recall"]["value"] == 1.0
    assert found["any"]["precision"]["value"] == 1.0
    assert found["any"]["false_per_hour"]["value"] == 0.0
    assert 0.8 < found["any"]["delay_p50_s"]["value"] < 1.4
    assert (found["directions"]["n_right"], found["directions"]["n"]) == (5, 5)
    assert found["labels"]["left"]["recall"]["value"] == 1.0
    assert np.isnan(found["labels"]["up"]["recall"]["value"])
    assert found["miss_rate_at"]["0.1"]["value"] == 0.0
    assert [video["n_direction_right"] for video in found["videos"]] == [1] * 5
    assert [len(video["alarms"]) for video in found["videos"]] == [1] * 5
    assert delays_of(objects, LIMITS) == pytest.approx(
        [found["any"]["delay_p50_s"]["value"]] * 5, abs=0.2
    )


def test_the_motion_gate_is_judged_beside_it(
    objects: list[Video], sweeps: dict[str, Sweeps]
) -> None:
    """These pictures hardly move: the gate sees nothing of them at its own limits."""
    found = events_report(objects, LIMITS, BUILT_IN, sweeps["objects"])
    assert found["motion_gate"]["counts"]["n_events"] == 5
    assert len(found["motion_gate_curve"]) == len(sweeps["objects"].gate.settings)


def test_nuisances_are_judged_as_events_of_their_own(
    nuisances: list[Video], sweeps: dict[str, Sweeps]
) -> None:
    """They raise no alarm, but begin and end; two clips a kind."""
    found = events_report(nuisances, LIMITS, BUILT_IN, sweeps["nuisances"])
    for label in ("lighting", "camera", "tamper", "background"):
        assert found["labels"][label]["counts"]["n_events"] == 2
        assert found["labels"][label]["recall"]["value"] == 1.0
    assert np.isnan(found["any"]["recall"]["value"])


def test_recall_on_objects_is_set_against_false_alarms_on_nuisances(
    objects: list[Video], nuisances: list[Video], sweeps: dict[str, Sweeps]
) -> None:
    """At its own limits; and with stricter ones that find the objects too there is none."""
    both = crossed(sweeps["objects"], sweeps["nuisances"])
    found = nuisance_report(objects, nuisances, LIMITS, both)
    assert found["recall"] == 1.0
    assert found["hours"] == pytest.approx(10 * 15 / 3600)
    assert found["false_per_hour"]["value"] > 0
    assert found["at_equal_recall"][0]["recall"] == 1.0
    assert found["at_equal_recall"][0]["model_false_per_hour"] == 0.0
    kinds = found["by_kind"]
    assert list(kinds) == ["background", "camera", "empty", "lighting", "tamper"]
    assert kinds["camera"]["model_false_per_hour"]["value"] > 0
    assert kinds["empty"]["model_false_per_hour"]["value"] == 0
    assert len(found["curve"]) == len(SHIFTS)
