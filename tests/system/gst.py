"""Start, freeze and end the GStreamer RTSP server of `gst_server.py`, and make clips it can loop.

Clips go in as any video file; H.264 in MPEG-TS without B-frames and with a key frame a second
comes out, kept in pytest's cache, so that only the first run pays for it. A server is ended by its
process id and never by name.
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import av

SERVER = Path(__file__).with_name("gst_server.py")
PYTHON = "/usr/bin/python3"
PROBE = (
    "import gi; gi.require_version('GstRtspServer', '1.0'); "
    "from gi.repository import Gst, GstRtspServer; Gst.init(None); "
    "import sys; sys.exit(not all(Gst.ElementFactory.find(n) for n in "
    "('multifilesrc', 'tsdemux', 'h264parse', 'valve', 'rtph264pay')))"
)


def is_gst_here() -> bool:
    """Whether the system Python has GStreamer's RTSP server and every element the server uses."""
    if not Path(PYTHON).exists():
        return False
    probe = subprocess.run([PYTHON, "-c", PROBE], capture_output=True, timeout=30, check=False)
    return probe.returncode == 0


def loopable(clip: Path, cache: Path, duration_s: float | None = None) -> Path:
    """Return `clip` as a transport stream that GStreamer can loop.

    Args:
        clip: any video PyAV can read.
        cache: folder of finished streams; a stream made before is used again.
        duration_s: keep only this much; the whole clip by default.

    Returns:
        an MPEG-TS file: H.264, yuv420p, no B-frames, a key frame a second, the clip's own frame
        rate and size.
    """
    stat = clip.stat()
    target = cache / f"{clip.stem}-{stat.st_size}-{int(stat.st_mtime)}-{duration_s or 'all'}.ts"
    if target.exists():
        return target
    unfinished = target.with_suffix(".part")
    with (
        av.open(str(clip), timeout=(10, 10)) as source,
        av.open(str(unfinished), "w", format="mpegts") as sink,
    ):
        video = source.streams.video[0]
        rate = video.average_rate
        assert rate is not None
        options = {"preset": "veryfast", "crf": "23", "bf": "0"}
        coded = sink.add_stream("libx264", rate=rate, options=options)
        coded.width, coded.height, coded.pix_fmt = video.width, video.height, "yuv420p"
        coded.codec_context.gop_size = max(1, round(rate))
        for index, frame in enumerate(source.decode(video)):
            if duration_s is not None and index >= duration_s * rate:
                break
            frame.pts, frame.time_base = index, 1 / rate
            frame.pict_type = av.video.frame.PictureType.NONE
            sink.mux(coded.encode(frame))
        sink.mux(coded.encode(None))
    unfinished.rename(target)
    return target


@dataclass
class GstServer:
    """A running server; a context manager that ends it.

    Attributes:
        mounts: path below the server, such as "/cam0", to the loopable clip behind it.
        user, password: demanded by digest authentication when given.
        port: 0 chooses a free one; kept when the server is started again.
    """

    mounts: Mapping[str, Path]
    user: str = ""
    password: str = field(default="", repr=False)
    port: int = 0
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def url(self, mount: str = "/cam0", *, login: bool = True) -> str:
        """Return the address of a mount, with credentials if there are any and `login` is true."""
        credentials = f"{self.user}:{self.password}@" if self.user and login else ""
        return f"rtsp://{credentials}127.0.0.1:{self.port}{mount}"

    def urls(self) -> list[str]:
        """Return the address of every mount, in order."""
        return [self.url(mount) for mount in self.mounts]

    def start(self) -> None:
        """Start serving; returns when clients can connect."""
        self._process = subprocess.Popen(
            [PYTHON, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdin is not None
        orders = {"port": self.port, "user": self.user, "password": self.password}
        orders["mounts"] = {mount: str(path) for mount, path in self.mounts.items()}
        with self._process.stdin as stdin:
            json.dump(orders, stdin)
        self.port = int(self._expect("ready").split()[1])

    def stop(self) -> None:
        """Kill the server, a hung one too; its sockets close as in a reboot. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait(timeout=10)
        assert process.stdout is not None
        process.stdout.close()

    def toggle_freeze(self) -> bool:
        """Freeze or thaw the pictures, not the sessions; returns whether they are frozen."""
        self._signal(signal.SIGUSR1)
        return self._expect("frozen", "thawed") == "frozen"

    def hang(self) -> None:
        """Stop the whole server without closing a socket (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `hang`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None, "the server is not running"
        self._process.send_signal(number)

    def _expect(self, *words: str) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line.startswith(words), f"expected one of {words}, the server said {line!r}"
        return line

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
