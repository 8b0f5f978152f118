"""Network sources that libav reads: RTSP cameras and HTTP (MJPEG, HLS, MP4).

In: one source configuration and the capture limits. Out: `Frame`s. Addresses reach libav only
through the schemes and demuxers named here, so that no address or file can make it open something
else (M21).
Invariant: every open has time-outs for opening and reading; libav's log level is never touched
(DATA.md).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from streamer.clock import Clock
from streamer.config import CaptureConfig, HttpSource, RtspSource
from streamer.decoder import CONTAINERS, Decoder, Opening
from streamer.errors import SourceLostError
from streamer.frame import Frame
from streamer.libav import Subject
from streamer.pace import Pace, Timeline
from streamer.source import SourceInfo, SourceStatistics

# Reading the frame rate off the first frames costs 2 s on each open of a 10 fps camera (M11), and
# 0.1 s of analysis gives the first picture after 0.3 s instead of 1.2 s (1c).
_FAST_PROBE: Final = {"analyzeduration": "100000", "fpsprobesize": "0"}
_RTSP_PROTOCOLS: Final = "rtsp,rtsps,rtp,srtp,udp,tcp,tls"
_HTTP_PROTOCOLS: Final = "http,https,httpproxy,tcp,tls,hls,crypto"
_DEFAULT_FPS: Final = 25.0


class _LibavSource:
    """What the sources below share: one decoder, used once.

    Args:
        opening: how libav opens it.
        clock: time.
        stop: ends waits and reading.
    """

    def __init__(self, opening: Opening, clock: Clock, stop: threading.Event) -> None:
        self._opening = opening
        self._clock = clock
        self._stop = stop
        self._statistics = SourceStatistics()
        self._decoder = Decoder(opening, clock, self._statistics)

    def open(self) -> SourceInfo:
        """Connect and find the video stream; raises `SourceOpenError`."""
        return self._decoder.open()

    def close(self) -> None:
        """Free everything; idempotent; never raises."""
        self._decoder.close()

    def statistics(self) -> SourceStatistics:
        """Return the running totals."""
        return self._statistics

    def _live_frames(self) -> Iterator[Frame]:
        for frame in self._decoder.frames():
            yield frame
            if self._stop.is_set():
                return
        if not self._stop.is_set():
            # A server that is killed shows up as a regular end of the stream (1b).
            raise SourceLostError(
                "error", f"{self._opening.subject.name} ended the stream; it may be restarting"
            )


class RtspVideo(_LibavSource):
    """A camera that speaks RTSP.

    Args:
        config: address and transport.
        capture: limits.
        clock: time.
        stop: ends reading at the next frame or time-out.
        address: IP address to connect to instead of the host name; unused with rtsps://, where the
            certificate is for the name.
    """

    def __init__(
        self,
        config: RtspSource,
        capture: CaptureConfig,
        clock: Clock,
        stop: threading.Event,
        address: str = "",
    ) -> None:
        is_tls = config.url.scheme == "rtsps"
        clear = config.url.reveal()
        options = {
            **_FAST_PROBE,
            "rtsp_transport": config.transport,
            # Sound and metadata would only cost the camera's bandwidth.
            "allowed_media_types": "video",
            # A second guard on the socket itself, in microseconds; `stimeout` would be silently
            # ignored (M2).
            "timeout": str(round(capture.open_timeout_s * 1_000_000)),
            "protocol_whitelist": _RTSP_PROTOCOLS,
        }
        url = clear if is_tls or not address else with_host(clear, address)
        opening = _live_opening(
            url, Subject(f"camera {config.url}", True, is_tls), options, capture
        )
        super().__init__(replace(opening, is_held_back=True), clock, stop)

    def frames(self) -> Iterator[Frame]:
        """Yield frames until the stop event is set; raises `SourceLostError`."""
        return self._live_frames()


class HttpVideo(_LibavSource):
    """MJPEG, HLS or a video file over HTTP; live unless the server announces a length.

    The name is looked up again by libav: redirects and HLS segments need it in every request.

    Args:
        config: address.
        capture: limits.
        clock: time.
        stop: ends reading at the next frame or time-out.
    """

    def __init__(
        self, config: HttpSource, capture: CaptureConfig, clock: Clock, stop: threading.Event
    ) -> None:
        options = {
            **_FAST_PROBE,
            # Begin at the newest segment: the default of three back only adds their length to the
            # latency.
            "live_start_index": "-1",
            "protocol_whitelist": _HTTP_PROTOCOLS,
            "format_whitelist": f"{CONTAINERS},hls,aac,mp3,webvtt",
        }
        is_tls = config.url.scheme == "https"
        subject = Subject(f"stream {config.url}", True, is_tls)
        super().__init__(_live_opening(config.url.reveal(), subject, options, capture), clock, stop)
        self._is_live = True
        self._fps = _DEFAULT_FPS

    def open(self) -> SourceInfo:
        """Connect and find the video stream; raises `SourceOpenError`."""
        info = super().open()
        self._is_live = self._decoder.duration_s is None
        self._fps = info.fps or _DEFAULT_FPS
        return replace(info, is_live=self._is_live)

    def frames(self) -> Iterator[Frame]:
        """Yield frames until a file ends or the stop event is set; raises `SourceLostError`."""
        if self._is_live:
            return self._live_frames()
        frames = Timeline(self._fps).follow(self._decoder.frames())
        return Pace(self._clock, self._stop).deliver(frames)


def with_host(url: str, address: str) -> str:
    """Return `url` with its host replaced by the IP address, user part, port and path unchanged."""
    scheme, separator, rest = url.partition("://")
    authority, tail = re.fullmatch(r"((?:[^/?#]*@)?[^/?#]*)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
    user, at, host_port = authority.rpartition("@")
    port = re.search(r":\d*$", host_port)
    host = f"[{address}]" if ":" in address else address
    return f"{scheme}{separator}{user}{at}{host}{port.group(0) if port else ''}{tail}"


def _live_opening(
    url: str, subject: Subject, options: dict[str, str], capture: CaptureConfig
) -> Opening:
    # Two phases share the time to open; a read time-out fires at twice its value (0 B).
    return Opening(
        url=url,
        subject=subject,
        options=options,
        open_s=capture.open_timeout_s / 2,
        read_s=capture.stall_s / 2,
        max_pixels=capture.max_pixels,
    )
