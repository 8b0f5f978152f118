"""RTSP and HTTP sources: how they are opened, what they deliver, how they refuse."""

from __future__ import annotations

import ast
import base64
import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import av
import pytest

from streamer.clock import SystemClock
from streamer.config import CaptureConfig, HttpSource, RtspSource
from streamer.errors import SourceLostError, SourceOpenError
from streamer.frame import Frame
from streamer.video import HttpVideo, RtspVideo, with_host
from tests.clip_file import write_clip
from tests.conftest import FakeClock
from tests.frame_code import read_code
from tests.ticking_event import TickingEvent

CAPTURE = CaptureConfig()


# ---- HTTP ----------------------------------------------------------------------------------------


class Site(ThreadingHTTPServer):
    """A web server on the loopback: pages by path, an MJPEG stream, or a status."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Visit)
        self.pages: dict[str, tuple[str, bytes]] = {}
        self.jpegs: list[bytes] = []
        self.allowed = ""
        self.url = f"http://127.0.0.1:{self.server_port}"


class Visit(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        allowed = self.server.allowed
        if allowed and self.headers.get("Authorization") != allowed:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="door"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path == "/mjpeg":
            self._stream()
        elif self.path in self.server.pages:
            self._page(*self.server.pages[self.path])
        else:
            self.send_error(int(self.path[1:]) if self.path[1:].isdecimal() else 404)

    def _page(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=cut")
        self.end_headers()
        for jpeg in self.server.jpegs:
            head = f"--cut\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n")

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        thread = threading.Thread(target=site.serve_forever, args=(0.02,))
        thread.start()
        yield site
        site.shutdown()
        thread.join()


def http_source(url: str) -> HttpVideo:
    capture = CaptureConfig(open_timeout_s=2.0, stall_s=1.0)
    clock = FakeClock()
    config = HttpSource.model_validate({"url": url})
    return HttpVideo(config, capture, clock, TickingEvent(clock))


def read_all(source: HttpVideo) -> list[Frame]:
    source.open()
    return list(source.frames())


def test_a_file_over_http_ends_and_is_paced(tmp_path: Path, site: Site) -> None:
    """A length makes it finite: played in real time, and its end is an end, not a loss."""
    clip = write_clip(tmp_path / "clip.mkv", 6)
    site.pages["/clip.mkv"] = ("video/x-matroska", clip.read_bytes())
    source = http_source(f"{site.url}/clip.mkv")
    info = source.open()
    frames = list(source.frames())
    source.close()
    assert not info.is_live
    assert info.is_paced
    assert len(frames) == 6
    assert frames[-1].arrived_at - frames[0].arrived_at == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("password", ["right", "p@ss:w/ %25"])
def test_user_and_password_of_the_address_are_used(
    tmp_path: Path, site: Site, password: str
) -> None:
    """Percent-encoded in the address, in clear for the server; a wrong one is kind auth."""
    site.allowed = "Basic " + base64.b64encode(f"me:{password}".encode()).decode()
    clip = write_clip(tmp_path / "clip.mkv", 2)
    site.pages["/clip.mkv"] = ("video/x-matroska", clip.read_bytes())
    right = f"{site.url}/clip.mkv".replace("//", f"//me:{quote(password, safe='')}@")
    source = http_source(right)
    assert len(read_all(source)) == 2
    source.close()
    with pytest.raises(SourceOpenError) as failure:
        http_source(right.replace("//me:", "//me:not-")).open()
    assert failure.value.kind == "auth"


def test_an_mjpeg_stream_is_live_and_its_end_is_a_loss(tmp_path: Path, site: Site) -> None:
    """Cameras end their stream when they restart; nobody may take that for the end of a file."""
    for k in range(8):
        clip = write_clip(tmp_path / f"{k}.mkv", 1, codec="mjpeg", pix_fmt="yuvj420p", first=k)
        site.jpegs.append(_first_packet(clip))
    source = http_source(f"{site.url}/mjpeg")
    codes: list[int | None] = []
    info = source.open()
    with pytest.raises(SourceLostError) as loss:
        codes.extend(read_code(frame.picture()) for frame in source.frames())
    source.close()
    assert codes == list(range(8))
    assert info.is_live
    assert info.codec == "mjpeg"
    assert loss.value.kind == "error"


def _first_packet(path: Path) -> bytes:
    with av.open(str(path), timeout=(5, 5)) as container:
        return bytes(next(container.demux(video=0)))


def test_an_hls_playlist_is_read(tmp_path: Path, site: Site) -> None:
    """Segments come from where the playlist says, over HTTP only."""
    for k in range(3):
        clip = write_clip(tmp_path / f"{k}.ts", 10, first=10 * k)
        site.pages[f"/{k}.ts"] = ("video/mp2t", clip.read_bytes())
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1"]
    for k in range(3):
        lines += ["#EXT-X-DISCONTINUITY"] * (k > 0) + ["#EXTINF:1.0,", f"{k}.ts"]
    body = "\n".join([*lines, "#EXT-X-ENDLIST", ""]).encode()
    site.pages["/live.m3u8"] = ("application/vnd.apple.mpegurl", body)
    source = http_source(f"{site.url}/live.m3u8")
    source.open()
    codes = [read_code(frame.picture()) for frame in source.frames()]
    source.close()
    assert codes == list(range(30))


def test_a_playlist_cannot_open_a_local_file(tmp_path: Path, site: Site) -> None:
    """A hostile server must not make this machine read its own files."""
    clip = write_clip(tmp_path / "local.ts", 10)
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\nfile://{clip}\n#EXT-X-ENDLIST\n"
    site.pages["/live.m3u8"] = ("application/vnd.apple.mpegurl", text.encode())
    source = http_source(f"{site.url}/live.m3u8")
    with pytest.raises((SourceOpenError, SourceLostError)):
        read_all(source)
    source.close()


@pytest.mark.parametrize(
    ("path", "kind"),
    [("401", "auth"), ("403", "auth"), ("404", "not_found"), ("429", "server"), ("503", "server")],
)
def test_an_http_status_has_its_kind(site: Site, path: str, kind: str) -> None:
    """Back-off and state depend on what the server said."""
    source = http_source(f"{site.url}/{path}".replace("//", "//first.last:pass-word-1@"))
    with pytest.raises(SourceOpenError) as failure:
        source.open()
    source.close()
    assert failure.value.kind == kind
    assert "pass-word-1" not in str(failure.value)


def test_a_page_that_is_no_video_is_refused(site: Site) -> None:
    """A login page instead of a stream is a failure to open."""
    site.pages["/index.html"] = ("text/html", b"<html>please log in</html>" * 50)
    source = http_source(f"{site.url}/index.html")
    with pytest.raises(SourceOpenError):
        source.open()
    source.close()


# ---- RTSP: how it is opened ----------------------------------------------------------------------


def rtsp_opening(url: str, address: str = "", **options: object) -> tuple[str, dict[str, str]]:
    config = RtspSource.model_validate({"url": url, **options})
    source = RtspVideo(config, CAPTURE, SystemClock(), threading.Event(), address)
    return source._opening.url, dict(source._opening.options)


def test_a_resolved_address_replaces_the_host_of_rtsp() -> None:
    """Then libav never waits for a name server; user, port, path and query stay."""
    url, _ = rtsp_opening("rtsp://me:p%40ss@door.example:8554/a?b=c", "192.0.2.7")
    assert url == "rtsp://me:p%40ss@192.0.2.7:8554/a?b=c"


def test_the_host_of_rtsps_stays() -> None:
    """The certificate is for the name."""
    url, _ = rtsp_opening("rtsps://door.example/a", "192.0.2.7")
    assert url == "rtsps://door.example/a"


@pytest.mark.parametrize(
    ("url", "address", "expected"),
    [
        ("rtsp://h/x", "fd00::1", "rtsp://[fd00::1]/x"),
        ("rtsp://[fd00::2]:8554/x", "fd00::1", "rtsp://[fd00::1]:8554/x"),
        ("rtsp://[fd00::2]/x", "fd00::1", "rtsp://[fd00::1]/x"),
        ("rtsp://u:p@h/x@y", "192.0.2.1", "rtsp://u:p@192.0.2.1/x@y"),
        ("rtsp://u:p@q@h:1/x", "192.0.2.1", "rtsp://u:p@q@192.0.2.1:1/x"),
        ("rtsp://h?x=1", "192.0.2.1", "rtsp://192.0.2.1?x=1"),
        ("rtsp://h", "192.0.2.1", "rtsp://192.0.2.1"),
    ],
)
def test_only_the_host_is_replaced(url: str, address: str, expected: str) -> None:
    """IPv6 gets brackets; an @ in password or path misleads nobody."""
    assert with_host(url, address) == expected


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_the_transport_is_as_configured(transport: str) -> None:
    """libav must not choose by itself."""
    _, options = rtsp_opening("rtsp://h/x", transport=transport)
    assert options["rtsp_transport"] == transport
    assert "stimeout" not in options


def test_every_open_in_the_package_has_time_outs_and_leaves_the_log_level_alone() -> None:
    """One open without a time-out hangs for ever (M1), and a log level dead-locks (DATA.md)."""
    calls = []
    for path in (Path(__file__).parents[2] / "streamer").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert "set_level" not in name, path
                if name == "av.open":
                    calls.append({keyword.arg for keyword in node.keywords})
    assert calls
    assert all("timeout" in keywords for keywords in calls)
