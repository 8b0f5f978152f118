"""Claims about model.ways: what is timed is what it says, and was compared with the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from model import spec
from model.bundle import Bundle
from model.classifier import Clips, Mode, Stepper, WarmUp
from model.comparison import BASELINE, Absent
from model.config import ModelConfig
from model.engines import Engine
from model.errors import EngineFailedError
from model.ways import Subject, Way, engine_ways, gemm_ways, keras_ways

SUBJECT = Subject(size_px=32, frames=12, hops=(4, 8), batch=2, seed=5)
FAKE = Engine("tensorflow", "1.0", ("float32",))
Answer = tuple[np.ndarray, np.ndarray, list[Any]]


@dataclass(frozen=True)
class FakeState:
    """Counts the frames a stream has seen."""

    n_seen: int
    n_bytes: int = 1000


@dataclass
class FakeStepper:
    """Answers with the eager network's embedding of the window the stream is at."""

    hop: int
    mode: Mode
    calls: list[tuple[int, int]] = field(default_factory=list)

    def init(self, clips: Clips) -> Answer:
        return self._answer(len(clips), SUBJECT.frames)

    def step(self, frames: Clips, states: Sequence[Any]) -> Answer:
        assert frames.shape == (len(states), self.hop, 32, 32, 3)
        self.calls.append((len(states), states[0].n_seen))
        return self._answer(len(states), states[0].n_seen + self.hop)

    def _answer(self, n: int, n_seen: int) -> Answer:
        first = min(n_seen - SUBJECT.frames, self.hop)
        embeddings = np.repeat(SUBJECT.eager(first), n, axis=0) * np.float32(1.25)
        return np.zeros((n, 3), np.float32), embeddings, [FakeState(n_seen) for _ in range(n)]


@dataclass
class FakeEngine:
    """Implements Classifier; has steps of 4 frames, and was told to fail or not."""

    bundle: Bundle
    config: ModelConfig
    fails: bool = False
    warmed: tuple[int, tuple[int, ...]] = (0, ())
    labels: tuple[str, ...] = ("a",)

    def warm_up(self, max_batch: int, hops: Sequence[int] = ()) -> WarmUp:
        if self.fails:
            raise EngineFailedError("no precision\nagrees")
        self.warmed = (max_batch, tuple(hops))
        return WarmUp("fake", "float32", "cpu", {1: 1.0}, {"hop8_ms": 12.34})

    def predict(self, clips: Clips) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((1, 3), np.float32), SUBJECT.eager() * np.float32(1.5)

    def stepper(self, hop: int) -> Stepper | None:
        is_causal = self.bundle.manifest.temporal_padding == "causal"
        return FakeStepper(hop, "causal" if is_causal else "incremental") if hop == 4 else None

    def close(self) -> None:
        """Holds nothing."""


def found(engine: Engine, fails: bool = False) -> tuple[list[Way | Absent], list[FakeEngine]]:
    """Return what there is of an engine, and every classifier that was opened for it."""
    opened: list[FakeEngine] = []

    def open_(bundle: Bundle, config: ModelConfig) -> FakeEngine:
        opened.append(FakeEngine(bundle, config, fails))
        return opened[-1]

    return list(engine_ways(SUBJECT, engine, open_)), opened


def test_a_window_is_cut_from_one_video_of_the_seed() -> None:
    """A window that begins a hop later shares its frames; another seed is another video."""
    assert SUBJECT.video.shape == (1, 20, 32, 32, 3)
    np.testing.assert_array_equal(SUBJECT.window(4)[:, :-4], SUBJECT.window()[:, 4:])
    assert SUBJECT.pixels().max() <= 1.0
    other = Subject(32, 12, (4, 8), 2, seed=6)
    assert not np.array_equal(other.window(), SUBJECT.window())


def test_what_keras_offers_is_the_same_function() -> None:
    """Eager call, predict and tf.function; the eager call is the baseline."""
    ways = list(keras_ways(SUBJECT))
    assert [way.name for way in ways] == [BASELINE, "Keras `model.predict`", "`tf.function`"]
    for way in ways:
        assert way.difference is not None
        assert way.difference <= 1e-5
        np.testing.assert_allclose(way.run(), SUBJECT.eager(), atol=1e-4)
        assert sum(way.macs.values()) == sum(r.macs for r in spec.layer_table(12, 32))


