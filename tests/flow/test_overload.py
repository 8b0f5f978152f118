"""Claims about the whole pipeline under overload: real processes, and a worker that is too slow."""

from __future__ import annotations

import logging

import pytest

from tests.product import Running, camera_config, config_of, running

SCENE = {"kind": "synthetic", "name": "street", "width": 160, "height": 120, "fps": 25.0}
WINDOW_S = 0.64


def level(product: Running) -> int:
    return round(product.samples()["bresnet_degradation_level", frozenset()])


@pytest.mark.slow
async def test_four_times_too_much_work_lowers_the_quality_and_its_end_raises_it_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Two cameras ask for 6.25 windows a second, the worker does 1.6: fresh, counted, recovered.

    A file that is read at full speed meanwhile keeps its hop and loses no window.
    """
    caplog.set_level(logging.INFO)
    file = SCENE | {"pace": "fast", "duration_s": 4.0}
    cameras = [camera_config(f"c{k}", SCENE | {"seed": k}) for k in range(2)]
    # The rate stays: each rung of it would take another 10 s on the way back.
    analysis = {"gate": "off", "hop": 8, "fps": 25.0, "min_fps": 25.0}
    config = config_of(*cameras, camera_config("file", file), analysis=analysis)
    async with running(config, "tests.code_reader:load_busy_at_first") as product:
        await product.until(lambda: level(product) >= 1, 30)
        told = product.pipeline.status.snapshot()
        assert told.degradation_level >= 1
        assert "instead of 8" in told.degradation
        await product.until(lambda: level(product) == 0, 80)
        n_before = product.n_windows("c0")
        await product.until(lambda: product.n_windows("c0") > n_before + 5)
    product.assert_conserved()
    ages = sorted(
        p.timeline.started_at - p.timeline.captured_at
        for p in product.predictions
        if p.window.is_live
    )
    assert ages[int(0.99 * (len(ages) - 1))] <= 1.0 + WINDOW_S
    hops = {camera: {p.window.hop for p in product.predictions if p.window.camera == camera}
            for camera in ("c0", "file")}  # fmt: skip
    assert hops["file"] == {8}
    assert {8, 32} <= hops["c0"]
    assert product.n_windows("file") == (100 - 32) // 8 + 1
    assert "more work than this machine can do: level" in caplog.text
    assert "less work again: back to full quality" in caplog.text
