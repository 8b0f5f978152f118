"""A local video file, in real time as a camera would deliver it, or as fast as it is taken.

In: path, loop and pace. Out: `Frame`s with rising times. Only regular files are opened, and only as
video containers that cannot name other files (M21).
Invariant: nothing here waits for longer than the stop event or libav's time-outs allow.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from streamer.clock import Clock
from streamer.config import CaptureConfig, FileSource
from streamer.decoder import CONTAINERS, Decoder, Opening
from streamer.errors import SourceLostError, SourceOpenError
from streamer.frame import Frame
from streamer.libav import Subject, open_error
from streamer.pace import Pace, Timeline
from streamer.source import SourceInfo, SourceStatistics

_DEFAULT_FPS: Final = 25.0


class FileVideo:
    """One video file.

    Args:
        config: path, loop and pace.
        capture: limits.
        clock: time.
        stop: ends waiting and reading.
    """

    def __init__(
        self, config: FileSource, capture: CaptureConfig, clock: Clock, stop: threading.Event
    ) -> None:
        self._path = config.path
        self._is_loop = config.loop
        self._is_paced = config.pace == "realtime"
        self._subject = Subject(f"file {config.path}", is_live=False)
        self._stop = stop
        self._clock = clock
        self._statistics = SourceStatistics()
        opening = Opening(
            # With its own scheme, names such as "a:b.mp4" cannot be taken for another one.
            url=f"file:{config.path.absolute()}",
            subject=self._subject,
            options={"protocol_whitelist": "file", "format_whitelist": CONTAINERS},
            open_s=capture.open_timeout_s,
            read_s=capture.open_timeout_s,
            max_pixels=capture.max_pixels,
        )
        self._decoder = Decoder(opening, clock, self._statistics)
        self._fps = _DEFAULT_FPS

    def open(self) -> SourceInfo:
        """Check and open the file; raises `SourceOpenError`."""
        self._check()
        info = self._decoder.open()
        self._fps = info.fps or _DEFAULT_FPS
        return replace(info, is_paced=self._is_paced)

    def _check(self) -> None:
        """Refuse what is no readable, regular, non-empty file; never waits for a pipe's writer."""
        name = self._subject.name
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as err:
            raise open_error(err, self._subject) from None
        try:
            status = os.fstat(handle)
        finally:
            os.close(handle)
        if stat.S_ISDIR(status.st_mode):
            raise SourceOpenError("rejected", f"{name} is a folder; name a video file in it")
        if not stat.S_ISREG(status.st_mode):
            raise SourceOpenError(
                "rejected", f"{name} is no regular file; copy it to one, or use /dev/videoN"
            )
        if status.st_size == 0:
            raise SourceOpenError("codec", f"{name} is empty; copy or record it again")

    @property
    def duration_s(self) -> float | None:
        """Return the announced length in seconds; None where there is none."""
        return self._decoder.duration_s

    @property
    def start_s(self) -> float | None:
        """Return the time of the first picture as the file states it; None where it does not."""
        return self._decoder.start_s

    def seek(self, at_s: float) -> bool:
        """Let `frames` begin at a key frame at or before `at_s`; see `Decoder.seek`."""
        return self._decoder.seek(at_s)

    def frames(self) -> Iterator[Frame]:
        """Yield frames until the file has ended (never, when looping) or the stop event is set.

        Presentation times go on rising over the seam of a loop, one frame interval a frame.

        Raises:
            SourceLostError: reading failed, or no picture could be decoded.
        """
        frames = self._passes()
        return Pace(self._clock, self._stop).deliver(frames) if self._is_paced else frames

    def _passes(self) -> Iterator[Frame]:
        timeline = Timeline(self._fps)
        n_frames = 0
        while True:
            n_before = n_frames
            for frame in timeline.follow(self._decoder.frames(n_frames)):
                n_frames += 1
                yield frame
                if self._stop.is_set():
                    return
            if n_frames == n_before:
                n_errors = self._statistics.decode_errors
                detail = (
                    f"{n_errors} damaged or encrypted packets" if n_errors else "it holds no data"
                )
                raise SourceLostError(
                    "codec",
                    f"{self._subject.name} has no picture that can be decoded: {detail}",
                )
            if not self._is_loop:
                return
            timeline.begin_pass()
            self._reopen()

    def _reopen(self) -> None:
        # Opening again (1 to 5 ms) works for every format; seeking to the start does not (raw
        # H.264, some AVI).
        self._decoder.close()
        try:
            self._decoder.open()
        except SourceOpenError as err:
            raise SourceLostError(err.kind, str(err)) from err

    def close(self) -> None:
        """Free everything; idempotent; never raises."""
        self._decoder.close()

    def statistics(self) -> SourceStatistics:
        """Return the running totals."""
        return self._statistics
