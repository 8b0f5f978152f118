"""Every odd file of ../shared/data through the product: damaged, cut, encrypted, turned, rare.

Each must end by itself with its reason, every picture accounted for, without taking a capture
process or another file with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from model.bundle import load_manifest
from model.config import DEFAULT_BUNDLE
from pipeline.report import CameraReport
from streamer.ring import HEADER_BYTES
from tests.product import Command, Running, camera_config, config_of, running

N_AT_ONCE = 10
SIZE_PX = load_manifest(DEFAULT_BUNDLE).size_px
SOUND = {
    # What a file must give at least: pictures that were used.
    "iibbibb_editlist_videoonly.mp4": 12,
    "sample_edit_list_only_preroll_sync_sample.mp4": 5,
    "sample_fragmented_clearkey.mp4": 0,
    "BA_MW_D.264": 40,
    "h264_10bits.mp4": 10,
    "h265_10bits.mp4": 10,
    "av1_video.mkv": 50,
    "roadtrip-vp92-10bit.webm": 30,
    "offline_vp9.mp4": 10,
    "sample_sef_slow_motion.mp4": 20,
    "sample_with_invalid_nalu.mp4": 10,
    "corrupted.mp4": 40,
    "nasa_13013.mp4": 130,
}
HOPELESS = {
    # What cannot be used at all, and words of the sentence that says so.
    "invalid-bitstream.webm": "51 damaged or encrypted packets",
    "sample_fragmented_clearkey.mp4": "damaged or holds no video",
    "sample_malformed_free_box.mp4": "damaged or holds no video",
    "sample_with_sdt.ts": "holds no data",
    "subsample_encrypted_noaltref.webm": "1 damaged or encrypted packets",
    "bipbop_480wp_1001kbps-cenc-video-key1-init.mp4": "holds no data",
    "chunk_out_of_range.mp4": "damaged or holds no video",
    "invalid_userdata.mp4": "holds no data",
    "no_timescale.mp4": "none of its 170 pictures could be used (142 no_keyframe, 28 corrupt)",
    "short-cenc.mp4": "10 damaged or encrypted packets",
    "test_case_1185230.mp4": "3 damaged or encrypted packets",
    "zero_empty_stsc.mp4": "2 damaged or encrypted packets",
    "sps_subsetsps_bothVUI.264": "damaged or holds no video",
    "Error_I_P.264": "none of its 6 pictures could be used",
}


@pytest.fixture(scope="module")
def odd_files(shared_data: Path) -> list[Path]:
    """Every odd file, by name."""
    found = (p for p in (shared_data / "odd").rglob("*") if p.is_file() and p.name != "LICENSE")
    return sorted(found, key=lambda path: path.name)


async def played(files: Sequence[Path]) -> dict[str, CameraReport]:
    """Play files at once, three to a capture process, and return what became of each."""
    cameras = [
        camera_config(f"f{i}", {"kind": "file", "path": str(path), "pace": "fast"})
        for i, path in enumerate(files)
    ]
    async with running(config_of(*cameras, capture={"cameras_per_process": 3})) as product:
        await asyncio.wait_for(asyncio.shield(product.task), 40)
        product.assert_conserved()
        assert not any(capture.n_restarts for capture in product.pipeline._captures)
        assert product.pipeline.status.worker.n_restarts == 0
        return {path.name: product.camera(f"f{i}") for i, path in enumerate(files)}


@pytest.mark.slow
async def test_every_odd_file_ends_with_its_reason(odd_files: list[Path]) -> None:
    """No crash, no hang, no process replaced; what is sound is used, what is not says why."""
    reports: dict[str, CameraReport] = {}
    for start in range(0, len(odd_files), N_AT_ONCE):
        reports |= await played(odd_files[start : start + N_AT_ONCE])
    for name, report in reports.items():
        print(
            f"{name}: {report.frames_decoded} decoded, {report.frames_used} used, "
            f"{report.frames_dropped}, {report.detail.rpartition('/')[2]}"
        )
        assert report.state == "ended", report
        assert report.is_failed == (report.frames_used == 0), report
        assert (report.detail == "end of stream") is not report.is_failed, report
        assert report.frames_used >= SOUND.get(name, 0), report
    assert {name for name, report in reports.items() if report.is_failed} == set(HOPELESS)
    for name, words in HOPELESS.items():
        assert words in reports[name].detail


def first_place(product: Running, camera: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return the first picture in the ring of a camera."""
    (path,) = Path("/dev/shm").glob(f"bresnet-*-{camera}")
    shape = (SIZE_PX, SIZE_PX, 3)
    return np.array(np.memmap(path, np.uint8, "r", HEADER_BYTES, shape))


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
async def test_pictures_of_turned_files_stand_upright_in_the_ring(
    shared_data: Path, degrees: int
) -> None:
    """A phone writes the picture as the sensor saw it and how far to turn it."""
    path = shared_data / "odd" / "decord_apache2" / f"video_{degrees}.mov"
    source = {"kind": "file", "path": str(path), "loop": True}
    camera = f"turned{degrees}"
    async with running(config_of(camera_config(camera, source))) as product:
        await product.until_state(camera, "warming", "running")
        await product.until(lambda: product.camera(camera).frames_used > 0)
        seen = first_place(product, camera)
    with av.open(str(path), timeout=(5, 5)) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    likeness = {}
    for turns in range(4):
        turned = np.asarray(np.rot90(picture, -turns), np.uint8).copy()
        square = cv2.resize(turned, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)
        likeness[turns * 90] = float(np.corrcoef(square.ravel(), seen.ravel())[0, 1])
    assert likeness.pop(degrees) > 0.95
    assert max(likeness.values()) < 0.5


@pytest.mark.slow
async def test_the_command_plays_a_sound_and_a_hopeless_file_to_their_end(
    shared_data: Path, tmp_path: Path
) -> None:
    """`bresnet run --fast`: the sound one makes it a success, alone the hopeless one is exit 2."""
    sound = shared_data / "odd" / "openh264_bsd2" / "BA_MW_D_IDR_LOST.264"
    hopeless = shared_data / "odd" / "mp4parse_mpl2" / "short-cenc.mp4"
    arguments = ("run", "--fast", "--json", "--port", "0", "--gate", "skip")
    with Command(*arguments, str(sound), str(hopeless), folder=tmp_path) as command:
        code = await asyncio.to_thread(command.process.wait, 60)
        assert code == 0, command.logs()
        assert "Traceback" not in command.logs()
        assert not command.descendants()
    with Command(*arguments, str(hopeless), folder=tmp_path) as command:
        code = await asyncio.to_thread(command.process.wait, 60)
        assert code == 2, command.logs()
        said = command.logs().splitlines()[-1]
        assert "short-cenc.mp4 has no picture that can be decoded" in said
        assert "10 damaged or encrypted packets" in said
