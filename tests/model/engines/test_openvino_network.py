"""Full windows and steps of a bundle in one precision, written only when they are not known."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.bundle import UNTRAINED, Bundle, untrained_bundle
from model.config import ModelConfig
from model.engines.memory import Memory
from model.errors import EngineUnavailableError

pytest.importorskip("openvino", reason="the extra openvino is not installed")

from model.engines import openvino_network
from model.engines.openvino_network import Network


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return untrained_bundle(
        UNTRAINED.model_copy(update={"frames": 16, "size_px": 32, "units": 16, "name": "longer"})
    )


def network(bundle: Bundle, folder: Path, precision: str = "float32", asked: str = "") -> Network:
    memory = Memory(bundle, ModelConfig(cache_dir=folder), "openvino 1", asked)
    return Network(bundle, precision, 1, memory)


def test_nothing_is_fused_for_graphs_that_are_known(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: Any
) -> None:
    """Whatever batch and hops the second start asks for."""
    clips = rng.integers(0, 256, (2, 16, 32, 32, 3), np.uint8)
    first = network(bundle, tmp_path)
    expected = first.full(32)(clips)
    assert first.stepper(4) is not None
    monkeypatch.setattr(openvino_network, "fuse", lambda *_, **__: pytest.fail("fused again"))
    second = network(bundle, tmp_path, asked="more")
    np.testing.assert_array_equal(second.full(32)(clips)[1], expected[1])
    assert second.stepper(4) is not None


@pytest.mark.parametrize("hop", [0, 3, 8, 16])
def test_a_hop_outside_the_geometry_has_no_stepper(
    bundle: Bundle, hop: int, tmp_path: Path
) -> None:
    """Not a multiple of 4, or too little in common: that is no error."""
    assert network(bundle, tmp_path).stepper(hop) is None


def test_a_causal_bundle_has_no_exact_step(bundle: Bundle, tmp_path: Path) -> None:
    """It has causal ones, for hops that fit its stride."""
    manifest = bundle.manifest.model_copy(update={"temporal_padding": "causal"})
    causal = Bundle(manifest, bundle.weights, bundle.score_kernel, bundle.score_bias, "causal")
    stepper = network(causal, tmp_path).stepper(4)
    assert stepper is not None
    assert stepper.mode == "causal"
    assert network(causal, tmp_path, "float32").stepper(5) is None


def test_int8_is_calibrated_once(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranges are kept apart from graphs: another picture size needs no other ranges."""
    pytest.importorskip("nncf", reason="the extra openvino is not installed")
    network(bundle, tmp_path, "int8").full(32)
    monkeypatch.setattr(openvino_network, "calibrate", lambda *_: pytest.fail("calibrated again"))
    network(bundle, tmp_path, "int8").full(48)


def test_int8_without_its_library_is_refused_in_one_sentence(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says what to install."""
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(EngineUnavailableError, match=r"install bresnet-stream\[openvino\]"):
        network(bundle, tmp_path, "int8").full(32)
