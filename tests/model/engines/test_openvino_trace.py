"""Claims about model.engines.openvino_trace: what ran is what is told."""

from __future__ import annotations

import numpy as np
import pytest

from model.bundle import UNTRAINED, untrained_bundle

pytest.importorskip("openvino", reason="the extra openvino is not installed")

from model.engines.openvino_trace import OpenVinoTracer, product


def test_operations_bear_the_names_of_their_layers() -> None:
    """Of the calls that were asked for alone; results are those of a network that goes untimed."""
    facts = {"frames": 16, "size_px": 32, "units": 16, "name": "traced"}
    tracer = OpenVinoTracer(untrained_bundle(UNTRAINED.model_copy(update=facts)), "float32", [4])
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
        assert sum(node.seconds for node in nodes) > 0
    slices = [node for node in step if node.kind == "Slice"]
    assert slices
    assert not any(node.kind == "Slice" for node in full), "a step's, from the calls before"
    _, again = tracer.predict(video[:, 4:])
    _, embeddings, _ = stepper.step(video[:, 16:], states)
    np.testing.assert_allclose(embeddings, again, atol=1e-5)


def test_a_product_is_that_of_the_two_matrices() -> None:
    """In int8 within its rounding."""
    left, right = np.random.default_rng(0).standard_normal((2, 64, 64)).astype(np.float32)
    for precision, tolerance in (("float32", 1e-5), ("int8", 0.1)):
        [found] = product(64, precision)()
        assert np.abs(found - left @ right).max() <= tolerance * np.abs(left @ right).max()
