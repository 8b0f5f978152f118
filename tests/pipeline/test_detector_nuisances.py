"""The detector with a trained bundle: nuisances silence, the gate waits for the scores."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from model.manifest import Manifest
from pipeline.config import DetectorConfig
from pipeline.detector import Detector
from pipeline.records import Nuisance, Region, Suppressed
from tests.pipeline.detector_bench import EXACT, LINE, WALL, Bench

LABELS = ("left", "right", "lighting", "camera", "tamper", "background")
QUIET = dict.fromkeys(LABELS, 0.05)


def trained_bench(config: DetectorConfig = EXACT, **facts: Any) -> Bench:
    ids = itertools.count()
    manifest = Manifest(name="m", is_trained=True, labels=LABELS, analysis_fps=10, hop=4, **facts)
    bench = Bench(config)
    bench.detector = Detector("door", config, lambda: f"e{next(ids)}", manifest)
    return bench


def play(bench: Bench, start_s: float, end_s: float, gate: float, **scores: float) -> None:
    """Frames at 10 fps, a window each 0.4 s."""
    for index in range(round((end_s - start_s) * 10)):
        now_s = start_s + index / 10
        bench.motion(now_s, gate)
        if index % 4 == 0:
            bench.scores(now_s, **(QUIET | scores))


def suppressed(bench: Bench) -> list[tuple[str, str]]:
    asides = bench.detector.asides()
    return [(a.label, a.reason) for a in asides if isinstance(a, Suppressed)]


def test_a_label_tells_motion_and_the_gate_adds_nothing() -> None:
    """One start and one end, of the label; nothing counts as suppressed."""
    bench = trained_bench()
    play(bench, 0, 2, 0.0)
    play(bench, 2, 5, 0.9, left=0.9)
    play(bench, 5, 9, 0.0)
    assert [(e.label, e.phase) for e in bench.events] == [("left", "start"), ("left", "end")]
    assert suppressed(bench) == []


@pytest.mark.parametrize("nuisance", ["lighting", "camera", "tamper", "background"])
def test_a_nuisance_is_no_event_and_explains_what_the_gate_saw(nuisance: str) -> None:
    """It is told as a nuisance that begins and ends, and counted once."""
    bench = trained_bench()
    play(bench, 0, 2, 0.0)
    play(bench, 2, 5, 0.9, **{nuisance: 0.9})
    play(bench, 5, 9, 0.0)
    assert bench.events == []
    asides = bench.detector.asides()
    assert [a for a in asides if isinstance(a, Suppressed)] == [
        Suppressed("door", "motion", nuisance)
    ]
    told = [(a.label, a.is_active) for a in asides if isinstance(a, Nuisance)]
    assert told == [(nuisance, True), (nuisance, False)]


def test_motion_that_no_score_confirms_is_counted_as_such() -> None:
    """Neither object nor nuisance."""
    bench = trained_bench()
    play(bench, 0, 3, 0.9)
    play(bench, 3, 6, 0.0)
    assert bench.events == []
    assert suppressed(bench) == [("motion", "unconfirmed")]
    assert bench.detector.asides() == []


@pytest.mark.parametrize("nuisance", ["camera", "tamper"])
def test_no_label_starts_while_the_camera_moves_or_is_covered(nuisance: str) -> None:
    """It is counted once; when the camera stands still again, the event starts there."""
    bench = trained_bench()
    play(bench, 0, 4, 0.9, left=0.9, **{nuisance: 0.9})
    assert bench.events == []
    assert suppressed(bench) == [("left", nuisance)]
    play(bench, 4, 8, 0.9, left=0.9)
    assert [(e.label, e.phase) for e in bench.events] == [("left", "start")]
    assert bench.events[0].onset_s >= 4.0


@pytest.mark.parametrize("nuisance", ["lighting", "background"])
def test_light_and_leaves_do_not_hide_an_object(nuisance: str) -> None:
    """The score of the label has learned them."""
    bench = trained_bench()
    play(bench, 0, 4, 0.9, left=0.9, **{nuisance: 0.9})
    assert [(e.label, e.phase) for e in bench.events] == [("left", "start")]


def test_an_event_that_runs_goes_on_when_the_camera_shakes() -> None:
    """Only starts are silenced, so that starts and ends alternate."""
    bench = trained_bench()
    play(bench, 0, 2, 0.9, left=0.9)
    play(bench, 2, 4, 0.9, left=0.9, camera=0.9)
    play(bench, 4, 8, 0.0)
    assert [e.phase for e in bench.events] == ["start", "end"]


def test_a_nuisance_silences_from_its_first_high_score() -> None:
    """Also where its own minimum duration is longer than the label's."""
    slow = {"camera": {"on": 0.6, "off": 0.4, "min_duration_s": 5.0}}
    bench = trained_bench(DetectorConfig(smoothing_s=0), thresholds=slow)
    play(bench, 0, 3, 0.0, left=0.9, camera=0.9)
    assert bench.events == []


