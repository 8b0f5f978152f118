"""What a user may say about a training run: one immutable model a part of the recipe file.

In: plain mappings, which the command makes from a YAML file. Out: a validated `Recipe`. The seeds,
the schedule and the order of the data follow from it alone.
Invariant: two recipes that would train differently have different fingerprints, so that a run is
never resumed with another recipe than its own.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from model import labels, spec
from model.data.target import MOMENT_FRAMES
from model.manifest import Label
from streamer.config import CAMERA_ID, Strict

FREEZABLE = tuple(stage.name for stage in (*spec.STEM, *spec.BLOCKS))
"""Stages in the order of the data; a prefix of them can be frozen."""


class HeadRecipe(Strict):
    """What the scores mean."""

    labels: tuple[Label, ...] = Field(labels.LABELS, min_length=1, max_length=256)
    """Names of the K scores, in order."""
    activation: Literal["sigmoid", "softmax"] = "sigmoid"
    """sigmoid: several labels can hold at once; softmax: exactly one holds."""
    units: int = Field(spec.UNITS, ge=1, le=1024)
    """Length of the embedding."""

    @field_validator("labels")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("must not name a label twice")
        return value


Kinds = dict[str, Annotated[float, Field(ge=0)]]
"""Shares of the kinds of rendered scenes, by name."""


class MiningRecipe(Strict):
    """More clips are rendered than learned from, and their windows drawn by a bundle's loss."""

    bundle: str = Field(min_length=1)
    """Name of a built-in bundle with the labels of the recipe, or its folder."""
    clips: int = Field(4, ge=2, le=64)
    """Clips rendered for each that a batch needs."""


class SyntheticData(Strict):
    """Clips that are rendered while training goes on."""

    kind: Literal["synthetic"] = "synthetic"
    kinds: Kinds = Field(default_factory=dict)
    """Kinds of scenes with their shares; empty leaves the choice to the renderer."""
    clip_frames: int = Field(72, ge=8, le=1024)
    """Frames of a rendered clip."""
    windows: int = Field(4, ge=1, le=64)
    """Windows cut from each rendered clip, each for another batch; `batch` is a multiple of it."""
    repeats: int = Field(1, ge=1, le=16)
    """Batches that each window is in, augmented anew in each: less is rendered and mined."""
    lanes: int = Field(2, ge=1, le=64)
    """Sequences of clips that take turns; up to so many workers render no clip twice."""
    augment: bool = True
    """Vary colours, crop, direction and order of the windows."""
    mining: MiningRecipe | None = None
    """Learn more from what a bundle gets wrong; without it, from all windows alike."""


class ManifestData(Strict):
    """A user's own clips."""

    kind: Literal["manifest"] = "manifest"
    path: Path
    """The dataset's manifest file, as `bresnet data import` and `bresnet data split` write it."""
    balance: bool = False
    """Show each label as often as any other; else each segment once an epoch."""
    augment: bool = True
    """Vary colours, crop and direction of the windows."""


class PhaseRecipe(Strict):
    """A span of the run with clips of one shape."""

    size_px: int = Field(ge=32, le=512)
    """Side of the square pictures."""
    frames: int = Field(spec.FRAMES, ge=4, le=128)
    """Frames in a clip."""
    steps: int = Field(ge=1, le=10_000_000)
    """Batches that are learned from."""
    batch: int = Field(16, ge=2, le=1024)
    """Clips in a batch."""
    kinds: Kinds = Field(default_factory=dict)
    """Kinds of rendered scenes that this phase learns from, such as easy ones first; empty takes
    those of `data.kinds`, which validation always does."""


class OptimizerRecipe(Strict):
    """Steps down the gradient: linear warm-up, then half a cosine down to a floor."""

    kind: Literal["adamw", "muon"] = "adamw"
    """adamw, or muon: orthogonal steps for the kernels; learns more a step and takes an eighth
    longer for it."""
    peak_learning_rate: float = Field(2e-3, gt=0, le=1)
    """At the end of the warm-up."""
    floor_share: float = Field(0.01, ge=0, le=1)
    """Learning rate at the end, as a share of the peak."""
    warmup_steps: int = Field(300, ge=0)
    """Steps from 0 to the peak."""
    weight_decay: float = Field(0.02, ge=0, le=1)
    """A step's shrinking of the kernels, times the learning rate; BatchNorm and biases have
    none."""
    clip_norm: float = Field(5.0, gt=0)
    """Longest gradient, over all weights."""


