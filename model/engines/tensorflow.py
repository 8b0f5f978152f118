"""TensorFlow behind `Classifier`: the fused network as one graph, in its fastest form.

In: a bundle, then uint8 clips. Out: scores and embeddings. At warm-up each candidate (precision,
form of the 3x3x3 pairs) is built, compared with the unfused Keras network, timed at the real size,
and the fastest is kept. Invariant: one graph serves every batch size and picture size, so what was
verified is what runs. Import this module in the worker process only.
"""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from statistics import median

import numpy as np
import tensorflow as tf

from model import spec
from model.bundle import Bundle, Manifest, golden_clip
from model.classifier import Clips, Embeddings, Scores, WarmUp
from model.config import ModelConfig
from model.engines.graph import Graph, build_graph
from model.engines.reference import TOLERANCE, disagreement, probe_clips, reference_outputs
from model.errors import EngineFailedError
from model.fuse import PairForm, fuse

FORMS: tuple[tuple[PairForm, PairForm], ...] = (
    ("collapsed", "pairs"),
    ("collapsed", "collapsed"),
    ("pairs", "pairs"),
)
"""(stem, blocks) in the order of preference; a later one must be faster by `MIN_GAIN`, below that
it is noise."""
MIN_GAIN = 0.03

CHUNK_BYTES = 64 << 20
"""Activations the graph may hold at once; larger batches run in chunks. At 256 px one clip fills it
(50 MB in bfloat16, 100 in float32), and a batch of 4 then costs what 4 clips cost (0.54 s both
ways) but 300 MB less: the pool of oneDNN never shrinks."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to run the network.

    Attributes:
        name: precision and forms, for the warm-up report.
        precision: float32 or bfloat16.
        graph: uint8 (N, T, H, W, 3) -> scores, embeddings.
        difference: measured against the unfused network.
        cost_s: median seconds for one clip.
    """

    name: str
    precision: str
    graph: Graph
    difference: float
    cost_s: float


