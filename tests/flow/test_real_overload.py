"""Claims about the whole pipeline under overload with the real network."""

from __future__ import annotations

import pytest

from model.engines import has_native_bfloat16
from streamer.clock import SystemClock
from tests.load import asked, load_since
from tests.product import camera_config, config_of, running

N_CAMERAS = 4
SCENE = {"kind": "synthetic", "name": "street", "width": 160, "height": 120, "fps": 25.0}
MODEL = {
    "bundle": "untrained",
    "mode": "full",
    "precision": "bfloat16" if has_native_bfloat16() else "float32",
}
PATIENCE_S = 180.0
"""A window has 29 GMACs: a processor of 100 GFLOP/s does fewer than two a second; 64 are due."""
REAL = ""
"""The worker loads the model of the configuration."""


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_flood_for_the_real_network_stays_fresh_fair_and_counted() -> None:
    """Four cameras want each of 25 frames a second classified at 256 px: several times what two
    cores do. The ladder goes up; what is inferred is at most a second old and a batch."""
    cameras = [camera_config(f"c{k}", SCENE | {"seed": k}) for k in range(N_CAMERAS)]
    analysis = {"gate": "off", "hop": 1, "fps": 25.0}
    config = config_of(*cameras, analysis=analysis, model=MODEL)
    clock = SystemClock()
    async with running(config, REAL) as product:
        await product.until(lambda: len(product.predictions) >= N_CAMERAS, PATIENCE_S)
        began_at = clock.now()
        if asked(product) < 2:
            pytest.skip(f"this machine is too fast: {asked(product):.1f} of its time asked for")
        await product.until(lambda: product.pipeline.status.degradation[0] >= 1, PATIENCE_S)
        n_before = len(product.predictions)
        await product.until(
            lambda: len(product.predictions) >= n_before + 15 * N_CAMERAS, PATIENCE_S
        )
        load = load_since(product, began_at, clock.now())
    print(load)
    product.assert_conserved()
    assert load.fates.keys() - {"ok"}, "nothing was too much"
    assert load.p99_age_s <= 1.0 + load.longest_batch_s
    assert load.unfairness <= 1.2