def test_an_engine_is_shown_in_full_and_step_by_step_and_causal() -> None:
    """Steps of one camera and, at the smallest hop, of several; the others say why not."""
    ways, opened = found(FAKE)
    assert [(way.name, getattr(way, "batch", None)) for way in ways] == [
        ("fused, full window", 1),
        ("exact incremental, hop 4", 1),
        ("exact incremental, hop 4", 2),
        ("exact incremental, hop 8", None),
        ("causal, hop 4", 1),
        ("causal, hop 4", 2),
    ]
    assert {(way.engine, way.precision) for way in ways} == {("tensorflow", "float32")}
    assert [one.bundle.manifest.temporal_padding for one in opened] == ["same", "causal"]
    assert [one.warmed for one in opened] == [(2, (4, 8)), (2, (4,))]
    assert not any(one.config.cache for one in opened), "nothing remembered is measured"


def test_differences_are_those_of_the_window_a_way_is_at() -> None:
    """Relative to the eager network on the same frames; a causal network is another one."""
    ways = {(way.name, getattr(way, "batch", 0)): way for way in found(FAKE)[0]}
    full, step = ways["fused, full window", 1], ways["exact incremental, hop 4", 2]
    causal = ways["causal, hop 4", 1]
    assert isinstance(full, Way)
    assert isinstance(step, Way)
    assert isinstance(causal, Way)
    assert full.difference == pytest.approx(0.5, rel=1e-3)
    assert step.difference == pytest.approx(0.25, rel=1e-3)
    assert causal.difference is None
    assert (full.state_bytes, step.state_bytes) == (None, 1000)


def test_steps_go_on_from_the_state_before() -> None:
    """Each call of a way is the next window of its streams, as live."""
    stepper = FakeStepper(4, "incremental")
    from model.ways import step_way

    way = step_way(SUBJECT, stepper, 2)
    way.run()
    way.run()
    assert stepper.calls == [(2, 12), (2, 16), (2, 20)]


def test_a_hop_without_steps_says_what_was_measured() -> None:
    """At warm-up, where the engine reports it."""
    absent = [way for way in found(FAKE)[0] if isinstance(way, Absent)]
    assert [way.reason for way in absent] == [
        "at warm-up 12.3 ms, no faster than the full window",
    ]


def test_an_engine_that_is_not_installed_names_what_to_install() -> None:
    """One line a precision, and nothing is opened."""
    ways, opened = found(Engine("openvino", None, ("float32", "int8")))
    assert [getattr(way, "reason", "") for way in ways] == [
        "not installed: pip install 'bresnet-stream[openvino]'"
    ] * 2
    assert opened == []


def test_an_engine_that_fails_is_a_line_and_not_the_end() -> None:
    """The reason on one line, for both networks."""
    ways, _ = found(FAKE, fails=True)
    assert [(way.name, getattr(way, "reason", "")) for way in ways] == [
        ("fused, full window", "no precision agrees"),
        ("causal", "no precision agrees"),
    ]


def test_costs_are_those_of_what_runs() -> None:
    """A full window as its layers, a step less, a causal step its share of the frames."""
    large = Subject(size_px=256, frames=32, hops=(4,))
    assert sum(large.layer_macs().values()) / 1e9 == pytest.approx(28.784, abs=0.001)
    assert sum(large.macs("full").values()) / 1e9 == pytest.approx(27.5, abs=0.1)
    assert sum(large.macs("incremental", 4).values()) / 1e9 == pytest.approx(11.0, abs=0.1)
    assert sum(large.macs("causal", 4).values()) / 1e9 == pytest.approx(3.6, abs=0.01)
    odd = Subject(size_px=32, frames=10, hops=())
    assert odd.macs("full") == odd.layer_macs()


def test_the_matrix_product_is_counted() -> None:
    """One way a precision; two operations for each multiply-accumulate are counted elsewhere."""
    ways = list(gemm_ways(64))
    assert ways[0].precision == "float32"
    assert {way.name for way in ways} == {"GEMM"}
    assert {sum(way.macs.values()) for way in ways} == {64**3}
    assert np.asarray(ways[0].run()).shape == (64, 64)
    assert Subject().gemm_side == 2048, "smaller ones do not reach full speed"
