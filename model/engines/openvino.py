"""OpenVINO behind `Classifier`: the fused network in OpenVINO's own operations, on the CPU.

In: a bundle, then uint8 clips. Out: scores and embeddings. At warm-up each precision is compared
with the unfused Keras network and timed, the steps of sliding windows are compared with full
windows, and what was found is remembered for the next start. `auto` never means int8, which is not
the network but close to it. Invariant: nothing runs that was not verified for these weights on this
processor. Import this module in the worker process only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import openvino as ov

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
from model.engines import worth_measuring
from model.engines.measure import (
    MIN_GAIN,
    by_batch,
    causal_difference,
    golden_clips,
    median_cost,
    step_cost,
    step_difference,
)
from model.engines.memory import Memory, Remembered
from model.engines.openvino_causal import STREAMS
from model.engines.openvino_int8 import held_out_clips
from model.engines.openvino_network import FullWindow, Network
from model.engines.reference import PROBE_PX, disagreement, probe_clips, reference_outputs
from model.errors import EngineFailedError

Answer = TypeVar("Answer")

AUTO = ("float32", "bfloat16")
"""Precisions that `auto` measures; without bfloat16 in the processor OpenVINO computes in float32
whatever it is asked, and the name would be wrong."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """The network in one precision.

    Attributes:
        network: makes its graphs.
        full: classifies windows of the bundle's size.
        difference: measured against the unfused network.
        cost_s: median seconds for one clip; infinite where it does not agree.
    """

    network: Network
    full: FullWindow
    difference: float
    cost_s: float


class OpenVinoClassifier:
    """The network on OpenVINO; see `Classifier` for the contract.

    Args:
        bundle: weights and facts; its weights are let go after `warm_up`.
        config: precision, threads and cache.
    """

    def __init__(self, bundle: Bundle, config: ModelConfig) -> None:
        self._bundle: Bundle | None = bundle
        self._manifest = bundle.manifest
        self._config = config
        self._full: FullWindow | None = None
        self._steppers: dict[int, Stepper] = {}
        self._max_batch = 0

    @property
    def labels(self) -> Sequence[str]:
        """The K label names, in the order of the scores."""
        return self._manifest.labels

    def warm_up(self, max_batch: int, hops: Sequence[int] = ()) -> WarmUp:
        """Build, verify, measure, choose; see `Classifier.warm_up`."""
        bundle = self._bundle
        if bundle is None or self._full is not None:
            raise EngineFailedError("a classifier is warmed up once, before close")
        if max_batch < 1:
            raise ValueError(f"max_batch must be at least 1, got {max_batch}")
        self._max_batch = max_batch
        runtime = f"openvino {ov.__version__.partition('-')[0]}"
        wanted = sorted(set(hops)) if self._config.mode != "full" else []
        memory = Memory(bundle, self._config, runtime, f"{max_batch} {wanted}")
        choice = self._recalled(bundle, memory) or self._measured(bundle, memory, wanted)
        self._bundle = None
        report = choice.report | {"relative_difference": choice.difference}
        [precision] = choice.way
        return WarmUp(runtime, precision, "cpu", choice.cost_s, report, choice.step_cost_s)

    def predict(self, clips: Clips) -> tuple[Scores, Embeddings]:
        """Classify clips; see `Classifier.predict`."""
        return self._run(clips, lambda full: full(clips))

    def localize(self, clips: Clips) -> Maps:
        """Say what each place adds; see `Classifier.localize`."""
        return self._run(clips, lambda full: full.maps(clips))

    def _run(self, clips: Clips, work: Callable[[FullWindow], Answer]) -> Answer:
        if self._full is None:
            raise EngineFailedError("the classifier is not warmed up, or closed")
        facts = self._manifest
        one = (facts.frames, facts.size_px, facts.size_px, spec.CHANNELS)
        check_clips(clips, self._max_batch, one)
        try:
            return work(self._full)
        except EngineFailedError:
            self._full = None
            raise

    def stepper(self, hop: int) -> Stepper | None:
        """Return the stepper of a hop; see `Classifier.stepper`."""
        return self._steppers.get(hop)

    def close(self) -> None:
        """Let the graphs go; idempotent."""
        self._full = self._bundle = None
        self._steppers.clear()

    def _measured(self, bundle: Bundle, memory: Memory, hops: Sequence[int]) -> Remembered:
        """Choose the precision of full windows, then the hops worth a stepper; remember both."""
        report: dict[str, float] = {}
        best = self._choose(bundle, memory, report)
        cost_s = by_batch(self._max_batch, 1, lambda _: best.cost_s)
        step_cost_s = {}
        for hop in hops:
            costs = self._measure_step(best, hop, report)
            if costs:
                step_cost_s[hop] = costs
        self._full = best.full
        choice = Remembered(
            way=[best.network.precision],
            difference=best.difference,
            cost_s=cost_s,
            step_cost_s=step_cost_s,
            report=report,
            golden=best.full(golden_clips(self._manifest, 1))[1].tolist(),
        )
        memory.keep(choice)
        return choice

    def _recalled(self, bundle: Bundle, memory: Memory) -> Remembered | None:
        """Build what an earlier start chose; None where that is not known or does not hold."""
        choice = memory.recall()
        if choice is None:
            return None
        try:
            is_right = self._rebuilt(bundle, memory, choice)
        except (ValueError, KeyError):  # not what this program writes
            is_right = False
        if not is_right:
            memory.forget()
            return None
        return choice

    def _rebuilt(self, bundle: Bundle, memory: Memory, choice: Remembered) -> bool:
        """Build a choice; False where it does not compute what it computed."""
        [precision] = choice.way
        network = Network(bundle, precision, self._config.threads, memory)
        full = network.full(self._manifest.size_px)
        _, embeddings = full(golden_clips(self._manifest, 1))
        if not choice.computes(embeddings, TOLERANCE[precision]):
            return False
        for hop in choice.step_cost_s:
            stepper = network.stepper(hop)
            if stepper is not None:
                step_cost(stepper, self._manifest, 1, give_up_s=0.0)
                self._steppers[hop] = stepper
        self._full = full
        return True

    def _choose(self, bundle: Bundle, memory: Memory, report: dict[str, float]) -> Candidate:
        """Measure the precisions that may be used, and keep the fastest that is right."""
        wanted = self._config.precision
        precisions = worth_measuring(AUTO) if wanted == "auto" else (wanted,)
        clips = probe_clips(bundle)
        if wanted == "int8":
            side = min(self._manifest.size_px, PROBE_PX)
            clips = np.concatenate([clips, held_out_clips(self._manifest, side)])
        reference = reference_outputs(bundle, clips)
        best: Candidate | None = None
        for precision in precisions:
            network = Network(bundle, precision, self._config.threads, memory)
            found = self._candidate(network, clips, reference, best)
            report[f"{precision}_ms"] = round(1e3 * found.cost_s, 3)
            report[f"{precision}_difference"] = found.difference
            limit_s = float("inf") if best is None else best.cost_s * (1 - MIN_GAIN)
            best = found if found.cost_s < limit_s else best
        if best is None:
            raise EngineFailedError(f"no precision agrees with the network: {report}")
        return best

    def _candidate(
        self,
        network: Network,
        clips: Clips,
        reference: tuple[Scores, Embeddings],
        best: Candidate | None,
    ) -> Candidate:
        """Compare a precision with the reference, and time it if it agrees."""
        tolerance = TOLERANCE[network.precision]
        probe = network.full(clips.shape[2], is_kept=False)
        difference = disagreement(reference, probe(clips), tolerance)
        full = network.full(self._manifest.size_px)
        if difference > tolerance:
            return Candidate(network, full, difference, float("inf"))
        one = golden_clips(self._manifest, 1)
        give_up_s = float("inf") if best is None else 1.0 + 5.0 * best.cost_s
        return Candidate(network, full, difference, median_cost(lambda: full(one), give_up_s))

    def _measure_step(
        self, best: Candidate, hop: int, report: dict[str, float]
    ) -> dict[int, float]:
        """Costs of a hop's stepper by streams; empty where it is wrong or no faster."""
        stepper = best.network.stepper(hop)
        if stepper is None:
            return {}
        facts = self._manifest
        difference = self._step_difference(best, stepper)
        report[f"hop{hop}_difference"] = difference
        if difference > TOLERANCE[best.network.precision]:
            return {}
        cost_s = step_cost(stepper, facts, 1)
        report[f"hop{hop}_ms"] = round(1e3 * cost_s, 3)
        is_optional = self._config.mode == "auto" and stepper.mode == "incremental"
        if is_optional and cost_s >= best.cost_s:
            return {}
        self._steppers[hop] = stepper
        chunk = 1 if stepper.mode == "incremental" else min(STREAMS, self._max_batch)
        return by_batch(
            self._max_batch, chunk, lambda n: cost_s if n == 1 else step_cost(stepper, facts, n)
        )

    def _step_difference(self, best: Candidate, stepper: Stepper) -> float:
        """How far steps are from what they must equal."""
        facts = self._manifest
        if stepper.mode == "incremental":
            return step_difference(stepper, best.full, facts.frames, facts.size_px)
        side = min(facts.size_px, PROBE_PX)
        small = best.network.stepper(stepper.hop, side)
        if small is None:
            return float("inf")

        def whole(clips: Clips) -> Embeddings:
            n_frames = clips.shape[1]
            return best.network.full(side, frames=n_frames, is_kept=False)(clips)[1]

        return causal_difference(small, whole, facts.frames, side)
