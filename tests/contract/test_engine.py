"""What every engine must do, whichever runtime it stands on.

Each test runs once for every engine installed here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from model.bundle import UNTRAINED, Bundle, untrained_bundle
from model.classifier import TOLERANCE, Classifier
from model.config import ModelConfig
from model.engines import PRECISIONS, available_engines, open_classifier
from model.engines.reference import disagreement, reference_outputs
from model.errors import EngineFailedError
from tests.conftest import needs_bfloat16

SHAPE = (16, 64, 64, 3)
MAX_BATCH = 3


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return untrained_bundle(
        UNTRAINED.model_copy(update={"frames": 16, "size_px": 64, "units": 16, "name": "small"})
    )


@pytest.fixture(scope="module", params=available_engines())
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# TensorFlow emulates bfloat16 where the processor has none; OpenVINO computes in float32 then.
WAYS = [
    pytest.param(
        (engine, precision),
        marks=needs_bfloat16 if (engine, precision) == ("tensorflow", "bfloat16") else (),
        id=f"{engine} {precision}",
    )
    for engine in available_engines()
    for precision in PRECISIONS[engine]
]


@pytest.fixture(scope="module", params=WAYS)
def opened(request: pytest.FixtureRequest, bundle: Bundle) -> Iterator[tuple[Classifier, str]]:
    """A warm classifier and its precision."""
    engine, precision = request.param
    if precision == "int8":
        pytest.importorskip("nncf", reason="the extra openvino is not installed")
    config = ModelConfig(engine=engine, precision=precision)
    classifier = open_classifier(bundle, config)
    warm = classifier.warm_up(MAX_BATCH)
    assert warm.precision == precision
    assert warm.engine.startswith(engine)
    assert {1, MAX_BATCH} <= set(warm.cost_s)
    yield classifier, precision
    classifier.close()


@pytest.fixture
def clips() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (MAX_BATCH, *SHAPE), np.uint8)


def test_scores_are_those_of_the_network(
    opened: tuple[Classifier, str], bundle: Bundle, clips: np.ndarray
) -> None:
    """Within the tolerance of the precision, with the same label on top."""
    classifier, precision = opened
    tolerance = TOLERANCE[precision]
    found = classifier.predict(clips)
    assert disagreement(reference_outputs(bundle, clips), found, tolerance) <= tolerance


def test_results_have_the_stated_form(
    opened: tuple[Classifier, str], bundle: Bundle, clips: np.ndarray
) -> None:
    """float32 (N, K) in [0, 1] and (N, E), owned by the caller; the clips are untouched."""
    classifier, _ = opened
    kept = clips.copy()
    for n in range(1, MAX_BATCH + 1):
        scores, embeddings = classifier.predict(clips[:n])
        assert scores.shape == (n, len(classifier.labels)) == (n, 11)
        assert embeddings.shape == (n, bundle.manifest.units)
        assert scores.dtype == embeddings.dtype == np.float32
        assert ((scores >= 0) & (scores <= 1)).all()
        scores += 1
        embeddings += 1
    np.testing.assert_array_equal(clips, kept)
    assert tuple(classifier.labels) == bundle.manifest.labels


def test_a_clip_scores_the_same_in_any_company(
    opened: tuple[Classifier, str], clips: np.ndarray
) -> None:
    """Position in a batch and its size change nothing beyond rounding."""
    classifier, precision = opened
    together, _ = classifier.predict(clips)
    for n in range(MAX_BATCH):
        alone, _ = classifier.predict(clips[n : n + 1])
        np.testing.assert_allclose(alone[0], together[n], atol=TOLERANCE[precision])


def test_the_mean_over_all_places_is_the_logit(
    opened: tuple[Classifier, str], bundle: Bundle, clips: np.ndarray
) -> None:
    """A map says what each place adds; the clip's own places, four frames apart."""
    classifier, precision = opened
    maps = classifier.localize(clips[:2])
    assert maps.shape == (2, 4, 2, 2, 11)
    assert maps.dtype == np.float32
    _, embeddings = classifier.predict(clips[:2])
    logits = embeddings @ bundle.score_kernel + bundle.score_bias
    tolerance = TOLERANCE[precision] * np.abs(maps).max()
    np.testing.assert_allclose(maps.mean((1, 2, 3)), logits, atol=max(tolerance, 1e-5))
    assert maps.std((1, 2, 3)).min() > 0


