"""The control side of one camera: when it is opened, what its state is, when it is stalled.

In: notes of the camera's reader, the loss of its process, time. Out: open orders (through `order`)
and the notes for the camera's stage (through `deliver`), state changes among them. This is the only
network retry of the project. Invariant: between two open orders there is a loss and a back-off; a
finite source is ended exactly once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from streamer.clock import Clock, sleep_unless
from streamer.config import FileSource, HttpSource, ReaderConfig, RtspSource, SyntheticSource
from streamer.errors import LossKind, SourceOpenError
from streamer.notes import (
    CameraState,
    Counters,
    Ended,
    FrameNote,
    FromCapture,
    Heartbeat,
    Lost,
    Opened,
    RingSpec,
    StateNote,
)
from streamer.reconnect import Backoff
from streamer.redact import host_of

_STATE_OF_LOSS: dict[LossKind, CameraState] = {
    "auth": "auth_failed",
    "not_found": "not_found",
    "dns": "dns",
    "rejected": "rejected",
    "no_keyframe": "no_keyframe",
}
# A finite source that takes its process down more often than this is given up.
_MAX_CRASHES = 3
# Bytes that must have come since the last picture before "no picture" means "no keyframe" and not
# "no data".
_MIN_FLOW_BYTES = 2_000


class Resolve(Protocol):
    """Turns a host name into an address within a deadline."""

    async def __call__(self, host: str, port: int, timeout_s: float) -> str:
        """Return an IP address; raise `SourceOpenError("dns")`."""
        ...


@dataclass(frozen=True, slots=True)
class CaptureJob:
    """A camera to capture.

    Attributes:
        config: source, sampling and limits.
        ring: where its frames go.
        deliver: takes its notes in the event loop; must not block.
    """

    config: ReaderConfig
    ring: RingSpec
    deliver: Callable[[FromCapture], None]


class Connection:
    """One camera's open orders and state.

    Args:
        job: the camera.
        backoff: its waits between opens.
        opens: bounds the opens in flight over all cameras.
        resolve: own bounded name resolution.
        clock: time.
    """

    def __init__(
        self,
        job: CaptureJob,
        backoff: Backoff,
        opens: asyncio.Semaphore,
        resolve: Resolve,
        clock: Clock,
    ) -> None:
        self.job = job
        self.camera = job.config.camera
        self.is_ended = False
        self.next_run = 0
        self.counters = Counters()
        self._backoff = backoff
        self._opens = opens
        self._resolve = resolve
        self._clock = clock
        self._order: Callable[[str], None] | None = None
        self._state: CameraState | None = None
        self._is_live = True
        self._is_open = False
        self._has_frames = False
        self._is_ordered = False
        self._quiet_since = 0.0
        self._opened_at = 0.0
        self._bytes_at_picture = 0
        self._fill = 0
        self._n_crashes = 0
        self._delay_s = 0.0
        self._wanted = asyncio.Event()
        self._settled = asyncio.Event()
        self._over = asyncio.Event()
        self._content: CameraState | None = None

    # ---- the task that opens ---------------------------------------------------------------------

    async def run(self) -> None:
        """Order opens, one after each loss, until the camera has ended."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if self.is_ended:
                return
            await sleep_unless(self._clock, self._delay_s, self._over)
            async with self._opens:
                await self._open()

    async def _open(self) -> None:
        order = self._order
        if self.is_ended or order is None:
            return
        # A process that was replaced during the back-off has asked, too: one open serves both.
        self._wanted.clear()
        self.set_state("connecting")
        self._settled.clear()
        try:
            address = await self._address()
        except SourceOpenError as err:
            self.lost(err.kind, str(err))
            return
        self._is_ordered = True
        self._quiet_since = self._clock.now()
        order(address)
        await self._settled.wait()

    async def _address(self) -> str:
        source = self.job.config.source
        if not isinstance(source, RtspSource | HttpSource):
            return ""
        host, port = host_of(source.url.reveal())
        default_port = 554 if isinstance(source, RtspSource) else 80
        address = await self._resolve(
            host, port or default_port, self.job.config.capture.dns_timeout_s
        )
        # TLS needs the name for its certificate; that the name resolves at all is known by now.
        return "" if source.url.scheme in ("rtsps", "https") else address

    # ---- what the process says -------------------------------------------------------------------

    def process_started(self, order: Callable[[str], None]) -> None:
        """A capture process is there; `order` tells it to open this camera."""
        if self.is_ended:
            return
        self._order = order
        self._wanted.set()

    def process_lost(self, reason: str) -> None:
        """The capture process is gone; the camera is opened again in the next one."""
        self._order = None
        if self.is_ended:
            return
        if isinstance(self.job.config.source, FileSource | SyntheticSource):
            self._n_crashes += 1
            if self._n_crashes > _MAX_CRASHES:
                self.end(
                    f"gave up: its decoder failed {self._n_crashes} times ({reason})", is_error=True
                )
                return
        self.lost("error", reason, is_process_lost=True)
        # The capture has waited already before it starts the next process.
        self._delay_s = 0.0
        # The next open belongs to the next process: it calls process_started.
        self._wanted.clear()

    def take(self, note: FromCapture) -> None:
        """Digest one note of this camera and pass it on."""
        if self.is_ended:
            return
        match note:
            case FrameNote():
                self._picture(note)
            case Opened():
                self._opened(note)
            case Lost():
                self.counters = note.counters
                self.lost(note.kind, note.message, was_open=note.was_open)
                return
            case Ended():
                self.counters = note.counters
                self.end(note.reason, is_error=note.is_error)
                return
            case StateNote():
                self._content = note.state if note.state in ("frozen", "black") else None
                self.set_state(note.state)
                return
            case Heartbeat():
                self.counters = note.counters.get(self.camera, self.counters)
                # Its neighbours' counts go to their own stages.
                note = msgspec.structs.replace(note, counters={self.camera: self.counters})
        self.job.deliver(note)

    def _opened(self, note: Opened) -> None:
        self._is_live, self._is_open, self._has_frames = note.is_live, True, False
        self._opened_at = self._quiet_since = self._clock.now()
        self._bytes_at_picture = self.counters.bytes
        self.set_state("warming")
        self._settled.set()

    def _picture(self, note: FrameNote) -> None:
        self.counters = note.counters
        self.next_run = note.run + 1
        self._has_frames = True
        self._quiet_since = self._clock.now()
        self._bytes_at_picture = note.counters.bytes
        self._fill = note.n_places if note.reset is not None else self._fill + note.n_places
        if self._content is None:
            self.set_state("warming" if self._fill < self.job.ring.n_frames else "running")

    def lost(
        self,
        kind: LossKind,
        message: str,
        *,
        was_open: bool | None = None,
        is_process_lost: bool = False,
    ) -> None:
        """Note a loss and schedule the next open."""
        now = self._clock.now()
        was_open = self._is_open if was_open is None else was_open
        if self._has_frames:
            self._backoff.healthy(now - self._opened_at)
        self._is_open = self._is_ordered = self._has_frames = False
        self._content = None
        self._fill = 0
        self._delay_s = self._backoff.next_delay_s(kind)
        self.job.deliver(
            Lost(
                camera=self.camera,
                kind=kind,
                message=message,
                was_open=was_open,
                counters=self.counters,
                is_process_lost=is_process_lost,
            )
        )
        self.set_state(_STATE_OF_LOSS.get(kind, "backoff"), message)
        self._settled.set()
        if self._order is not None:
            self._wanted.set()

    def end(self, reason: str, *, is_error: bool) -> None:
        """Note the end; nothing more of this camera follows."""
        if self.is_ended:
            return
        self.is_ended = True
        self._over.set()
        self.set_state("ended", reason)
        self.job.deliver(
            Ended(camera=self.camera, reason=reason, is_error=is_error, counters=self.counters)
        )
        self._settled.set()
        self._wanted.set()

    def set_state(self, state: CameraState, detail: str = "") -> None:
        """Tell a change of state, once."""
        if state != self._state:
            self._state = state
            self.job.deliver(StateNote(camera=self.camera, state=state, detail=detail))

    # ---- what time says --------------------------------------------------------------------------

    def forgive(self, seconds: float) -> None:
        """Do not count these seconds as silence: the control process itself was away."""
        self._quiet_since += seconds

    def is_stuck(self, now: float) -> bool:
        """Judge the silence: tell stalled or no_keyframe; True when the process must go."""
        limits = self.job.config.capture
        if self.is_ended or not self._is_ordered:
            return False
        silence_s = now - self._quiet_since
        if not self._is_open:
            return silence_s > 2 * limits.open_timeout_s + limits.stuck_s
        is_flowing = self.counters.bytes - self._bytes_at_picture > _MIN_FLOW_BYTES
        if self._is_live and silence_s > limits.stall_s:
            if is_flowing:
                self.set_state("no_keyframe", "packets arrive, but no picture can be decoded")
            else:
                self.set_state("stalled", f"no picture for {limits.stall_s:.1f} s")
        return self._is_live and not is_flowing and silence_s > limits.stall_s + limits.stuck_s
