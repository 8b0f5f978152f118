"""One camera in the control process: notes in, windows and motion samples out; never a pixel.

In: the camera's notes (a mailbox the capture side fills). Out: `Window`s for inference,
`MotionSample`s and `RunEnded` for the fan-out. Back-pressure exists only for `fast` sources: they
may run one window ahead. Invariant: every possible window is told to the observer once, every
submitted one is resolved once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from pipeline.mailbox import Mailbox, Outbox
from pipeline.records import EndReason, MotionSample, RunEnded, Timeline, Window, WindowOutcome
from pipeline.windowing import Windowing
from streamer.clock import Clock
from streamer.notes import Ended, FrameNote, FromCapture, Lost, Opened

Signal = MotionSample | RunEnded
"""What a camera tells the fan-out directly."""


class CameraObserver(Protocol):
    """Is told what happens at a camera; metrics and status."""

    def note(self, note: FromCapture) -> None:
        """A note arrived."""
        ...

    def possible_window(self, camera: str, outcome: WindowOutcome, coverage: float) -> None:
        """A window could have been formed; this became of it."""
        ...

    def gate(self, camera: str, *, is_open: bool, media_s: float) -> None:
        """The gate is open or closed at this capture time."""
        ...


class Camera:
    """The stage of one camera.

    Args:
        camera: its id.
        windowing: its window policy.
        inbox: its notes.
        windows: where windows go.
        signals: where motion samples and run ends go.
        clock: time.
        observer: is told everything.
        advance: lets a `fast` source fill its ring up to a sequence number; None for sources that
            do not wait.
        step: frames a `fast` source may run ahead of the last resolved window; the hop.
    """

    def __init__(  # noqa: PLR0913 - the composition root wires it once, all by keyword
        self,
        *,
        camera: str,
        windowing: Windowing,
        inbox: Mailbox[FromCapture],
        windows: Outbox[Window],
        signals: Outbox[Signal],
        clock: Clock,
        observer: CameraObserver,
        advance: Callable[[int], None] | None,
        step: int,
    ) -> None:
        self.camera = camera
        self._windowing = windowing
        self._inbox = inbox
        self._windows = windows
        self._signals = signals
        self._clock = clock
        self._observer = observer
        self._advance = advance
        self._step = step
        self._outstanding: set[int] = set()
        self._is_settled = asyncio.Event()
        self._is_settled.set()
        self._last_seq = -1
        self._has_run = False

    async def run(self) -> None:
        """Digest notes until the camera has ended and all its windows are resolved."""
        reason: EndReason = "shutdown"
        async for note in self._inbox:
            self._observer.note(note)
            self._take(note)
            if isinstance(note, Ended):
                reason = "shutdown" if note.reason == "closed" else "end_of_stream"
                break
        await self._is_settled.wait()
        self._end_run(reason)

    def resolved(self, window_id: int) -> None:
        """A submitted window got its outcome; a `fast` source may go on."""
        self._outstanding.discard(window_id)
        if not self._outstanding:
            self._is_settled.set()
            self._let_advance()

    def _take(self, note: FromCapture) -> None:
        match note:
            case FrameNote():
                self._frame(note)
            case Opened():
                self._let_advance()
            case Lost():
                self._end_run("source_lost")

    def _frame(self, note: FrameNote) -> None:
        if note.reset is not None:
            self._end_run("reset")
        self._has_run = True
        self._last_seq = note.seq
        now = self._clock.now()
        for possible in self._windowing.take(note, now):
            self._observer.possible_window(self.camera, possible.outcome, possible.coverage)
            if possible.window is not None:
                self._outstanding.add(possible.window.window_id)
                self._is_settled.clear()
                self._windows.put(possible.window)
        self._observer.gate(self.camera, is_open=self._windowing.is_gate_open, media_s=note.media_s)
        timeline = Timeline(note.captured_at, note.arrived_at, note.placed_at, now)
        sample = MotionSample(self.camera, note.media_s, note.motion, note.is_motion_warm, timeline)
        self._signals.put(sample)
        self._let_advance()

    def _let_advance(self) -> None:
        """Let a `fast` source go on, but not into the next window while one is unresolved."""
        if self._advance is not None and not self._outstanding:
            self._advance(self._last_seq + self._step)

    def _end_run(self, reason: EndReason) -> None:
        if self._has_run:
            self._has_run = False
            self._signals.put(RunEnded(self.camera, self._windowing.last_media_s, reason))
