"""What decoding a video once from begin to end tells about it.

In: a file. Out: `VideoFacts`: size, rate, true length, damage and gaps with their times, a digest
of its bytes and a fingerprint of its pictures. Every picture is decoded, one a second is looked at.
Invariant: nothing about a file makes this raise; what is wrong with it is among the facts.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from streamer.clock import SystemClock
from streamer.config import CaptureConfig, FileSource
from streamer.errors import SourceLostError, SourceOpenError
from streamer.file import FileVideo
from streamer.frame import Frame
from streamer.source import SourceInfo

GAP_S: Final = 1.0
"""A longer time between two pictures is a gap, as in the live pipeline."""

MARKS_PX: Final = 16
"""Side of the small grey pictures of a fingerprint."""

_MAX_TIMES: Final = 20
_MAX_MARKS: Final = 3600

Marks = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What a video turned out to be.

    Attributes:
        problem: why nothing could be decoded; empty where something could.
        n_bytes: size of the file.
        digest: SHA-256 of its bytes; empty where it cannot be read.
        codec: short name.
        width: pixels of the first picture, as stored.
        height: pixels.
        n_frames: decoded pictures.
        fps: pictures a second, from their times.
        length_s: from the first picture to the end of the last one.
        announced_s: length that the container states; None where it states none.
        damaged_s: times of damage, the first 20.
        n_damaged: how many pictures or packets are damaged.
        gaps_s: times before which there is a gap or the clock jumps back, the first 20.
        marks: uint8 (n, 16, 16), small grey pictures, one a second.
    """

    problem: str = ""
    n_bytes: int = 0
    digest: str = ""
    codec: str = ""
    width: int = 0
    height: int = 0
    n_frames: int = 0
    fps: float = 0.0
    length_s: float = 0.0
    announced_s: float | None = None
    damaged_s: tuple[float, ...] = ()
    n_damaged: int = 0
    gaps_s: tuple[float, ...] = ()
    marks: Marks = field(default_factory=lambda: np.empty((0, MARKS_PX, MARKS_PX), np.uint8))


def find_facts(path: Path) -> VideoFacts:
    """Decode a video and return what was found; takes as long as decoding all of it does."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        n_bytes = path.stat().st_size
    except OSError as err:
        return VideoFacts(problem=f"{err.strerror}; copy or record it again")
    source = FileVideo(
        FileSource(path=path, pace="fast"), CaptureConfig(), SystemClock(), threading.Event()
    )
    survey = _Survey()
    info, problem, announced_s = SourceInfo("", 0, 0, 0.0, False), "", None
    try:
        info = source.open()
        announced_s = source.duration_s
        for frame in source.frames():
            survey.see(frame, source.statistics().n_damaged)
    except (SourceOpenError, SourceLostError) as err:
        problem = str(err).removeprefix(f"file {path} ")
    finally:
        source.close()
    survey.end(source.statistics().n_damaged)
    return VideoFacts(
        problem=problem,
        n_bytes=n_bytes,
        digest=digest,
        codec=info.codec,
        width=survey.size[0],
        height=survey.size[1],
        n_frames=survey.n_frames,
        fps=survey.fps,
        length_s=survey.length_s,
        announced_s=announced_s,
        damaged_s=tuple(survey.damaged_s[:_MAX_TIMES]),
        n_damaged=survey.n_damaged,
        gaps_s=tuple(survey.gaps_s[:_MAX_TIMES]),
        marks=np.array(survey.marks, np.uint8).reshape(-1, MARKS_PX, MARKS_PX),
    )


class _Survey:
    """What has been seen of one video."""

    def __init__(self) -> None:
        self.n_frames = 0
        self.size = (0, 0)
        self.damaged_s: list[float] = []
        self.n_damaged = 0
        self.gaps_s: list[float] = []
        self.marks: list[Marks] = []
        self._first_s = 0.0
        self._last_s = 0.0
        self._n_steps, self._steps_s = 0, 0.0
        self._n_errors = 0

    def see(self, frame: Frame, n_errors: int) -> None:
        """Take in the next picture and the decoder's count of errors."""
        pts_s = frame.pts_s or 0.0
        if not self.n_frames:
            self._first_s, self.size = pts_s, (frame.width, frame.height)
        at_s = pts_s - self._first_s
        if self.n_frames:
            self._step(at_s)
        # Errors before the first picture are damage of a file too.
        self._damage(at_s, n_errors - self._n_errors + frame.is_corrupt)
        self._n_errors, self._last_s = n_errors, at_s
        self.n_frames += 1
        if at_s >= len(self.marks) and len(self.marks) < _MAX_MARKS:
            self.marks.append(_mark(frame))

    def end(self, n_errors: int) -> None:
        """Take in what was counted after the last picture."""
        self._damage(self._last_s, n_errors - self._n_errors)

    @property
    def fps(self) -> float:
        """Pictures a second between the gaps."""
        return self._n_steps / self._steps_s if self._steps_s > 0 else 0.0

    @property
    def length_s(self) -> float:
        """From the first picture to the end of the last one."""
        return self._last_s + (1 / self.fps if self.fps else 0.0)

    def _step(self, at_s: float) -> None:
        step_s = at_s - self._last_s
        if step_s > GAP_S:
            self.gaps_s.append(at_s)
        else:
            self._n_steps += 1
            self._steps_s += step_s

    def _damage(self, at_s: float, n_new: int) -> None:
        if n_new > 0:
            self.n_damaged += n_new
            self.damaged_s.append(at_s)


def _mark(frame: Frame) -> Marks:
    small = cv2.resize(frame.picture(), (MARKS_PX, MARKS_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)


def is_same_content(one: VideoFacts, other: VideoFacts) -> bool:
    """Tell whether two videos show the same, whatever their size and compression.

    Two different takes of one room differ at the place of the person; two copies do nowhere.
    """
    return (
        abs(one.length_s - other.length_s) <= _SAME_LENGTH_S
        and len(one.marks) > 0
        and abs(len(one.marks) - len(other.marks)) <= 1
        and all(
            np.abs(a.astype(np.int16) - b).max() <= _SAME_LEVELS
            for a, b in zip(one.marks, other.marks, strict=False)
        )
    )


# Copies of six clips, made smaller, coded at crf 23 to 38 and with times that drift by a frame,
# differed by up to 36 of 255 somewhere; of 23 clips any two by 128 and more.
_SAME_LEVELS: Final = 40
_SAME_LENGTH_S: Final = 0.3


def pairs_of_same_content(facts: dict[str, VideoFacts]) -> list[tuple[str, str]]:
    """Return the pairs of names whose videos show the same though their bytes differ."""
    # Sorted by length, only neighbours can be the same.
    usable = (name for name, found in facts.items() if len(found.marks))
    names = sorted(usable, key=lambda name: (facts[name].length_s, name))
    found = []
    for at, name in enumerate(names):
        for other in names[at + 1 :]:
            if facts[other].length_s - facts[name].length_s > _SAME_LENGTH_S:
                break
            is_copy = facts[name].digest == facts[other].digest
            if not is_copy and is_same_content(facts[name], facts[other]):
                found.append((name, other))
    return found
