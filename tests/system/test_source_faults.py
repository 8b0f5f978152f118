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


STALLS = ["stall", "accept_noreply", "describe_hang", "play_nodata"]


async def test_a_stalled_stream_is_noticed_within_3_5_s_and_back_within_5_s() -> None:
    """A6: half-open TCP; detection from the camera's last byte, recovery from its being healthy."""
    with ScriptedCamera() as camera:
        async with running(config_of(camera_config("door", camera.url))) as product:
            await product.until_state("door", "running", timeout_s=30)
            camera.set(mode="stall")
            last_byte_at = camera.ledger.last_byte_at
            noticed_at = await product.until_state("door", "stalled", "backoff")
            print("noticed after", noticed_at - last_byte_at)
            assert noticed_at - last_byte_at <= 3.5
            camera.set(mode="ok")
            healthy_at = product.pipeline._clock.now()
            n_before = product.camera("door").frames_decoded
            back_at = await product.until(lambda: product.camera("door").frames_decoded > n_before)
            print("back after", back_at-healthy_at)
            assert back_at - healthy_at <= 5.0
            await product.until_state("door", "running", timeout_s=30)
        product.assert_conserved()


async def test_a_hung_capture_process_is_replaced_within_6_s_and_no_other_camera_loses_a_frame() -> None:
    """A7: SIGSTOP of one camera's process; the neighbour keeps its frames and windows."""
    import os, signal
    with ScriptedCamera() as sick, ScriptedCamera() as well:
        config = config_of(camera_config("sick", sick.url), camera_config("well", well.url))
        async with running(config) as product:
            await product.until_state("sick", "running", timeout_s=30)
            await product.until_state("well", "running", timeout_s=30)
            old = product.pipeline.pids()["capture:sick"]
            os.kill(old, signal.SIGSTOP)
            stopped_at = product.pipeline._clock.now()
            n_sick = product.camera("sick").frames_decoded
            back_at = await product.until(lambda: product.camera("sick").frames_decoded > n_sick)
            print("replaced after", back_at - stopped_at)
            assert product.pipeline.pids()["capture:sick"] != old
            assert back_at - stopped_at <= 6.0
        told = [seen(p) for p in product.predictions if p.window.camera == "well"]
        assert all(s.largest_step == s.smallest_step == 1 for s in told), told
        product.assert_conserved()
