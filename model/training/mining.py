"""Which rendered windows are worth learning from: those that a bundle gets wrong.

In: a bundle, and windows with targets. Out: the worth of each: the bundle's loss, bounded, so that
one wrong truth does not count for ten honest ones, and never 0, so that nothing is forgotten. Most
of what is rendered is long learned (20 % of the windows held 81 % of the loss of a trained bundle),
and a pass of the fused network costs a tenth of a training step.
Invariant: one fixed form of the network and one bundle: a window's worth is the same in every run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from model.bundle import load_bundle
from model.data.batch import Clips, Floats
from model.data.synthetic import Candidates
from model.engines import has_native_bfloat16, prepare
from model.engines.banner import without_banner
from model.errors import TrainingError

if TYPE_CHECKING:
    from model.engines.graph import Graph

MOST: Final = 2.3
"""Loss of one label above which more does not count: a score of 0.1 where 1 is true."""
LEAST: Final = 0.1
"""Worth of a window with which nothing is wrong, as loss."""
STRIDE: Final = 8
"""Frames between two candidates: a quarter of a window."""
_TINY: Final = 1e-6


@dataclass(frozen=True, slots=True)
class HardWindows:
    """A `Picker` by the loss of a bundle.

    Attributes:
        bundle: name or folder.
        n_clips: clips rendered for each that is needed.
        n_frames: frames of a window.
        size_px: side of the pictures.
        precision: of the recipe.
        stride: frames between two candidates of a clip.
    """

    bundle: str
    n_clips: int
    n_frames: int
    size_px: int
    precision: str = "auto"
    stride: int = STRIDE

    def worth(self, candidates: Candidates) -> Floats:
        """Return the bounded loss of each window, float32 (W,), positive."""
        pictures = candidates.clip.pictures
        clips = np.stack([pictures[at : at + self.n_frames] for at in candidates.first_frames])
        return bounded_loss(self._scores(clips), candidates.targets, candidates.weights)

    def _scores(self, clips: Clips) -> Floats:
        graph, chunk = _network(self.bundle, self.n_frames, self.size_px, _form(self.precision))
        # Behind `_network`, which prepares the first import.
        from model.engines.tensorflow_choice import run

        return run(graph, clips, chunk)[0]


def bounded_loss(scores: Floats, targets: Floats, weights: Floats) -> Floats:
    """Return the sum of the losses of all labels, each up to `MOST`, and `LEAST`.

    Args:
        scores: float32 (W, K) in [0, 1].
        targets: float32 (W, K), 0 or 1.
        weights: float32 (W, K), 0 where undecided.

    Returns:
        float32 (W,), new.
    """
    right = np.where(targets > 0, scores, 1 - scores)
    losses = np.minimum(-np.log(np.maximum(right, _TINY)), MOST)
    return np.asarray((losses * weights).sum(axis=1) + LEAST, np.float32)


def check_mining(bundle: str, labels: tuple[str, ...]) -> None:
    """Refuse a bundle that cannot judge the recipe's clips.

    Raises:
        BundleError: there is no such bundle.
        TrainingError: it has other labels.
    """
    found = load_bundle(bundle).manifest.labels
    if tuple(found) != labels:
        raise TrainingError(
            f"data.mining.bundle {bundle}: has labels {', '.join(found)}, the recipe"
            f" {', '.join(labels)}; name a bundle with the labels of the recipe"
        )


def _form(precision: str) -> str:
    if precision == "auto":
        return "bfloat16" if has_native_bfloat16() else "float32"
    return "bfloat16" if precision == "mixed_bfloat16" else "float32"


@lru_cache(maxsize=1)
def _network(bundle: str, n_frames: int, size_px: int, precision: str) -> tuple[Graph, int]:
    """Return the graph of a bundle, and how many clips it takes at once."""
    prepare()
    with without_banner():
        from model.engines.tensorflow_choice import FORMS, Way, chunk_size, graph_of

    loaded = load_bundle(bundle)
    facts = loaded.manifest.model_copy(update={"frames": n_frames, "size_px": size_px})
    return graph_of(loaded, Way(precision, *FORMS[0])), chunk_size(facts, precision)
