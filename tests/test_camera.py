"""The scripted camera does what its script says, seen through a real RTSP client (libav)."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import pytest

from tests.camera import ScriptedCamera
from tests.camera_process import CameraProcess
from tests.camera_rtp import Damage, Packed, Packer
from tests.camera_script import CameraOptions
from tests.frame_code import read_code

OPTIONS = {"rtsp_transport": "tcp", "fpsprobesize": "0", "analyzeduration": "500000"}
QUICK: dict[str, Any] = {"fps": 25.0}


@dataclass(frozen=True)
class Seen:
    """One decoded picture."""

    at: float
    code: int | None
    size: tuple[int, int]
    pts: int | None
    digest: int


def watch(url: str, transport: str = "tcp", timeout_s: float = 2.0) -> Generator[Seen, None, None]:
    """Yield what a client sees; closes (TEARDOWN) when the generator is closed."""
    container = av.open(
        url, timeout=(timeout_s, timeout_s), options=OPTIONS | {"rtsp_transport": transport}
    )
    with container:
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"
        for frame in container.decode(stream):
            luma = np.asarray(frame.to_ndarray(format="gray"), np.uint8)
            yield Seen(
                time.monotonic(),
                read_code(luma),
                (frame.width, frame.height),
                frame.pts,
                hash(luma.tobytes()),
            )


def take(seen: Iterator[Seen], n: int) -> list[Seen]:
    """Return the next `n` pictures."""
    return [next(seen) for _ in range(n)]


def until(seen: Iterator[Seen], wanted: Callable[[Seen], bool], at_most: int = 200) -> Seen:
    """Return the first picture that is `wanted`."""
    return next(s for s, _ in zip(seen, range(at_most), strict=False) if wanted(s))


@contextlib.contextmanager
def watching(camera: ScriptedCamera) -> Iterator[Iterator[Seen]]:
    """A client that is closed in the end."""
    with contextlib.closing(watch(camera.url)) as seen:
        next(seen)
        yield seen


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_pictures_arrive_in_order_and_on_time(codec: str) -> None:
    """30 pictures of each codec arrive with consecutive codes, the median within 100 ms of the
    ledger's instant."""
    with ScriptedCamera(
        CameraOptions(codec="hevc" if codec == "hevc" else "h264"), **QUICK
    ) as camera:
        with watching(camera) as seen:
            pictures = take(seen, 30)
        codes = [picture.code for picture in pictures]
        first = codes[0]
        assert first is not None
        assert codes == [
            (first + i) % 300 if codec == "h264" else (first + i) % 100 for i in range(30)
        ]
        delays = []
        for picture in pictures[10:]:
            assert picture.code is not None
            sent = camera.ledger.sent(picture.code, before=picture.at)
            assert sent is not None
            delays.append(picture.at - sent.sent_at)
        assert sorted(delays)[len(delays) // 2] < 0.1
        assert camera.ledger.endings() == ["teardown"]


def test_udp_clients_are_served() -> None:
    """A client that asks for UDP gets consecutive codes too."""
    with ScriptedCamera(**QUICK) as camera, contextlib.closing(watch(camera.url, "udp")) as seen:
        codes = [picture.code for picture in take(seen, 20)]
        assert len({c for c in codes if c is not None}) >= 18


def test_size_and_rate_change_while_it_plays() -> None:
    """320x240 becomes 640x360 and back without a reconnect; 10 fps becomes 25."""
    with ScriptedCamera(fps=10.0) as camera, watching(camera) as seen:
        camera.set(size=(640, 360))
        assert until(seen, lambda s: s.size == (640, 360)).code is not None
        camera.set(size=(320, 240), fps=25.0)
        until(seen, lambda s: s.size == (320, 240))
        pts = [s.pts for s in take(seen, 8)]
        assert {
            b - a for a, b in itertools.pairwise(pts[2:]) if a is not None and b is not None
        } == {3600}
        assert len(camera.ledger.sessions) == 1


def test_frozen_pictures_are_identical_to_the_last_bit_and_thaw() -> None:
    """Frozen: one content for 10 pictures; afterwards the codes go on."""
    with ScriptedCamera(**QUICK) as camera, watching(camera) as seen:
        camera.set(is_frozen=True)
        until(
            seen,
            lambda s: (
                camera.ledger.sent(s.code or 0, s.at) is not None and s.code == _frozen(camera)
            ),
        )
        take(seen, 2)
        assert len({s.digest for s in take(seen, 10)}) == 1
        camera.set(is_frozen=False)
        assert until(seen, lambda s: s.code != _frozen(camera)).code is not None


def _frozen(camera: ScriptedCamera) -> int | None:
    return next((f.counter for f in camera.ledger.snapshot() if f.content == "frozen"), -1)


def test_black_pictures_are_black_and_carry_no_code() -> None:
    """Black: no code, and the ledger names none."""
    with ScriptedCamera(**QUICK) as camera, watching(camera) as seen:
        camera.set(content="black")
        assert until(seen, lambda s: s.code is None, 60).size == (320, 240)
        assert camera.ledger.snapshot()[-1].counter is None


def test_repeated_pictures_come_in_threes() -> None:
    """repeat=3: each code and each content is seen three times."""
    with ScriptedCamera(repeat=3, **QUICK) as camera, watching(camera) as seen:
        pictures = take(seen, 30)
        runs = [
            sum(s.code == code for s in pictures)
            for code in dict.fromkeys(s.code for s in pictures)
        ]
        assert set(runs[1:-1]) == {3}
        assert len({s.digest for s in pictures}) == len(runs)


def test_a_stall_is_half_open_and_heals() -> None:
    """Stalled: not a byte, a client's read fails by its time-out; healed, the camera serves
    again."""
    with ScriptedCamera(**QUICK) as camera:
        with contextlib.closing(watch(camera.url, timeout_s=0.5)) as seen:
            next(seen)
            camera.set(mode="stall")
            began = time.monotonic()
            with pytest.raises(av.FFmpegError):
                take(seen, 100)
            assert camera.ledger.last_byte_at is not None
            assert camera.ledger.last_byte_at <= began
            assert 0.4 < time.monotonic() - camera.ledger.last_byte_at < 3.0
        camera.set(mode="ok")
        with watching(camera) as seen:
            take(seen, 5)


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_broken_connections_end_the_client_and_the_ledger_says_how(how: str) -> None:
    """FIN and RST end the stream within a second; the session counts as ended by the camera."""
    with ScriptedCamera(**QUICK) as camera:
        with watching(camera) as seen:
            getattr(camera, how)()
            began = time.monotonic()
            with contextlib.suppress(av.FFmpegError):
                for _ in seen:
                    pass
            assert time.monotonic() - began < 1.0
        assert camera.ledger.sessions[0].ending == how


def test_a_power_cycle_refuses_then_serves_on_the_same_port() -> None:
    """Gone for 0.6 s: connects are refused, then the same address works again."""
    with ScriptedCamera(**QUICK) as camera, contextlib.closing(watch(camera.url)) as seen:
        next(seen)
        port = camera.port
        camera.power_cycle(0.6)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        until_at = time.monotonic() + 5
        while camera.ledger.faults[-1][1] != "reopen":
            assert time.monotonic() < until_at
            time.sleep(0.02)
        with watching(camera) as again:
            take(again, 3)
        assert camera.port == port


def test_a_blackhole_lets_connects_hang() -> None:
    """No SYN-ACK: a connect with a time-out of 0.5 s runs into it."""
    with ScriptedCamera(**QUICK) as camera:
        camera.blackhole(30)
        with pytest.raises(TimeoutError):
            socket.create_connection(("127.0.0.1", camera.port), timeout=0.5).close()


@pytest.mark.parametrize("mode", ["accept_noreply", "describe_hang", "play_nodata", "garbage"])
def test_no_picture_is_had_while_the_handshake_is_broken(mode: str) -> None:
    """Each broken phase makes a client fail by its time-out; afterwards the camera serves again."""
    with ScriptedCamera(mode=mode, **QUICK) as camera:
        with (
            pytest.raises(av.FFmpegError),
            contextlib.closing(watch(camera.url, timeout_s=0.4)) as seen,
        ):
            next(seen)
        camera.set(mode="ok")
        with watching(camera) as seen:
            take(seen, 2)


@pytest.mark.parametrize("status", [401, 403, 404, 453, 503])
def test_status_answers_are_given_and_recorded(status: int) -> None:
    """The client fails at once, and the ledger holds the answer."""
    with ScriptedCamera(mode="status", status=status, **QUICK) as camera:
        with pytest.raises(av.FFmpegError), contextlib.closing(watch(camera.url)) as seen:
            next(seen)
        assert status in [request.status for request in camera.ledger.requests]


def test_only_the_right_password_opens() -> None:
    """The URL with the right (odd) password opens; a wrong one and none get 401."""
    with ScriptedCamera(CameraOptions(user="first.last", password="p@ss:w/rd"), **QUICK) as camera:
        with watching(camera) as seen:
            take(seen, 2)
        for url in (
            f"rtsp://127.0.0.1:{camera.port}/stream",
            f"rtsp://first.last:wrong@127.0.0.1:{camera.port}/stream",
        ):
            with pytest.raises(av.HTTPUnauthorizedError), contextlib.closing(watch(url)) as seen:
                next(seen)


def test_without_keyframes_nothing_decodes_until_one_comes() -> None:
    """no_idr: packets flow but no picture; the first picture comes with the first keyframe."""
    with ScriptedCamera(no_idr=True, **QUICK) as camera:
        camera.after(1.5, no_idr=False)
        with contextlib.closing(watch(camera.url, timeout_s=5)) as seen:
            first = until(seen, lambda s: s.code is not None)
        key = next(f for f in camera.ledger.snapshot() if f.is_key)
        assert len([f for f in camera.ledger.snapshot() if f.sent_at < key.sent_at]) > 10
        assert first.at >= key.sent_at


@pytest.mark.parametrize("kind", ["corrupt", "loss"])
def test_damage_reaches_the_ledger(kind: str) -> None:
    """30 % of the packets are hit while the script says so, none before."""
    with ScriptedCamera(**QUICK) as camera, contextlib.closing(_reader(camera)):
        camera.wait_frames(10)
        assert not any(f.n_corrupt + f.n_lost for f in camera.ledger.snapshot())
        camera.set(**{kind: 0.3})
        camera.wait_frames(30)
        assert sum(f.n_corrupt + f.n_lost for f in camera.ledger.snapshot()) > 3


def test_damage_is_the_same_for_the_same_seed() -> None:
    """Equal seeds hit equal packets in equal ways, others do not; 30 % are hit; size stays."""
    nals = (bytes(range(256)) * 40,)

    def packed(seed: int) -> list[Packed]:
        packer = Packer("h264", 0, seed)
        return [packer.pack(nals, i, Damage(corrupt=0.3, loss=0.1)) for i in range(100)]

    assert packed(7) == packed(7)
    assert packed(7) != packed(8)
    n_packets = 100 * 8
    assert 0.05 < sum(p.n_lost for p in packed(7)) / n_packets < 0.15
    assert 0.2 < sum(p.n_corrupt for p in packed(7)) / n_packets < 0.35
    assert {len(d) for p in packed(7) for d in p.datagrams} == {1394, 12 + 2 + 10239 - 7 * 1380}


def _reader(camera: ScriptedCamera) -> socket.socket:
    """Return a connection that plays but reads nothing, without a decoder in the way."""
    client = socket.create_connection(("127.0.0.1", camera.port), timeout=5)
    for number, method in enumerate(("SETUP", "PLAY")):
        transport = (
            "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n" if method == "SETUP" else ""
        )
        url = f"rtsp://127.0.0.1:{camera.port}/stream"
        client.sendall(f"{method} {url} RTSP/1.0\r\nCSeq: {number}\r\n{transport}\r\n".encode())
        client.recv(4096)
    return client


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda c: c.jump(100), 100 * 90_000 + 3600),
        (lambda c: c.jump(-10), -10 * 90_000 + 3600),
        (lambda c: c.set(timestamps="stuck"), 0),
    ],
    ids=["forward", "back", "stuck"],
)
def test_timestamps_follow_the_script(act: Callable[[ScriptedCamera], None], expected: int) -> None:
    """The step between two neighbours in the ledger is the one asked for."""
    with ScriptedCamera(**QUICK) as camera, contextlib.closing(_reader(camera)):
        camera.wait_frames(3)
        act(camera)
        camera.wait_frames(3)
        assert expected in _steps(camera)


