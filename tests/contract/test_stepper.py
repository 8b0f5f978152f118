"""What every stepper must do, whichever runtime it stands on.

Each test runs once for every engine installed here, with steppers as warm-up makes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from model.bundle import UNTRAINED, Bundle, untrained_bundle
from model.classifier import TOLERANCE, Stepper
from model.config import ModelConfig
from model.engines import PRECISIONS, available_engines, has_native_bfloat16, open_classifier
from model.engines.memory import Memory
from tests.conftest import EMULATED

FRAMES, HOP, SIDE = 16, 4, 32
Full = Callable[[Any], tuple[Any, Any]]
Made = tuple[Stepper, Full, str]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return untrained_bundle(
        UNTRAINED.model_copy(
            update={"frames": FRAMES, "size_px": SIDE, "units": 16, "name": "steps"}
        )
    )


def on_tensorflow(bundle: Bundle, precision: str) -> tuple[Stepper | None, Full]:
    from model.engines.tensorflow_choice import Way, graph_of, run
    from model.engines.tensorflow_stepper import make_stepper

    way = Way(precision, "collapsed", "pairs")
    graph = graph_of(bundle, way)
    return make_stepper(bundle, way, HOP, 2), lambda clips: run(graph, clips, 1)


def on_openvino(bundle: Bundle, precision: str) -> tuple[Stepper | None, Full]:
    from model.engines.openvino_network import Network

    network = Network(bundle, precision, 2, Memory(bundle, ModelConfig(), "openvino", ""))
    return network.stepper(HOP), network.full(SIDE)


MAKERS = {"tensorflow": on_tensorflow, "openvino": on_openvino}
WAYS = [(engine, precision) for engine in available_engines() for precision in PRECISIONS[engine]]


@pytest.fixture(scope="module", params=WAYS, ids=" ".join)
def made(request: pytest.FixtureRequest, bundle: Bundle) -> Made:
    """A stepper, full windows of the same network, and its precision."""
    engine, precision = request.param
    if precision == "int8":
        pytest.importorskip("nncf", reason="the extra openvino is not installed")
    stepper, full = MAKERS[engine](bundle, precision)
    assert stepper is not None
    return stepper, full, precision


@pytest.fixture
def exact(made: Made, request: pytest.FixtureRequest) -> Made:
    """One whose steps can keep to the tolerance; warm-up refuses others."""
    way = request.node.callspec.params["made"]
    if way == ("tensorflow", "bfloat16") and not has_native_bfloat16():
        pytest.skip(EMULATED)
    return made


@pytest.fixture
def video() -> Any:
    """Three streams of nine windows."""
    shape = (3, FRAMES + 8 * HOP, SIDE, SIDE, 3)
    return np.random.default_rng(3).integers(0, 256, shape, np.uint8)


def far(found: Any, expected: Any) -> float:
    """Largest difference relative to the largest component."""
    return float(np.abs(np.array(found) - np.array(expected)).max() / np.abs(expected).max())


def test_every_window_is_what_the_full_one_is(exact: Made, video: Any) -> None:
    """First and later ones, of several streams at once; the frames are untouched."""
    stepper, full, precision = exact
    assert (stepper.hop, stepper.mode) == (HOP, "incremental")
    kept = video.copy()
    scores, embeddings, states = stepper.init(video[:, :FRAMES])
    for at in range(0, video.shape[1] - FRAMES + 1, HOP):
        if at:
            new = video[:, at + FRAMES - HOP : at + FRAMES]
            scores, embeddings, states = stepper.step(new, states)
        expected = full(video[:, at : at + FRAMES])
        assert far(scores, expected[0]) <= TOLERANCE[precision]
        assert far(embeddings, expected[1]) <= TOLERANCE[precision]
    np.testing.assert_array_equal(video, kept)


def test_streams_join_and_part(exact: Made, video: Any) -> None:
    """A stream's results do not depend on its company, nor on its place in it."""
    stepper, full, precision = exact
    *_, states = stepper.init(video[:, :FRAMES])
    end = FRAMES + HOP
    *_, [alone] = stepper.step(video[1:2, FRAMES:end], states[1:2])
    *_, others = stepper.step(video[[2, 0], FRAMES:end], [states[2], states[0]])
    new = video[[1, 0, 2], end : end + HOP]
    _, embeddings, _ = stepper.step(new, [alone, others[1], others[0]])
    _, expected = full(video[[1, 0, 2], 2 * HOP : 2 * HOP + FRAMES])
    assert far(embeddings, expected) <= TOLERANCE[precision]


