"""What every Source must do, and what a camera's faults must look like.

One suite for files, devices, rendered scenes, HTTP and RTSP; then the faults of the scripted RTSP
camera, each with the time in which it must be noticed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter

from streamer.clock import SystemClock
from streamer.config import AnySource, CaptureConfig, RtspSource, parse_source
from streamer.errors import LossKind, SourceLostError, SourceOpenError
from streamer.frame import Frame
from streamer.opener import open_source
from streamer.scenes import scene_names
from streamer.source import Source
from streamer.webcam import Webcam
from tests.camera import ScriptedCamera
from tests.camera_script import CameraOptions
from tests.clip_file import write_clip
from tests.frame_code import read_code

CAPTURE = CaptureConfig()
NOTICED_S = 3.5
"""Within this time every silent fault must be noticed (RELIABILITY.md A6)."""
AT_ONCE_S = 1.0
CANARY = "Canary-Pw-1"


@dataclass
class Bench:
    """Opens sources, and closes what was opened.

    Attributes:
        folder: for files.
        opened: sources to close.
        held: servers to stop.
    """

    folder: Path
    opened: list[Source] = field(default_factory=list)
    held: ExitStack = field(default_factory=ExitStack)

    def source(
        self, config: AnySource | str, capture: CaptureConfig = CAPTURE, address: str = ""
    ) -> tuple[Source, threading.Event]:
        if isinstance(config, str):
            config = _config(config)
        stop = threading.Event()
        source = open_source(config, capture, SystemClock(), stop, address)
        self.opened.append(source)
        return source, stop

    def webcam(self) -> tuple[Source, threading.Event]:
        stop = threading.Event()
        config = _config("/dev/video0").model_copy(update={"device": "testsrc2=size=160x120"})
        source = Webcam(config, CAPTURE, SystemClock(), stop, format_name="lavfi")  # type: ignore[arg-type]
        self.opened.append(source)
        return source, stop

    def camera(self, options: CameraOptions | None = None, **script: object) -> ScriptedCamera:
        return self.held.enter_context(ScriptedCamera(options, **script))


def _config(text: str) -> AnySource:
    adapter: TypeAdapter[AnySource] = TypeAdapter(AnySource)
    return adapter.validate_python(parse_source(text))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    for source in bench.opened:
        source.close()
    bench.held.close()


def _file(bench: Bench) -> tuple[Source, threading.Event]:
    return bench.source(str(write_clip(bench.folder / "clip.mp4", 40, fps=20)))


def _rtsp_tcp(bench: Bench) -> tuple[Source, threading.Event]:
    return bench.source(bench.camera(fps=20.0).url)


def _webcam(bench: Bench) -> tuple[Source, threading.Event]:
    return bench.webcam()


def _synthetic(bench: Bench) -> tuple[Source, threading.Event]:
    return bench.source(f"synthetic:{scene_names()[0]}")


Make = Callable[[Bench], tuple[Source, threading.Event]]
EVERY_SOURCE = pytest.mark.parametrize("make", [_file, _rtsp_tcp, _webcam, _synthetic])


# ---- every source -------------------------------------------------------------------------------


@EVERY_SOURCE
def test_frames_are_numbered_described_and_rgb(bench: Bench, make: Make) -> None:
    """Ten frames of any source look alike to the reader."""
    source, _ = make(bench)
    info = source.open()
    assert info.width >= 64
    assert info.height >= 48
    assert info.codec
    arrived_at = 0.0
    for index, frame in zip(range(10), source.frames(), strict=False):
        picture = frame.picture()
        assert picture.shape == (frame.height, frame.width, 3)
        assert (picture.dtype, frame.index) == (np.uint8, index)
        assert (frame.width, frame.height) == (info.width, info.height)
        assert frame.arrived_at >= arrived_at
        assert frame.decode_s >= 0.0
        assert frame.rotation_deg == 0
        arrived_at = frame.arrived_at


@EVERY_SOURCE
def test_the_first_frame_is_a_key_frame(bench: Bench, make: Make) -> None:
    """Otherwise the gate would drop every picture of that kind of source."""
    source, _ = make(bench)
    source.open()
    assert next(iter(source.frames())).is_keyframe


@EVERY_SOURCE
def test_the_stop_event_ends_the_frames_without_an_error(bench: Bench, make: Make) -> None:
    """Closing a camera is no loss."""
    source, stop = make(bench)
    source.open()
    frames = iter(source.frames())
    next(frames)
    stop.set()
    began_at = time.monotonic()
    assert len(list(frames)) <= 1
    assert time.monotonic() - began_at < AT_ONCE_S


@EVERY_SOURCE
def test_closing_is_idempotent_and_never_fails(bench: Bench, make: Make) -> None:
    """Before opening, while iterating, twice."""
    source, _ = make(bench)
    source.close()
    other, _ = make(bench)
    other.open()
    frames = iter(other.frames())
    next(frames)
    other.close()
    other.close()


@EVERY_SOURCE
def test_statistics_can_be_read_at_any_time_and_never_fall(bench: Bench, make: Make) -> None:
    """The heartbeat reads them from another thread, before opening and after closing."""
    source, _ = make(bench)
    seen = [source.statistics().bytes]
    source.open()
    for _, _frame in zip(range(5), source.frames(), strict=False):
        seen.append(source.statistics().bytes)
    source.close()
    seen.append(source.statistics().bytes)
    assert seen == sorted(seen)
    assert source.statistics().decode_errors == 0


# ---- a real camera's faults ---------------------------------------------------------------------


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


def test_closing_ends_the_session_on_the_camera(bench: Bench) -> None:
    """A4: cameras allow few sessions, and one that is only forgotten blocks the next open."""
    camera = bench.camera(CameraOptions(max_sessions=1, session_expiry_s=60.0))
    for _ in range(2):
        source, _ = bench.source(camera.url)
        source.open()
        next(iter(source.frames()))
        source.close()
    endings = [session.ending for session in camera.ledger.sessions]
    assert endings == ["teardown", "teardown"]


def test_hevc_is_read_as_h264_is(bench: Bench) -> None:
    """Half of the cameras sold today."""
    camera = bench.camera(CameraOptions(codec="hevc"))
    source, _ = bench.source(camera.url)
    assert source.open().codec == "hevc"
    frames: list[Frame] = [f for _, f in zip(range(5), source.frames(), strict=False)]
    codes = [read_code(frame.picture()) for frame in frames[-1:]]
    assert codes[0] is not None
