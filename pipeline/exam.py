"""A bundle under examination: loaded once, asked for windows and for events.

In: a bundle, the settings of a pipeline, and what to examine. Out: the report of `bresnet evaluate`
and its pictures, or what `calibrate` and `tune` need. Invariant: the examined bundle sees pictures,
windows and limits exactly as `bresnet run` would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from model.bundle import Bundle, load_bundle
from model.classifier import Classifier, Clips, Scores
from model.evaluation.curve import Point
from model.evaluation.plot import plot_delays, plot_det
from model.evaluation.trimmed import (
    WindowSet,
    multi_label_report,
    plot_windows,
    score,
    single_label_report,
)
from model.evaluation.truth import Vocabulary
from pipeline.cases import (
    CLIP_S,
    Case,
    Render,
    Use,
    Video,
    check_labels,
    clip_cases,
    file_cases,
    play,
    scene_cases,
    vocabulary_of,
)
from pipeline.config import PipelineConfig
from pipeline.evaluation import crossed, delays_of, events_report, nuisance_report, sweeps_of
from pipeline.replay import BATCH, Replayer
from pipeline.sweep import LimitsOf, bundle_limits
from pipeline.windows import DatasetChoice, dataset_windows, load_dataset, rendered_windows

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to examine.

    Attributes:
        truths: truth files and folders of them.
        scenes: named scenes.
        scene_s: seconds of each.
        n_windows: windows of rendered clips, at least.
        n_objects: rendered clips with objects.
        nuisance_minutes: minutes of rendered clips without any.
        seed: of everything rendered.
        use: test, tune or calibrate: their clips differ.
        dataset: the operator's trimmed clips.
    """

    truths: tuple[Path, ...] = ()
    scenes: tuple[str, ...] = ()
    scene_s: float = 120.0
    n_windows: int = 0
    n_objects: int = 0
    nuisance_minutes: float = 0.0
    seed: int = 0
    use: Use = "test"
    dataset: DatasetChoice | None = None

    @property
    def is_replayed(self) -> bool:
        """Whether there is anything with events in it."""
        return bool(self.truths or self.scenes or self.n_objects or self.nuisance_minutes)


def cases_of(plan: Plan, words: Vocabulary, render: Render | None = None) -> list[Case]:
    """Return what is to be replayed; the operator's mistakes show here, before any work.

    Raises:
        EvaluationError: a truth file cannot be used, or the labels are not those of rendered clips.
    """
    if plan.n_windows:
        check_labels(words)
    found = file_cases(plan.truths, words) if plan.truths else []
    found += scene_cases(plan.scenes, plan.scene_s, words, seed=plan.seed, use=plan.use)
    numbers = {
        "objects": plan.n_objects,
        "nuisances": round(plan.nuisance_minutes * 60 / CLIP_S),
    }
    for group, n_clips in numbers.items():
        if n_clips:
            found += clip_cases(group, n_clips, words, seed=plan.seed, use=plan.use, render=render)
    return found


