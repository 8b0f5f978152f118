"""Chooses the source class for a configuration.

In: one validated source configuration, limits, clock and stop event. Out: a `Source` that is not
open yet.
Invariant: nothing connects, reads or loads libav here before a source of that kind is asked for.
"""

from __future__ import annotations

import threading

from streamer.clock import Clock
from streamer.config import (
    AnySource,
    CaptureConfig,
    FileSource,
    HttpSource,
    RtspSource,
    SyntheticSource,
    WebcamSource,
)
from streamer.source import Source


def open_source(
    config: AnySource,
    capture: CaptureConfig,
    clock: Clock,
    stop: threading.Event,
    address: str = "",
) -> Source:
    """Return the source that `config` names; its `open()` connects.

    Args:
        config: what to open.
        capture: limits.
        clock: time.
        stop: ends waits and reading of this source when set.
        address: IP address already resolved for the host name of `config`; only RTSP uses it.
    """
    if isinstance(config, SyntheticSource):
        # Rendering needs no libav and libav sources need no renderer.
        from streamer.synthetic import SyntheticSourceReader

        return SyntheticSourceReader(config, clock, stop)
    if isinstance(config, WebcamSource):
        from streamer.webcam import Webcam

        return Webcam(config, capture, clock, stop)
    return _open_video(config, capture, clock, stop, address)


def _open_video(
    config: RtspSource | HttpSource | FileSource,
    capture: CaptureConfig,
    clock: Clock,
    stop: threading.Event,
    address: str,
) -> Source:
    from streamer.file import FileVideo
    from streamer.video import HttpVideo, RtspVideo

    match config:
        case RtspSource():
            return RtspVideo(config, capture, clock, stop, address)
        case HttpSource():
            return HttpVideo(config, capture, clock, stop)
        case FileSource():
            return FileVideo(config, capture, clock, stop)
