"""Claims about pipeline.tuner: the budget is kept, and as much as it allows is found."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.evaluation.truth import BUILT_IN, Vocabulary
from model.manifest import Threshold
from pipeline import tuner
from pipeline.cases import Video, clip_cases, play
from pipeline.config import DetectorConfig
from pipeline.sweep import bundle_limits
from pipeline.tuner import Trial, Tuned, choose, grid, tune
from tests.replay_kit import MANIFEST, rendered, replayer_of

LIMITS = bundle_limits(MANIFEST, DetectorConfig())
SMALL = [
    Threshold(on=on, off=on / 2, min_duration_s=duration_s, smoothing_s=0.3)
    for on in (0.3, 0.6, 0.85, 0.97)
    for duration_s in (0.0, 0.4)
]


def trial(on: float, worth: float, false_per_hour: float) -> Trial:
    return Trial(Threshold(on=on, off=0.01), worth, false_per_hour)


def test_the_best_setting_within_the_budget_is_chosen() -> None:
    """More is worth more, up to the budget."""
    trials = [trial(0.3, 0.95, 9.0), trial(0.5, 0.9, 1.0), trial(0.9, 0.4, 0.0)]
    assert choose(trials, 10.0).limits.on == 0.3
    assert choose(trials, 1.0).limits.on == 0.5
    assert choose(trials, 0.5).limits.on == 0.9


def test_of_settings_about_as_good_the_strictest_is_chosen() -> None:
    """It is the farthest from a false alarm."""
    trials = [trial(0.3, 0.900, 0.0), trial(0.5, 0.895, 0.0), trial(0.7, 0.8, 0.0)]
    assert choose(trials, 0.0).limits.on == 0.5


def test_where_no_setting_keeps_to_the_budget_the_quietest_is_chosen() -> None:
    """Whatever it finds."""
    assert choose([trial(0.3, 1.0, 9.0), trial(0.9, 0.0, 2.0)], 1.0).limits.on == 0.9


TRIALS = st.lists(
    st.builds(trial, st.floats(0.2, 0.9), st.floats(0, 1), st.floats(0, 10)), min_size=1
)


@given(TRIALS, st.floats(0, 10))
def test_a_choice_never_breaks_a_budget_that_can_be_kept(
    trials: list[Trial], budget: float
) -> None:
    """And is never much worse than the best that keeps it."""
    found = choose(trials, budget)
    within = [one for one in trials if one.false_per_hour <= budget]
    if within:
        assert found.false_per_hour <= budget + 1e-9
        assert found.worth >= max(one.worth for one in within) - tuner.INDIFFERENT - 1e-9


def test_the_grid_has_hysteresis_everywhere() -> None:
    """`off` is below `on`, and every combination is there once."""
    found = grid()
    assert all(limits.off < limits.on for limits in found)
    assert len({limits.model_dump_json() for limits in found}) == len(found) > 200


def test_directions_share_their_limits_where_a_bundle_has_both() -> None:
    """Every label is in one group; an operator's own labels are alone."""
    groups = tuner.groups_of(BUILT_IN)
    assert {("left", "right"), ("up", "down"), ("approach",), ("camera",)} <= set(groups)
    assert sorted(label for group in groups for label in group) == sorted(BUILT_IN.labels)
    own = Vocabulary(labels=("fall", "left"), alerting=("fall", "left"))
    assert tuner.groups_of(own) == [("fall",), ("left",)]


def steps_of(*shares: float) -> list[tuner.Chosen]:
    """Limits of two labels; those of `left` do not change between the two smallest shares."""
    return [
        {
            ("left", "right"): trial(1 - max(share, 0.2), max(share, 0.2), max(share, 0.2)),
            ("recede",): trial(1 - share, share, share),
        }
        for share in shares
    ]


def told_of(left_gain: float, recede_gain: float, budget: float = 10.0) -> tuner.Outcome:
    """The looser a label, the more it finds and the more often it is wrong, 10 an hour at most."""

    def outcome(chosen: tuner.Chosen) -> Tuned:
        left, recede = (1 - trial.limits.on for trial in chosen.values())
        false = 10 * left + 10 * recede
        each = {label: trial.limits for group, trial in chosen.items() for label in group}
        recall = left_gain * left + recede_gain * recede
        return Tuned(each, false, recall, 0.0, 1.0, is_met=false <= budget + 1e-9, untuned=())

    return outcome


def test_what_is_left_of_the_budget_goes_where_most_is_found() -> None:
    """One label takes all that equal shares left over, step by step; a step without change too."""
    steps = steps_of(0.1, 0.2, 0.4, 0.6, 0.8)
    found = tuner.relaxed(steps, told_of(0.5, 0.1))
    assert (1 - found.limits["left"].on, 1 - found.limits["recede"].on) == pytest.approx((0.8, 0.2))
    found = tuner.relaxed(steps, told_of(0.1, 0.5))
    assert (1 - found.limits["left"].on, 1 - found.limits["recede"].on) == pytest.approx((0.2, 0.8))
    assert found.is_met


