"""False alarms on nuisances at equal recall: a bundle, the product's gate, and plain MOG2.

Run it from the repository root: `python -m tests.bench.bench_nuisance BUNDLE [--objects 100]
[--minutes 30] [--out FOLDER]`. In: rendered clips with held-out looks. Out: JSON, a Markdown table
and det.png with the three curves. Plain MOG2 is OpenCV's background subtractor as its tutorial uses
it: no exposure compensation, no test for change, the largest region as the score; its events come
from the same detector. `bresnet evaluate` has the other two curves.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from model.classifier import Clips
from model.evaluation.curve import Sweep, joined, shares, sweep_of
from model.evaluation.plot import plot_det
from model.evaluation.report import number, plain, table
from pipeline.arguments import DEMO_SOURCES, assemble
from pipeline.cases import ClipPlan, Rendered, Video, clip_cases, render_holdout
from pipeline.evaluation import RECALLS, crossed, match_any, sweeps_of
from pipeline.exam import Exam, Plan, examination
from pipeline.records import MotionSample
from pipeline.replay import NOWHEN, Recording, Replayer
from pipeline.sweep import Tracks

WARM_UP_S = 1.0
MIN_AREA = 0.004
"""As the product's gate: a region of this share scores 0.5."""


def plain_mog2(pictures: Clips, fps: float) -> list[MotionSample]:
    """Score each picture by the largest foreground region of MOG2 at its defaults."""
    subtractor = cv2.createBackgroundSubtractorMOG2()
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    samples = []
    for index, picture in enumerate(pictures):
        mask = np.asarray(subtractor.apply(picture), np.uint8)
        sure = np.asarray(cv2.morphologyEx((mask == 255).astype(np.uint8), cv2.MORPH_OPEN, kernel))
        _, _, statistics, _ = cv2.connectedComponentsWithStats(sure)
        areas = statistics[1:, cv2.CC_STAT_AREA]
        share = float(areas.max()) / sure.size if len(areas) else 0.0
        score = share / (share + MIN_AREA)
        is_warm = index / fps >= WARM_UP_S
        samples.append(MotionSample("replay", index / fps, score, is_warm, NOWHEN))
    return samples


class Group:
    """The rendered clips of a group, replayed through the bundle, the gate and plain MOG2."""

    def __init__(self, exam: Exam, name: str, n_clips: int, seed: int) -> None:
        self.videos: list[Video] = []
        self.plain: list[Video] = []
        drawn: list[Rendered] = []

        def render(clip_seed: int, kind: str | None, plan: ClipPlan) -> Rendered:
            drawn[:] = [render_holdout(clip_seed, kind, plan)]
            return drawn[0]

        replayer = Replayer(exam.config, exam.bundle.manifest, exam.classifier)
        for case in clip_cases(name, n_clips, exam.words, seed=seed, render=render):
            recording, truth = case.play(replayer)
            self._add(self.videos, exam, recording, name, truth)
            samples = plain_mog2(drawn[0].pictures, replayer.fps)
            baseline = replace(recording, items=(*samples, recording.items[-1]))
            self._add(self.plain, exam, baseline, name, truth)

    @staticmethod
    def _add(videos: list[Video], exam: Exam, recording: Recording, name: str, truth: Any) -> None:
        tracks = Tracks(recording, exam.config.detector, exam.bundle.manifest)
        videos.append(Video(name, tracks, truth))

    def plain_sweep(self) -> Sweep:
        """Move the threshold of plain MOG2."""
        thresholds = shares()

        def at(on: float) -> list[Any]:
            return match_any(self.plain, lambda video: video.tracks.motion(on))

        return sweep_of(thresholds, [at(on) for on in thresholds.tolist()])


def compare(exam: Exam, n_objects: int, minutes: float, out: Path, seed: int = 0) -> dict[str, Any]:
    """Compare the three; draw their curves."""
    objects = Group(exam, "objects", n_objects, seed)
    nuisances = Group(exam, "nuisances", round(minutes * 4), seed)
    limits, words = exam.limits, exam.words
    both = crossed(
        sweeps_of(objects.videos, limits, words), sweeps_of(nuisances.videos, limits, words)
    )
    curves = {
        "bundle": both.model,
        "motion gate of the product": both.gate,
        "plain MOG2": joined(objects.plain_sweep(), nuisances.plain_sweep()),
    }
    out.mkdir(parents=True, exist_ok=True)
    plot_det({name: sweep.points() for name, sweep in curves.items()}, out / "det.png")

    def at(recall: float) -> dict[str, float]:
        return {name: sweep.false_per_hour_at(recall) for name, sweep in curves.items()}

    return {
        "hours": sum(video.recording.duration_s for video in nuisances.videos) / 3600,
        "at_recall": {f"{recall:g}": at(recall) for recall in RECALLS},
        "miss_rate_at": {
            name: {f"{b:g}": asdict(sweep.miss_rate_at(b)) for b in (0.1, 1.0, 10.0)}
            for name, sweep in curves.items()
        },
    }


def main() -> None:
    """Parse the arguments, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("bundle")
    parser.add_argument("--engine", choices=("tensorflow", "openvino"))
    parser.add_argument("--objects", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--out", type=Path, default=Path("nuisances"))
    options = parser.parse_args()
    config = assemble(DEMO_SOURCES, None, {"engine": options.engine})
    model = config.model.model_copy(update={"bundle": options.bundle})
    with examination(config.model_copy(update={"model": model}), Plan(), print) as exam:
        found = compare(exam, options.objects, options.minutes, options.out)
    (options.out / "nuisances.json").write_text(json.dumps(plain(found), indent=1))
    rows = [
        [recall, *(number(value, 2) for value in figures.values())]
        for recall, figures in found["at_recall"].items()
    ]
    names = list(found["miss_rate_at"])
    print(table(["recall", *(f"{name}: false an hour" for name in names)], rows))


if __name__ == "__main__":
    main()
