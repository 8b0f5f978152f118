"""Limits for a budget of false alarms: thresholds, hysteresis, minimum duration and smoothing.

In: replayed videos and a budget. Through: every label tries every setting of a grid on its own; the
budget is then shared out among labels until all together keep to it. Out: limits for each label,
and what they cost and bring.
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
SHARES = (1.0, 0.5, 0.25, 0.12, 0.06, 0.03, 0.0)
"""Shares of the budget each label may use; labels often alarm together."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting of one label.

    Attributes:
        limits: the setting.
        worth: F1 of the label's own events less the cost of delay.
        false_per_hour: episodes an hour in which nothing moved at all.
    """

    limits: Threshold
    worth: float
    false_per_hour: float


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
    def false_per_hour_limit(self) -> float:
        """Return the rate that 95 % confidence still allows (Poisson)."""
        if not self.hours:
            return float("inf")
        from scipy.stats import chi2

        n_false = round(self.false_per_hour * self.hours)
        return float(chi2.ppf(0.95, 2 * n_false + 2)) / 2 / self.hours


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
    trials: dict[str, list[Trial]] = {}
    limits, untuned = dict(current), []
    # Nuisances first: they silence others.
    for label in sorted(words.labels, key=lambda label: label in words.alerting):
        tell(f"tuning {label}")
        n_events = sum(len(video.truth.course(label).events) for video in videos)
        if n_events < MIN_EVENTS:
            untuned.append(label)
        if label in words.alerting:
            around = {name: limits[name] for name in BLOCKING if name in _silencers(words)}
            own = limits[label] if n_events < MIN_EVENTS else None
            trials[label] = _trials(videos, label, around, own)
        elif n_events >= MIN_EVENTS:
            limits[label] = choose(_trials(videos, label, {}, None), math.inf).limits

    def outcome(share: float) -> Tuned:
        budget = share * max_fa_per_hour
        chosen = {label: choose(found, budget).limits for label, found in trials.items()}
        return _measure(videos, limits | chosen, max_fa_per_hour, tuple(untuned))

    outcomes = (outcome(share) for share in SHARES)
    return next((found for found in outcomes if found.is_met), outcome(0.0))


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


def _trials(
    videos: Sequence[Video], label: str, around: LimitsOf, kept: Threshold | None
) -> list[Trial]:
    """Try the grid, or limits to be kept and stricter ones."""
    if kept is None:
        return [_try(videos, label, {**around, label: limit}) for limit in grid()]
    found = []
    for by in STRICTER:
        trial = _try(videos, label, {**around, label: shifted(kept, by)})
        found.append(replace(trial, worth=-STRICTER_COST * by))
    return found


def _try(videos: Sequence[Video], label: str, limits: LimitsOf) -> Trial:
    """Try limits of a label; `limits` of others are those that may silence it."""
    own: list[Matched] = []
    quiet: list[Matched] = []
    for video in videos:
        tracks, from_s = video.tracks, video.recording.watched_from_s
        alone = len(limits) == 1
        alarms = tracks.label(label, limits[label]) if alone else tracks.among(label, limits)
        own.append(match(alarms, video.truth.course(label), video.truth, from_s))
        quiet.append(match(alarms, video.truth.course(ANY), video.truth, from_s))
    figures = figures_of(own, n_rounds=0)
    f1, delay_s = figures.f1.value, figures.delay_p50_s.value
    # Nothing told has no precision: worth nothing.
    worth = f1 if math.isfinite(f1) else 0.0
    if worth and math.isfinite(delay_s):
        worth -= DELAY_COST * delay_s
    false = figures_of(quiet, n_rounds=0).false_per_hour.value
    return Trial(limits[label], worth, false if math.isfinite(false) else 0.0)


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