def test_a_label_that_told_nothing_may_begin_to() -> None:
    """Without an alarm there is no delay, and that is no reason to stay silent."""
    steps = [{("left",): trial(on, 0.0, 0.0)} for on in (0.9, 0.5)]

    def outcome(chosen: tuner.Chosen) -> Tuned:
        is_silent = chosen[("left",)].limits.on == 0.9
        recall, delay_s = (0.0, math.nan) if is_silent else (0.8, 1.0)
        return Tuned({}, 0.0, recall, delay_s, 1.0, is_met=True, untuned=())

    assert tuner.relaxed(steps, outcome).recall == 0.8


def test_limits_are_not_looser_for_nothing() -> None:
    """A label that finds no more keeps its limits, and a budget that is broken is not asked."""
    steps = steps_of(0.1, 0.2, 0.4)
    assert tuner.relaxed(steps, told_of(0.0, 0.0)).limits["recede"].on == 0.9
    calls: list[tuner.Chosen] = []

    def outcome(chosen: tuner.Chosen) -> Tuned:
        calls.append(chosen)
        return told_of(0.5, 0.5, budget=0.0)(chosen)

    assert not tuner.relaxed(steps, outcome).is_met
    assert calls == steps[:1]


def test_of_many_labels_only_those_with_most_to_gain_are_asked() -> None:
    """An operator's 256 labels need not all be tried in every round."""
    labels = [(f"label {number}",) for number in range(40)]
    first = {group: trial(0.9, 0.0, 0.0) for group in labels}
    second = {group: trial(0.5, number / 40, 0.1) for number, group in enumerate(labels)}
    calls: list[tuner.Chosen] = []

    def outcome(chosen: tuner.Chosen) -> Tuned:
        calls.append(chosen)
        return Tuned({}, 0.0, 0.5, 0.0, 1.0, is_met=True, untuned=())

    tuner.relaxed([first, second], outcome)
    asked = {group for chosen in calls[1:] for group in labels if chosen[group] != first[group]}
    assert asked == set(labels[-tuner.MOST_TRIED :])


@pytest.fixture(scope="module")
def videos() -> list[Video]:
    """Objects that score 0.9 for left, and a shaking camera that scores 0.8 for right."""
    cases = clip_cases("objects", 4, BUILT_IN, seed=0, render=rendered)
    cases += clip_cases("nuisances", 20, BUILT_IN, seed=0, render=rendered)
    replayer, _ = replayer_of()
    return list(play(cases, replayer, DetectorConfig(), lambda _: None))


@pytest.fixture
def small_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuner, "grid", lambda: SMALL)


@pytest.mark.usefixtures("small_grid")
def test_tuned_limits_keep_to_the_budget_and_find_everything(videos: list[Video]) -> None:
    """The blips of the camera are shut out, the objects are not."""
    told: list[str] = []
    found = tune(videos, BUILT_IN, LIMITS, 1.0, told.append)
    assert found.is_met
    assert found.false_per_hour == 0.0
    assert found.recall == 1.0
    assert 0.8 < found.limits["left"].on < 0.9
    assert found.limits["right"] == found.limits["left"]
    assert found.limits["up"] == LIMITS["up"]
    assert {"up", "down", "approach"} <= set(found.untuned)
    assert not {"left", "right"} & set(found.untuned)
    assert told[0] == "tuning lighting"
    assert 0 < found.delay_p50_s < 1.5


@pytest.mark.usefixtures("small_grid")
def test_nuisances_without_events_keep_their_limits(videos: list[Video]) -> None:
    """There is nothing to choose by."""
    few = [video for video in videos if video.group == "objects"]
    found = tune(few, BUILT_IN, LIMITS, 1.0, lambda _: None)
    assert found.limits["tamper"] == LIMITS["tamper"]
    assert "tamper" in found.untuned


def test_a_budget_that_nothing_keeps_is_said_not_to_be_met(
    videos: list[Video], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With settings that hear everything."""
    eager = Threshold(on=0.3, off=0.2, min_duration_s=0.0, smoothing_s=0.0)
    monkeypatch.setattr(tuner, "grid", lambda: [eager])
    monkeypatch.setattr(tuner, "STRICTER", (0.0,))
    found = tune(videos, BUILT_IN, LIMITS, 0.0, lambda _: None)
    assert not found.is_met
    assert found.false_per_hour > 0


@pytest.mark.parametrize(("false_per_hour", "hours", "limit"), [(0.0, 1.0, 3.0), (1.0, 2.0, 3.15)])
def test_how_little_a_short_test_promises(
    false_per_hour: float, hours: float, limit: float
) -> None:
    """No false alarm in an hour still allows three an hour (rule of three)."""
    found = Tuned({}, false_per_hour, 1.0, 1.0, hours, is_met=True, untuned=())
    assert found.false_per_hour_limit == pytest.approx(limit, abs=0.01)
    nothing = Tuned({}, math.nan, 1.0, 1.0, 0.0, is_met=False, untuned=())
    assert math.isinf(nothing.false_per_hour_limit)
