"""What the detector goes by: each label's kind and limits, and what the motion gate may raise.

In: the operator's `DetectorConfig` and the manifest of the bundle, if there is one. Out: `Rules`.
Pure. Invariant: what the operator set wins over what the bundle was tuned to, which wins over the
defaults here; `off` is never above `on`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from model.manifest import LabelKind, Manifest, Threshold
from pipeline.config import DetectorConfig

GatePolicy = Literal["raise", "confirm", "never"]
"""What becomes of motion that the gate sees: an event of its own; an event only while no scores
come that could tell what it is; never an event."""

DEFAULT = Threshold()
"""Limits of labels for which nobody has tuned any."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When one label's score is an event.

    Attributes:
        on: smoothed score that begins it.
        off: score below which it may end.
        min_duration_s: time above `on` before the start is told.
        smoothing_s: time constant of the exponential smoothing.
        quiet_s: time below `off` before the end is told.
        update_s: time between two updates.
    """

    on: float
    off: float
    min_duration_s: float
    smoothing_s: float
    quiet_s: float
    update_s: float


@dataclass(frozen=True, slots=True)
class Rules:
    """What one detector goes by.

    Attributes:
        motion: limits of the motion gate.
        label: limits of labels that have none of their own.
        labels: limits by label.
        kinds: what labels are for, by label; motion where absent.
        gate: what becomes of motion that the gate sees.
    """

    motion: Limits
    label: Limits
    labels: Mapping[str, Limits] = field(default_factory=dict)
    kinds: Mapping[str, LabelKind] = field(default_factory=dict)
    gate: GatePolicy = "raise"

    def limits(self, label: str) -> Limits:
        """Return the limits of a label's score."""
        return self.labels.get(label, self.label)

    def kind(self, label: str) -> LabelKind:
        """Return what a label is for."""
        return self.kinds.get(label, "motion")


def rules_of(config: DetectorConfig, manifest: Manifest | None = None) -> Rules:
    """Put together what the operator, the bundle and the defaults say.

    Args:
        config: of the detector.
        manifest: of the bundle whose scores come; None where nothing is known of it.
    """
    is_trained = manifest is not None and manifest.is_trained
    gate: Mapping[str, GatePolicy] = {
        "auto": "confirm" if is_trained else "raise",
        "always": "raise",
        "never": "never",
    }
    motion = Threshold(on=config.motion_on, off=config.motion_off)
    thresholds = manifest.thresholds if manifest is not None else {}
    names = manifest.labels if manifest is not None else ()
    return Rules(
        motion=_limits(config, motion),
        label=_score_limits(config, DEFAULT),
        labels={label: _score_limits(config, tuned) for label, tuned in thresholds.items()},
        kinds={label: manifest.kind(label) for label in names} if manifest is not None else {},
        gate=gate[config.motion_events],
    )


def _score_limits(config: DetectorConfig, tuned: Threshold) -> Limits:
    on = tuned.on if config.score_on is None else config.score_on
    off = tuned.off if config.score_off is None else config.score_off
    if config.score_off is not None and config.score_on is None:
        on = max(on, off)
    return _limits(config, tuned.model_copy(update={"on": on, "off": min(on, off)}))


def _limits(config: DetectorConfig, found: Threshold) -> Limits:
    smoothing_s, min_duration_s = config.smoothing_s, config.min_duration_s
    return Limits(
        on=found.on,
        off=found.off,
        min_duration_s=found.min_duration_s if min_duration_s is None else min_duration_s,
        smoothing_s=found.smoothing_s if smoothing_s is None else smoothing_s,
        quiet_s=config.quiet_s,
        update_s=config.update_s,
    )
