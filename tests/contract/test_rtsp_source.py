"""What the faults of an RTSP camera must look like, and in which time each must be noticed."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from streamer.config import CaptureConfig, RtspSource
from streamer.errors import LossKind, SourceLostError, SourceOpenError
from streamer.frame import Frame
from streamer.integrity import FrameGate
from tests.camera import ScriptedCamera
from tests.camera_script import CameraOptions
from tests.contract.source_bench import AT_ONCE_S, CANARY, CAPTURE, NOTICED_S, Bench
from tests.frame_code import read_code


def read_until_lost(
    bench: Bench, camera: ScriptedCamera, fault: Callable[[], None], transport: str = "tcp"
) -> tuple[SourceLostError, float]:
    """Read ten frames, let the fault happen; return the loss and how long it took to notice."""
    source, _ = bench.source(RtspSource.model_validate({"url": camera.url, "transport": transport}))
    source.open()
    frames = source.frames()
    for _ in range(10):
        next(frames)
    fault()
    fault_at = time.monotonic()
    with pytest.raises(SourceLostError) as loss:
        list(frames)
    return loss.value, time.monotonic() - fault_at


def open_failure(
    bench: Bench, url: str, capture: CaptureConfig = CAPTURE
) -> tuple[SourceOpenError, float]:
    """Return why opening failed and how long it took."""
    source, _ = bench.source(url, capture)
    began_at = time.monotonic()
    with pytest.raises(SourceOpenError) as failure:
        source.open()
    return failure.value, time.monotonic() - began_at


def test_a_silent_camera_is_noticed_in_time(bench: Bench) -> None:
    """A6: the connection stays, not a byte comes. Default limit 3 s; libav alone never returns."""
    camera = bench.camera()
    loss, after_s = read_until_lost(bench, camera, lambda: camera.set(mode="stall"))
    assert loss.kind == "timeout"
    assert 2.0 < after_s < NOTICED_S


def test_the_stall_limit_is_the_users(bench: Bench) -> None:
    """A read time-out of libav fires at twice its value: half of it is what libav is given."""
    camera = bench.camera()
    source, _ = bench.source(camera.url, CaptureConfig(stall_s=1.0))
    source.open()
    frames = source.frames()
    for _ in range(5):
        next(frames)
    camera.set(mode="stall")
    began_at = time.monotonic()
    with pytest.raises(SourceLostError):
        list(frames)
    assert 0.5 < time.monotonic() - began_at < 1.5


@pytest.mark.parametrize("ending", ["fin", "rst"])
def test_a_closed_connection_is_a_loss_at_once(bench: Bench, ending: str) -> None:
    """A1: libav reports the end of a file; for a camera it is a loss."""
    camera = bench.camera()
    loss, after_s = read_until_lost(bench, camera, getattr(camera, ending))
    assert loss.kind == "error"
    assert after_s < AT_ONCE_S


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("accept_noreply", "timeout"), ("describe_hang", "timeout"), ("play_nodata", "timeout")],
)
def test_a_camera_that_hangs_while_it_is_opened_is_noticed_in_time(
    bench: Bench, mode: str, kind: LossKind
) -> None:
    """A6, each phase of the dialogue."""
    error, after_s = open_failure(bench, bench.camera(mode=mode).url)
    assert error.kind == kind
    assert after_s < NOTICED_S


def test_a_host_that_drops_packets_is_noticed_in_time(bench: Bench) -> None:
    """A6: nobody answers the first packet of the connection (M3)."""
    camera = bench.camera()
    camera.blackhole(30.0)
    error, after_s = open_failure(bench, camera.url)
    assert error.kind == "timeout"
    assert after_s < NOTICED_S


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, "auth") for status in (401, 403)),
        (404, "not_found"),
        *((status, "server") for status in (453, 461, 500, 503)),
    ],
)
def test_a_refusing_answer_has_its_kind_at_once(bench: Bench, status: int, kind: LossKind) -> None:
    """A3: state, label and back-off follow from it."""
    error, after_s = open_failure(bench, bench.camera(mode="status", status=status).url)
    assert error.kind == kind
    assert after_s < AT_ONCE_S


def test_garbage_instead_of_an_answer_is_a_failure_at_once(bench: Bench) -> None:
    """Another service on the port."""
    error, after_s = open_failure(bench, bench.camera(mode="garbage").url)
    assert error.kind == "timeout"
    assert after_s < NOTICED_S


def test_a_closed_port_is_refused_at_once(bench: Bench) -> None:
    """The camera is off, the host is there."""
    camera = bench.camera()
    camera.refuse(30.0)
    error, after_s = open_failure(bench, camera.url)
    assert error.kind == "refused"
    assert after_s < AT_ONCE_S


def test_an_unknown_host_is_dns(bench: Bench) -> None:
    """Where libav resolves by itself."""
    error, _ = open_failure(bench, "rtsp://no-such-host.invalid/x")
    assert error.kind == "dns"


@pytest.mark.parametrize("user", ["admin", "first.last", "a@b"])
def test_a_password_of_any_letters_opens_and_never_shows(bench: Bench, user: str) -> None:
    """Right password: pictures. Wrong password: a sentence without it."""
    camera = bench.camera(CameraOptions(user=user, password=f"{CANARY}@:/%"))
    source, _ = bench.source(camera.url)
    source.open()
    assert read_code(next(iter(source.frames())).picture()) is not None
    error, _ = open_failure(bench, camera.url.replace(CANARY, f"{CANARY}-wrong"))
    assert error.kind == "auth"
    assert CANARY not in str(error)
    assert "127.0.0.1" in str(error)


def test_a_resolved_address_is_connected_to(bench: Bench) -> None:
    """The name in the address is not looked up again."""
    camera = bench.camera()
    url = camera.url.replace("127.0.0.1", "no-such-host.invalid")
    source, _ = bench.source(url, address="127.0.0.1")
    source.open()
    assert next(iter(source.frames())).index == 0


def test_udp_delivers_and_its_silence_is_noticed_in_time(bench: Bench) -> None:
    """The transport is the user's choice; the time limit stands."""
    camera = bench.camera()
    loss, after_s = read_until_lost(bench, camera, lambda: camera.set(mode="stall"), "udp")
    assert loss.kind == "timeout"
    assert after_s < NOTICED_S


