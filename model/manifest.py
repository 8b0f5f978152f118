"""What a bundle says about itself: labels, geometry, calibration, thresholds, history.

In: the JSON of `manifest.json`. Out: a validated, immutable `Manifest`. Manifests of format 1 knew
the first fields only; everything newer has a default that means what format 1 meant. Importable
without any engine. Invariant: whatever names a label names one of `labels`, and whatever has one
value a label has K of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from model import labels, spec

Label = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]

LabelKind = Literal["motion", "nuisance", "silent"]
"""motion: raises events; nuisance: explains a change that is no object, and suppresses; silent: is
scored and shown, nothing more (the class "other" of a softmax)."""

Activation = Literal["sigmoid", "softmax"]
"""sigmoid: labels hold independently of each other; softmax: exactly one of them holds."""

Finite = Annotated[float, Field(allow_inf_nan=False)]

GOLDEN_PX = 32
"""Side of the golden clip that is computed whenever a bundle is loaded: 0.45 of 28.8 GMACs."""

GOLDEN_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.03, "int8": 0.25}
"""Largest difference of a golden score that counts as equal, by the precision of the engine."""


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Threshold(_Facts):
    """When a label's score becomes an event, as tuned to a false-alarm budget."""

    on: float = Field(0.6, gt=0, le=1)
    """Smoothed score that begins an event."""
    off: float = Field(0.4, ge=0, le=1)
    """Score below which it may end."""
    min_duration_s: float = Field(0.3, ge=0, le=60)
    """The score must stay above `on` this long before the start is told."""
    smoothing_s: float = Field(0.3, ge=0, le=60)
    """Time constant of the exponential smoothing, seconds."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.off > self.on:
            raise ValueError(f"off ({self.off}) must not be above on ({self.on})")
        return self


class Calibration(_Facts):
    """A straight line on the logit of one label; the same scale for all is a temperature."""

    scale: float = Field(1.0, gt=0, le=100, allow_inf_nan=False)
    """Factor of the logit; 1 / temperature."""
    bias: float = Field(0.0, ge=-100, le=100, allow_inf_nan=False)
    """Added to the scaled logit."""


class Golden(_Facts):
    """What the network makes of a clip that is drawn the same everywhere."""

    seed: int = Field(0, ge=0, le=1 << 31)
    """Of `golden_clip`."""
    logits: tuple[Finite, ...]
    """Of the clip at 32 px, before the activation: computed at every load."""
    scores: tuple[Finite, ...]
    """Of the clip at the bundle's own size: compared with the engine that will run."""
    tolerance: Mapping[str, Annotated[float, Field(gt=0, le=1)]] = GOLDEN_TOLERANCE
    """Largest difference of a score that counts as equal, by precision."""


class Manifest(_Facts):
    """What a bundle says about itself."""

    format: Literal[1, 2] = 2
    """Version of this file's layout."""
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    """Name of the bundle, shown with every prediction."""
    version: str = Field("1", max_length=32)
    """Version of the weights, for people."""
    is_trained: bool
    """Scores mean something; without it no score raises an event."""
    labels: tuple[Label, ...] = Field(min_length=1, max_length=256)
    """Names of the K scores, in order."""
    units: int = Field(spec.UNITS, ge=1, le=1024)
    """Length E of the embedding."""
    frames: int = Field(spec.FRAMES, ge=4, le=128)
    """Frames in a window."""
    size_px: int = Field(spec.SIZE_PX, ge=32, le=512)
    """Side of the square pictures."""
    temporal_padding: spec.TemporalPadding = "same"
    """Form of the network the weights were trained in."""
    pixel_scale: float = Field(spec.PIXEL_SCALE, gt=0, le=1)
    """Preprocessing: RGB bytes times this."""
    analysis_fps: float = Field(gt=0, le=120)
    """Frames per second of the sampled sequence."""
    hop: int = Field(ge=1, le=128)
    """Frames between two windows."""
    weights_sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    """Of weights.npz; empty only in a manifest that is not saved yet."""
    activation: Activation = "sigmoid"
    """From calibrated logits to scores."""
    kinds: Mapping[Label, LabelKind] = {}
    """What labels are for; those not named are nuisances where they are called like the built-in
    ones, and motion otherwise."""
    calibration: Mapping[Label, Calibration] = {}
    """Folded into the score layer when the bundle is loaded; labels not named are as trained."""
    thresholds: Mapping[Label, Threshold] = {}
    """Tuned limits; labels not named have those of the detector's configuration."""
    golden: Golden | None = None
    """Proves that these weights are the ones that were tested."""
    description: str = Field("", max_length=1000)
    """What the bundle is for, in a sentence or two."""
    licence: str = Field("", max_length=200)
    """Of the weights."""
    metrics: Mapping[str, JsonValue] = {}
    """Figures of its evaluation, by name."""
    recipe: Mapping[str, JsonValue] = {}
    """How it was trained."""
    seeds: Mapping[str, int] = {}
    """Of training and data, by what they seeded."""

    @field_validator("labels")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("must not name a label twice")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for field in ("kinds", "calibration", "thresholds"):
            if strangers := sorted(set(getattr(self, field)) - set(self.labels)):
                raise ValueError(f"{field} names {strangers[0]!r}, which is none of the labels")
        for field in ("logits", "scores") if self.golden else ():
            n = len(getattr(self.golden, field))
            if n != len(self.labels):
                raise ValueError(f"golden.{field} has {n} values for {len(self.labels)} labels")
        return self

    def kind(self, label: str) -> LabelKind:
        """Tell what a label is for."""
        return self.kinds.get(label, "nuisance" if label in labels.NUISANCES else "motion")