def test_without_scores_the_gate_raises_its_event_after_all() -> None:
    """The worker is away: after five seconds the motion is told, with its true onset."""
    bench = trained_bench()
    bench.motions(0.0, 1.0, 0.0)
    bench.motions(1.0, 6.2, 0.9)
    assert bench.events == []
    bench.motions(6.2, 8.0, 0.9)
    bench.motions(8.0, 11.0, 0.0)
    assert [(e.label, e.phase) for e in bench.events] == [("motion", "start"), ("motion", "end")]
    start, end = bench.events
    assert start.onset_s == pytest.approx(1.0)
    assert start.detected_s == pytest.approx(6.3)
    assert end.ended_s == pytest.approx(7.9)
    assert suppressed(bench) == []


def test_short_motion_without_any_scores_is_told_late_but_told() -> None:
    """Start and end together; nobody else could have told it."""
    bench = trained_bench()
    bench.motions(0.0, 1.0, 0.9)
    bench.motions(1.0, 3.0, 0.0)
    assert [(e.label, e.phase) for e in bench.events] == [("motion", "start"), ("motion", "end")]
    assert bench.events[0].event_id == bench.events[1].event_id


def test_the_gate_can_be_told_to_raise_always_or_never() -> None:
    """always: besides the scores, unless a nuisance goes on; never: not even without scores."""
    always = trained_bench(EXACT.model_copy(update={"motion_events": "always"}))
    play(always, 0, 1, 0.0)
    play(always, 1, 3, 0.9)
    assert [(e.label, e.phase) for e in always.events] == [("motion", "start")]
    lamp = trained_bench(EXACT.model_copy(update={"motion_events": "always"}))
    play(lamp, 0, 1, 0.0, lighting=0.9)
    play(lamp, 1, 3, 0.9, lighting=0.9)
    assert lamp.events == []
    assert suppressed(lamp) == [("motion", "lighting")]
    never = trained_bench(EXACT.model_copy(update={"motion_events": "never"}))
    never.motions(0.0, 20.0, 0.9)
    never.motions(20.0, 23.0, 0.0)
    assert never.events == []
    assert suppressed(never) == [("motion", "unconfirmed")]


def test_a_covered_camera_stays_covered_while_nothing_moves() -> None:
    """A closed gate lets no window through; the next window tells whether it is free again."""
    bench = trained_bench()
    play(bench, 0, 2, 0.9, tamper=0.9, camera=0.9)
    bench.motions(2.0, 30.0, 0.0)
    active = [(a.label, a.is_active) for a in bench.detector.asides() if isinstance(a, Nuisance)]
    assert active == [("camera", True), ("tamper", True), ("camera", False)]
    play(bench, 30, 34, 0.9, left=0.9)
    ended = [(a.label, a.is_active) for a in bench.detector.asides() if isinstance(a, Nuisance)]
    assert ended == [("tamper", False)]
    assert [(e.label, e.phase) for e in bench.events] == [("left", "start")]


