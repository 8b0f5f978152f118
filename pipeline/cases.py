"""What is replayed to judge a bundle: labelled videos, named scenes, rendered clips.

In: truth files, names, numbers and seeds. Out: `Video`s: a recording prepared for sweeps, with its
truth. Rendered clips are drawn one after the other and not kept.
Invariant: the seeds of test, tuning and calibration never meet, whatever the operator's seed is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from model.bundle import Manifest
from model.classifier import Clips
from model.errors import EvaluationError
from model.evaluation.truth import Truth, Vocabulary, frames_truth, read_truth, scene_truth
from pipeline.config import DetectorConfig
from pipeline.replay import PictureSource, Recording, Replayer
from pipeline.sweep import Tracks
from streamer.config import FileSource, SyntheticSource

Use = Literal["test", "tune", "calibrate"]
USES: tuple[Use, ...] = ("test", "tune", "calibrate")

KINDS = {
    "objects": ("object", "object", "object", "gesture", "night"),
    "nuisances": ("lighting", "camera", "tamper", "background", "empty"),
}
"""Kinds of rendered clips by group; nothing moves in the second."""
CLIP_S = 15.0
"""Length of a rendered clip that is replayed: a window fills in its first 3 s, and about one thing
happens in each, which in longer ones would leave most of the time quiet."""
SCENE_SIZE = (320, 180)


class Rendered(NamedTuple):
    """A rendered clip: uint8 (n, S, S, 3) and float32 (n, K), 1, 0 or NaN = undecided."""

    pictures: Clips
    labels: npt.NDArray[np.float32]


class ClipPlan(NamedTuple):
    """How clips are rendered: number and rate of frames, and their side."""

    frames: int
    fps: float
    size_px: int


Render = Callable[[int, str | None, ClipPlan], Rendered]
"""Renders the clip of a seed and a kind."""


@dataclass(frozen=True, slots=True)
class Video:
    """A replayed video.

    Attributes:
        group: figures are of one group each: the name of a set such as `files`.
        tracks: its recording.
        truth: what really happened.
    """

    group: str
    tracks: Tracks
    truth: Truth

    @property
    def recording(self) -> Recording:
        """Return the recording."""
        return self.tracks.recording


@dataclass(frozen=True, slots=True)
class Case:
    """Something to replay.

    Attributes:
        group: the set it belongs to.
        name: of the video.
        play: replays it.
    """

    group: str
    name: str
    play: Callable[[Replayer], tuple[Recording, Truth]]


def vocabulary_of(manifest: Manifest) -> Vocabulary:
    """Return the labels of a bundle, and which of them raise events."""
    alerting = [label for label in manifest.labels if manifest.kind(label) == "motion"]
    return Vocabulary(tuple(manifest.labels), tuple(alerting))


def truth_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files named, and those in the folders named.

    Raises:
        EvaluationError: there is no such file, or a folder without any.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not inside:
            raise EvaluationError(f"{path} holds no truth file (*.json); name one")
        found += inside
    return found


def file_cases(paths: Sequence[Path], words: Vocabulary) -> list[Case]:
    """Return a case a truth file; each is read now, so that mistakes are found at once."""
    cases = []
    for path in truth_files(paths):
        video, truth = read_truth(path, words)
        cases.append(Case("files", truth.name, partial(_play_file, video, truth)))
    return cases


def scene_cases(
    names: Sequence[str], duration_s: float, words: Vocabulary, *, seed: int, use: Use = "test"
) -> list[Case]:
    """Return a case a named scene, with its own event list as truth."""
    number = seed * len(USES) + USES.index(use)
    return [
        Case("scenes", name, partial(_play_scene, name, number, duration_s, words))
        for name in names
    ]


def clip_cases(
    group: str,
    n_clips: int,
    words: Vocabulary,
    *,
    seed: int,
    use: Use = "test",
    render: Render | None = None,
) -> list[Case]:
    """Return cases of rendered clips, the kinds in turns.

    Args:
        group: of `KINDS`.
        n_clips: how many.
        words: labels of the bundle, which must be those of the renderer.
        seed: chooses the clips.
        use: clips of different uses differ.
        render: draws them; the renderer's held-out looks where absent.

    Raises:
        EvaluationError: the bundle has other labels than the renderer.
    """
    check_labels(words)
    draw = render or render_holdout
    cases = []
    for index, number in enumerate(seeds_of(group, n_clips, seed, use)):
        kind = KINDS[group][index % len(KINDS[group])]
        play = partial(_play_clip, f"{kind}-{index}", number, kind, words, draw)
        cases.append(Case(group, f"{kind}-{index}", play))
    return cases


def check_labels(words: Vocabulary) -> None:
    """Refuse rendered truth for a bundle that speaks of other things.

    Raises:
        EvaluationError: names a label of either side.
    """
    from model.labels import LABELS

    if words.labels != LABELS:
        raise EvaluationError(
            f"rendered clips know the labels {', '.join(LABELS)}; this bundle has"
            f" {', '.join(words.labels)}: give videos of your own (--truth, --dataset)"
        )


def seeds_of(group: str, n: int, seed: int, use: Use) -> list[int]:
    """Return n seeds of clips that no other group, use or seed has."""
    entropy = [seed, USES.index(use), *group.encode()]
    return [int(word) for word in np.random.SeedSequence(entropy).generate_state(n, np.uint64) >> 1]


def render_holdout(seed: int, kind: str | None, plan: ClipPlan) -> Rendered:
    """Render a clip with looks that training never has."""
    from streamer.rendering.clip import ClipSpec, render_clip

    spec = ClipSpec(
        frames=plan.frames, fps=plan.fps, size_px=plan.size_px, split="holdout", kind=kind
    )
    clip = render_clip(seed, spec)
    return Rendered(clip.pictures, clip.labels)


def play(
    cases: Iterable[Case],
    replayer: Replayer,
    config: DetectorConfig,
    tell: Callable[[str], None],
) -> Iterator[Video]:
    """Replay cases one after the other, telling each."""
    for case in cases:
        tell(f"replaying {case.group} {case.name}")
        recording, truth = case.play(replayer)
        yield Video(case.group, Tracks(recording, config, replayer.manifest), truth)


def _play_file(path: Path, truth: Truth, replayer: Replayer) -> tuple[Recording, Truth]:
    return replayer.replay(truth.name, FileSource(path=path, pace="fast")), truth


def _play_scene(
    name: str, seed: int, duration_s: float, words: Vocabulary, replayer: Replayer
) -> tuple[Recording, Truth]:
    from streamer.scenes import scene

    width, height = SCENE_SIZE
    try:
        events = scene(name, seed, width, height).events(duration_s)
    except ValueError as err:
        raise EvaluationError(f"--scene {name}: {err}") from err
    source = SyntheticSource(
        name=name,
        seed=seed,
        width=width,
        height=height,
        fps=replayer.fps,
        duration_s=duration_s,
        pace="fast",
    )
    return replayer.replay(name, source), scene_truth(name, events, duration_s, words)


def _play_clip(
    name: str, seed: int, kind: str, words: Vocabulary, draw: Render, replayer: Replayer
) -> tuple[Recording, Truth]:
    plan = ClipPlan(round(CLIP_S * replayer.fps), replayer.fps, replayer.size_px)
    clip = draw(seed, kind, plan)
    recording = replayer.replay_source(name, PictureSource(clip.pictures, plan.fps))
    return recording, frames_truth(name, clip.labels, plan.fps, words)
