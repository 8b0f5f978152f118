"""A stepper on TensorFlow is what full windows say, or it is not there."""

from __future__ import annotations

import numpy as np
import pytest

from model.bundle import UNTRAINED, Bundle, untrained_bundle
from model.engines.measure import step_cost
from model.engines.tensorflow_choice import Way, graph_of
from model.engines.tensorflow_stepper import make_stepper, verified

WAY = Way("float32", "collapsed", "pairs")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return untrained_bundle(
        UNTRAINED.model_copy(update={"frames": 16, "size_px": 32, "units": 16, "name": "longer"})
    )


@pytest.mark.parametrize("hop", [0, 3, 6, 16, 20])
def test_a_hop_outside_the_geometry_has_no_stepper(bundle: Bundle, hop: int) -> None:
    """Not a multiple of 4, or no frame in common: that is no error."""
    assert make_stepper(bundle, WAY, hop, 1) is None
    assert verified(bundle, WAY, hop, graph_of(bundle, WAY)) == float("inf")


def test_verification_sees_the_difference_of_another_network(bundle: Bundle) -> None:
    """Equal to its own full window, far from that of other weights."""
    weights = dict(bundle.weights)
    weights["stem1/conv/temporal/kernel"] = weights["stem1/conv/temporal/kernel"] * np.float32(1.1)
    other = Bundle(bundle.manifest, weights, bundle.score_kernel, bundle.score_bias, "")
    assert verified(bundle, WAY, 4, graph_of(bundle, WAY)) <= 1e-5
    assert verified(bundle, WAY, 4, graph_of(other, WAY)) > 1e-3


def test_verification_survives_numbers_that_are_none(bundle: Bundle) -> None:
    """Infinity, never a comparison with not-a-number that counts as equal."""
    weights = dict(bundle.weights)
    weights["head/bias"] = np.full_like(weights["head/bias"], np.nan)
    broken = Bundle(bundle.manifest, weights, bundle.score_kernel, bundle.score_bias, "")
    assert verified(broken, WAY, 4, graph_of(broken, WAY)) == float("inf")


def test_steps_of_several_streams_are_timed_together(bundle: Bundle) -> None:
    """Three streams in chunks of two are two runs."""
    stepper = make_stepper(bundle, WAY, 4, 2)
    assert stepper is not None
    assert step_cost(stepper, bundle.manifest, 3) > 0
