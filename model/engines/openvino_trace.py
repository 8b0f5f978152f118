"""OpenVINO's operations, timed by its CPU plugin.

In: a bundle, a precision, hops. Out: a `Tracer` of the graphs the classifier would run, and the
speed of a plain matrix product. Invariant: nothing is taken from the cache or left in it, since a
graph that counts is another one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import openvino as ov
from openvino import opset13 as op

from model.bundle import Bundle
from model.cache import Cache
from model.classifier import Clips, Embeddings, Scores, Stepper
from model.config import ModelConfig
from model.engines.memory import Memory
from model.engines.openvino_device import Array, Device
from model.engines.openvino_network import Network
from model.trace import Node, medians


class OpenVinoTracer:
    """A network on OpenVINO; see `Tracer`.

    Args:
        bundle: weights and facts.
        precision: of convolutions.
        hops: steps that will be asked for.

    Raises:
        EngineUnavailableError: int8 cannot be calibrated here.
    """

    def __init__(self, bundle: Bundle, precision: str, hops: Sequence[int]) -> None:
        self._trace: list[Node] = []
        memory = Memory(bundle, ModelConfig(engine="openvino", cache=False), "openvino", "")
        network = Network(bundle, precision, None, memory, trace=self._trace)
        self._full = network.full(bundle.manifest.size_px)
        self._steppers = {hop: network.stepper(hop) for hop in hops}

    def predict(self, clips: Clips) -> tuple[Scores, Embeddings]:
        """Classify whole windows; see `Tracer.predict`."""
        return self._full(clips)

    def stepper(self, hop: int) -> Stepper | None:
        """Return the stepper of a hop; see `Tracer.stepper`."""
        return self._steppers.get(hop)

    def nodes(self, run: Callable[[], object], n_calls: int) -> list[Node]:
        """Time the operations of a call; see `Tracer.nodes`."""
        self._trace.clear()
        for _ in range(n_calls):
            run()
        return medians(self._trace, n_calls)


def product(side: int, precision: str) -> Callable[[], list[Array]]:
    """Return a product of two square matrices, one of them constant, ready to be run.

    Args:
        side: of the matrices.
        precision: of the product; in int8 with the ranges of what is in them.
    """
    left, right = np.random.default_rng(0).standard_normal((2, side, side)).astype(np.float32)

    def write() -> ov.Model:
        inputs = op.parameter([side, side], np.float32)
        factors = [inputs, op.constant(right)]
        if precision == "int8":
            top = float(np.abs([left, right]).max())
            ends = op.constant(np.float32(-top)), op.constant(np.float32(top))
            factors = [
                op.fake_quantize(factor, *ends, *ends, levels=levels)
                for factor, levels in zip(factors, (256, 255), strict=True)
            ]
        return ov.Model([op.matmul(*factors, False, False)], [inputs], "product")

    request = Device(precision, None, Cache(None), {}).request(f"product{side}", write)
    request.inputs[0][:] = left
    return request.run
