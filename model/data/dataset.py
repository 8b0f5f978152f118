"""Batches of windows from the videos of a manifest, for training and for evaluation.

In: a manifest and a step number. Through: the sampler, augmentation. Out: `Batch`es whose targets
say what holds at each window's end.
Invariant: a batch depends on the manifest, the plan and its step alone; what cannot be decoded is
raised, never left out and never replaced.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from model.data.augment import RECORDED, Policy, Shot, augment, cut_out
from model.data.batch import Batch, Clips, Floats
from model.data.manifest import Manifest, Segment, Split
from model.data.sampler import Sampling, length_s, window_ending
from model.errors import DataError

CROP_SHARE: Final = 0.85
"""Side of the cut-outs of a view with three crops, as small as training ever cuts."""

_N_KEPT: Final = 4


class _Windows:
    """Windows of a split's segments, by the time they end.

    Args:
        manifest: the data set.
        split: which of its segments; all that have a split or none where absent.
        sampling: rate and size.
        n_frames: frames a window.
    """

    def __init__(
        self, manifest: Manifest, split: Split | None, sampling: Sampling, n_frames: int
    ) -> None:
        self.manifest = manifest
        self.segments = manifest.segments if split is None else manifest.of(split)
        if not self.segments:
            raise DataError(f"no segment is in split {split!r}; divide with `bresnet data split`")
        self.sampling = sampling
        self.n_frames = n_frames
        self._lengths_s: dict[str, float] = {}
        self._by_path: dict[str, list[Segment]] = defaultdict(list)
        for segment in manifest.segments:
            self._by_path[segment.path].append(segment)

    @property
    def window_s(self) -> float:
        """From the first to the last picture of a window."""
        return (self.n_frames - 1) / self.sampling.fps

    def span_s(self, segment: Segment) -> tuple[float, float]:
        """Return between which times windows of a segment may end.

        At the earliest the second half of the window, or of a shorter segment, shows the segment;
        and the window is whole, if the segment is long enough for that.
        """
        end_s = segment.end_s
        if end_s is None:
            end_s = self._length_s(segment.path)
        half_s = min(self.window_s, max(end_s - segment.start_s, 0.0)) / 2
        return min(max(segment.start_s + half_s, self.window_s), end_s), end_s

    def _length_s(self, path: str) -> float:
        if path not in self._lengths_s:
            self._lengths_s[path] = length_s(self.manifest.root / path, self.sampling)
        return self._lengths_s[path]

    def clip(self, segment: Segment, end_s: float) -> Clips:
        """Return the window that ends at a time."""
        path = self.manifest.file(segment)
        return window_ending(path, self.sampling, end_s, self.n_frames)

    def targets(self, segment: Segment, end_s: float) -> Floats:
        """Return float32 (K,), 1 for the labels of all segments of that video that hold then."""
        holding = [
            other
            for other in self._by_path[segment.path]
            if other.start_s < end_s <= (np.inf if other.end_s is None else other.end_s)
        ]
        names = {label for other in (segment, *holding) for label in other.labels}
        return np.array([label in names for label in self.manifest.labels], np.float32)


@dataclass(frozen=True, slots=True)
class DatasetPlan:
    """Which windows of a data set make which batch.

    Attributes:
        seed: chooses everything.
        split: segments of this split; None takes all.
        n_clips: clips a batch.
        n_frames: frames a window.
        sampling: rate and size.
        is_balanced: each label as often as any other; else each segment once an epoch.
        policy: augmentation; none where absent.
    """

    seed: int = 0
    split: Split | None = "train"
    n_clips: int = 16
    n_frames: int = 32
    sampling: Sampling = Sampling()  # noqa: RUF009 - immutable
    is_balanced: bool = False
    policy: Policy | None = RECORDED


class DatasetBatches:
    """`Batches` for training: windows at random times of the segments of a split.

    Args:
        manifest: the data set.
        plan: what to take of it.

    Raises:
        DataError: the split has no segment.
    """

    def __init__(self, manifest: Manifest, plan: DatasetPlan) -> None:
        self.plan = plan
        self._windows = _Windows(manifest, plan.split, plan.sampling, plan.n_frames)
        by_label: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for index, segment in enumerate(self._windows.segments):
            for label in segment.labels or ("",):
                by_label[(label,)].append(index)
        self._by_label = [by_label[label] for label in sorted(by_label)]

    def batch(self, step: int) -> Batch:
        """Return the batch of a step."""
        if step < 0:
            raise ValueError(f"step is {step}; it must not be negative")
        found = [self._window(step * self.plan.n_clips + at) for at in range(self.plan.n_clips)]
        clips, targets = zip(*found, strict=True)
        stacked = np.stack(targets)
        return Batch(np.stack(clips), stacked, np.ones_like(stacked))

    def _window(self, number: int) -> tuple[Clips, Floats]:
        plan = self.plan
        rng = np.random.default_rng([plan.seed, 1, number])
        segment = self._windows.segments[self._index(number, rng)]
        first_s, last_s = self._windows.span_s(segment)
        end_s = float(rng.uniform(first_s, last_s))
        clip, target = self._windows.clip(segment, end_s), self._windows.targets(segment, end_s)
        if plan.policy is None:
            return clip, target
        truth = np.tile(target, (plan.n_frames, 1))
        labels = self._windows.manifest.labels
        changed = augment(Shot(clip, truth), rng, plan.policy, labels)
        return changed.clip, changed.truth[-1]

    def _index(self, number: int, rng: np.random.Generator) -> int:
        if self.plan.is_balanced:
            choices = self._by_label[int(rng.integers(len(self._by_label)))]
            return choices[int(rng.integers(len(choices)))]
        epoch, at = divmod(number, len(self._windows.segments))
        return _order(self.plan.seed, epoch, len(self._windows.segments))[at]


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, n_items: int) -> list[int]:
    order: list[int] = np.random.default_rng([seed, 2, epoch]).permutation(n_items).tolist()
    return order


class View(NamedTuple):
    """One look at a segment: which segment of the split, which time, which part of the picture."""

    segment: int
    offset: int
    crop: int


class EvaluationViews:
    """`Batches` for evaluation: 1 x 1, 10 x 1 or 10 x 3 views of each segment, in order.

    Args:
        manifest: the data set.
        split: its part; None takes all.
        sampling: rate and size.
        n_frames: frames a window.
        shape: times a segment, evenly spaced, and cut-outs a time: 1 (the whole picture, as live)
            or 3 (left, centre, right).
        n_clips: clips a batch; the last one may be smaller.

    Raises:
        DataError: the split has no segment.
        ValueError: the shape is none of these.
    """

    def __init__(
        self,
        manifest: Manifest,
        split: Split | None,
        sampling: Sampling,
        n_frames: int,
        shape: tuple[int, int] = (1, 1),
        n_clips: int = 8,
    ) -> None:
        self._n_offsets, self._n_crops = shape
        if self._n_offsets < 1 or self._n_crops not in (1, 3) or n_clips < 1:
            raise ValueError(f"shape is {shape}, n_clips {n_clips}; times >= 1, cut-outs 1 or 3")
        self._windows = _Windows(manifest, split, sampling, n_frames)
        self._n_clips = n_clips
        self.views = tuple(self._all_views())
        self._kept: OrderedDict[tuple[int, int], Clips] = OrderedDict()

    def _all_views(self) -> Iterator[View]:
        for segment in range(len(self._windows.segments)):
            for offset in range(self._n_offsets):
                for crop in range(self._n_crops):
                    yield View(segment, offset, crop)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What `View.segment` counts."""
        return self._windows.segments

    @property
    def n_steps(self) -> int:
        """How many batches there are."""
        return -(-len(self.views) // self._n_clips)

    def views_of(self, step: int) -> tuple[View, ...]:
        """Return the views of a batch, in its order."""
        if not 0 <= step < self.n_steps:
            raise ValueError(f"step is {step}; there are {self.n_steps}")
        return self.views[step * self._n_clips : (step + 1) * self._n_clips]

    def end_s(self, view: View) -> float:
        """Return when the window of a view ends: spread over the segment; one looks at its middle.

        Raises:
            DataError: the video cannot be opened.
        """
        first_s, last_s = self._windows.span_s(self.segments[view.segment])
        if self._n_offsets == 1:
            segment = self.segments[view.segment]
            return min(
                max((segment.start_s + last_s + self._windows.window_s) / 2, first_s), last_s
            )
        return first_s + (last_s - first_s) * view.offset / (self._n_offsets - 1)

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, 0 <= step < n_steps."""
        clips, targets = [], []
        for view in self.views_of(step):
            segment, end_s = self.segments[view.segment], self.end_s(view)
            clips.append(self._seen(view, segment, end_s))
            targets.append(self._windows.targets(segment, end_s))
        stacked = np.stack(targets)
        return Batch(np.stack(clips), stacked, np.ones_like(stacked))

    def _seen(self, view: View, segment: Segment, end_s: float) -> Clips:
        key = (view.segment, view.offset)
        if key not in self._kept:
            self._kept[key] = self._windows.clip(segment, end_s)
            if len(self._kept) > _N_KEPT:
                self._kept.popitem(last=False)
        clip = self._kept[key]
        if self._n_crops == 1:
            return clip
        side = clip.shape[1]
        part = round(side * CROP_SHARE)
        left = (0, (side - part) // 2, side - part)[view.crop]
        return cut_out(clip, ((side - part) // 2, left), (part, part))

    def __getstate__(self) -> dict[str, object]:
        # Pictures stay here: another process decodes its own.
        return {**self.__dict__, "_kept": OrderedDict()}
