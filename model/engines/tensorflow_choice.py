"""The fastest form of the fused network in TensorFlow that computes what the network does.

In: a bundle. Out: a `Candidate` whose graph was compared with the unfused Keras network and timed
at the real size; on a later start the same candidate by the name it was remembered under, compared
with what it computed then. Invariant: one graph serves every batch size and picture size, so what
was verified is what runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod

import numpy as np
import tensorflow as tf

from model import spec
from model.bundle import Bundle, Manifest
from model.classifier import TOLERANCE, Clips, Embeddings, Maps, Scores
from model.engines import worth_measuring
from model.engines.graph import Graph, build_graph, hold
from model.engines.measure import MIN_GAIN, golden_clips, median_cost
from model.engines.reference import disagreement, probe_clips, reference_outputs
from model.errors import EngineFailedError
from model.fuse import FusedNetwork, PairForm, fuse

FORMS: tuple[tuple[PairForm, PairForm], ...] = (
    ("collapsed", "pairs"),
    ("collapsed", "collapsed"),
    ("pairs", "pairs"),
)
"""(stem, blocks) in the order of preference; a later one must be clearly faster."""

AUTO = {"cpu": ("float32", "bfloat16"), "gpu": ("float32", "bfloat16", "float16")}
"""Precisions that `auto` measures, by device; on a CPU without bfloat16 float32 alone."""

CHUNK_BYTES = {"float32": 32 << 20, "bfloat16": 64 << 20, "float16": 64 << 20}
"""Activations the graph may hold at once, by precision; larger batches run in chunks. At 256 px one
clip fills it (50 MB in bfloat16, 100 in float32), and a batch of 4 then costs what 4 clips cost
(0.54 s both ways) but 300 MB less: the pool of oneDNN never shrinks. In float32 two clips of 128 px
cost what they cost one by one (AVX2: 0.10 and 0.20 s), and 100 MB more."""


@dataclass(frozen=True, slots=True)
class Way:
    """How the network is written down.

    Attributes:
        precision: float32, bfloat16 or float16.
        stem: form of the pairs of the stem.
        blocks: form of the 3x3x3 pairs of the blocks.
        is_compiled: by XLA, instead of being run operation by operation.
    """

    precision: str
    stem: PairForm
    blocks: PairForm
    is_compiled: bool = False

    @property
    def name(self) -> str:
        """For the warm-up report."""
        name = f"{self.precision}_{self.stem}_{self.blocks}"
        return f"{name}_xla" if self.is_compiled else name

    def network(self, bundle: Bundle) -> FusedNetwork:
        """Fuse the bundle's weights this way."""
        facts = bundle.manifest
        return fuse(
            bundle.weights,
            facts.temporal_padding,
            stem=self.stem,
            blocks=self.blocks,
            pixel_scale=facts.pixel_scale,
            activation=facts.activation,
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to run the network.

    Attributes:
        way: how it is written down.
        graph: uint8 (N, T, H, W, 3) -> scores, embeddings.
        difference: measured against the unfused network.
        cost_s: median seconds for one clip.
    """

    way: Way
    graph: Graph
    difference: float
    cost_s: float


def choose(bundle: Bundle, wanted: str, report: dict[str, float], device: str) -> Candidate:
    """Measure the precisions in the preferred form, then other forms of the better one.

    Args:
        bundle: weights and facts.
        wanted: a precision, or `auto`.
        report: takes milliseconds and difference of every candidate.
        device: cpu or gpu. On a GPU float16 and XLA are measured too; on a CPU oneDNN knows no
            float16, and XLA's code takes three times as long.

    Raises:
        EngineFailedError: nothing agrees with the network.
    """
    precisions: tuple[str, ...] = (wanted,)
    if wanted == "auto":
        precisions = worth_measuring(AUTO["cpu"]) if device == "cpu" else AUTO[device]
    probe = probe_clips(bundle)
    check = (probe, reference_outputs(bundle, probe))
    best: Candidate | None = None
    for precision in precisions:
        found = _candidate(bundle, Way(precision, *FORMS[0]), check, best)
        best = better(best, found, report)
    if best is None:
        raise EngineFailedError(f"no precision agrees with the network: {report}")
    ways = [replace(best.way, stem=stem, blocks=blocks) for stem, blocks in FORMS[1:]]
    for way in ways:
        best = better(best, _candidate(bundle, way, check, best), report) or best
    if device == "gpu":
        way = replace(best.way, is_compiled=True)
        best = better(best, _candidate(bundle, way, check, best), report) or best
    return best


def _candidate(
    bundle: Bundle,
    way: Way,
    check: tuple[Clips, tuple[Scores, Embeddings]],
    best: Candidate | None,
) -> Candidate:
    """Build the network one way, compare it with the reference, and time it if it agrees."""
    probe, reference = check
    graph = graph_of(bundle, way)
    tolerance = TOLERANCE[way.precision]
    give_up_s = float("inf") if best is None else 1.0 + 5.0 * best.cost_s
    try:
        difference = disagreement(reference, run(graph, probe, 1), tolerance)
        is_right = difference <= tolerance
        cost_s = clip_cost(graph, bundle.manifest, 1, give_up_s) if is_right else float("inf")
    except tf.errors.OpError:
        if best is None:
            raise
        # This device has no kernel for it; another way works.
        difference = cost_s = float("inf")
    return Candidate(way, graph, difference, cost_s)


def graph_of(bundle: Bundle, way: Way, *, is_constant: bool = False) -> Graph:
    """Build the network one way.

    Args:
        bundle: weights and facts.
        way: form and precision.
        is_constant: the weights are constants of the graph: a tenth faster, and 100 MB more.
    """
    network = way.network(bundle)
    if not is_constant:
        network = hold(network, way.precision)
    return build_graph(
        network,
        bundle.score_kernel,
        bundle.score_bias,
        way.precision,
        is_compiled=way.is_compiled,
    )


def better(best: Candidate | None, found: Candidate, report: dict[str, float]) -> Candidate | None:
    """Note a candidate; it replaces the best only where it verifies and is clearly faster."""
    report[f"{found.way.name}_ms"] = round(1e3 * found.cost_s, 3)
    report[f"{found.way.name}_difference"] = found.difference
    limit_s = float("inf") if best is None else best.cost_s * (1 - MIN_GAIN)
    return found if found.cost_s < limit_s else best


def run(graph: Graph, clips: Clips, chunk: int) -> tuple[Scores, Embeddings]:
    """Run a graph over clips, `chunk` at a time."""
    parts = [graph(tf.constant(clips[at : at + chunk])) for at in range(0, len(clips), chunk)]
    scores, embeddings, _ = zip(*parts, strict=True)
    return np.concatenate(scores), np.concatenate(embeddings)


def locate(graph: Graph, clips: Clips) -> Maps:
    """Run a graph over clips, one at a time, for their maps."""
    return np.concatenate([graph(tf.constant(clip[None]))[2] for clip in clips])


def clip_cost(graph: Graph, manifest: Manifest, n: int, give_up_s: float = float("inf")) -> float:
    """Median seconds for a batch of n; a first run, which prepares kernels, does not count.

    Where that run already takes longer than `give_up_s`, it is the answer: bfloat16 on a CPU that
    only emulates it would take minutes to measure.
    """
    clips = golden_clips(manifest, n)
    return median_cost(lambda: run(graph, clips, n), give_up_s)


def chunk_size(manifest: Manifest, precision: str) -> int:
    """Clips whose activations stay within `CHUNK_BYTES`, at least one.

    Two neighbouring layers live at a time.
    """
    sizes = [prod(row.output) for row in spec.layer_table(manifest.frames, manifest.size_px)]
    n_bytes = max(a + b for a, b in pairwise(sizes)) * (4 if precision == "float32" else 2)
    return max(1, CHUNK_BYTES[precision] // n_bytes)
