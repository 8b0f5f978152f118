"""Batches of rendered clips: endless, balanced, and the same for the same seed and step.

In: a plan. Through: the renderer of `streamer.rendering`, windows, augmentation, targets.
Out: `Batch`es. One rendered clip gives several windows, each to another batch: batch j of a lane
takes window r of the clips that were new in batch j - r, so that every batch renders the same
number of clips and holds each clip once. Where windows are repeated, only every second (or third)
batch of a lane has new clips, and each window comes again later, augmented anew. With a `Picker`
more clips are rendered than needed, and it says which windows of all of them are worth learning
from.
Invariant: a batch depends on plan and step alone; what is kept between batches only saves time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from model.data.augment import DEFAULT, Policy, Shot, augment
from model.data.batch import Batch, Clips, Floats
from model.data.place import NO_OBJECTS, Objects, place_targets
from model.data.rate import rate_targets
from model.data.target import moment_targets, window_targets

Stream = Literal["train", "validation"]
Split = Literal["train", "holdout"]
_STREAMS: Final[tuple[Stream, ...]] = ("train", "validation")


@dataclass(frozen=True, slots=True)
class SyntheticPlan:
    """Which clips are rendered and how windows are cut from them.

    Attributes:
        seed: chooses everything.
        stream: two streams never share a clip, whatever their seeds.
        split: holdout has looks that train never has.
        n_clips: clips a batch, a multiple of `n_windows`.
        n_frames: frames a window.
        fps: frames a second.
        size_px: side of the pictures.
        clip_frames: frames of a rendered clip.
        n_windows: windows cut from each rendered clip.
        n_repeats: batches that each window is in, augmented anew in each.
        n_lanes: step s belongs to lane s % n_lanes, and lanes share no clip: so many worker
            processes, or a divisor of it, need not render the same clip twice.
        kinds: kinds of scenes with their weights; None leaves it to the renderer.
        policy: augmentation; none where absent.
    """

    seed: int = 0
    stream: Stream = "train"
    split: Split = "train"
    n_clips: int = 16
    n_frames: int = 32
    fps: float = 10.0
    size_px: int = 112
    clip_frames: int = 72
    n_windows: int = 4
    n_repeats: int = 1
    n_lanes: int = 2
    kinds: tuple[tuple[str | None, float], ...] = ((None, 1.0),)
    policy: Policy | None = DEFAULT

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; it must not be negative")
        if self.n_windows < 1 or self.n_clips < 1 or self.n_clips % self.n_windows:
            raise ValueError(
                f"n_clips is {self.n_clips}; it must be a multiple of n_windows={self.n_windows}"
            )
        if self.clip_frames < self.n_frames + self.n_windows - 1:
            raise ValueError(
                f"clip_frames is {self.clip_frames}; {self.n_windows} windows of {self.n_frames} "
                "frames need more"
            )
        weights = [weight for _, weight in self.kinds]
        if self.n_repeats < 1:
            raise ValueError(f"n_repeats is {self.n_repeats}; it must be at least 1")
        if self.n_lanes < 1 or min(weights, default=0) < 0 or sum(weights) <= 0:
            raise ValueError("n_lanes and the weights of kinds must be positive")


class Rendered(NamedTuple):
    """A rendered clip: pictures uint8 (n, S, S, 3), truth float32 (n, K) with NaN = undecided."""

    pictures: Clips
    truth: Floats
    objects: Objects = NO_OBJECTS


Render = Callable[[int, str | None, SyntheticPlan], Rendered]
"""Renders a clip from a seed, a kind and the plan; must be importable by name."""


def render(seed: int, kind: str | None, plan: SyntheticPlan) -> Rendered:
    """Render a clip with `streamer.rendering`."""
    from streamer.rendering.clip import ClipSpec, render_clip

    spec = ClipSpec(
        frames=plan.clip_frames, fps=plan.fps, size_px=plan.size_px, split=plan.split, kind=kind
    )
    clip = render_clip(seed, spec)
    return Rendered(clip.pictures, clip.labels, Objects(clip.boxes, clip.motions, clip.rates))


class Candidates(NamedTuple):
    """Windows of a rendered clip that may be learned from.

    Attributes:
        clip: rendered.
        first_frames: int64 (W,), where they begin.
        targets: float32 (W, K), 0 or 1.
        weights: float32 (W, K), 0 where undecided.
    """

    clip: Rendered
    first_frames: npt.NDArray[np.int64]
    targets: Floats
    weights: Floats


class Picker(Protocol):
    """Picks windows of more clips than a batch needs; may be sent to another process."""

    @property
    def n_clips(self) -> int:
        """Clips rendered for each that is needed."""
        ...

    @property
    def stride(self) -> int:
        """Frames between two candidates of a clip."""
        ...

    def worth(self, candidates: Candidates) -> Floats:
        """Return how much there is to learn from each window, float32 (W,), positive."""
        ...


class _Cut(NamedTuple):
    """A window: a rendered clip and the first frame."""

    clip: Rendered
    first: int


class SyntheticBatches:
    """`Batches` of rendered clips.

    Args:
        plan: what to render.
        renderer: renders; another one in tests.
        picker: picks the windows; without one each clip gives as many as any other.
    """

    def __init__(
        self, plan: SyntheticPlan, renderer: Render = render, picker: Picker | None = None
    ) -> None:
        self.plan = plan
        self.picker = picker
        self._renderer = renderer
        # Windows of a batch's age 0 .. n_windows - 1, of every lane: 87 MB at 16 x 112 px and four
        # windows a clip; with a picker the clips of up to n_windows times as many.
        self._groups: OrderedDict[tuple[int, int], list[_Cut]] = OrderedDict()

    def __reduce__(self) -> tuple[Any, ...]:
        # What was rendered stays here: another process makes its own.
        return type(self), (self.plan, self._renderer, self.picker)

    def batch(self, step: int) -> Batch:
        """Return the batch of a step; in order one of `n_repeats` renders `n_clips / n_windows`."""
        if step < 0:
            raise ValueError(f"step is {step}; it must not be negative")
        plan = self.plan
        turn, lane = divmod(step, plan.n_lanes)
        clips = np.empty((plan.n_clips, plan.n_frames, plan.size_px, plan.size_px, 3), np.uint8)
        truths, places, rates = [], [], []
        n_new = plan.n_clips // plan.n_windows
        newest, lap = divmod(turn, plan.n_repeats)
        for place in range(plan.n_clips):
            # The oldest first: what is new then takes the place of what is not needed any more.
            age, number = plan.n_windows - 1 - place // n_new, place % n_new
            shot = self._window(lane, newest - age, number, age * plan.n_repeats + lap)
            clips[place] = shot.clip
            truths.append(shot.truth)
            places.append(place_targets(shot.objects, shot.truth, plan.size_px))
            rates.append(rate_targets(shot.objects, shot.truth, plan.size_px))
        targets, weights = zip(*(self._judge(truth) for truth in truths), strict=True)
        moments = np.stack([moment_targets(truth) for truth in truths])
        judged = np.concatenate(targets), np.concatenate(weights)
        return Batch(clips, *judged, moments, np.stack(places), np.stack(rates))

    def _judge(self, truth: Floats) -> tuple[Floats, Floats]:
        return window_targets(truth, np.array([len(truth) - 1]), self.plan.fps)

    def _window(self, lane: int, group: int, number: int, turn: int) -> Shot:
        """Return what clip `number` of a group gives to the batch `turn` turns after its first."""
        plan = self.plan
        clip, first = self._group(lane, group)[number * plan.n_windows + turn % plan.n_windows]
        cut = slice(first, first + plan.n_frames)
        shot = Shot(clip.pictures[cut], clip.truth[cut], clip.objects.during(cut))
        if plan.policy is None:
            return shot
        rng = np.random.default_rng(self._entropy(lane, group, number, 1 + turn))
        return augment(shot, rng, plan.policy)

    def _group(self, lane: int, group: int) -> list[_Cut]:
        """Return the windows of the clips that were new in a batch, those of a clip in a row."""
        at = (lane, group)
        cuts = self._groups.get(at)
        if cuts is None:
            cuts = self._groups[at] = self._cut(lane, group)
            while len(self._groups) > self.plan.n_windows * self.plan.n_lanes:
                self._groups.popitem(last=False)
        self._groups.move_to_end(at)
        return cuts

    def _cut(self, lane: int, group: int) -> list[_Cut]:
        if self.picker is not None:
            return self._picked(self.picker, lane, group)
        cuts = []
        for number in range(self.plan.n_clips // self.plan.n_windows):
            clip, rng = self._render(lane, group, number)
            cuts += [_Cut(clip, int(first)) for first in self._choose(clip.truth, rng)]
        return cuts

    def _picked(self, picker: Picker, lane: int, group: int) -> list[_Cut]:
        """Draw as many windows as are needed by their worth."""
        plan = self.plan
        n_rendered = picker.n_clips * plan.n_clips // plan.n_windows
        last = plan.clip_frames - plan.n_frames
        cuts, worths = [], []
        for number in range(n_rendered):
            clip, rng = self._render(lane, group, number)
            first = np.arange(rng.integers(min(picker.stride, last + 1)), last + 1, picker.stride)
            judged = window_targets(clip.truth, first + plan.n_frames - 1, plan.fps)
            worths.append(picker.worth(Candidates(clip, first, *judged)))
            cuts += [_Cut(clip, int(at)) for at in first]
        chances = np.concatenate(worths).astype(np.float64)
        rng = np.random.default_rng(self._entropy(lane, group, n_rendered, 0))
        drawn = rng.choice(
            len(cuts), plan.n_clips, replace=False, p=chances / chances.sum(), shuffle=False
        )
        # In the order of their clips: what goes to one batch then comes from different ones.
        return [cuts[index] for index in np.sort(drawn)]

    def _render(self, lane: int, group: int, number: int) -> tuple[Rendered, np.random.Generator]:
        """Return a clip, and the generator that chooses its windows."""
        plan = self.plan
        rng = np.random.default_rng(self._entropy(lane, group, number, 0))
        kinds, weights = zip(*plan.kinds, strict=True)
        shares = np.array(weights) / sum(weights)
        kind = kinds[int(rng.choice(len(kinds), p=shares))]
        clip = self._renderer(int(rng.integers(1 << 62)), kind, plan)
        shape = (plan.clip_frames, plan.size_px, plan.size_px, 3)
        if clip.pictures.shape != shape or len(clip.truth) != plan.clip_frames:
            raise ValueError(f"rendered {clip.pictures.shape}, {clip.truth.shape}; not {shape}")
        return clip, rng

    def _choose(self, truth: Floats, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Choose windows of a clip: places with rare targets in it are as welcome as frequent ones.

        Cut at random, most windows would show what lasts longest, and few that something has just
        begun or ended.
        """
        plan = self.plan
        first = np.arange(plan.clip_frames - plan.n_frames + 1)
        judged = np.hstack(window_targets(truth, first + plan.n_frames - 1, plan.fps))
        _, group, counts = np.unique(judged, axis=0, return_inverse=True, return_counts=True)
        # Between "as often as they are" and "each kind of target alike": its square root.
        chances = 1 / np.sqrt(counts[group.reshape(-1)])
        chosen: npt.NDArray[np.int64] = rng.choice(
            first, plan.n_windows, replace=False, p=chances / chances.sum()
        )
        return chosen

    def _entropy(self, lane: int, group: int, number: int, use: int) -> list[int]:
        # Groups from before the first batch have negative numbers, which seeds cannot.
        plan = self.plan
        stream = _STREAMS.index(plan.stream)
        return [plan.seed, stream, lane, group + plan.n_windows, number, use]
