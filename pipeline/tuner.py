"""Limits for a budget of false alarms: thresholds, hysteresis, minimum duration and smoothing.

In: replayed videos and a budget. Through: every label tries every setting of a grid on its own,
left and right as one, and up and down; the budget is then shared out among labels until all
together keep to it, and what is left of it goes to those labels with which most is found. Out:
limits for each label, and what they cost and bring.
Invariant: on the videos it was given, the chosen limits keep to the budget, or it is said that none
does.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from model.evaluation.detection import figures_of
from model.evaluation.matching import Matched, match
from model.evaluation.truth import ANY, Vocabulary
from model.labels import TWINS
from model.manifest import Threshold
from pipeline.cases import Video
from pipeline.evaluation import match_any
from pipeline.suppression import BLOCKING
from pipeline.sweep import LimitsOf, shifted

ONS = tuple(1 / (1 + math.exp(-x)) for x in np.arange(-2.0, 6.01, 0.5).tolist())
"""Scores that begin an event: 0.12 to 0.998, even in log-odds."""
DEPTHS = (0.7, 1.5)
"""Log-odds by which the score that ends it is lower."""
DURATIONS_S = (0.0, 0.4, 0.8)
SMOOTHINGS_S = (0.0, 0.4)
"""A setting costs 0.3 ms a clip of 15 s: 204 of them, 11 labels and 220 clips take 3 minutes."""
DELAY_COST = 0.05
"""A second of median delay is worth this much F1."""
INDIFFERENT = 0.01
"""Of settings this close to the best the strictest is taken: it is farthest from a false alarm."""
MIN_EVENTS = 3
"""Events of a label below which it is not tuned for recall: it keeps its limits, made stricter by
`STRICTER` steps only as far as the budget wants it."""
STRICTER = tuple(np.arange(0.0, 8.1, 0.5).tolist())
STRICTER_COST = 0.1
LEAST_GAIN = 0.002
"""Recall, less the cost of delay, that a label must bring to get more of the budget."""
MOST_TRIED = 8
"""Labels that are asked what they would bring, those with most to gain for themselves first: with
256 labels asking all of them takes hours."""
SHARES = (1.0, 0.8, 0.65, 0.5, 0.4, 0.3, 0.25, 0.2, 0.16, 0.12, 0.09, 0.06, 0.03, 0.0)
"""Shares of the budget each label may use; labels often alarm together. In steps
of a half, 4.6 false alarms an hour were used of a budget of 12 instead of 7.4, and the median alert
came 0.2 s later."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting of one label, or of two that share theirs.

    Attributes:
        limits: the setting.
        worth: F1 of the label's own events less the cost of delay.
        false_per_hour: episodes an hour in which nothing moved at all; of two labels the more.
    """

    limits: Threshold
    worth: float
    false_per_hour: float


Chosen = dict[tuple[str, ...], Trial]
"""The setting of each group of labels."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """The outcome.

    Attributes:
        limits: of every label.
        false_per_hour: of all labels that alert together.
        recall: share of events told.
        delay_p50_s: median time to detect.
        hours: of time without motion that it was measured on.
        is_met: the budget is kept.
        untuned: labels with too few events, which kept their limits or got stricter ones.
    """

    limits: dict[str, Threshold]
    false_per_hour: float
    recall: float
    delay_p50_s: float
    hours: float
    is_met: bool
    untuned: tuple[str, ...]

    @property
    def worth(self) -> float:
        """Return the recall less the cost of delay, which there is only where something is told."""
        late = DELAY_COST * self.delay_p50_s
        return self.recall - (late if math.isfinite(late) else 0.0)

    @property
    def false_per_hour_limit(self) -> float:
        """Return the rate that 95 % confidence still allows (Poisson)."""
        if not self.hours:
            return float("inf")
        from scipy.stats import chi2

        n_false = round(self.false_per_hour * self.hours)
        return float(chi2.ppf(0.95, 2 * n_false + 2)) / 2 / self.hours


Outcome = Callable[[Chosen], Tuned]
"""What limits of all groups bring together."""


def grid() -> list[Threshold]:
    """Return every setting that is tried."""
    found = []
    for on, depth, duration_s, smoothing_s in itertools.product(
        ONS, DEPTHS, DURATIONS_S, SMOOTHINGS_S
    ):
        off = shifted(Threshold(on=on, off=on), -depth).off
        limits = Threshold(
            on=round(on, 4),
            off=round(off, 4),
            min_duration_s=duration_s,
            smoothing_s=smoothing_s,
        )
        found.append(limits)
    return found


def tune(
    videos: Sequence[Video],
    words: Vocabulary,
    current: LimitsOf,
    max_fa_per_hour: float,
    tell: Callable[[str], None],
) -> Tuned:
    """Choose limits.

    Args:
        videos: some with events, some long without any.
        words: labels of the bundle.
        current: limits of each label, kept where there is nothing to choose by.
        max_fa_per_hour: false episodes an hour of all alerting labels together.
        tell: is told how it goes on.
    """
    trials: dict[tuple[str, ...], list[Trial]] = {}
    limits, untuned = dict(current), list[str]()
    # Nuisances first: they silence others.
    for group in sorted(groups_of(words), key=lambda group: group[0] in words.alerting):
        tell(f"tuning {' and '.join(group)}")
        events = [video.truth.course(label).events for video in videos for label in group]
        is_enough = sum(map(len, events)) >= MIN_EVENTS
        if not is_enough:
            untuned += group
        if group[0] in words.alerting:
            around = {name: limits[name] for name in BLOCKING if name in _silencers(words)}
            if is_enough:
                trials[group] = [_try(videos, group, around, limit) for limit in grid()]
            else:
                trials |= {(name,): _stricter(videos, name, around, limits) for name in group}
        elif is_enough:
            found = [_try(videos, group, {}, limit) for limit in grid()]
            limits[group[0]] = choose(found, math.inf).limits

    def outcome(chosen: Chosen) -> Tuned:
        each = {label: trial.limits for group, trial in chosen.items() for label in group}
        return _measure(videos, limits | each, max_fa_per_hour, tuple(untuned))

    def within(share: float) -> Chosen:
        budget = share * max_fa_per_hour
        return {group: choose(found, budget) for group, found in trials.items()}

    shared = [within(share) for share in SHARES]
    level = next((at for at, chosen in enumerate(shared) if outcome(chosen).is_met), -1)
    tell("sharing out what is left of the budget")
    return relaxed(shared[level::-1], outcome)


def relaxed(steps: Sequence[Chosen], outcome: Outcome) -> Tuned:
    """Give single labels looser limits for as long as more is found and the budget is kept.

    Args:
        steps: settings that labels get of equal shares, ever larger ones; the first is begun with.
        outcome: of any settings.
    """
    chosen = steps[0]
    best = outcome(chosen)
    while best.is_met:
        nexts = {
            group: _after([each[group] for each in steps], own) for group, own in chosen.items()
        }
        gains = {group: trial.worth - chosen[group].worth for group, trial in nexts.items()}
        able = [group for group, trial in nexts.items() if trial != chosen[group]]
        likely = sorted(able, key=lambda group: -gains[group])[:MOST_TRIED]
        tried = [chosen | {group: nexts[group]} for group in likely]
        found = [(outcome(each), each) for each in tried]
        kept = [pair for pair in found if pair[0].is_met]
        better, each = max(kept, key=lambda pair: pair[0].worth, default=(best, chosen))
        if not better.worth > best.worth + LEAST_GAIN:
            break
        best, chosen = better, each
    return best


def _after(trials: Sequence[Trial], own: Trial) -> Trial:
    """Return the first other setting that comes after a label's own, or that where none does."""
    later = trials[trials.index(own) + 1 :]
    return next((trial for trial in later if trial != own), own)


