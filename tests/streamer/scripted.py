"""A scripted `Source` for readers: frames and faults in the order a test says, no decoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from streamer.errors import SourceLostError, SourceOpenError
from streamer.frame import Frame
from streamer.source import SourceInfo, SourceStatistics


def picture_frame(index: int, fps: float = 10.0, at: float = 1000.0, **changes: Any) -> Frame:
    """Return a uniform 64x48 picture whose brightness is its index."""
    pixels = np.full((48, 64, 3), index % 256, np.uint8)
    values: dict[str, Any] = {
        "index": index,
        "pts_s": index / fps,
        "arrived_at": at + index / fps,
        "width": 64,
        "height": 48,
        "picture": lambda: pixels,
        "is_keyframe": index == 0,
    }
    return Frame(**(values | changes))


@dataclass
class ScriptedSource:
    """Yields its script: frames, or an error to raise.

    Attributes:
        script: frames and errors in order; an open error may come first.
        is_live: of the announced stream.
        is_closed: `close` was called.
    """

    script: Sequence[Frame | SourceLostError | SourceOpenError]
    is_live: bool = False
    is_paced: bool = True
    is_closed: bool = False
    totals: SourceStatistics = field(default_factory=SourceStatistics)

    def open(self) -> SourceInfo:
        if self.script and isinstance(self.script[0], SourceOpenError):
            raise self.script[0]
        return SourceInfo("scripted", 64, 48, 10.0, self.is_live, self.is_paced)

    def frames(self) -> Iterator[Frame]:
        for item in self.script:
            if not isinstance(item, Frame):
                raise item
            self.totals.bytes += 100
            yield item

    def close(self) -> None:
        self.is_closed = True

    def statistics(self) -> SourceStatistics:
        return self.totals
