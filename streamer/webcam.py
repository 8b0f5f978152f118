"""A V4L2 device: a webcam or capture card of this machine.

In: device file, size and rate to ask for. Out: `Frame`s with the driver's time stamps.
Invariant: a device that is unplugged, busy or absent is one sentence, not a traceback and not a
hang.
"""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from streamer.clock import Clock
from streamer.config import CaptureConfig, WebcamSource
from streamer.decoder import Decoder, Opening
from streamer.errors import SourceLostError, SourceOpenError
from streamer.frame import Frame
from streamer.libav import Subject, open_error
from streamer.source import SourceInfo, SourceStatistics

_V4L2: Final = "v4l2"


class Webcam:
    """One capture device.

    Args:
        config: device, size and rate to ask for.
        capture: limits.
        clock: time.
        stop: ends reading at the next frame.
        format_name: libav's device demuxer; another one (lavfi) stands in where a machine has no
            camera.
    """

    def __init__(
        self,
        config: WebcamSource,
        capture: CaptureConfig,
        clock: Clock,
        stop: threading.Event,
        *,
        format_name: str = _V4L2,
    ) -> None:
        self._config = config
        self._stop = stop
        self._is_device = format_name == _V4L2
        self._subject = Subject(f"webcam {config.device}", is_live=True, is_device=True)
        self._statistics = SourceStatistics()
        opening = Opening(
            url=config.device,
            subject=self._subject,
            options=device_options(config) if self._is_device else {},
            open_s=capture.open_timeout_s / 2,
            read_s=capture.stall_s / 2,
            max_pixels=capture.max_pixels,
            format_name=format_name,
        )
        self._decoder = Decoder(opening, clock, self._statistics)

    def open(self) -> SourceInfo:
        """Open the device; raises `SourceOpenError`."""
        if self._is_device:
            self._check()
        return self._decoder.open()

    def _check(self) -> None:
        device, name = Path(self._config.device), self._subject.name
        try:
            mode = device.stat().st_mode
        except FileNotFoundError:
            raise SourceOpenError("unplugged", f"{name} is not there; {_alternatives()}") from None
        except (OSError, ValueError) as err:
            raise open_error(err, self._subject) from None
        if not stat.S_ISCHR(mode):
            raise SourceOpenError("rejected", f"{name} is no capture device; {_alternatives()}")

    def frames(self) -> Iterator[Frame]:
        """Yield frames until the stop event is set; raises `SourceLostError`."""
        for frame in self._decoder.frames():
            yield frame
            if self._stop.is_set():
                return
        if not self._stop.is_set():
            raise SourceLostError(
                "unplugged", f"{self._subject.name} delivers no more; plug it in again"
            )

    def close(self) -> None:
        """Free the device; idempotent; never raises."""
        self._decoder.close()

    def statistics(self) -> SourceStatistics:
        """Return the running totals."""
        return self._statistics


def device_options(config: WebcamSource) -> dict[str, str]:
    """Return what the driver is asked for, as options of libav; absent values are its choice."""
    options: dict[str, str] = {}
    if config.width is not None and config.height is not None:
        options["video_size"] = f"{config.width}x{config.height}"
    if config.fps is not None:
        options["framerate"] = f"{config.fps:g}"
    return options


def _alternatives() -> str:
    found = sorted(str(path) for path in Path("/dev").glob("video*"))
    if not found:
        return "no camera is connected (no /dev/video*); plug one in, or pass it into the container"
    return f"plug it in or use one of {', '.join(found)}"
