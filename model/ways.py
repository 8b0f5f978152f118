"""The ways to run one network that are worth comparing, each ready to be called.

In: the sizes of a window. Out: `Way`s: the Keras network as users call it, and every engine of this
project in every precision, full window, step by step, and causal; or `Absent` with the reason.
Invariant: a way's first result was compared with the eager network's before anybody times it, and
calling one leaves its result on the host. TensorFlow is imported on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from model import spec
from model.bundle import UNTRAINED, Bundle, untrained_bundle
from model.classifier import Classifier, Clips, Stepper
from model.comparison import BASELINE, Absent
from model.config import ModelConfig
from model.cost import step_macs
from model.engines import Engine, has_native_bfloat16, open_classifier, prepare
from model.engines.banner import without_banner
from model.errors import EngineFailedError
from model.plan import Plan
from model.trace import Tracer

FULL, EXACT, CAUSAL = "fused, full window", "exact incremental", "causal"

Open = Callable[[Bundle, ModelConfig], Classifier]

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Way:
    """Something that can be timed; the attributes are those of `comparison.Row`."""

    name: str
    engine: str
    precision: str
    run: Callable[[], object]
    macs: Mapping[str, int]
    batch: int = 1
    state_bytes: int | None = None
    difference: float | None = None


@dataclass(frozen=True)
class Subject:
    """What all ways are measured on: one network with fixed weights, and random pictures.

    Attributes:
        size_px: side of the picture.
        frames: in a window.
        hops: steps that are wanted, frames; rising.
        batch: cameras in a step of several.
        seed: of the pictures.
        gemm_side: of the square matrices that are multiplied to find the peak: large enough for
            full speed, small enough for the cache.
    """

    size_px: int = spec.SIZE_PX
    frames: int = spec.FRAMES
    hops: tuple[int, ...] = (4, 8, 16)
    batch: int = 4
    seed: int = 0
    gemm_side: int = 2048

    def bundle(self, padding: spec.TemporalPadding = "same") -> Bundle:
        """Return the network's weights, the same every time."""
        sizes = {"size_px": self.size_px, "frames": self.frames, "temporal_padding": padding}
        return untrained_bundle(UNTRAINED.model_copy(update=sizes))

    @cached_property
    def video(self) -> Clips:
        """uint8 (1, frames + largest hop, S, S, 3)."""
        shape = (1, self.frames + max(self.hops, default=0), self.size_px, self.size_px, 3)
        return np.random.default_rng(self.seed).integers(0, 256, shape, np.uint8)

    def window(self, first: int = 0) -> Clips:
        """uint8 (1, frames, S, S, 3), from a frame of the video on."""
        return self.video[:, first : first + self.frames]

    def pixels(self, first: int = 0) -> Array:
        """The same as the unfused network wants it: float32, scaled."""
        return self.window(first).astype(np.float32) * np.float32(spec.PIXEL_SCALE)

    @cached_property
    def network(self) -> Any:
        """The unfused Keras network, float32."""
        prepare()
        with without_banner():
            from model.bresnet import BResNet162Plus1DD

        bundle = self.bundle()
        facts = bundle.manifest
        network = BResNet162Plus1DD(
            facts.units, facts.frames, facts.size_px, temporal_padding="same", dtype="float32"
        )
        network.build(network.default_shape)
        network.set_named_weights(bundle.weights)
        return network

    def eager(self, first: int = 0) -> Array:
        """Call the network eagerly; float32 (1, E)."""
        return np.array(self.network(self.pixels(first), training=False))

    def difference(self, embeddings: Any, first: int = 0) -> float:
        """Compare embeddings (N, E) of a window with the eager ones."""
        wanted = self.eager(first)
        return float(np.abs(np.asarray(embeddings) - wanted).max() / np.abs(wanted).max())

    def layer_macs(self) -> dict[str, int]:
        """MACs of the layers as they are defined, by stage."""
        rows = spec.layer_table(self.frames, self.size_px)
        return {row.name: row.macs for row in rows if row.macs}

    def macs(self, mode: str, hop: int = 0) -> dict[str, int]:
        """MACs of a window on an engine: full, or a step of `hop` frames."""
        if mode == "causal":
            return {stage: n * hop // self.frames for stage, n in self.layer_macs().items()}
        if self.frames % 4 or self.frames < 12:
            return self.layer_macs()
        plan = Plan(hop or self.frames - 4, self.frames)
        # The first window at the largest hop keeps nothing: it is a full one.
        return step_macs(plan, plan.step if hop else plan.first, (self.size_px, self.size_px))


def keras_ways(subject: Subject) -> Iterator[Way]:
    """Yield what users of Keras have without us: eager, `predict`, and `tf.function`."""
    network, pixels, macs = subject.network, subject.pixels(), subject.layer_macs()
    import tensorflow as tf

    function = tf.function(lambda inputs: network(inputs, training=False))
    runs: dict[str, Callable[[], Any]] = {
        BASELINE: lambda: np.asarray(network(pixels, training=False)),
        "Keras `model.predict`": lambda: network.predict(pixels, verbose=0),
        "`tf.function`": lambda: np.asarray(function(pixels)),
    }
    for name, run in runs.items():
        yield Way(name, "tensorflow", "float32", run, macs, difference=subject.difference(run()))


def gemm_ways(side: int) -> Iterator[Way]:
    """Yield a large matrix product in each precision: the measured peak of this machine."""
    prepare()
    with without_banner():
        import tensorflow as tf

    product = tf.function(tf.matmul, autograph=False)
    values = np.random.default_rng(0).standard_normal((2, side, side), np.float32)
    for precision in precisions(("float32", "bfloat16")):
        factors = [tf.constant(value, precision) for value in values]
        macs = {"matmul": side**3}
        yield Way("GEMM", "tensorflow", precision, partial(product, *factors), macs)


def precisions(wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Leave out bfloat16 where the CPU only emulates it: a window would take minutes."""
    return tuple(p for p in wanted if p != "bfloat16" or has_native_bfloat16())


def engine_ways(
    subject: Subject, engine: Engine, open_: Open = open_classifier
) -> Iterator[Way | Absent]:
    """Yield everything an engine does, in each of its precisions.

    Args:
        subject: what it is done with.
        engine: which.
        open_: opens its classifier.
    """
    for precision in engine.precisions:
        if engine.version is None:
            hint = f"not installed: pip install 'bresnet-stream[{engine.name}]'"
            yield Absent(FULL, engine.name, precision, hint)
        elif precision not in precisions((precision,)):
            hint = "this CPU has no instructions for it"
            yield Absent(FULL, engine.name, precision, hint)
        else:
            for padding in ("same", "causal"):
                yield from _ways_of(subject, open_, engine.name, precision, padding)


def _ways_of(
    subject: Subject,
    open_: Open,
    engine: str,
    precision: str,
    padding: spec.TemporalPadding,
) -> Iterator[Way | Absent]:
    name = FULL if padding == "same" else CAUSAL
    hops = subject.hops if padding == "same" else subject.hops[:1]
    # What an earlier start remembered may have been chosen while the machine was busy.
    config = ModelConfig.model_validate({"engine": engine, "precision": precision, "cache": False})
    try:
        classifier = open_(subject.bundle(padding), config)
        report = classifier.warm_up(subject.batch, hops).report
        if padding == "same":
            yield replace(full_way(subject, classifier), engine=engine, precision=precision)
        for hop in hops:
            stepper = classifier.stepper(hop)
            if stepper is None:
                name = f"{EXACT if padding == 'same' else CAUSAL}, hop {hop}"
                yield Absent(name, engine, precision, _why_no_stepper(report, hop))
                continue
            for batch in sorted({1, subject.batch}) if hop == hops[0] else (1,):
                way = step_way(subject, stepper, batch)
                yield replace(way, engine=engine, precision=precision)
    except EngineFailedError as err:
        yield Absent(name, engine, precision, " ".join(str(err).split()))


def _why_no_stepper(report: Mapping[str, float], hop: int) -> str:
    measured_ms = report.get(f"hop{hop}_ms")
    if measured_ms is None:
        return "this network has no steps of that hop here, or they do not verify"
    return f"at warm-up {measured_ms:.1f} ms, no faster than the full window"


def full_way(subject: Subject, classifier: Classifier | Tracer) -> Way:
    """Make a way of `predict` on one window."""
    clip = subject.window()
    _, embeddings = classifier.predict(clip)
    return Way(
        FULL,
        "",
        "",
        lambda: classifier.predict(clip),
        subject.macs("full"),
        difference=subject.difference(embeddings),
    )


def step_way(subject: Subject, stepper: Stepper, batch: int) -> Way:
    """Make a way of the steps of some cameras that all see the same."""
    hop, end = stepper.hop, subject.frames
    frames = np.repeat(subject.video[:, end : end + hop], batch, axis=0)
    _, _, states = stepper.init(np.repeat(subject.window(), batch, axis=0))
    _, embeddings, states = stepper.step(frames, states)
    is_exact = stepper.mode == "incremental"

    def run() -> object:
        nonlocal states
        scores, _, states = stepper.step(frames, states)
        return scores

    return Way(
        f"{EXACT if is_exact else CAUSAL}, hop {hop}",
        "",
        "",
        run,
        subject.macs(stepper.mode, hop),
        batch=batch,
        state_bytes=states[0].n_bytes,
        difference=subject.difference(embeddings, hop) if is_exact else None,
    )
