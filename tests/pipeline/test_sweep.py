"""Claims about pipeline.sweep: other limits, the same detector."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from model.manifest import Threshold
from pipeline.config import DetectorConfig
from pipeline.detector import Detector
from pipeline.records import Prediction
from pipeline.replay import PictureSource, Recording, alarms_of, decide
from pipeline.sweep import Tracks, bundle_limits, shifted
from tests.replay_kit import FPS, MANIFEST, config_of, during, pictures_of, replayer_of, scores_of

CONFIG = DetectorConfig()
LIMITS = bundle_limits(MANIFEST, CONFIG)
EAGER = Threshold(on=0.3, off=0.2, min_duration_s=0.0, smoothing_s=0.0)


def recorded(n_frames: int = 150, gate: str = "off", **courses: object) -> Recording:
    scores = scores_of(n_frames, **courses)  # type: ignore[arg-type]
    replayer, _ = replayer_of(analysis={"gate": gate, "gate_hold_s": 0.5})
    return replayer.replay_source("v", PictureSource(pictures_of(scores), FPS))


def test_limits_are_the_operators_or_the_bundles_or_the_defaults() -> None:
    """In this order, for each value."""
    tuned = MANIFEST.model_copy(update={"thresholds": {"left": EAGER}})
    assert bundle_limits(tuned, CONFIG)["left"] == EAGER
    assert bundle_limits(tuned, CONFIG)["up"] == Threshold()
    strict = bundle_limits(tuned, DetectorConfig(score_on=0.9))
    assert (strict["left"].on, strict["left"].off) == (0.9, 0.2)


def test_shifted_limits_move_in_log_odds_and_stay_in_order() -> None:
    """0.5 by log 3 is 0.75; there and back is the same."""
    limits = Threshold(on=0.5, off=0.5)
    assert shifted(limits, float(np.log(3))).on == pytest.approx(0.75)
    back = shifted(shifted(LIMITS["left"], 2.0), -2.0)
    assert (back.on, back.off) == pytest.approx((0.6, 0.4))
    assert (
        shifted(Threshold(on=1.0, off=0.0), -30).on >= shifted(Threshold(on=1.0, off=0.0), -30).off
    )


def test_the_bundles_own_limits_give_what_would_have_been_told() -> None:
    """The same alarms as one detector over the whole recording."""
    found = recorded(left=during(2, 4), up=during(3, 6), lighting=during(8, 10))
    numbers = itertools.count()
    detector = Detector("v", CONFIG, lambda: str(next(numbers)), MANIFEST)
    assert Tracks(found, CONFIG, MANIFEST).alarms(LIMITS) == alarms_of(
        decide(found.items, detector)
    )


def test_other_limits_tell_other_things() -> None:
    """A score of 0.4 is an event for whom 0.3 is enough."""
    tracks = Tracks(recorded(left=during(2, 4, high=0.4)), CONFIG, MANIFEST)
    assert tracks.alarms(LIMITS) == []
    assert [alarm.label for alarm in tracks.alarms(LIMITS | {"left": EAGER})] == ["left"]


def test_one_label_alone_gives_the_alarms_it_has_among_all() -> None:
    """Other labels change nothing unless they are nuisances."""
    tracks = Tracks(recorded(left=during(2, 14), up=during(6, 9)), CONFIG, MANIFEST)
    every = tracks.alarms(LIMITS)
    for label in ("left", "up", "down"):
        own = [alarm for alarm in every if alarm.label == label]
        assert tracks.among(label, {label: LIMITS[label]}) == own
        assert tracks.label(label, LIMITS[label]) == own


def test_a_lull_ends_an_event_for_one_label_as_for_all() -> None:
    """No window from 5 s to 12 s: the event ends there, and another one begins."""
    found = recorded(left=during(2, 14))
    kept = [
        item
        for item in found.items
        if not (isinstance(item, Prediction) and 5 < item.window.media_end_s < 12)
    ]
    tracks = Tracks(replace(found, items=tuple(kept)), CONFIG, MANIFEST)
    alarms = [alarm for alarm in tracks.alarms(LIMITS) if alarm.label == "left"]
    assert len(alarms) == 2
    assert alarms[0].span.end_s <= 5.0
    assert tracks.label("left", LIMITS["left"]) == alarms


def test_a_nuisance_silences_others_and_is_an_alarm_of_its_own_only_when_asked() -> None:
    """The camera moves from 2 s: what seems to move left from 3 s is not told."""
    tracks = Tracks(recorded(left=during(3, 5), camera=during(2, 6)), CONFIG, MANIFEST)
    assert tracks.alarms(LIMITS) == []
    around = {"camera": LIMITS["camera"], "left": LIMITS["left"]}
    assert tracks.among("left", around) == []
    assert len(tracks.among("left", {"left": LIMITS["left"]})) == 1
    (alarm,) = tracks.label("camera", LIMITS["camera"])
    assert alarm.span.start_s == pytest.approx(2.1, abs=0.11)


def test_the_motion_gate_alone_has_a_threshold_of_its_own() -> None:
    """A square that crosses is motion at the default, and not for whom nothing is enough."""
    pictures = pictures_of(np.zeros((100, len(MANIFEST.labels))))
    for index in range(40, 60):
        left = (index - 40) * 1
        pictures[index, 12:20, left : left + 8] = 240
    replayer, _ = replayer_of()
    found = replayer.replay_source("v", PictureSource(pictures, FPS))
    config = config_of().detector
    tracks = Tracks(found, config, MANIFEST)
    (alarm,) = tracks.motion()
    assert alarm.span.start_s == pytest.approx(4.0, abs=0.25)
    assert tracks.motion(0.9999) == []
    assert Tracks(found, config.model_copy(update={"motion_events": "never"}), MANIFEST).motion()
