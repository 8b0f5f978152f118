"""The NumPy network: the same function as the Keras one."""

from __future__ import annotations

import numpy as np
import pytest

from model.bundle import UNTRAINED, golden_clip, untrained_bundle
from model.engines.reference import reference_outputs
from model.judge import embed
from model.spec import TemporalPadding


@pytest.mark.parametrize("padding", ["same", "causal"])
@pytest.mark.parametrize(("frames", "size"), [(8, 32), (12, 45)])
def test_it_computes_what_the_keras_network_computes(
    padding: TemporalPadding, frames: int, size: int
) -> None:
    """Embeddings agree to float32 rounding, for odd sides and in both forms of the network."""
    facts = {"frames": frames, "size_px": 32, "units": 16, "temporal_padding": padding}
    bundle = untrained_bundle(UNTRAINED.model_copy(update=facts))
    clip = golden_clip(frames, size, seed=3)
    _, expected = reference_outputs(bundle, clip[None])
    found = embed(bundle.weights, clip, padding, bundle.manifest.pixel_scale)
    np.testing.assert_allclose(found, expected[0], atol=1e-5 * np.abs(expected).max())


def test_weights_that_overflow_give_no_number_and_no_warning() -> None:
    """The caller decides what is not finite."""
    bundle = untrained_bundle(
        UNTRAINED.model_copy(update={"frames": 8, "size_px": 32, "units": 16})
    )
    weights = {name: array * np.float32(1e30) for name, array in bundle.weights.items()}
    found = embed(weights, golden_clip(8, 32), "same", 1 / 255)
    assert not np.isfinite(found).any()
