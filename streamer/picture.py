"""One picture as libav decoded it, on its way to RGB.

In: a libav frame of any pixel format. Out: uint8 RGB, converted only for pictures that are used.
Invariant: a picture is converted at most once.
"""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame

from streamer.frame import Picture


class Converter:
    """Converts one decoded picture to RGB, once.

    Args:
        picture: any pixel format that swscale reads: 8 to 16 bit, gray, palette, with or without
            alpha.
    """

    __slots__ = ("_picture", "_rgb")

    def __init__(self, picture: VideoFrame) -> None:
        self._picture = picture
        self._rgb: Picture | None = None

    def __call__(self) -> Picture:
        """Return uint8 (H, W, 3), RGB; the same array at every call."""
        if self._rgb is None:
            # Left to itself, libav starts and ends threads for each picture: 5.4 instead of 0.8 ms
            # of CPU at 1080p.
            rgb = self._picture.to_ndarray(format="rgb24", threads=1)
            self._rgb = rgb.astype(np.uint8, copy=False)
        return self._rgb


def upright_deg(counterclockwise_deg: int) -> int:
    """Return the clockwise quarter turns that set the picture upright; broken matrices give 0."""
    return -counterclockwise_deg % 360 if counterclockwise_deg % 90 == 0 else 0