@dataclass
class Exam:
    """A bundle with its classifier, ready to be asked.

    Attributes:
        bundle: under examination.
        classifier: warmed up for `BATCH` clips.
        config: settings of the pipeline; its cameras are not used.
        tell: is told what goes on.
        render: draws clips; the renderer's held-out looks where absent.
    """

    bundle: Bundle
    classifier: Classifier
    config: PipelineConfig
    tell: Tell
    render: Render | None = None
    pictures: list[str] = field(default_factory=list)

    @property
    def words(self) -> Vocabulary:
        """Return the labels of the bundle."""
        return vocabulary_of(self.bundle.manifest)

    @property
    def limits(self) -> LimitsOf:
        """Return the limits of each label."""
        return bundle_limits(self.bundle.manifest, self.config.detector)

    def predict(self, clips: Clips) -> Scores:
        """Classify up to `BATCH` clips."""
        return self.classifier.predict(clips)[0]

    def videos(self, plan: Plan) -> list[Video]:
        """Replay everything the plan names."""
        replayer = Replayer(self.config, self.bundle.manifest, self.classifier)
        cases = cases_of(plan, self.words, self.render)
        return list(play(cases, replayer, self.config.detector, self.tell))

    def dataset(self, choice: DatasetChoice) -> WindowSet:
        """Score the views of the operator's clips."""
        self.tell(f"scoring {choice.path}")
        return dataset_windows(self.bundle.manifest, choice, self.predict, BATCH)

    def rendered(self, plan: Plan) -> WindowSet:
        """Score windows of rendered clips."""
        self.tell(f"scoring {plan.n_windows} rendered windows")
        pieces = rendered_windows(
            self.bundle.manifest,
            plan.n_windows,
            seed=plan.seed,
            use=plan.use,
            render=self.render,
        )
        return score(pieces, self.predict, BATCH)

    def trimmed_report(self, windows: WindowSet, folder: Path, name: str) -> dict[str, Any]:
        """Return the figures of windows and draw them."""
        facts = self.bundle.manifest
        if facts.activation == "softmax":
            report = single_label_report(windows, facts.labels)
        else:
            kinds = {"motion": "motion labels", "nuisance": "nuisances"}
            groups = {
                text: [i for i, label in enumerate(facts.labels) if facts.kind(label) == kind]
                for kind, text in kinds.items()
            }
            limits = np.array([self.limits[label].on for label in facts.labels])
            groups = {text: chosen for text, chosen in groups.items() if chosen}
            report = multi_label_report(windows, facts.labels, groups, limits)
        files = plot_windows(windows, facts.labels, folder, name)
        self.pictures += [file.name for file in files]
        return report

    def events_reports(self, videos: Sequence[Video], folder: Path) -> dict[str, Any]:
        """Return the figures of each group of videos and draw them."""
        groups = {video.group: [v for v in videos if v.group == video.group] for video in videos}
        report, sweeps = {}, {}
        for name, own in groups.items():
            self.tell(f"judging {name}")
            sweeps[name] = sweeps_of(own, self.limits, self.words)
            report[name] = events_report(own, self.limits, self.words, sweeps[name])
        found: dict[str, Any] = {"untrimmed": report}
        if {"objects", "nuisances"} <= groups.keys():
            found["nuisances"] = nuisance_report(
                groups["objects"],
                groups["nuisances"],
                self.limits,
                crossed(sweeps["objects"], sweeps["nuisances"]),
            )
        self._draw(found, groups, folder)
        return found

    def _draw(self, found: dict[str, Any], groups: dict[str, list[Video]], folder: Path) -> None:
        curves = dict(found["untrimmed"])
        if "nuisances" in found:
            curves = {name: one for name, one in curves.items() if name != "nuisances"}
            curves["nuisances-against-objects"] = found["nuisances"]
        for name, one in curves.items():
            lines = {
                text: [Point(**point) for point in one[key]]
                for text, key in (("bundle", "curve"), ("motion gate", "motion_gate_curve"))
            }
            if any(np.isfinite(p.recall) for points in lines.values() for p in points):
                plot_det(lines, folder / f"{name}-det.png")
                self.pictures.append(f"{name}-det.png")
        delays = {name: delays_of(own, self.limits) for name, own in groups.items()}
        if groups:
            plot_delays(delays, folder / "delays.png")
            self.pictures.append("delays.png")

    def report(self, plan: Plan, folder: Path) -> dict[str, Any]:
        """Return the whole report and draw its pictures.

        Args:
            plan: what to examine.
            folder: exists; pictures go there.
        """
        facts = self.bundle.manifest
        trimmed = {}
        if plan.n_windows:
            trimmed["rendered"] = self.trimmed_report(self.rendered(plan), folder, "rendered")
        if plan.dataset is not None:
            windows = self.dataset(plan.dataset)
            trimmed["dataset"] = self.trimmed_report(windows, folder, "dataset")
        kept = ("name", "version", "frames", "size_px", "analysis_fps", "hop", "is_trained")
        bundle = {name: getattr(facts, name) for name in kept} | {"sha256": self.bundle.sha256}
        events = self.events_reports(self.videos(plan), folder)
        return {
            "bundle": bundle,
            "seed": plan.seed,
            "trimmed": trimmed,
            **events,
            "pictures": self.pictures,
        }


@contextmanager
def examination(config: PipelineConfig, plan: Plan, tell: Tell) -> Iterator[Exam]:
    """Load the bundle that the configuration names; it is closed in the end.

    Raises:
        BundleError: it cannot be used.
        EngineUnavailableError: the engine is not there.
        EvaluationError: the plan cannot be carried out with it.
        DataError: nor can the data set be read.
    """
    from model.engines import open_classifier

    bundle = load_bundle(config.model.bundle)
    cases_of(plan, vocabulary_of(bundle.manifest))
    if plan.dataset is not None:
        load_dataset(bundle.manifest, plan.dataset)
    classifier = open_classifier(bundle, config.model)
    try:
        tell(f"loading {bundle.manifest.name} on {config.model.engine}")
        classifier.warm_up(BATCH)
        yield Exam(bundle, classifier, config, tell)
    finally:
        classifier.close()


def headline(report: dict[str, Any]) -> dict[str, Any]:
    """Return the few figures that a bundle carries with it."""
    found: dict[str, Any] = {}
    for name, one in report["trimmed"].items():
        found[name] = {
            group: value["value"] for group, value in one["mean_average_precision"].items()
        }
    for name, one in report["untrimmed"].items():
        keys = ("recall", "precision", "false_per_hour", "delay_p50_s", "delay_p90_s")
        found[name] = {key: one["any"][key]["value"] for key in keys}
    return found
