"""A bundle and a classifier for replays without a network: the pictures say the scores.

The byte of pixel (0, k) of a window's newest frame is the score of label k. Pictures of `SIZE_PX`
pass the preprocessing unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from model.bundle import UNTRAINED, Bundle, untrained_bundle
from model.classifier import Clips, Embeddings, Scores, Stepper, WarmUp
from model.labels import LABELS
from model.manifest import Manifest
from pipeline.cases import ClipPlan, Rendered
from pipeline.config import PipelineConfig
from pipeline.exam import Exam
from pipeline.replay import Replayer

SIZE_PX = 32
FPS = 10.0
N_FRAMES, HOP = 8, 2
MANIFEST = UNTRAINED.model_copy(
    update={
        "name": "scripted",
        "is_trained": True,
        "size_px": SIZE_PX,
        "frames": N_FRAMES,
        "hop": HOP,
        "units": 16,
    }
)
Pictures = npt.NDArray[np.uint8]


@dataclass
class PixelClassifier:
    """Reads the scores out of the newest frame.

    Attributes:
        batches: sizes of the calls.
        labels: names of the scores, the first pixels of the first row.
    """

    batches: list[int] = field(default_factory=list)
    labels: Sequence[str] = LABELS

    def warm_up(self, max_batch: int, hops: Sequence[int] = ()) -> WarmUp:
        return WarmUp("pixels 1.0", "float32", "cpu", {max_batch: 0.0})

    def predict(self, clips: Clips) -> tuple[Scores, Embeddings]:
        self.batches.append(len(clips))
        scores = clips[:, -1, 0, : len(self.labels), 0].astype(np.float32) / np.float32(255)
        return scores, np.zeros((len(clips), 16), np.float32)

    def stepper(self, hop: int) -> Stepper | None:
        return None

    def close(self) -> None:
        return


def pictures_of(scores: npt.ArrayLike) -> Pictures:
    """Return pictures (n, S, S, 3) that say these scores (n, K)."""
    values = np.asarray(scores, np.float64)
    pictures = np.full((len(values), SIZE_PX, SIZE_PX, 3), 90, np.uint8)
    pictures[:, 0, : len(LABELS), :] = np.rint(values * 255).astype(np.uint8)[..., None]
    return pictures


def scores_of(n_frames: int, **courses: Callable[[float], float]) -> npt.NDArray[np.float64]:
    """Return scores (n, K): labels named follow a function of the time in seconds, others are 0."""
    found = np.zeros((n_frames, len(LABELS)))
    for label, course in courses.items():
        found[:, LABELS.index(label)] = [course(index / FPS) for index in range(n_frames)]
    return found


def during(start_s: float, end_s: float, high: float = 0.9) -> Callable[[float], float]:
    """Return a course that is high from start to end, else 0."""
    return lambda t_s: high if start_s <= t_s < end_s else 0.0


def config_of(**sections: Any) -> PipelineConfig:
    """Return the default settings, except that every window is classified."""
    values: dict[str, Any] = {
        "cameras": [{"id": "none", "source": "synthetic:empty"}],
        "analysis": {"gate": "off"},
    }
    return PipelineConfig.model_validate(values | sections)


def replayer_of(
    manifest: Manifest = MANIFEST, batch: int = 8, **sections: Any
) -> tuple[Replayer, PixelClassifier]:
    """Return a replayer and the classifier it uses."""
    classifier = PixelClassifier()
    return Replayer(config_of(**sections), manifest, classifier, batch), classifier


def rendered(seed: int, kind: str | None, plan: ClipPlan) -> Rendered:
    """Render a clip as the real renderer does: truth and scores agree but for a delay of 0.5 s.

    A clip with an object shows it from 5 s to 9 s; of nuisances the motion labels know nothing,
    except that every second clip of `camera` looks like motion for a moment.
    """
    n = plan.frames
    times_s = np.arange(n) / plan.fps
    labels = np.zeros((n, len(LABELS)), np.float32)
    scores = scores_of(n)
    name = kind or ("object", "lighting", "empty")[seed % 3]
    is_object = name in ("object", "gesture", "night")
    shown = "left" if is_object else name
    if shown in LABELS:
        first, last = (5.0, 9.0) if n > 100 else (2.0, 5.0)
        at = LABELS.index(shown)
        labels[:, at] = (times_s >= first) & (times_s < last)
        scores[:, at] = np.where((times_s >= first + 0.5) & (times_s < last + 0.5), 0.9, 0.1)
    if name == "camera" and seed % 2:
        scores[:, 1] = np.where((times_s >= 11) & (times_s < 12.5), 0.8, 0.0)
    return Rendered(pictures_of(scores), labels)


def exam_of(bundle: Bundle | None = None, **sections: Any) -> Exam:
    """Return an exam of a bundle whose pictures say the scores."""
    subject = bundle or untrained_bundle(MANIFEST)
    config = config_of(**sections)
    classifier = PixelClassifier(labels=subject.manifest.labels)
    return Exam(subject, classifier, config, lambda _: None, render=rendered)