def test_without_key_frames_bytes_flow_and_no_picture_comes(bench: Bench) -> None:
    """B2: how the supervisor tells "no key frame" from a stall; then the first picture comes."""
    camera = bench.camera(no_idr=True)
    source, stop = bench.source(camera.url)
    source.open()
    threading.Timer(2.0, lambda: camera.set(no_idr=False)).start()
    began_at = time.monotonic()
    bytes_before = source.statistics().bytes
    first = next(iter(source.frames()))
    stop.set()
    assert first.is_keyframe
    assert 1.5 < time.monotonic() - began_at < 2.0 + 2.0
    assert source.statistics().bytes > bytes_before + 500


def test_a_change_of_size_goes_on_in_place(bench: Bench) -> None:
    """B3: the new size comes with its first picture, without reconnecting."""
    camera = bench.camera()
    source, _ = bench.source(camera.url)
    source.open()
    sizes: list[tuple[int, int]] = []
    for frame in source.frames():
        sizes.append((frame.width, frame.height))
        if len(sizes) == 5:
            camera.set(size=(640, 360))
        if sizes[-1] == (640, 360):
            assert frame.picture().shape == (360, 640, 3)
            assert frame.is_keyframe
            break
        assert len(sizes) < 60, "the new size never came"
    assert sizes[0] == (320, 240)


def test_a_picture_is_delivered_before_the_second_one_after_it_is_sent(bench: Bench) -> None:
    """The parser holds one picture back; frame threads would hold three (1c: 44 against 123 ms)."""
    camera = bench.camera(fps=5.0)
    source, _ = bench.source(camera.url)
    source.open()
    frames = [frame for _, frame in zip(range(12), source.frames(), strict=False)]
    delays = []
    for frame in frames[4:]:
        code = read_code(frame.picture())
        sent_at = max(sent.sent_at for sent in camera.ledger.frames if sent.counter == code)
        delays.append((frame.arrived_at - sent_at) * camera.script.fps)
    assert float(np.median(delays)) < 1.5


def test_a_slow_camera_is_opened_without_counting_its_frames(bench: Bench) -> None:
    """Every reconnect pays for it: libav's own probing takes 2.8 s at 10 frames a second (M11)."""
    source, _ = bench.source(bench.camera(fps=10.0).url)
    began_at = time.monotonic()
    source.open()
    next(iter(source.frames()))
    assert time.monotonic() - began_at < 1.8


def test_closing_ends_the_session_on_the_camera(bench: Bench) -> None:
    """A4: cameras allow few sessions, and one that is only forgotten blocks the next open."""
    camera = bench.camera(CameraOptions(max_sessions=1, session_expiry_s=60.0))
    for _ in range(2):
        source, _ = bench.source(camera.url)
        source.open()
        next(iter(source.frames()))
        source.close()
    until = time.monotonic() + AT_ONCE_S
    while camera.ledger.open_sessions() and time.monotonic() < until:
        threading.Event().wait(0.01)
    endings = [session.ending for session in camera.ledger.sessions]
    assert endings == ["teardown", "teardown"]


def test_a_damaged_stream_goes_on_and_false_sizes_stay_out(bench: Bench) -> None:
    """B1: 30 % of the packets with flipped bytes; what passes the gate has the true size."""
    camera = bench.camera(fps=50.0)
    source, _ = bench.source(camera.url)
    info = source.open()
    camera.set(corrupt=0.3)
    gate = FrameGate((info.width, info.height))
    used, drops = set(), Counter[str | None]()
    for _, frame in zip(range(200), source.frames(), strict=False):
        verdict = gate.check(frame)
        drops[verdict.drop] += 1
        if verdict.drop is None:
            used.add((frame.width, frame.height))
    assert used == {(320, 240)}
    assert drops["corrupt"] > 10
    assert drops[None] > 50


def test_hevc_is_read_as_h264_is(bench: Bench) -> None:
    """Half of the cameras sold today."""
    camera = bench.camera(CameraOptions(codec="hevc"))
    source, _ = bench.source(camera.url)
    assert source.open().codec == "hevc"
    frames: list[Frame] = [f for _, f in zip(range(5), source.frames(), strict=False)]
    codes = [read_code(frame.picture()) for frame in frames[-1:]]
    assert codes[0] is not None
