"""Batches of rendered clips: endless, balanced, and the same for the same seed and step.

In: a plan. Through: the renderer of `streamer.rendering`, windows, augmentation, targets.
Out: `Batch`es. One rendered clip gives several windows, each to another batch: batch j of a lane
takes window r of the clips that were new in batch j - r, so that every batch renders the same
number of clips and holds each clip once.
Invariant: a batch depends on plan and step alone; what is kept between batches only saves time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from model.data.augment import DEFAULT, Policy, Shot, augment
from model.data.batch import Batch, Clips, Floats
from model.data.place import NO_OBJECTS, Objects, place_targets
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
    return Rendered(clip.pictures, clip.labels, Objects(clip.boxes, clip.motions))


class _Piece(NamedTuple):
    """A rendered clip and the first frames of its windows."""

    clip: Rendered
    first_frames: npt.NDArray[np.int64]


class SyntheticBatches:
    """`Batches` of rendered clips.

    Args:
        plan: what to render.
        renderer: renders; another one in tests.
    """

    def __init__(self, plan: SyntheticPlan, renderer: Render = render) -> None:
        self.plan = plan
        self._renderer = renderer
        # Clips of a batch's age 0 .. n_windows - 1, of every lane: 87 MB at 16 x 112 px.
        self._pieces: OrderedDict[tuple[int, int, int], _Piece] = OrderedDict()

    def __reduce__(self) -> tuple[Any, ...]:
        # What was rendered stays here: another process makes its own.
        return type(self), (self.plan, self._renderer)

    def batch(self, step: int) -> Batch:
        """Return the batch of a step; renders `n_clips / n_windows` clips if called in order."""
        if step < 0:
            raise ValueError(f"step is {step}; it must not be negative")
        plan = self.plan
        turn, lane = divmod(step, plan.n_lanes)
        clips = np.empty((plan.n_clips, plan.n_frames, plan.size_px, plan.size_px, 3), np.uint8)
        truths, places = [], []
        n_new = plan.n_clips // plan.n_windows
        for place in range(plan.n_clips):
            # The oldest first: what is new then takes the place of what is not needed any more.
            age, number = plan.n_windows - 1 - place // n_new, place % n_new
            shot = self._window(lane, turn - age, number, age)
            clips[place] = shot.clip
            truths.append(shot.truth)
            places.append(place_targets(shot.objects, shot.truth, plan.size_px))
        targets, weights = zip(*(self._judge(truth) for truth in truths), strict=True)
        moments = np.stack([moment_targets(truth) for truth in truths])
        judged = np.concatenate(targets), np.concatenate(weights)
        return Batch(clips, *judged, moments, np.stack(places))

    def _judge(self, truth: Floats) -> tuple[Floats, Floats]:
        return window_targets(truth, np.array([len(truth) - 1]), self.plan.fps)

    def _window(self, lane: int, group: int, number: int, age: int) -> Shot:
        plan = self.plan
        piece = self._piece(lane, group, number)
        first = int(piece.first_frames[age])
        cut = slice(first, first + plan.n_frames)
        clip = piece.clip
        shot = Shot(clip.pictures[cut], clip.truth[cut], clip.objects.during(cut))
        if plan.policy is None:
            return shot
        rng = np.random.default_rng(self._entropy(lane, group, number, 1 + age))
        return augment(shot, rng, plan.policy)

    def _piece(self, lane: int, group: int, number: int) -> _Piece:
        at = (lane, group, number)
        piece = self._pieces.get(at)
        if piece is None:
            piece = self._pieces[at] = self._render(*at)
            while len(self._pieces) > self.plan.n_clips * self.plan.n_lanes:
                self._pieces.popitem(last=False)
        self._pieces.move_to_end(at)
        return piece

    def _render(self, lane: int, group: int, number: int) -> _Piece:
        plan = self.plan
        rng = np.random.default_rng(self._entropy(lane, group, number, 0))
        kinds, weights = zip(*plan.kinds, strict=True)
        shares = np.array(weights) / sum(weights)
        kind = kinds[int(rng.choice(len(kinds), p=shares))]
        clip = self._renderer(int(rng.integers(1 << 62)), kind, plan)
        shape = (plan.clip_frames, plan.size_px, plan.size_px, 3)
        if clip.pictures.shape != shape or len(clip.truth) != plan.clip_frames:
            raise ValueError(f"rendered {clip.pictures.shape}, {clip.truth.shape}; not {shape}")
        return _Piece(clip, self._choose(clip.truth, rng))

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