def test_time_has_a_direction(opened: tuple[Classifier, str], clips: np.ndarray) -> None:
    """A clip played backwards is another clip."""
    classifier, _ = opened
    _, forward = classifier.predict(clips[:1])
    _, backward = classifier.predict(np.ascontiguousarray(clips[:1, ::-1]))
    assert np.abs(forward - backward).max() > 1e-3


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, *SHAPE), np.float32),
        np.zeros((0, *SHAPE), np.uint8),
        np.zeros((MAX_BATCH + 1, *SHAPE), np.uint8),
        np.zeros((1, 15, 64, 64, 3), np.uint8),
        np.zeros((1, 16, 64, 32, 3), np.uint8),
        np.zeros(SHAPE, np.uint8),
    ],
    ids=["dtype", "empty", "too many", "frames", "size", "no batch axis"],
)
def test_a_wrong_clip_is_refused_and_harmless(
    opened: tuple[Classifier, str], wrong: np.ndarray, clips: np.ndarray
) -> None:
    """ValueError with what was given; the next good batch is classified."""
    classifier, _ = opened
    with pytest.raises(ValueError, match="clips must be uint8"):
        classifier.localize(wrong)
    with pytest.raises(ValueError, match="clips must be uint8") as refused:
        classifier.predict(wrong)
    assert str(wrong.shape) in str(refused.value)
    assert classifier.predict(clips)[0].shape[0] == MAX_BATCH


def test_a_softmax_is_computed_by_windows_and_steps(engine: str, bundle: Bundle) -> None:
    """Scores of one window add up to 1, and are those of the unfused network."""
    softmax = bundle.with_facts(activation="softmax")
    config = ModelConfig.model_validate(
        {"engine": engine, "precision": "float32", "mode": "steps", "cache": False}
    )
    classifier = open_classifier(softmax, config)
    classifier.warm_up(1, (4,))
    clips = np.random.default_rng(8).integers(0, 256, (1, *SHAPE), np.uint8)
    expected, _ = reference_outputs(softmax, clips)
    scores, _ = classifier.predict(clips)
    stepper = classifier.stepper(4)
    assert stepper is not None
    first, _, _ = stepper.init(clips)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    np.testing.assert_allclose(first, expected, atol=1e-5)
    assert scores.sum() == pytest.approx(1)
    classifier.close()


def test_a_closed_or_cold_classifier_says_so(
    engine: str, bundle: Bundle, clips: np.ndarray
) -> None:
    """Neither predicts, and closing twice is fine."""
    config = ModelConfig.model_validate({"engine": engine})
    classifier = open_classifier(bundle, config)
    with pytest.raises(EngineFailedError, match="not warmed up"):
        classifier.predict(clips)
    classifier.close()
    classifier.close()
    with pytest.raises(EngineFailedError, match="once, before close"):
        classifier.warm_up(1)


MEASURE = """
import sys, threading, json, psutil
import numpy as np
from model.bundle import load_bundle
from model.config import ModelConfig
from model.engines import open_classifier
peak, ended = [0], threading.Event()
def watch():
    while not ended.wait(0.05):
        peak[0] = max(peak[0], psutil.Process().memory_full_info().pss)
thread = threading.Thread(target=watch)
thread.start()
try:
    classifier = open_classifier(load_bundle("untrained"), ModelConfig(engine=sys.argv[1]))
    warm = classifier.warm_up(4)
    clips = np.random.default_rng(0).integers(0, 256, (4, 32, 256, 256, 3), np.uint8)
    for _ in range(2):
        classifier.predict(clips)
finally:
    ended.set()
    thread.join()
print(json.dumps({"peak": peak[0], "precision": warm.precision}))
"""


@pytest.mark.slow
def test_four_full_size_clips_fit_into_the_memory_of_a_worker(engine: str) -> None:
    """Peak PSS from start over warm-up to batches of 4 x 32x256x256 stays below 1.2 GB."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, engine],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["peak"] <= 1.2e9
