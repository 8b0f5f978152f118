"""From decoded frames to the ring, between one open of a source and its loss.

In: the frames of one session. Through: integrity gate -> time mapping -> resample -> preprocess ->
ring -> motion gate. Out: one `FrameNote` an analysed frame, and the states of the content.
Invariant: decoded = used + sum(dropped by reason), at every note.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from streamer.clock import Clock
from streamer.config import ReaderConfig
from streamer.frame import Frame, Picture
from streamer.integrity import FrameGate, PictureHealth
from streamer.motion import Motion, MotionGate
from streamer.notes import (
    CameraState,
    Counters,
    FrameNote,
    FromCapture,
    ResetReason,
    StateNote,
)
from streamer.preprocess import preprocess, small_luma
from streamer.resample import Placement, Resampler
from streamer.ring import RingWriter
from streamer.source import Source, SourceInfo
from streamer.timestamp import Stamp, TimestampMapper

# Side of the luma picture that is compared for frozen and black; fine enough to see sensor noise.
_HEALTH_PX = 64


@dataclass(slots=True)
class Tally:
    """Mutable counters of one reader; `counters` makes the record."""

    decoded: int = 0
    used: int = 0
    held: int = 0
    duplicates: int = 0
    decode_errors: int = 0
    bytes: int = 0
    decode_cpu_s: float = 0.0
    dropped: Counter[str] = field(default_factory=Counter)


class Host(Protocol):
    """What a session needs of its reader."""

    config: ReaderConfig
    clock: Clock
    tally: Tally
    analysis_fps: float
    last_run: int
    is_fast: bool

    def send(self, note: FromCapture) -> None:
        """Send a note to the control process."""

    def publish(self) -> Counters:
        """Let other threads see the counts, and return them."""

    def begin_run(self) -> int:
        """Return the number of a new unbroken run."""

    def may_place(self, seq: int) -> bool:
        """Wait until `seq` may be placed; False when the reader was closed meanwhile."""

    @property
    def is_closed(self) -> bool:
        """The end was asked for."""


class Session:
    """The state between one open and the next loss: clocks, grid, background, run."""

    def __init__(self, reader: Host, ring: RingWriter, info: SourceInfo) -> None:
        config = reader.config
        self._reader = reader
        self._ring = ring
        self._config = config
        self._tally = reader.tally
        self._gate = FrameGate((info.width, info.height))
        self._mapper = TimestampMapper(is_paced=info.is_paced)
        self._fps = reader.analysis_fps
        self._resampler = Resampler(self._fps, config.gap_s)
        self._motion = MotionGate(config.motion, self._fps)
        self._health = PictureHealth(config.capture.frozen_s, config.capture.black_s)
        self._run = reader.last_run
        self._state = "ok"
        self._seen = Motion(score=0.0, is_warm=False, is_lightning=False)
        self._decode_s = 0.0
        self._last_arrived_at: float | None = None
        # The first run of a camera "starts"; every later session begins with a reconnect.
        self._reset: ResetReason | None = "start" if reader.last_run < 0 else "reconnect"

    def read(self, source: Source) -> None:
        """Take every frame of an open source until it ends, is lost, or the reader is closed."""
        for frame in source.frames():
            self._take(frame)
            self._reader.publish()
            if self._reader.is_closed:
                return

    def _take(self, frame: Frame) -> None:
        self._tally.decoded += 1
        self._decode_s += frame.decode_s
        verdict = self._gate.check(frame)
        if verdict.drop is not None:
            self._tally.dropped[verdict.drop] += 1
            return
        stamp = self._mapper.map(frame.pts_s, frame.received_at or frame.arrived_at)
        if verdict.is_resized:
            self._begin("resolution")
        elif stamp.is_discontinuity:
            self._begin("discontinuity")
        if stamp.is_suspect and self._reset is None:
            # It may be the first one after a jump, and then it is no part of this run.
            self._tally.dropped["discontinuity"] += 1
            return
        if self._reader.analysis_fps != self._fps:
            self._change_rate(self._reader.analysis_fps)
        placement = self._resampler.offer(stamp.media_s)
        if placement.gap:
            self._begin("gap")
        if placement.n_new + placement.n_held > 0:
            self._place(frame, stamp, placement, is_degraded=verdict.is_degraded)
        else:
            self._tally.dropped["rate_limit"] += 1
        self._last_arrived_at = frame.arrived_at

    def _begin(self, reason: ResetReason) -> None:
        """Begin a new run with the current frame; the first reason given for it stands."""
        self._reset = self._reset or reason
        if reason != "gap":
            self._resampler.reset()

    def _change_rate(self, fps: float) -> None:
        """Begin a new grid with the current frame: places of two rates make no window."""
        self._fps = fps
        self._resampler = Resampler(fps, self._config.gap_s)
        self._motion = MotionGate(self._config.motion, fps)
        self._begin("config")

    def _place(
        self, frame: Frame, stamp: Stamp, placement: Placement, *, is_degraded: bool
    ) -> None:
        reset, n_held, n_new = self._reset, placement.n_held, placement.n_new
        if reset is not None:
            self._run = self._reader.begin_run()
            self._motion.reset()
            n_held, n_new, self._reset = 0, 1, None
        if not self._reader.may_place(self._ring.next_seq):
            self._tally.dropped["shutdown"] += 1
            return
        began_at = self._reader.clock.now()
        for _ in range(n_held):
            self._ring.hold()
        square = self._write(frame, n_new)
        placed_at = self._reader.clock.now()
        if square is not None:
            self._look(square, stamp.media_s)
        self._tally.held += n_held + max(n_new - 1, 0)
        self._reader.send(
            FrameNote(
                camera=self._config.camera,
                seq=self._ring.next_seq - 1,
                n_places=n_held + n_new,
                n_held=n_held + max(n_new - 1, 0),
                run=self._run,
                reset=reset,
                media_s=stamp.media_s,
                captured_at=stamp.captured_at,
                arrived_at=frame.arrived_at,
                placed_at=placed_at,
                decode_s=self._decode_s,
                preprocess_s=placed_at - began_at,
                gate_s=self._reader.clock.now() - placed_at,
                motion=self._seen.score,
                is_motion_warm=self._seen.is_warm,
                is_degraded=is_degraded,
                interval_s=frame.arrived_at - (self._last_arrived_at or frame.arrived_at),
                counters=self._reader.publish(),
            )
        )
        self._decode_s = 0.0

    def _write(self, frame: Frame, n_places: int) -> Picture | None:
        """Put the frame into the next n places; return its square picture, None without a place."""
        if n_places == 0:
            # Both grid points were nearer to the previous frame: only that one is repeated.
            self._tally.dropped["rate_limit"] += 1
            return None
        square = self._ring.reserve()
        preprocess(frame.picture(), square, frame.rotation_deg)
        self._ring.commit()
        for _ in range(n_places - 1):
            self._ring.hold()
        self._tally.used += 1
        return square

    def _look(self, square: Picture, media_s: float) -> None:
        """Score the motion and judge the health of a square picture."""
        self._seen = self._motion.score(square, media_s)
        health = self._health.observe(small_luma(square, _HEALTH_PX), self._reader.clock.now())
        self._tally.duplicates += self._health.is_repeat
        if health != self._state and not self._reader.is_fast:
            self._state = health
            state: CameraState = "running" if health == "ok" else health
            self._reader.send(StateNote(camera=self._config.camera, state=state))
