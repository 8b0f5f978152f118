"""Whole-pipeline source faults with the scripted camera: RELIABILITY.md A1, A3, A6, A7, B1-B4."""

from __future__ import annotations

from tests.camera import ScriptedCamera
from tests.code_reader import seen
from tests.product import camera_config, config_of, running


async def test_frames_become_windows_of_32_consecutive_frames() -> None:
    """The healthy case, as the oracle for all faults: codes are consecutive, nothing is lost."""
    with ScriptedCamera() as camera:
        async with running(config_of(camera_config("door", camera.url))) as product:
            await product.until(lambda: len(product.predictions) >= 5, 30)
        told = [seen(p) for p in product.predictions]
        assert all(s.n_unreadable == 0 for s in told), told
        assert all(s.largest_step == s.smallest_step == 1 for s in told), told
        assert [b.newest - a.newest for a, b in zip(told, told[1:], strict=False)] == [4] * (len(told) - 1)
        product.assert_conserved()