class TensorFlowClassifier:
    """The network on TensorFlow; see `Classifier` for the contract.

    Args:
        bundle: weights and facts; its weights are let go after `warm_up`.
        config: precision and threads. Threads are set once a process, before TensorFlow runs
            anything.
    """

    def __init__(self, bundle: Bundle, config: ModelConfig) -> None:
        self._bundle: Bundle | None = bundle
        self._manifest = bundle.manifest
        self._config = config
        self._graph: Graph | None = None
        self._max_batch = self._chunk = 0

    @property
    def labels(self) -> Sequence[str]:
        """The K label names, in the order of the scores."""
        return self._manifest.labels

    def warm_up(self, max_batch: int) -> WarmUp:
        """Build, verify, measure, choose; see `Classifier.warm_up`."""
        if self._bundle is None or self._graph is not None:
            raise EngineFailedError("a classifier is warmed up once, before close")
        if max_batch < 1:
            raise ValueError(f"max_batch must be at least 1, got {max_batch}")
        _set_threads(self._config.threads)
        try:
            report: dict[str, float] = {}
            best = self._choose(self._bundle, report)
            self._graph, self._max_batch, self._bundle = best.graph, max_batch, None
            self._chunk = min(max_batch, chunk_size(self._manifest, best.precision))
            cost_s = self._costs(best)
        except tf.errors.OpError as err:
            raise EngineFailedError(f"TensorFlow failed at warm-up: {err.message}") from err
        _release_memory()
        report["relative_difference"] = best.difference
        device = "gpu" if tf.config.list_physical_devices("GPU") else "cpu"
        return WarmUp(f"tensorflow {tf.__version__}", best.precision, device, cost_s, report)

    def predict(self, clips: Clips) -> tuple[Scores, Embeddings]:
        """Classify clips; see `Classifier.predict`."""
        if self._graph is None:
            raise EngineFailedError("the classifier is not warmed up, or closed")
        facts = self._manifest
        one = (facts.frames, facts.size_px, facts.size_px, spec.CHANNELS)
        if (
            clips.dtype != np.uint8
            or clips.shape[1:] != one
            or not 1 <= len(clips) <= self._max_batch
        ):
            raise ValueError(
                f"clips must be uint8 (1..{self._max_batch}, {', '.join(map(str, one))}),"
                f" got {clips.dtype} {clips.shape}"
            )
        try:
            return _run(self._graph, clips, self._chunk)
        except tf.errors.OpError as err:
            self._graph = None
            raise EngineFailedError(
                f"TensorFlow failed on {len(clips)} clips: {err.message}"
            ) from err

    def close(self) -> None:
        """Let the graph go; idempotent."""
        self._graph = self._bundle = None

    def _choose(self, bundle: Bundle, report: dict[str, float]) -> Candidate:
        """Measure the precisions in the preferred form, then other forms of the better one."""
        wanted = self._config.precision
        precisions = ("float32", "bfloat16") if wanted == "auto" else (wanted,)
        probe = probe_clips(bundle)
        reference = reference_outputs(bundle, probe)
        best: Candidate | None = None
        for precision in precisions:
            found = self._candidate(bundle, (precision, *FORMS[0]), (probe, reference), best)
            best = _better(best, found, report)
        if best is None:
            raise EngineFailedError(f"no precision agrees with the network: {report}")
        for form in FORMS[1:]:
            found = self._candidate(bundle, (best.precision, *form), (probe, reference), best)
            best = _better(best, found, report) or best
        return best

    def _candidate(
        self,
        bundle: Bundle,
        way: tuple[str, PairForm, PairForm],
        check: tuple[Clips, tuple[Scores, Embeddings]],
        best: Candidate | None,
    ) -> Candidate:
        """Build the network one way, compare it with the reference, and time it if it agrees."""
        facts, (precision, stem, blocks), (probe, reference) = bundle.manifest, way, check
        network = fuse(
            bundle.weights,
            facts.temporal_padding,
            stem=stem,
            blocks=blocks,
            pixel_scale=facts.pixel_scale,
        )
        graph = build_graph(network, bundle.score_kernel, bundle.score_bias, precision)
        tolerance = TOLERANCE[precision]
        difference = disagreement(reference, _run(graph, probe, 1), tolerance)
        give_up_s = float("inf") if best is None else 1.0 + 5.0 * best.cost_s
        cost_s = self._cost(graph, 1, give_up_s) if difference <= tolerance else float("inf")
        return Candidate("_".join(way), precision, graph, difference, cost_s)

    def _costs(self, best: Candidate) -> dict[int, float]:
        """Seconds by batch size: measured up to a chunk, the sum of the chunks beyond."""
        sizes = sorted(
            {2**n for n in range(self._max_batch.bit_length())} | {self._chunk, self._max_batch}
        )
        costs: dict[int, float] = {1: best.cost_s}
        for n in sizes[1:]:
            is_one_run = n <= self._chunk
            chunks = -(-n // self._chunk)
            costs[n] = self._cost(best.graph, n) if is_one_run else chunks * costs[self._chunk]
        return costs

    def _cost(self, graph: Graph, n: int, give_up_s: float = float("inf")) -> float:
        """Median seconds for a batch of n; a first run, which prepares kernels, does not count.

        Where that run already takes longer than `give_up_s`, it is the answer: bfloat16 on a CPU
        that only emulates it would take minutes to measure.
        """
        facts = self._manifest
        clips = np.stack([golden_clip(facts.frames, facts.size_px, seed) for seed in range(n)])
        first_s = _timed(lambda: _run(graph, clips, n))
        if first_s > give_up_s:
            return first_s
        return median(_timed(lambda: _run(graph, clips, n)) for _ in range(3))


def chunk_size(manifest: Manifest, precision: str) -> int:
    """Clips whose activations stay within `CHUNK_BYTES`, at least one.

    Two neighbouring layers live at a time.
    """
    sizes = [prod(row.output) for row in spec.layer_table(manifest.frames, manifest.size_px)]
    n_bytes = max(a + b for a, b in pairwise(sizes)) * (2 if precision == "bfloat16" else 4)
    return max(1, CHUNK_BYTES // n_bytes)


def _run(graph: Graph, clips: Clips, chunk: int) -> tuple[Scores, Embeddings]:
    parts = [graph(tf.constant(clips[at : at + chunk])) for at in range(0, len(clips), chunk)]
    scores, embeddings = zip(*parts, strict=True)
    return np.concatenate(scores), np.concatenate(embeddings)


def _release_memory() -> None:
    """Give back what the rejected candidates and the compiler held (100 MB, with glibc)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _better(best: Candidate | None, found: Candidate, report: dict[str, float]) -> Candidate | None:
    """Note a candidate; it replaces the best only where it verifies and is clearly faster."""
    report[f"{found.name}_ms"] = round(1e3 * found.cost_s, 3)
    report[f"{found.name}_difference"] = found.difference
    limit_s = float("inf") if best is None else best.cost_s * (1 - MIN_GAIN)
    return found if found.cost_s < limit_s else best


def _set_threads(threads: int | None) -> None:
    current = tf.config.threading
    if threads is None or threads == current.get_intra_op_parallelism_threads():
        return
    try:
        current.set_intra_op_parallelism_threads(threads)
    except RuntimeError as err:
        raise EngineFailedError(
            f"model.threads {threads} comes too late: TensorFlow already runs in this process"
        ) from err
