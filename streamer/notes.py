"""The small records that cross a process boundary, as msgpack over a socket pair; never pickle.

Capture processes and the worker each talk to the control process over one link. Pixels never travel
here: frames are named by ring and sequence number. Unknown types and fields of the wrong type are
refused by msgspec. Invariant: every record is immutable and below 64 KiB on the wire.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from streamer.errors import LossKind

CameraState = Literal[
    "connecting",
    "warming",
    "running",
    "stalled",
    "no_keyframe",
    "frozen",
    "black",
    "auth_failed",
    "not_found",
    "dns",
    "rejected",
    "backoff",
    "ended",
]
DropReason = Literal[
    "rate_limit", "corrupt", "off_size", "no_keyframe", "discontinuity", "shutdown"
]
ResetReason = Literal["start", "reconnect", "gap", "resolution", "discontinuity", "config"]


class Note(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Base of every record on a link."""


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """Cumulative counts of one camera in one capture process; decoded = used + sum(dropped).

    Attributes:
        decoded: pictures the decoder returned.
        used: pictures that were placed in the ring at least once.
        dropped: pictures that were not, by reason.
        held: ring places filled again with the previous picture, because the source was slower than
            analysis_fps.
        decode_errors: packets or pictures the decoder refused.
        duplicates: analysed pictures identical to the one before.
        bytes: compressed bytes read.
        decode_cpu_s: CPU seconds of the decoder.
    """

    decoded: int = 0
    used: int = 0
    dropped: dict[str, int] = {}
    held: int = 0
    decode_errors: int = 0
    duplicates: int = 0
    bytes: int = 0
    decode_cpu_s: float = 0.0


class RingSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Where a ring lives and how it is laid out.

    Attributes:
        path: file that backs the shared memory.
        n_slots: frames before a place is used again (mirror slots not counted).
        size_px: side of the square RGB pictures.
        n_frames: frames in a window.
    """

    path: str
    n_slots: int
    size_px: int
    n_frames: int = 32


# ---- capture process -> control process
# -------------------------------------------------------------------


class Opened(Note, frozen=True, kw_only=True):
    """A source delivers: facts for people and metrics."""

    camera: str
    codec: str
    width: int
    height: int
    fps: float
    is_live: bool
    open_s: float


class FrameNote(Note, frozen=True, kw_only=True):
    """One analysed frame is in the ring.

    Attributes:
        camera: its id.
        seq: sequence number of the frame's last place in the ring.
        n_places: consecutive places this note fills (the last n_places sequence numbers up to seq).
        n_held: how many of these places repeat the previous picture.
        run: number of the unbroken run the frame belongs to; windows never span two runs.
        reset: why a new run began with this frame; None within a run.
        media_s: capture time on the stream's own time line, seconds, strictly increasing within a
            run.
        captured_at: instant the picture was captured, as well as it can be known (monotonic
            seconds).
        arrived_at: instant the decoder returned it.
        placed_at: instant it was complete in the ring.
        decode_s: seconds of decoding since the previous analysed frame.
        preprocess_s: seconds of conversion, resize and copy.
        gate_s: seconds of the motion gate.
        motion: motion score 0..1 of this frame.
        is_motion_warm: the motion gate has learned its background (its score counts).
        is_degraded: a picture in the last second was damaged.
        interval_s: seconds since the previous decoded frame.
        counters: cumulative counts.
    """

    camera: str
    seq: int
    n_places: int
    n_held: int
    run: int
    reset: ResetReason | None
    media_s: float
    captured_at: float
    arrived_at: float
    placed_at: float
    decode_s: float
    preprocess_s: float
    gate_s: float
    motion: float
    is_motion_warm: bool
    is_degraded: bool
    interval_s: float
    counters: Counters


class StateNote(Note, frozen=True, kw_only=True):
    """The state of the camera changed: as its reader sees it, or as its supervision decided."""

    camera: str
    state: CameraState
    detail: str = ""


class Lost(Note, frozen=True, kw_only=True):
    """An open failed or an open source was lost; the reader waits for the next `OpenOrder`.

    Attributes:
        camera: its id.
        kind: the class of failure.
        message: one sentence, credentials already removed.
        was_open: frames had been flowing.
        counters: cumulative counts at the loss.
        is_process_lost: the whole capture process is gone; the next one counts from zero.
    """

    camera: str
    kind: LossKind
    message: str
    was_open: bool
    counters: Counters
    is_process_lost: bool = False


class Ended(Note, frozen=True, kw_only=True):
    """A finite source reached its end, or the reader was closed; no more notes of it follow.

    Attributes:
        camera: its id.
        reason: eof, closed, or a sentence of what is wrong with the file.
        is_error: the file could not be read (or not to its end).
        counters: final counts.
    """

    camera: str
    reason: str
    is_error: bool
    counters: Counters


class Heartbeat(Note, frozen=True, kw_only=True):
    """A child process lives.

    Attributes:
        sent_at: monotonic instant.
        cpu_s: CPU seconds the process has used.
        counters: cumulative counts by camera (capture processes only).
    """

    sent_at: float
    cpu_s: float
    counters: dict[str, Counters] = {}


# ---- control process -> capture process
# -------------------------------------------------------------------


class AddCamera(Note, frozen=True, kw_only=True):
    """Prepare a reader for a camera; it waits for its `OpenOrder`.

    Attributes:
        camera: its id.
        config: the camera's `CameraConfig` as JSON with secrets in clear (this link is the only way
            they travel).
        ring: where to put its frames.
        first_run: number of the next unbroken run; above 0 after the process was replaced.
    """

    camera: str
    config: bytes
    ring: RingSpec
    first_run: int = 0


class OpenOrder(Note, frozen=True, kw_only=True):
    """Open the camera's source now.

    Attributes:
        camera: its id.
        address: host address to connect to, already resolved; empty to let the library resolve.
    """

    camera: str
    address: str = ""


class Advance(Note, frozen=True, kw_only=True):
    """A `fast` source may fill the ring up to this sequence number (live sources never wait)."""

    camera: str
    until_seq: int


class SetRate(Note, frozen=True, kw_only=True):
    """Sample the camera at this rate from now on; a new run begins (reset: config)."""

    camera: str
    analysis_fps: float


class CloseCamera(Note, frozen=True, kw_only=True):
    """Close the camera's source; its reader answers with `Ended`."""

    camera: str


class Stop(Note, frozen=True, kw_only=True):
    """Close everything and exit."""


FromCapture = Opened | FrameNote | StateNote | Lost | Ended | Heartbeat
ToCapture = AddCamera | OpenOrder | Advance | SetRate | CloseCamera | Stop
