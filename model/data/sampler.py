"""Pieces of video files as a live camera would have delivered them to the model.

In: a file, a begin in seconds and a number of frames. Through: streamer's decoder, integrity gate,
time mapping, resampler and preprocessing, as in a capture process. Out: pictures on the even grid.
Invariant: the pictures are those that a capture process puts into its ring when the stream begins
at that time, byte for byte; what cannot be had is a `DataError` with file and time, and never
another picture.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from model.data.batch import Clips
from model.errors import DataError
from streamer.clock import SystemClock
from streamer.config import CaptureConfig, FileSource
from streamer.errors import SourceLostError, SourceOpenError
from streamer.file import FileVideo
from streamer.frame import Frame, Picture
from streamer.integrity import FrameGate
from streamer.preprocess import preprocess
from streamer.resample import Resampler
from streamer.timestamp import TimestampMapper

# Times in label files and in containers are rounded.
_EPSILON_S: Final = 1e-3
# Decoding so little costs less than looking for a key frame and being wrong.
_SEEK_FROM_S: Final = 1.0

END_SLACK_S: Final = 0.5
"""A segment may say that it ends so much later than its video does: lists round, and sound may be
longer than the pictures."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How videos are sampled; the same values as in the live pipeline.

    Attributes:
        fps: frames a second of the even grid.
        size_px: side of the square pictures.
        gap_s: a longer time between two frames begins a new run.
    """

    fps: float = 10.0
    size_px: int = 112
    gap_s: float = 1.0


class Sampled(NamedTuple):
    """A piece of a video on the even grid.

    Attributes:
        pictures: uint8 (n, S, S, 3), RGB.
        times_s: float64 (n,), seconds from the video's first picture.
        runs: int64 (n,), which unbroken run each belongs to; windows never span two.
    """

    pictures: Clips
    times_s: npt.NDArray[np.float64]
    runs: npt.NDArray[np.int64]


class _Place(NamedTuple):
    """One place of the grid."""

    square: Picture
    time_s: float
    run: int


class _UnfitSeekError(Exception):
    """The key frame that was found does not serve; read from the beginning."""


def sample(
    path: Path, sampling: Sampling, start_s: float = 0.0, n_frames: int | None = None
) -> Sampled:
    """Sample a piece of a video.

    Args:
        path: the file.
        sampling: rate and size.
        start_s: the grid begins with the first picture at or after this time, counted from the
            video's first picture.
        n_frames: places of the grid; to the end where absent.

    Returns:
        the pictures; fewer than asked where the video ends before.

    Raises:
        DataError: the file cannot be opened, or is damaged within or shortly before the piece.
    """
    if start_s > _SEEK_FROM_S:
        try:
            return _gathered(path, sampling, start_s, n_frames, is_sought=True)
        except _UnfitSeekError:
            pass
    return _gathered(path, sampling, start_s, n_frames, is_sought=False)


def window(path: Path, sampling: Sampling, start_s: float, n_frames: int) -> Clips:
    """Return the window that begins at a time, uint8 (n_frames, S, S, 3).

    Raises:
        DataError: as `sample`; or the video ends before the window does, or has a gap in it.
    """
    found = sample(path, sampling, start_s, n_frames)
    n_found = len(found.pictures)
    if n_found < n_frames:
        raise DataError(
            f"{path}: ends {n_found / sampling.fps:.1f} s after {start_s:.1f} s, a window needs "
            f"{n_frames / sampling.fps:.1f} s; correct the segment"
        )
    _refuse_gap(path, found)
    return found.pictures


def window_ending(path: Path, sampling: Sampling, end_s: float, n_frames: int) -> Clips:
    """Return the window that ends at a time, as the live pipeline has it at that time.

    Where the video begins less than a window before `end_s`, its first picture is held still for
    the rest; an end up to `END_SLACK_S` behind the last picture is moved to it.

    Returns:
        uint8 (n_frames, S, S, 3).

    Raises:
        DataError: as `window`.
    """
    wanted_s = end_s - (n_frames - 1) / sampling.fps
    first_s, n_wanted = max(wanted_s, 0.0), n_frames
    if wanted_s < 0:
        n_wanted = max(n_frames - math.ceil(-wanted_s * sampling.fps - _EPSILON_S), 1)
    found = sample(path, sampling, first_s, n_wanted)
    n_late = n_wanted - len(found.pictures)
    if n_late > END_SLACK_S * sampling.fps + 1:
        raise DataError(
            f"{path}: ends {n_late / sampling.fps:.1f} s before {end_s:.1f} s, where a window is "
            "asked for; correct the segment"
        )
    if n_late and first_s > 0:
        first_s = max(first_s - n_late / sampling.fps, 0.0)
        found = sample(path, sampling, first_s, n_wanted)
    _refuse_gap(path, found)
    lead = np.repeat(found.pictures[:1], n_frames - len(found.pictures), axis=0)
    return np.concatenate([lead, found.pictures])


def length_s(path: Path, sampling: Sampling) -> float:
    """Return a video's length in seconds: as announced, or as found where nothing is announced.

    Raises:
        DataError: as `sample`.
    """
    source = _source(path)
    try:
        source.open()
        announced_s = source.duration_s
    except SourceOpenError as err:
        raise DataError(str(err)) from err
    finally:
        source.close()
    if announced_s is not None:
        return announced_s
    # Raw streams announce nothing.
    return float(sample(path, sampling).times_s[-1])


def _refuse_gap(path: Path, found: Sampled) -> None:
    if found.runs[0] != found.runs[-1]:
        at_s = found.times_s[np.argmax(found.runs != found.runs[0])]
        raise DataError(
            f"{path}: has a gap or a jump of its clock before {at_s:.1f} s, within a window; "
            "let segments end and begin there"
        )


def _source(path: Path) -> FileVideo:
    config = FileSource(path=path, pace="fast")
    return FileVideo(config, CaptureConfig(), SystemClock(), threading.Event())


def _gathered(
    path: Path, sampling: Sampling, start_s: float, n_frames: int | None, *, is_sought: bool
) -> Sampled:
    places: list[_Place] = []
    reading = _Reading(path, sampling, start_s, is_sought=is_sought)
    try:
        for place in reading.places():
            places.append(place)
            if n_frames is not None and len(places) >= n_frames:
                break
    except (SourceOpenError, SourceLostError) as err:
        raise DataError(str(err)) from err
    finally:
        reading.close()
    side = sampling.size_px
    pictures = np.empty((len(places), side, side, 3), np.uint8)
    for room, place in zip(pictures, places, strict=True):
        room[:] = place.square
    times = np.array([place.time_s for place in places], np.float64)
    return Sampled(pictures, times, np.array([place.run for place in places], np.int64))


class _Reading:
    """One pass over a file; the same steps as `streamer.session.Session`, without ring and notes.

    Args:
        path: the file.
        sampling: rate and size.
        start_s: see `sample`.
        is_sought: begin at a key frame before it.
    """

    def __init__(self, path: Path, sampling: Sampling, start_s: float, *, is_sought: bool) -> None:
        self._path = path
        self._sampling = sampling
        self._start_s = start_s
        self._is_sought = is_sought
        self._source = _source(path)
        self._mapper = TimestampMapper(is_paced=False)
        self._resampler = Resampler(sampling.fps, sampling.gap_s)
        self._run = -1
        self._run_start_s = 0.0
        self._n_in_run = 0
        self._square: Picture | None = None
        self._origin_s: float | None = None
        self._is_begun = False
        self._is_whole = True
        self._n_damaged = 0

    def close(self) -> None:
        """Free the decoder."""
        self._source.close()

    def places(self) -> Iterator[_Place]:
        """Yield the places of the grid."""
        info = self._source.open()
        gate = FrameGate((info.width, info.height))
        self._find()
        at_s = 0.0
        for frame in self._source.frames():
            at_s = self._time_s(frame)
            is_hurt = self._is_hurt(frame)
            # Damage is forgotten after a second of the video, not of the reading.
            verdict = gate.check(replace(frame, arrived_at=at_s))
            is_before = at_s < self._start_s - _EPSILON_S
            is_hurt |= verdict.is_degraded or verdict.drop in ("corrupt", "off_size")
            if is_hurt and not is_before:
                raise self._damage(at_s)
            if verdict.drop is None:
                yield from self._take(frame, is_before=is_before, is_resized=verdict.is_resized)
        if self._source.statistics().n_damaged > self._n_damaged:
            raise self._damage(at_s)

    def _is_hurt(self, frame: Frame) -> bool:
        """Tell whether something was damaged since the last key frame."""
        n_damaged = self._source.statistics().n_damaged
        is_new = n_damaged > self._n_damaged
        self._n_damaged = n_damaged
        self._is_whole = not is_new and (self._is_whole or frame.is_keyframe)
        return not self._is_whole

    def _find(self) -> None:
        self._origin_s = self._source.start_s
        if not self._is_sought:
            return
        if self._origin_s is None or not self._source.seek(self._origin_s + self._start_s):
            raise _UnfitSeekError

    def _time_s(self, frame: Frame) -> float:
        """Return the time of a frame from the video's first picture."""
        pts_s = frame.pts_s or 0.0
        if self._origin_s is None:
            self._origin_s = pts_s
        at_s = pts_s - self._origin_s
        if self._is_sought and not self._is_begun and at_s > self._start_s + _EPSILON_S:
            raise _UnfitSeekError
        self._is_begun = True
        return at_s

    def _take(self, frame: Frame, *, is_before: bool, is_resized: bool) -> Iterator[_Place]:
        stamp = self._mapper.map(frame.pts_s, frame.arrived_at)
        if is_before:
            return
        if is_resized or stamp.is_discontinuity:
            self._resampler.reset()
            self._square = None
        if stamp.is_suspect and self._square is not None:
            return
        placement = self._resampler.offer(stamp.media_s)
        n_held, n_new = placement.n_held, placement.n_new
        if placement.gap or self._square is None:
            n_held, n_new = 0, 1
            self._run += 1
            self._run_start_s, self._n_in_run = stamp.media_s - (self._origin_s or 0.0), 0
        for _ in range(n_held):
            yield self._place()
        if n_new:
            side = self._sampling.size_px
            self._square = np.empty((side, side, 3), np.uint8)
            preprocess(frame.picture(), self._square, frame.rotation_deg)
        for _ in range(n_new):
            yield self._place()

    def _place(self) -> _Place:
        time_s = self._run_start_s + self._n_in_run / self._sampling.fps
        self._n_in_run += 1
        assert self._square is not None  # noqa: S101 - a run begins with a picture
        return _Place(self._square, time_s, self._run)

    def _damage(self, at_s: float) -> Exception:
        if self._is_sought:
            # Perhaps only the key frame was not one to begin with.
            return _UnfitSeekError()
        return DataError(
            f"{self._path}: cannot be decoded at {at_s:.1f} s; leave that part out, or encode the "
            "file again"
        )