def test_an_old_state_stays_valid(made: Made, video: Any) -> None:
    """A step makes new states; from the old ones the same step gives the same again."""
    stepper, _, precision = made
    *_, states = stepper.init(video[:2, :FRAMES])
    new = video[:2, FRAMES : FRAMES + HOP]
    _, first, later = stepper.step(new, states)
    stepper.step(video[:2, FRAMES + HOP : FRAMES + 2 * HOP], later)
    _, again, _ = stepper.step(new, states)
    assert far(again, first) <= TOLERANCE[precision] / 10


def test_a_state_tells_its_memory(made: Made, video: Any) -> None:
    """The same after every step, and the same for all streams."""
    stepper, _, _ = made
    *_, states = stepper.init(video[:, :FRAMES])
    sizes = {state.n_bytes for state in states}
    *_, states = stepper.step(video[:, FRAMES : FRAMES + HOP], states)
    assert {state.n_bytes for state in states} == sizes
    assert len(sizes) == 1
    assert sizes.pop() > 0


def test_a_caller_may_reuse_its_frames(exact: Made, video: Any) -> None:
    """Frames lie in a ring that is written again: a state holds copies."""
    stepper, full, precision = exact
    ring = video[:1, :FRAMES].copy()
    *_, states = stepper.init(ring)
    ring[:] = 0
    new = video[:1, FRAMES : FRAMES + HOP].copy()
    *_, states = stepper.step(new, states)
    new[:] = 0
    end = FRAMES + 2 * HOP
    _, embeddings, _ = stepper.step(video[:1, end - HOP : end], states)
    _, expected = full(video[:1, 2 * HOP : end])
    assert far(embeddings, expected) <= TOLERANCE[precision]


def test_what_does_not_fit_is_refused_and_harmless(made: Made, video: Any) -> None:
    """ValueError, and the next good step is classified."""
    stepper, _, _ = made
    *_, states = stepper.init(video[:2, :FRAMES])
    new = video[:2, FRAMES : FRAMES + HOP]
    with pytest.raises(ValueError, match="must be uint8"):
        stepper.init(video[:2, : FRAMES - 1])
    for wrong in (new.astype(np.float32), new[:, :3], new[:, :, :16], new[:1]):
        with pytest.raises(ValueError, match=r"must be uint8|as many states"):
            stepper.step(wrong, states)
    assert len(stepper.step(new, states)[2]) == 2


@pytest.mark.parametrize(("engine", "precision"), WAYS)
def test_a_causal_bundle_runs_step_by_step(
    engine: str, precision: str, bundle: Bundle, video: Any
) -> None:
    """Its steppers were compared with the run over the whole stream; a first window is the full
    one, alone and in a batch, and streams of a batch do not mix."""
    if precision == "int8":
        pytest.importorskip("nncf", reason="the extra openvino is not installed")
    if (engine, precision) == ("tensorflow", "bfloat16") and not has_native_bfloat16():
        pytest.skip(EMULATED)
    manifest = bundle.manifest.model_copy(update={"temporal_padding": "causal"})
    causal = Bundle(manifest, bundle.weights, bundle.score_kernel, bundle.score_bias, "causal")
    config = ModelConfig.model_validate({"engine": engine, "precision": precision})
    classifier = open_classifier(causal, config)
    warm = classifier.warm_up(3, [HOP, 5])
    tolerance = TOLERANCE[precision]
    assert warm.report[f"hop{HOP}_difference"] <= tolerance
    assert set(warm.step_cost_s) == {HOP}
    assert classifier.stepper(5) is None
    stepper = classifier.stepper(HOP)
    assert stepper is not None
    assert stepper.mode == "causal"
    _, embeddings, states = stepper.init(video[:, :FRAMES])
    assert far(embeddings, classifier.predict(video[:, :FRAMES])[1]) <= tolerance
    new = video[:, FRAMES : FRAMES + HOP]
    _, together, _ = stepper.step(new, states)
    for n in range(3):
        _, alone, _ = stepper.step(new[n : n + 1], states[n : n + 1])
        assert far(alone, together[n : n + 1]) <= tolerance
    # Frames before the window count: it is no window by itself.
    assert far(together, classifier.predict(video[:, HOP : FRAMES + HOP])[1]) > 5e-3
    classifier.close()
