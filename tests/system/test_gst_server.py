"""Claims about the peer of the RTSP tests: it serves, loops, asks for passwords, freezes, ends."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from itertools import pairwise

import av
import pytest

from tests.system.gst import GstServer

# PyAV waits twice its read time-out (FFmpeg's parser flushes the frame it holds first).
TIMEOUT_S = (5.0, 1.0)
TCP = {"rtsp_transport": "tcp", "analyzeduration": "100000"}


def read(url: str, n_frames: int, transport: str = "tcp") -> list[av.VideoFrame]:
    """Return up to `n_frames` decoded frames."""
    options = {**TCP, "rtsp_transport": transport}
    frames: list[av.VideoFrame] = []
    with av.open(url, options=options, timeout=TIMEOUT_S) as container:
        for frame in container.decode(container.streams.video[0]):
            frames.append(frame)
            if len(frames) == n_frames:
                break
    return frames


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_one_second_of_frames_arrives(rtsp_server: GstServer, transport: str) -> None:
    """A camera of 10 frames a second gives 10 pictures of its own size over TCP and over UDP."""
    frames = read(rtsp_server.url("/cam0"), 10, transport)
    assert [(f.width, f.height) for f in frames] == [(768, 432)] * 10


def test_four_cameras_differ(rtsp_server: GstServer) -> None:
    """Each of the four mounts shows its own scene."""
    assert len(rtsp_server.urls()) == 4
    first = [read(url, 1)[0].to_ndarray(format="gray").tobytes() for url in rtsp_server.urls()]
    assert len(set(first)) == 4


@pytest.mark.slow
def test_a_clip_loops_without_a_pause(rtsp_server: GstServer, camera_streams: list) -> None:
    """The stream goes on after the clip's last frame, and its time never runs backwards."""
    with av.open(str(camera_streams[3]), timeout=(5, 5)) as clip:
        n_frames = sum(1 for _ in clip.decode(clip.streams.video[0]))
    frames = read(rtsp_server.url("/cam3"), n_frames + 10)
    times = [frame.time for frame in frames if frame.time is not None]
    assert len(frames) == n_frames + 10
    assert all(later > earlier for earlier, later in pairwise(times))


def test_the_password_is_asked_for(start_rtsp_server: Callable[..., GstServer]) -> None:
    """Digest authentication lets the right password in and nobody else."""
    server = start_rtsp_server(user="door", password="s3cret-word")
    assert read(server.url(), 1)
    with pytest.raises(av.HTTPUnauthorizedError):
        read(server.url(login=False), 1)
    with pytest.raises(av.HTTPUnauthorizedError):
        read(server.url().replace("s3cret", "wrong"), 1)


def test_an_unknown_path_is_not_found(rtsp_server: GstServer) -> None:
    """A mount that does not exist answers 404."""
    with pytest.raises(av.HTTPNotFoundError):
        read(rtsp_server.url("/nowhere"), 1)


def test_a_frozen_stream_is_silence_in_a_living_session(
    start_rtsp_server: Callable[..., GstServer],
) -> None:
    """After SIGUSR1 no frame comes though the session lives; after another they come again."""
    server = start_rtsp_server()
    assert read(server.url(), 5)
    with av.open(server.url(), options=TCP, timeout=TIMEOUT_S) as container:
        frames = container.decode(container.streams.video[0])
        next(frames)
        assert server.toggle_freeze()
        begin = time.monotonic()
        with pytest.raises(av.ExitError):
            list(frames)
        assert time.monotonic() - begin >= TIMEOUT_S[1]
    assert not server.toggle_freeze()
    assert len(read(server.url(), 5)) == 5


def test_a_killed_server_is_an_end_of_stream_and_comes_back_at_its_port(
    start_rtsp_server: Callable[..., GstServer],
) -> None:
    """SIGKILL looks like a silent end to the reader; the next start serves the same address."""
    server = start_rtsp_server()
    url = server.url()
    with av.open(url, options=TCP, timeout=TIMEOUT_S) as container:
        frames = container.decode(container.streams.video[0])
        next(frames)
        server.stop()
        # The packet under way may arrive cut in half; no error tells of the end itself.
        with contextlib.suppress(av.InvalidDataError):
            list(frames)
    with pytest.raises(av.ConnectionRefusedError):
        read(url, 1)
    server.start()
    assert server.url() == url
    assert read(url, 1)