class InitRecipe(Strict):
    """Fine-tuning: where weights come from."""

    bundle: str = Field(min_length=1)
    """Name of a built-in bundle, or its folder."""
    new_head: bool = False
    """Begin with new score weights although the labels are those of the bundle; where they
    differ, it is always so."""
    kept: float = Field(0.0, ge=0, lt=1)
    """Share of these weights in those of the bundle at the end: brings back what was forgotten."""
    freeze: tuple[str, ...] = ()
    """Stages that keep their weights and statistics: the first ones, without gaps."""

    @field_validator("freeze")
    @classmethod
    def _prefix(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value != FREEZABLE[: len(value)]:
            raise ValueError(f"must be the first stages in order, of {', '.join(FREEZABLE)}")
        return value


class Recipe(Strict):
    """Everything `bresnet train` needs."""

    name: str = Field(pattern=CAMERA_ID)
    """Name of the bundle; letters, digits, - and _, at most 32."""
    description: str = Field("", max_length=1000)
    """What the bundle will say of itself, in a sentence or two."""
    licence: str = Field("", max_length=200)
    """Of the weights, as the bundle will tell it."""
    seed: int = Field(0, ge=0, le=2**31 - 1)
    """Of the first weights, of mixup and of the data."""
    head: HeadRecipe = HeadRecipe()
    """Labels."""
    data: Annotated[SyntheticData | ManifestData, Field(discriminator="kind")] = SyntheticData()
    """Where clips come from."""
    phases: tuple[PhaseRecipe, ...] = Field(min_length=1, max_length=32)
    """Progressive size: one after the other; the last gives the bundle its window."""
    optimizer: OptimizerRecipe = OptimizerRecipe()
    """Steps down the gradient."""
    temporal_padding: spec.TemporalPadding = "same"
    """Form of the network; `causal` trains the one without look-ahead."""
    analysis_fps: float = Field(10.0, gt=0, le=120)
    """Frames per second of the clips, and of the pipeline that uses the bundle."""
    hop: int = Field(4, ge=1, le=128)
    """Frames between two windows of the pipeline that uses the bundle."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of a target that is spread evenly: towards 1/2 (sigmoid) or 1/K (softmax)."""
    mixup_alpha: float = Field(0.0, ge=0, le=10)
    """Of the beta distribution of the shares in which pairs of clips are mixed; 0 mixes none."""
    moment_share: float = Field(0.0, ge=0, le=10)
    """Weight of a second loss: of what each of the network's time positions (4 frames) shows. Its
    layer is not part of the bundle."""
    place_share: float = Field(0.0, ge=0, le=10)
    """Weight of a third loss: of what moves in each cell of 8 x 8 pixels and 4 frames. For rendered
    clips alone; its layer is not part of the bundle either."""
    rate_share: float = Field(0.0, ge=0, le=10)
    """Weight of a fourth loss: of how fast what is in each cell goes, grows and stirs. For rendered
    clips alone, without mixup; its layer is not part of the bundle either."""
    zero_gamma: bool = True
    """Begin each block as its shortcut alone."""
    ema_decay: float = Field(0.999, ge=0, lt=1)
    """Of the moving average of the weights, which is what the bundle gets; shorter at the start."""
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    """Of activations; weights, statistics and the loss stay float32. auto: bfloat16 where the
    processor multiplies it itself."""
    init: InitRecipe | None = None
    """Begin with the weights of a bundle."""
    checkpoint_s: float = Field(180.0, gt=0)
    """Seconds between two checkpoints."""
    validate_steps: int = Field(500, ge=1)
    """Steps between two validations."""
    validation_batches: int = Field(16, ge=1, le=10_000)
    """Held-out batches of a validation."""
    statistics_batches: int = Field(32, ge=1, le=10_000)
    """Batches from which the bundle's BatchNorm statistics are taken, under its averaged
    weights."""
    bundle_weights: Literal["float16", "float32"] = "float16"
    """Type of the weights in the bundle: 9 MB or 18 MB."""
    workers: int = Field(1, ge=0, le=256)
    """Processes that prepare batches; 0 prepares them in turns with the training."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.optimizer.warmup_steps >= self.steps:
            raise ValueError(
                f"optimizer.warmup_steps must be below the {self.steps} steps of all phases, not"
                f" {self.optimizer.warmup_steps}"
            )
        if isinstance(self.data, SyntheticData):
            self._fits_windows(self.data)
        elif any(phase.kinds for phase in self.phases):
            raise ValueError("phases.kinds must be empty with data.kind manifest, which has none")
        elif self.place_share or self.rate_share:
            key = "place_share" if self.place_share else "rate_share"
            raise ValueError(f"{key} must be 0 with data.kind manifest, which names no places")
        if self.rate_share and self.mixup_alpha:
            raise ValueError("rate_share must be 0 with mixup_alpha: mixed clips have no one rate")
        self._fits_positions()
        if self.head.activation == "softmax" and len(self.head.labels) < 2:
            raise ValueError("head.labels must be at least two where head.activation is softmax")
        return self

    def _fits_windows(self, data: SyntheticData) -> None:
        if self.head != HeadRecipe(units=self.head.units):
            raise ValueError("head.labels and head.activation are given by data.kind synthetic")
        for index, phase in enumerate(self.phases):
            if phase.batch % data.windows:
                raise ValueError(
                    f"phases[{index}].batch must be a multiple of data.windows ({data.windows}),"
                    f" not {phase.batch}"
                )
            if data.clip_frames < phase.frames + data.windows - 1:
                raise ValueError(
                    f"data.clip_frames must be at least {phase.frames + data.windows - 1} for"
                    f" phases[{index}].frames, not {data.clip_frames}"
                )

    def _fits_positions(self) -> None:
        has_moments = self.moment_share and self.data.kind == "synthetic"
        has_parts = self.place_share or self.rate_share or has_moments
        for index, phase in enumerate(self.phases):
            if has_parts and phase.frames % MOMENT_FRAMES:
                raise ValueError(
                    f"phases[{index}].frames must be a multiple of {MOMENT_FRAMES} with"
                    f" moment_share, place_share or rate_share, not {phase.frames}"
                )

    @property
    def steps(self) -> int:
        """Of all phases."""
        return sum(phase.steps for phase in self.phases)

    def phase_at(self, step: int) -> tuple[int, PhaseRecipe, int]:
        """Return (index, phase, first step of the phase) at a step, counted from 0."""
        first = 0
        for index, phase in enumerate(self.phases):
            if step < first + phase.steps:
                return index, phase, first
            first += phase.steps
        raise ValueError(f"step {step} is after the last of {first}")

    def fingerprint(self) -> str:
        """Return a hash of everything that decides the weights; hexadecimal."""
        loose = {"checkpoint_s", "workers", "statistics_batches", "bundle_weights"}
        loose |= {"description", "licence"}
        text = self.model_dump_json(exclude={**dict.fromkeys(loose, True), "init": {"kept"}})
        return hashlib.sha256(text.encode()).hexdigest()