def groups_of(words: Vocabulary) -> list[tuple[str, ...]]:
    """Return the labels, those that share their limits together.

    Which way a street leads decides how many events each of two directions has; tuned apart, the
    rarer one gets limits made for a few clips (`right` was told after 2.8 s, `left` after 0.7 s).
    """
    twins = [pair for pair in TWINS if set(pair) <= set(words.alerting)]
    paired = {label for pair in twins for label in pair}
    return [*twins, *((label,) for label in words.labels if label not in paired)]


def choose(trials: Sequence[Trial], budget: float) -> Trial:
    """Return the best setting within a budget, the strictest of those about as good.

    Where none keeps to it, the setting with the fewest false alarms.
    """
    fewest = min(trial.false_per_hour for trial in trials)
    within = [trial for trial in trials if trial.false_per_hour <= max(budget, fewest) + 1e-9]
    best = max(trial.worth for trial in within)
    good = [trial for trial in within if trial.worth >= best - INDIFFERENT]
    return max(good, key=lambda trial: (trial.limits.on, trial.limits.off, trial.worth))


def _silencers(words: Vocabulary) -> set[str]:
    return set(words.labels) - set(words.alerting)


def _stricter(
    videos: Sequence[Video], label: str, around: LimitsOf, limits: LimitsOf
) -> list[Trial]:
    """Try the limits that a label has, and stricter ones."""
    found = []
    for by in STRICTER:
        trial = _try(videos, (label,), around, shifted(limits[label], by))
        found.append(replace(trial, worth=-STRICTER_COST * by))
    return found


def _try(
    videos: Sequence[Video], group: tuple[str, ...], around: LimitsOf, limit: Threshold
) -> Trial:
    """Try one setting for the labels of a group; limits `around` are of those that silence them."""
    own: list[Matched] = []
    false_per_hour = 0.0
    for label in group:
        quiet: list[Matched] = []
        for video in videos:
            tracks, from_s = video.tracks, video.recording.watched_from_s
            limits = {**around, label: limit}
            alarms = tracks.among(label, limits) if around else tracks.label(label, limit)
            own.append(match(alarms, video.truth.course(label), video.truth, from_s))
            quiet.append(match(alarms, video.truth.course(ANY), video.truth, from_s))
        false = figures_of(quiet, n_rounds=0).false_per_hour.value
        false_per_hour = max(false_per_hour, false if math.isfinite(false) else 0.0)
    figures = figures_of(own, n_rounds=0)
    f1, delay_s = figures.f1.value, figures.delay_p50_s.value
    # Nothing told has no precision: worth nothing.
    worth = f1 if math.isfinite(f1) else 0.0
    if worth and math.isfinite(delay_s):
        worth -= DELAY_COST * delay_s
    return Trial(limit, worth, false_per_hour)


def _measure(
    videos: Sequence[Video],
    limits: dict[str, Threshold],
    budget: float,
    untuned: tuple[str, ...],
) -> Tuned:
    figures = figures_of(match_any(videos, lambda v: v.tracks.alarms(limits)), n_rounds=0)
    false = figures.false_per_hour.value
    return Tuned(
        limits=limits,
        false_per_hour=false,
        recall=figures.recall.value,
        delay_p50_s=figures.delay_p50_s.value,
        hours=figures.counts["empty_s"] / 3600,
        is_met=bool(false <= budget),
        untuned=untuned,
    )
