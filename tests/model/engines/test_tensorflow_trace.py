"""Claims about model.engines.tensorflow_trace: what ran is what is told."""

from __future__ import annotations

import numpy as np

from model.bundle import UNTRAINED, untrained_bundle
from model.engines.tensorflow_trace import TensorFlowTracer


def test_operations_bear_the_names_of_their_layers() -> None:
    """Of the calls that were asked for alone; a hop that does not fit has no stepper."""
    facts = {"frames": 16, "size_px": 32, "units": 16, "name": "traced"}
    tracer = TensorFlowTracer(untrained_bundle(UNTRAINED.model_copy(update=facts)), "float32", [4])
    video = np.random.default_rng(1).integers(0, 256, (1, 20, 32, 32, 3), np.uint8)
    assert tracer.stepper(8) is None
    stepper = tracer.stepper(4)
    assert stepper is not None
    _, _, states = stepper.init(video[:, :16])
    step = tracer.nodes(lambda: stepper.step(video[:, 16:], states), 2)
    full = tracer.nodes(lambda: tracer.predict(video[:, :16]), 1)
    for nodes in (step, full):
        found = {node.name.partition("/")[0] for node in nodes}
        assert {"stem", "stem1", "stem2", "pool", "block0", "block3", "head"} <= found
        assert all(node.seconds > 0 for node in nodes)
        assert any("Conv3D" in node.kind for node in nodes)
    assert not any("Conv2D" in node.kind for node in full), "a step's, from the calls before"
    assert len({node.name for node in step}) == len(step), "two calls are one"
