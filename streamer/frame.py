"""One decoded picture on its way to the ring; it never leaves the capture process.

In: what a decoder produced. Out: read-only facts for the resampler, the preprocessor and the motion
gate. Invariant: within one source run, `media_s` is strictly increasing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded frame.

    Attributes:
        index: running number of the frame since the source was opened, from 0; counts every decoded
            picture.
        pts_s: presentation time as the stream states it, in seconds; None where the stream states
            none.
        arrived_at: instant (monotonic seconds) at which the decoder returned the picture.
        width: pixels of the decoded picture.
        height: pixels of the decoded picture.
        picture: returns the pixels, RGB uint8 (height, width, 3); converting costs time, so it is
            called only for frames that are used, at most once, in the reader's thread, before the
            next frame is read.
        is_corrupt: the decoder marked the picture as damaged.
        received_at: instant its data began to come in, up to a frame interval before `arrived_at`;
            0 where unknown.
        n_lost: packets since the previous frame that should have been pictures and were refused.
        is_keyframe: the picture depends on no other.
        decode_s: seconds the decoder worked on it (0 where unknown).
        rotation_deg: clockwise degrees (0, 90, 180, 270) by which the picture must be turned to
            stand upright.
    """

    index: int
    pts_s: float | None
    arrived_at: float
    width: int
    height: int
    picture: Callable[[], Picture]
    is_corrupt: bool = False
    is_keyframe: bool = False
    decode_s: float = 0.0
    rotation_deg: int = 0
    n_lost: int = 0
    received_at: float = 0.0
