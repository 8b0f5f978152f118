"""One camera's blocking read loop inside a capture process.

In: an order to open. Through: source -> integrity gate -> time mapping -> resample -> preprocess ->
ring -> motion gate. Out: one `FrameNote` an analysed frame, `Opened`, `Lost`, `Ended` and content
states. Runs as one thread named `reader:<camera>`; several may share a process. Invariant: decoded
= used + sum(dropped by reason), at every note.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from streamer.clock import Clock
from streamer.config import FileSource, ReaderConfig, SyntheticSource
from streamer.errors import SourceLostError, SourceOpenError
from streamer.frame import Frame, Picture
from streamer.integrity import FrameGate, PictureHealth
from streamer.motion import Motion, MotionGate
from streamer.notes import (
    CameraState,
    Counters,
    Ended,
    FrameNote,
    FromCapture,
    Lost,
    Opened,
    ResetReason,
    RingSpec,
    StateNote,
)
from streamer.opener import open_source
from streamer.preprocess import preprocess, small_luma
from streamer.redact import redact
from streamer.resample import Placement, Resampler
from streamer.ring import RingWriter
from streamer.source import Source, SourceInfo
from streamer.timestamp import Stamp, TimestampMapper

log = logging.getLogger(__name__)

# Side of the luma picture that is compared for frozen and black; fine enough to see sensor noise.
_HEALTH_PX = 64


class Opener(Protocol):
    """Makes the source of one session; `open_source` in production, scripted in tests."""

    def __call__(
        self, config: ReaderConfig, clock: Clock, stop: threading.Event, address: str
    ) -> Source:
        """Return a source that is not open yet."""
        ...


def open_configured(
    config: ReaderConfig, clock: Clock, stop: threading.Event, address: str
) -> Source:
    """Return the source that the configuration names, not open yet."""
    return open_source(config.source, config.capture, clock, stop, address)


@dataclass(slots=True)
class _Tally:
    """Mutable counters of one reader; `counters` makes the record."""

    decoded: int = 0
    used: int = 0
    held: int = 0
    duplicates: int = 0
    decode_errors: int = 0
    bytes: int = 0
    decode_cpu_s: float = 0.0
    dropped: Counter[str] = field(default_factory=Counter)


class Reader:
    """Reads one camera into its ring, session after session.

    Args:
        config: the camera's source, sampling and limits.
        ring: where its frames go.
        send: takes the notes; called in the reader's thread; thread-safe.
        clock: time.
        first_run: number of the first unbroken run.
        opener: makes the source of each session.
    """

    def __init__(
        self,
        config: ReaderConfig,
        ring: RingSpec,
        send: Callable[[FromCapture], None],
        clock: Clock,
        *,
        first_run: int = 0,
        opener: Opener = open_configured,
    ) -> None:
        self.config = config
        self.send = send
        self.clock = clock
        self.tally = _Tally()
        self.last_run = first_run - 1
        self._camera = config.camera
        self._ring_spec = ring
        self._opener = opener
        self._stop = threading.Event()
        self._turn = threading.Condition()
        self._order: str | None = None
        self._until_seq = -1
        self.is_fast = (
            isinstance(config.source, FileSource | SyntheticSource) and config.source.pace == "fast"
        )
        self._source: Source | None = None

    # ---- called from other threads
    # ---------------------------------------------------------------------

    def order_open(self, address: str = "") -> None:
        """Open the source now (or as soon as the running session has ended)."""
        with self._turn:
            self._order = address
            self._turn.notify_all()

    def advance(self, until_seq: int) -> None:
        """Let a `fast` source fill the ring up to this sequence number."""
        with self._turn:
            self._until_seq = max(self._until_seq, until_seq)
            self._turn.notify_all()

    @property
    def is_closed(self) -> bool:
        """The end was asked for."""
        return self._stop.is_set()

    def close(self) -> None:
        """Ask for the end; never waits."""
        self._stop.set()
        with self._turn:
            self._turn.notify_all()

    def counters(self) -> Counters:
        """Return the cumulative counts."""
        source, tally = self._source, self.tally
        current = source.statistics() if source is not None else None
        return Counters(
            decoded=tally.decoded,
            used=tally.used,
            dropped=dict(tally.dropped),
            held=tally.held,
            decode_errors=tally.decode_errors + (current.decode_errors if current else 0),
            duplicates=tally.duplicates,
            bytes=tally.bytes + (current.bytes if current else 0),
            decode_cpu_s=tally.decode_cpu_s + (current.decode_cpu_s if current else 0.0),
        )

    # ---- the thread
    # --------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve open orders until closed or a finite source has ended; target of the thread."""
        try:
            with RingWriter(self._ring_spec) as ring:
                while (address := self._next_order()) is not None:
                    if self._session(ring, address):
                        return
            self._end("closed", is_error=False)
        except Exception as err:  # door 1 of 4 (HOUSE.md 7): our bug must reach the control process
            log.exception("reader %s failed", self._camera)
            # A kept traceback would keep the view of the ring, and with it the mapping.
            traceback.clear_frames(err.__traceback__)
            self._end(redact(f"internal error: {type(err).__name__}: {err}"), is_error=True)

    def _next_order(self) -> str | None:
        with self._turn:
            self._turn.wait_for(lambda: self._order is not None or self._stop.is_set())
            order, self._order = self._order, None
            return None if self._stop.is_set() else order

    def _end(self, reason: str, *, is_error: bool) -> None:
        counters = self.counters()
        self.send(Ended(camera=self._camera, reason=reason, is_error=is_error, counters=counters))

    def _end_of_stream(self) -> None:
        if self._stop.is_set():
            self._end("closed", is_error=False)
        elif self.tally.used:
            self._end("end of stream", is_error=False)
        else:
            reasons = ", ".join(f"{n} {reason}" for reason, n in self.tally.dropped.most_common())
            self._end(
                f"none of its {self.tally.decoded} pictures could be used ({reasons}); "
                "check that it plays elsewhere",
                is_error=True,
            )

    def _session(self, ring: RingWriter, address: str) -> bool:
        """Open, read and close once; return True when nothing more will come from this source."""
        source = self._opener(self.config, self.clock, self._stop, address)
        self._source = source
        opened_at = self.clock.now()
        is_open = is_finite = False
        try:
            info = source.open()
            is_open, is_finite = True, not info.is_live
            self.send(
                Opened(
                    camera=self._camera,
                    codec=info.codec,
                    width=info.width,
                    height=info.height,
                    fps=info.fps,
                    is_live=info.is_live,
                    open_s=self.clock.now() - opened_at,
                )
            )
            _Session(self, ring, info).read(source)
        except (SourceOpenError, SourceLostError) as err:
            return self._lost(err, was_open=is_open)
        finally:
            self._fold(source)
        if is_finite or self._stop.is_set():
            self._end_of_stream()
            return True
        return self._lost(SourceLostError("error", "the stream ended"), was_open=True)

    def _lost(self, err: SourceOpenError | SourceLostError, *, was_open: bool) -> bool:
        message = redact(str(err))
        if isinstance(self.config.source, FileSource | SyntheticSource):
            self._end(message, is_error=True)
            return True
        if self._stop.is_set():
            self._end("closed", is_error=False)
            return True
        counters = self.counters()
        self.send(
            Lost(
                camera=self._camera,
                kind=err.kind,
                message=message,
                was_open=was_open,
                counters=counters,
            )
        )
        return False

    def _fold(self, source: Source) -> None:
        source.close()
        statistics = source.statistics()
        self._source = None
        self.tally.decode_errors += statistics.decode_errors
        self.tally.bytes += statistics.bytes
        self.tally.decode_cpu_s += statistics.decode_cpu_s

    def begin_run(self) -> int:
        """Return the number of a new unbroken run."""
        self.last_run += 1
        return self.last_run

    def may_place(self, seq: int) -> bool:
        """Wait until a `fast` source may place `seq`; return False when it was closed meanwhile."""
        if not self.is_fast:
            return not self._stop.is_set()
        with self._turn:
            self._turn.wait_for(lambda: seq <= self._until_seq or self._stop.is_set())
        return not self._stop.is_set()


class _Session:
    """The state between one open and the next loss: clocks, grid, background, run."""

    def __init__(self, reader: Reader, ring: RingWriter, info: SourceInfo) -> None:
        config = reader.config
        self._reader = reader
        self._ring = ring
        self._config = config
        self._tally = reader.tally
        self._gate = FrameGate((info.width, info.height))
        self._mapper = TimestampMapper(is_paced=info.is_paced)
        self._resampler = Resampler(config.analysis_fps, config.gap_s)
        self._motion = MotionGate(config.motion, config.analysis_fps)
        self._health = PictureHealth(config.capture.frozen_s, config.capture.black_s)
        self._run = reader.last_run
        self._state = "ok"
        self._seen = Motion(score=0.0, is_warm=False, is_lightning=False)
        self._decode_s = 0.0
        self._last_arrived_at: float | None = None
        # The first run of a camera "starts"; every later session begins with a reconnect.
        self._reset: ResetReason | None = "start" if reader.last_run < 0 else "reconnect"

    def read(self, source: Source) -> None:
        for frame in source.frames():
            self._take(frame)
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
                counters=self._reader.counters(),
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
