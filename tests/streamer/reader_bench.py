"""A reader with scripted sources, run in the thread of the test."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from streamer.config import ReaderConfig
from streamer.errors import SourceLostError, SourceOpenError
from streamer.frame import Frame
from streamer.notes import Ended, FrameNote, FromCapture, Lost, RingSpec
from streamer.reader import Reader
from tests.conftest import FakeClock
from tests.streamer.scripted import ScriptedSource, picture_frame

LIVE, FILE = "rtsp://cam.test/x", "clip.mp4"
FAST = {"kind": "file", "path": "clip.mp4", "pace": "fast"}


class Bench:
    """A reader with scripted sources, run in the test's own thread."""

    def __init__(
        self,
        ring: RingSpec,
        clock: FakeClock,
        *sessions: Sequence[Frame | SourceLostError | SourceOpenError],
        source: object = FILE,
    ) -> None:
        self.notes: list[FromCapture] = []
        self.sources = [ScriptedSource(s, is_live=source == LIVE) for s in sessions]
        self._left = list(self.sources)
        config = ReaderConfig(camera="door", source=source, size_px=32, analysis_fps=10.0)
        self.reader = Reader(config, ring, self.take, clock, opener=self.open)

    def open(
        self, config: ReaderConfig, clock: object, stop: threading.Event, address: str
    ) -> ScriptedSource:
        return self._left.pop(0)

    def take(self, note: FromCapture) -> None:
        """Remember the note; order the next session after a loss, close after the last."""
        self.notes.append(note)
        if isinstance(note, Lost):
            if self._left:
                self.reader.order_open()
            else:
                self.reader.close()

    def run(self) -> None:
        self.reader.order_open()
        self.reader.run()

    @property
    def frames(self) -> list[FrameNote]:
        return [note for note in self.notes if isinstance(note, FrameNote)]


def pictures(n: int, first: int = 0, **changes: Any) -> list[Frame]:
    return [picture_frame(first + i, is_keyframe=i == 0, **changes) for i in range(n)]


def assert_conserved(bench: Bench) -> None:
    for note in (*bench.frames, bench.notes[-1]):
        assert isinstance(note, FrameNote | Ended)
        counters = note.counters
        assert counters.decoded == counters.used + sum(counters.dropped.values()), note
