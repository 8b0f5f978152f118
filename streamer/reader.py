"""One camera's blocking read loop inside a capture process.

In: orders to open. Out: `Opened`, `Lost`, `Ended`, and in between the notes of a `Session`. Runs as
one thread named `reader:<camera>`; several may share a process.
Invariant: nothing here retries; after a loss the next order is waited for.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable
from typing import Protocol

import msgspec

from streamer.clock import Clock
from streamer.config import FileSource, ReaderConfig, SyntheticSource
from streamer.errors import SourceLostError, SourceOpenError
from streamer.notes import (
    Counters,
    Ended,
    FromCapture,
    Lost,
    Opened,
    RingSpec,
)
from streamer.opener import open_source
from streamer.redact import redact
from streamer.ring import RingWriter
from streamer.session import Session, Tally
from streamer.source import Source

log = logging.getLogger(__name__)


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
        self.tally = Tally()
        self.analysis_fps = config.analysis_fps
        self._published = Counters()
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

    # ---- called from other threads ---------------------------------------------------------------

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

    def set_rate(self, analysis_fps: float) -> None:
        """Sample at this rate from the next frame on, in this session and the following ones."""
        self.analysis_fps = analysis_fps

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
        """Return the counts as of the last frame that is accounted for; bytes and CPU as of now."""
        source, totals = self._source, self._published
        if source is None:
            return totals
        current = source.statistics()
        return msgspec.structs.replace(
            totals,
            decode_errors=self.tally.decode_errors + current.decode_errors,
            bytes=self.tally.bytes + current.bytes,
            decode_cpu_s=self.tally.decode_cpu_s + current.decode_cpu_s,
        )

    def publish(self) -> Counters:
        """Let other threads see the counts; the frame in hand must be accounted for.

        A heartbeat between `decoded` and `used` of the same frame would not add up.
        """
        tally = self.tally
        self._published = Counters(
            decoded=tally.decoded,
            used=tally.used,
            dropped=dict(tally.dropped),
            held=tally.held,
            decode_errors=tally.decode_errors,
            duplicates=tally.duplicates,
            bytes=tally.bytes,
            decode_cpu_s=tally.decode_cpu_s,
        )
        return self.counters()

    # ---- the thread ------------------------------------------------------------------------------

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
            Session(self, ring, info).read(source)
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
        self.publish()

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
