"""What every camera, file and scene looks like to its reader.

A `Source` blocks, lives in one thread of a capture process and is used once: open, iterate, close.
Nothing here reconnects; a loss is reported and the control plane orders the next open with a new
object. Invariant: `frames()` of a live source never just ends, it raises `SourceLostError`; only
finite sources end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from streamer.frame import Frame


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What was opened.

    Attributes:
        codec: short codec name (h264, hevc, mjpeg, rendered, ...).
        width: pixels the stream announces (0 where unknown).
        height: pixels the stream announces (0 where unknown).
        fps: announced frames per second (0 where unknown).
        is_live: time goes on by itself; frames that are not taken are lost.
        is_paced: finite or rendered, but delivered in real time.
    """

    codec: str
    width: int
    height: int
    fps: float
    is_live: bool
    is_paced: bool = True


@dataclass(slots=True)
class SourceStatistics:
    """Running totals of one source object.

    Attributes:
        decode_errors: packets or pictures the decoder refused.
        corrupt_packets: packets of which the container knows that a part is missing; the decoder
            conceals it. A live transport tells by itself.
        bytes: compressed bytes read.
        decode_cpu_s: CPU seconds of the decoder.
    """

    decode_errors: int = 0
    corrupt_packets: int = 0
    bytes: int = 0
    decode_cpu_s: float = 0.0

    @property
    def n_damaged(self) -> int:
        """All that is known to be damaged: what was refused and what was concealed."""
        return self.decode_errors + self.corrupt_packets


class Source(Protocol):
    """One video source; blocking; confined to one thread except `statistics`."""

    def open(self) -> SourceInfo:
        """Connect and find the video stream.

        Raises:
            SourceOpenError: with the class of failure; the message carries no credential.
        """
        ...

    def frames(self) -> Iterator[Frame]:
        """Yield decoded frames until a finite source ends or the stop event is set.

        Raises:
            SourceLostError: the source stopped delivering.
        """
        ...

    def close(self) -> None:
        """Free everything; idempotent; never raises."""
        ...

    def statistics(self) -> SourceStatistics:
        """Return the running totals."""
        ...
