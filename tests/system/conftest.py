"""Servers and clips of the system tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import require_system
from tests.system.gst import GstServer, is_gst_here, loopable

# Four different scenes: people one by one (timed labels), a road, a campus, a living room.
CAMERA_CLIPS = (
    "camera_intel_ccby/one-by-one-person-detection.mp4",
    "camera_intel_ccby/car-detection.mp4",
    "camera_opencv_apache2/vtest_480x360.mp4",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is a system test."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="session")
def gst() -> None:
    """Skip (in CI: fail) where GStreamer's RTSP server is not installed."""
    require_system(is_gst_here(), "GStreamer's RTSP server for /usr/bin/python3")


@pytest.fixture(scope="session")
def camera_streams(shared_data: Path, request: pytest.FixtureRequest) -> list[Path]:
    """Four loopable streams of the real clips; the fourth is a living room of GMDCSA24."""
    cache = request.config.cache
    assert cache is not None
    folder = cache.mkdir("bresnet-streams")
    room = min((shared_data / "gmdcsa24_small_mit").rglob("*.mp4"))
    clips = [*(shared_data / name for name in CAMERA_CLIPS), room]
    return [loopable(clip, folder) for clip in clips]


@pytest.fixture(scope="session")
def rtsp_server(gst: None, camera_streams: list[Path]) -> Iterator[GstServer]:
    """A healthy server with /cam0 to /cam3 for the whole session: leave it running."""
    with GstServer({f"/cam{index}": path for index, path in enumerate(camera_streams)}) as server:
        yield server


@pytest.fixture
def start_rtsp_server(gst: None, camera_streams: list[Path]) -> Iterator[Callable[..., GstServer]]:
    """Start servers of a test's own, to freeze, hang, stop and start again."""
    started: list[GstServer] = []

    def start(
        n_cameras: int = 1, *, user: str = "", password: str = "", port: int = 0
    ) -> GstServer:
        mounts = {f"/cam{index}": path for index, path in enumerate(camera_streams[:n_cameras])}
        server = GstServer(mounts, user, password, port)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()
