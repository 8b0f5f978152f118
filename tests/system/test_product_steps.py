"""The whole product with the real network: windows computed from their new frames are the same.

Two rendered scenes are analysed frame by frame, once with steps and once with full windows. The
network is small (64 px) and its weights are random: what counts is that both ways agree on every
window, and that the books say how each was computed.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from model.bundle import UNTRAINED, save_bundle, untrained_bundle
from pipeline.config import PipelineConfig
from pipeline.records import Prediction
from tests.product import Running, camera_config, config_of, running

REAL = ""
"""The worker loads the model of the configuration."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in weights for small pictures."""
    folder = tmp_path_factory.mktemp("bundle")
    save_bundle(untrained_bundle(UNTRAINED.model_copy(update={"size_px": 64})), folder)
    return folder


def scenes(bundle: Path, mode: str, pace: str = "fast", **analysis: Any) -> PipelineConfig:
    sources = {
        camera: {"kind": "synthetic", "name": name, "pace": pace, "width": 192, "height": 108}
        | ({"duration_s": 12.0} if pace == "fast" else {})
        for camera, name in (("one", "street"), ("two", "corridor"))
    }
    return config_of(
        *(camera_config(camera, source) for camera, source in sources.items()),
        analysis={"gate": "off", "hop": 4, "fps": 10.0} | analysis,
        model={
            "bundle": str(bundle),
            "precision": "float32",
            "mode": mode,
            "audit_every": 5,
        },
    )


async def analysed(config: PipelineConfig) -> tuple[dict[tuple[str, int], Prediction], Running]:
    """Run to the end of both scenes; return the predictions by camera and first frame."""
    async with running(config, REAL) as product:
        await product.task
        product.assert_conserved()
        return {(p.window.camera, p.window.first_seq): p for p in product.predictions}, product


def books(product: Running, name: str) -> Mapping[str, float]:
    """The values of a family by its last label."""
    found = Counter[str]()
    for (sample, labels), value in product.samples().items():
        if sample == f"bresnet_incremental_{name}":
            found[dict(labels).get("reason", dict(labels).get("outcome", ""))] += value  # type: ignore[assignment] # whole numbers
    return {key: value for key, value in found.items() if value}


@pytest.mark.slow
async def test_steps_give_the_scores_of_full_windows_for_every_window(bundle: Path) -> None:
    """Two scenes of 12 s at hop 4: the same windows, scores within 1e-4, and all but the first a
    step; audits agree."""
    full, product = await analysed(scenes(bundle, "full"))
    assert not books(product, "steps_total")
    steps, product = await analysed(scenes(bundle, "steps"))
    assert steps.keys() == full.keys()
    assert len(full) >= 40
    for key, prediction in full.items():
        assert steps[key].scores == pytest.approx(prediction.scores, abs=1e-4), key
    assert books(product, "steps_total") == {"": len(full) - 2}
    assert books(product, "resets_total") == {"first": 2}
    assert set(books(product, "audits_total")) == {"equal"}
    assert books(product, "max_abs_error")[""] <= 1e-4
    assert books(product, "state_bytes")[""] > 1e6


@pytest.mark.slow
async def test_windows_left_out_by_the_gate_are_gaps_and_change_no_score(bundle: Path) -> None:
    """The gate lets pieces of a scene through: each piece begins in full, with the same scores."""
    gate: dict[str, Any] = {"gate": "skip", "gate_threshold": 0.5, "gate_hold_s": 0.5}
    full, _ = await analysed(scenes(bundle, "full", **gate))
    steps, product = await analysed(scenes(bundle, "steps", **gate))
    assert steps.keys() == full.keys()
    for key, prediction in full.items():
        assert steps[key].scores == pytest.approx(prediction.scores, abs=1e-4), key
    resets = books(product, "resets_total")
    assert resets["gap"] >= 1
    assert books(product, "steps_total")[""] + sum(resets.values()) == len(full)


@pytest.mark.slow
async def test_a_killed_worker_takes_the_states_with_it(bundle: Path) -> None:
    """Its successor begins every stream in full and goes on in steps."""
    async with running(scenes(bundle, "steps", "realtime"), REAL) as product:
        await product.until(lambda: books(product, "steps_total").get("", 0) >= 4, 90)
        assert books(product, "resets_total") == {"first": 2}
        os.kill(product.pipeline.pids()["worker"], signal.SIGKILL)
        await product.until(lambda: books(product, "resets_total") == {"first": 4}, 60)
        n_steps = books(product, "steps_total")[""]
        await product.until(lambda: books(product, "steps_total")[""] >= n_steps + 4, 60)
    product.assert_conserved()