def test_the_timestamp_wraps_at_32_bits() -> None:
    """After `wrap(0.2)` the 32-bit value passes its end within half a second and goes on by one
    interval a picture."""
    with ScriptedCamera(**QUICK) as camera, contextlib.closing(_reader(camera)):
        camera.wait_frames(2)
        camera.wrap(0.2)
        camera.wait_frames(12)
        stamps = [f.rtp_timestamp for f in camera.ledger.snapshot()][-12:]
        assert max(stamps) > (1 << 32) - 18_001
        assert min(stamps) < 90_000
        assert {(b - a) % (1 << 32) for a, b in itertools.pairwise(stamps)} == {3600}


def _steps(camera: ScriptedCamera) -> set[int]:
    stamps = [f.rtp_timestamp for f in camera.ledger.snapshot()]
    return {(b - a + (1 << 31)) % (1 << 32) - (1 << 31) for a, b in itertools.pairwise(stamps)}


def test_a_full_camera_answers_453_until_the_session_ends() -> None:
    """The second client gets 453; TEARDOWN frees at once, a vanished client after the expiry."""

    def wait_until_free(camera: ScriptedCamera) -> None:
        until_at = time.monotonic() + 10
        while camera.ledger.open_sessions():
            assert time.monotonic() < until_at
            time.sleep(0.02)

    with ScriptedCamera(CameraOptions(max_sessions=1, session_expiry_s=2.0), **QUICK) as camera:
        with (
            watching(camera),
            pytest.raises(av.FFmpegError),
            contextlib.closing(watch(camera.url)) as second,
        ):
            next(second)
        wait_until_free(camera)
        with watching(camera) as seen:
            take(seen, 2)
        wait_until_free(camera)
        client = _reader(camera)
        client.close()
        assert len(camera.ledger.open_sessions()) == 1
        wait_until_free(camera)
        assert [s.ending for s in camera.ledger.sessions] == ["teardown", "teardown", "expired"]
        assert camera.ledger.peak_sessions() == 1
        assert 453 in [request.status for request in camera.ledger.requests]


def test_leaving_the_block_leaves_nothing() -> None:
    """No thread, no listener, no connection remain; using it afterwards is an error that says
    so."""
    before = set(threading.enumerate())
    with ScriptedCamera(**QUICK) as camera:
        client = _reader(camera)
        camera.wait_frames(2)
    assert set(threading.enumerate()) == before
    client.settimeout(2)
    with contextlib.suppress(ConnectionResetError):
        while client.recv(65536):
            pass
    client.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", camera.port), timeout=1).close()
    with pytest.raises(RuntimeError, match="does not run"):
        camera.rst()


def test_it_runs_as_a_process_of_its_own_and_obeys() -> None:
    """The process serves, obeys orders, answers with its ledger and ends with the block."""
    with CameraProcess(**QUICK) as camera:
        with contextlib.closing(watch(camera.url)) as seen:
            take(seen, 3)
        camera.set(content="black", size=(640, 360))
        camera.do("jump", seconds=5)
        ledger = camera.ledger
        assert len(ledger.snapshot()) >= 3
        assert ledger.sessions[0].ending == "teardown"
        assert ledger.faults[-1][1] == "jump +5"
