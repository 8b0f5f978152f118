"""Claims about pipeline.bench: it measures a real run and says so in JSON and Markdown."""

from __future__ import annotations

import json

import pytest

from model.machine import Machine
from pipeline.bench import PipelineCost, _measure
from pipeline.errors import ConfigError
from pipeline.meter import ProcessCost
from pipeline.report import StageSummary
from tests.product import READER, camera_config, config_of

SCENE = {"kind": "synthetic", "name": "street", "width": 160, "height": 120}


async def test_a_short_run_has_all_figures() -> None:
    """CPU and memory of each process, and shares that add up."""
    config = config_of(camera_config("c", SCENE))
    cost = await _measure(config, 3.0, READER)
    assert {p.name for p in cost.processes} == {"control", "capture:c", "worker"}
    assert all(p.pss_mib > 1 for p in cost.processes)
    assert 20 < cost.fps_in < 30
    assert 0 < cost.overhead_share < 1
    assert 0 < cost.decode_share < 1, "rendering counts as decoding"
    assert cost.windows_hz > 1
    assert 0 < cost.start_to_frames_s <= cost.start_to_ready_s + 5


async def test_a_source_that_cannot_be_read_is_named() -> None:
    """The sentence is that of the source."""
    config = config_of(camera_config("c", "no-such.mp4"))
    with pytest.raises(ConfigError, match=r"no-such\.mp4"):
        await _measure(config, 3.0, READER)


async def test_a_source_that_ends_too_early_is_a_sentence() -> None:
    """There is nothing to measure."""
    config = config_of(camera_config("c", SCENE | {"duration_s": 0.2, "pace": "fast"}))
    with pytest.raises(ConfigError, match="--loop"):
        await _measure(config, 3.0, "tests.fakes:load_hanging")


def test_the_report_is_json_and_markdown() -> None:
    """Both name every process and stage."""
    cost = PipelineCost(
        machine=Machine("Some CPU", ("avx2",), 2, 8 << 30, "3.13.0", {}),
        n_cameras=1,
        seconds=10.0,
        fps_in=25.0,
        windows_hz=1.2,
        overhead_share=0.03,
        decode_share=0.02,
        processes=[ProcessCost("control", 0.01, 60.0, 61.0)],
        stages=[StageSummary(stage="infer", n=9, p50_s=0.1, p95_s=0.2, p99_s=0.3)],
        start_to_frames_s=1.0,
        start_to_ready_s=9.0,
        dropped={},
        windows={"submitted": 12},
        inferred={"ok": 12},
    )
    values = json.loads(cost.to_json())
    assert values["processes"][0]["pss_mib"] == 60.0
    assert values["stages"][0]["p95_s"] == 0.2
    assert values["machine"]["processor"] == "Some CPU"
    text = cost.to_markdown()
    assert "2 cores of Some CPU (avx2), 8 GiB, Python 3.13.0" in text
    assert "| control | 0.010 | 60 MiB | 61 MiB |" in text
    assert "| infer | 100.0 ms | 200.0 ms | 300.0 ms |" in text
    assert "3.0% of one core" in text
