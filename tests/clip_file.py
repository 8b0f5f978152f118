"""Small video files whose pictures carry their number.

In: a path and what the file should be like. Out: the file, encoded in milliseconds.
Invariant: picture k of a clip carries the code `first + k` (tests/frame_code.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.frame_code import draw_code

TICKS_PER_S = 1000


def write_clip(
    path: Path,
    n_frames: int = 10,
    *,
    fps: float = 10.0,
    size: tuple[int, int] = (160, 120),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    n_b_frames: int = 0,
    first: int = 0,
    times_s: Sequence[float] | None = None,
) -> Path:
    """Write a clip and return its path.

    Args:
        path: the name's ending chooses the container.
        n_frames: pictures.
        fps: pictures per second.
        size: width and height, at least 64 x 48.
        codec: an encoder of libav.
        pix_fmt: what it is given.
        n_b_frames: pictures in a row that are coded out of order.
        first: number of the first picture.
        times_s: presentation times, instead of evenly spaced ones.
    """
    with av.open(str(path), "w", timeout=(5, 5)) as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = Fraction(1, TICKS_PER_S)
        stream.codec_context.gop_size = 10
        stream.codec_context.max_b_frames = n_b_frames
        for k in range(n_frames):
            picture = np.full((size[1], size[0], 3), 96, np.uint8)
            draw_code(picture, first + k)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pix_fmt)
            time_s = times_s[k] if times_s is not None else k / fps
            frame.pts, frame.time_base = round(time_s * TICKS_PER_S), Fraction(1, TICKS_PER_S)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path, seconds: float = 0.5) -> Path:
    """Write a file that holds sound and no video; return its path."""
    with av.open(str(path), "w", timeout=(5, 5)) as container:
        stream = container.add_stream("aac", rate=8000)
        silence = np.zeros((1, round(8000 * seconds)), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
