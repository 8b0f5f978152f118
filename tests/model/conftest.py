"""One small bundle and one small network for all tests of the model; building is what costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from model.bundle import UNTRAINED, Bundle, untrained_bundle


@pytest.fixture(scope="session")
def small_bundle() -> Bundle:
    """8 frames of 32 px, 16 units: random weights and random BatchNorm statistics."""
    return untrained_bundle(
        UNTRAINED.model_copy(update={"frames": 8, "size_px": 32, "units": 16, "name": "small"})
    )


@pytest.fixture(scope="session")
def network_of() -> Callable[[Bundle], Any]:
    """A function that builds the unfused Keras network of a bundle."""

    def build(bundle: Bundle) -> Any:
        from model import BResNet162Plus1DD

        facts = bundle.manifest
        network = BResNet162Plus1DD(
            facts.units, facts.frames, facts.size_px, facts.temporal_padding, dtype="float32"
        )
        network.build(network.default_shape)
        network.set_named_weights(bundle.weights)
        return network

    return build


@pytest.fixture(scope="session")
def small_network(small_bundle: Bundle, network_of: Callable[[Bundle], Any]) -> Any:
    """The Keras network of the small bundle; tests must not train it."""
    return network_of(small_bundle)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)
