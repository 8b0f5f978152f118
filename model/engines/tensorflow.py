"""TensorFlow behind `Classifier`: the fused network as one graph, in its fastest form.

In: a bundle, then uint8 clips. Out: scores and embeddings. At warm-up the fastest form that agrees
with the unfused network is chosen, and the graphs of sliding windows are compared with it; what was
found is remembered for the next start. Invariant: nothing runs that was not verified for these
weights on this processor. Import this module in the worker process only.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Sequence
from dataclasses import astuple, fields, replace
from typing import TypeVar

import msgspec
import tensorflow as tf

from model import spec
from model.bundle import Bundle
from model.classifier import (
    TOLERANCE,
    Clips,
    Embeddings,
    Maps,
    Scores,
    Stepper,
    WarmUp,
    check_clips,
)
from model.config import ModelConfig
from model.engines.graph import Graph
from model.engines.measure import by_batch, step_cost
from model.engines.memory import Memory, Remembered
from model.engines.reference import probe_clips
from model.engines.tensorflow_choice import (
    Candidate,
    Way,
    choose,
    chunk_size,
    clip_cost,
    graph_of,
    locate,
    run,
)
from model.engines.tensorflow_stepper import make_stepper, verified
from model.engines.threads import choose_threads, measured, thread_counts
from model.errors import EngineFailedError

Answer = TypeVar("Answer")

WAY_FIELDS = [field.name for field in fields(Way)]


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
        self._steppers: dict[int, Stepper] = {}
        self._max_batch = self._chunk = 0

    @property
    def labels(self) -> Sequence[str]:
        """The K label names, in the order of the scores."""
        return self._manifest.labels

    def warm_up(self, max_batch: int, hops: Sequence[int] = ()) -> WarmUp:
        """Build, verify, measure, choose; see `Classifier.warm_up`."""
        bundle = self._bundle
        if bundle is None or self._graph is not None:
            raise EngineFailedError("a classifier is warmed up once, before close")
        if max_batch < 1:
            raise ValueError(f"max_batch must be at least 1, got {max_batch}")
        _share_gpus()
        _set_threads(self._config.threads or self._best_threads(bundle))
        self._max_batch = max_batch
        runtime = f"tensorflow {tf.__version__}"
        wanted = sorted(set(hops)) if self._config.mode != "full" else []
        memory = Memory(bundle, self._config, f"{runtime} {device()}", f"{max_batch} {wanted}")
        try:
            choice = self._recalled(bundle, memory) or self._measured(bundle, memory, wanted)
        except tf.errors.OpError as err:
            raise EngineFailedError(f"TensorFlow failed at warm-up: {err.message}") from err
        self._bundle = None
        _release_memory()
        report = choice.report | {"relative_difference": choice.difference}
        return WarmUp(runtime, choice.way[0], device(), choice.cost_s, report, choice.step_cost_s)

    def predict(self, clips: Clips) -> tuple[Scores, Embeddings]:
        """Classify clips; see `Classifier.predict`."""
        return self._run(clips, lambda graph: run(graph, clips, self._chunk))

    def localize(self, clips: Clips) -> Maps:
        """Say what each place adds; see `Classifier.localize`."""
        return self._run(clips, lambda graph: locate(graph, clips))

    def _run(self, clips: Clips, work: Callable[[Graph], Answer]) -> Answer:
        if self._graph is None:
            raise EngineFailedError("the classifier is not warmed up, or closed")
        facts = self._manifest
        one = (facts.frames, facts.size_px, facts.size_px, spec.CHANNELS)
        check_clips(clips, self._max_batch, one)
        try:
            return work(self._graph)
        except tf.errors.OpError as err:
            self._graph = None
            raise EngineFailedError(
                f"TensorFlow failed on {len(clips)} clips: {err.message}"
            ) from err

    def stepper(self, hop: int) -> Stepper | None:
        """Return the stepper of a hop; see `Classifier.stepper`."""
        return self._steppers.get(hop)

    def close(self) -> None:
        """Let the graphs go; idempotent."""
        self._graph = self._bundle = None
        self._steppers.clear()

    def _best_threads(self, bundle: Bundle) -> int | None:
        """Threads as measured once on this machine; None where there is nothing to choose."""
        counts = thread_counts()
        if len(counts) < 2 or _is_running() or device() == "gpu":
            return None
        memory = Memory(bundle, self._config, f"tensorflow {tf.__version__}", f"threads {counts}")
        content = memory.cache.read("threads", memory.key)
        if content is None:
            content = str(choose_threads(bundle.manifest, counts, measured) or counts[0]).encode()
            memory.cache.write("threads", memory.key, content)
        return int(content)

    def _measured(self, bundle: Bundle, memory: Memory, hops: Sequence[int]) -> Remembered:
        """Choose the form of the full window, then the hops worth a stepper; remember both."""
        report: dict[str, float] = {}
        best = choose(bundle, self._config.precision, report, device())
        if self._config.mode == "full":
            graph = graph_of(bundle, best.way, is_constant=True)
            best = replace(best, graph=graph, cost_s=clip_cost(graph, bundle.manifest, 1))
        self._use(bundle, best.way, best.graph)
        cost_s = self._costs(best)
        step_cost_s = {}
        for hop in hops:
            _release_memory()
            if costs := self._measure_step(bundle, best, hop, report):
                step_cost_s[hop] = costs
        _, embeddings = run(best.graph, probe_clips(bundle), 1)
        choice = Remembered(
            way=[str(part) for part in astuple(best.way)],
            difference=best.difference,
            cost_s=cost_s,
            step_cost_s=step_cost_s,
            report=report,
            golden=embeddings.tolist(),
        )
        memory.keep(choice)
        return choice

    def _recalled(self, bundle: Bundle, memory: Memory) -> Remembered | None:
        """Build what an earlier start chose; None where that is not known or does not hold."""
        choice = memory.recall()
        if choice is None:
            return None
        try:
            is_right = self._rebuilt(bundle, choice)
        except (ValueError, msgspec.MsgspecError):  # not what this program writes
            is_right = False
        if not is_right:
            memory.forget()
            return None
        return choice

    def _rebuilt(self, bundle: Bundle, choice: Remembered) -> bool:
        """Build a choice; False where it does not compute what it computed."""
        way = msgspec.convert(dict(zip(WAY_FIELDS, choice.way, strict=True)), Way, strict=False)
        graph = graph_of(bundle, way, is_constant=self._config.mode == "full")
        _, embeddings = run(graph, probe_clips(bundle), 1)
        if not choice.computes(embeddings, TOLERANCE[way.precision]):
            return False
        self._use(bundle, way, graph)
        clip_cost(graph, bundle.manifest, 1, 0.0)
        for hop in choice.step_cost_s:
            stepper = self._make_stepper(bundle, way, hop)
            if stepper is not None:
                step_cost(stepper, bundle.manifest, 1, give_up_s=0.0)
                self._steppers[hop] = stepper
        return True

    def _make_stepper(self, bundle: Bundle, way: Way, hop: int) -> Stepper | None:
        # Constants for the hop that runs all day alone: each further one would take 70 MB more. In
        # float32 even the first takes 200 and saves 7 % (motion-events, AVX2: 52 and 56 ms).
        is_constant = not self._steppers and way.precision != "float32"
        return make_stepper(bundle, way, hop, self._chunk, is_constant=is_constant)

    def _use(self, bundle: Bundle, way: Way, graph: Graph) -> None:
        self._graph = graph
        self._chunk = min(self._max_batch, chunk_size(bundle.manifest, way.precision))

    def _costs(self, best: Candidate) -> dict[int, float]:
        """Seconds by batch size: measured up to a chunk, the sum of the chunks beyond."""
        return by_batch(
            self._max_batch,
            self._chunk,
            lambda n: best.cost_s if n == 1 else clip_cost(best.graph, self._manifest, n),
        )

    def _measure_step(
        self, bundle: Bundle, best: Candidate, hop: int, report: dict[str, float]
    ) -> dict[int, float]:
        """Costs of a hop's stepper by streams; empty where it is wrong or no faster."""
        stepper = self._make_stepper(bundle, best.way, hop)
        if stepper is None:
            return {}
        difference = verified(bundle, best.way, hop, best.graph)
        report[f"hop{hop}_difference"] = difference
        if difference > TOLERANCE[best.way.precision]:
            return {}
        _release_memory()
        # Causal steps run the streams of a batch together, exact ones within the memory of a chunk.
        chunk = self._chunk if stepper.mode == "incremental" else self._max_batch
        costs = by_batch(self._max_batch, chunk, lambda n: step_cost(stepper, bundle.manifest, n))
        report[f"hop{hop}_ms"] = round(1e3 * costs[1], 3)
        is_optional = self._config.mode == "auto" and stepper.mode == "incremental"
        if is_optional and costs[1] >= best.cost_s:
            return {}
        self._steppers[hop] = stepper
        return costs


def device() -> str:
    """Name what TensorFlow computes on: a GPU where it sees one."""
    return "gpu" if tf.config.list_physical_devices("GPU") else "cpu"


def _release_memory() -> None:
    """Give back what the rejected candidates and the compiler held (100 MB, with glibc)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _share_gpus() -> None:
    """Take GPU memory as it is needed: by default TensorFlow takes all of it at once."""
    if not _is_running():
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)


def _is_running() -> bool:
    """Whether this process has begun to compute, from when on nothing can be set."""
    current = tf.config.threading
    try:
        current.set_intra_op_parallelism_threads(current.get_intra_op_parallelism_threads())
    except RuntimeError:
        return True
    return False


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