def test_a_cover_that_was_taken_away_before_the_gate_closed_ends() -> None:
    """Its last score was low, though it had not been low for long enough."""
    bench = trained_bench()
    play(bench, 0, 2, 0.9, tamper=0.9)
    play(bench, 2, 2.5, 0.9)
    bench.motions(2.5, 9.0, 0.0)
    active = [a.is_active for a in bench.detector.asides() if isinstance(a, Nuisance)]
    assert active == [True, False]


def test_the_end_of_a_run_ends_nuisances_and_settles_motion() -> None:
    """Nothing is carried into another time line."""
    bench = trained_bench()
    play(bench, 0, 2, 0.9, lighting=0.9)
    assert bench.end_all(2.0, "source_lost") == []
    asides = bench.detector.asides()
    assert Suppressed("door", "motion", "lighting") in asides
    assert [a.is_active for a in asides if isinstance(a, Nuisance)] == [True, False]
    play(bench, 0, 3, 0.9, left=0.9)


def test_a_silent_label_is_neither_event_nor_nuisance() -> None:
    """The class "other" of a softmax."""
    bench = trained_bench(kinds={"left": "silent"})
    play(bench, 0, 3, 0.0, left=0.99)
    assert bench.events == []
    assert bench.detector.asides() == []


def test_tuned_limits_of_the_bundle_decide() -> None:
    """A label that was tuned to 0.9 does not start at 0.8."""
    limits = {"left": {"on": 0.9, "off": 0.5, "min_duration_s": 0.0, "smoothing_s": 0.0}}
    bench = trained_bench(DetectorConfig(), thresholds=limits)
    play(bench, 0, 2, 0.0, left=0.8, right=0.8)
    assert [e.label for e in bench.events] == ["right"]


def test_a_place_becomes_an_update_that_all_later_phases_carry() -> None:
    """And is of no use to an event that is over, or that nobody was told of."""
    bench = trained_bench()
    play(bench, 0, 2, 0.0, left=0.9, lighting=0.9)
    region = Region(0.1, 0.2, 0.5, 0.6, 0.5, 1.5, "door-e1.png")
    (start,) = bench.events
    (update,) = bench.detector.locate(start.event_id, region, WALL)
    assert (update.phase, update.region, update.event_id) == ("update", region, start.event_id)
    assert update.timeline == LINE
    assert bench.detector.locate("e0", region, WALL) == [], "a nuisance has no place"
    play(bench, 2, 6, 0.0)
    assert bench.events[-1].phase == "end"
    assert bench.events[-1].region == region
    assert bench.detector.locate(start.event_id, region, WALL) == []


def test_starts_and_ends_alternate_whatever_the_scores_are() -> None:
    """Random scores, gaps, runs and resets; each label and each nuisance by itself."""
    rng = random.Random(7)
    for wish in ("auto", "always", "never"):
        bench = trained_bench(DetectorConfig(motion_events=wish))
        run, now_s = 0, 0.0
        asides: list[Any] = []
        for _ in range(4000):
            now_s += rng.choice([0.1, 0.1, 0.1, 0.4, 6.0 if rng.random() < 0.02 else 0.1])
            bench.motion(now_s, rng.random() ** 0.5)
            if rng.random() < 0.5:
                bench.scores(now_s, run, **{label: rng.random() ** 0.4 for label in LABELS})
            if rng.random() < 0.01:
                bench.end_all(now_s, "reset")
                run += 1
            asides += bench.detector.asides()
        bench.end_all(now_s, "shutdown")
        asides += bench.detector.asides()
        for label in ("motion", *LABELS):
            phases = [e.phase for e in bench.events if e.label == label and e.phase != "update"]
            assert phases == ["start", "end"] * (len(phases) // 2)
            changes = [a.is_active for a in asides if isinstance(a, Nuisance) and a.label == label]
            assert changes == [True, False] * (len(changes) // 2)
        assert {e.label for e in bench.events} <= {"motion", "left", "right"}
