"""Pictures to a video file, as a camera would have coded them.

In: pictures of one size. Out: an H.264 file without B-frames and with a key frame a second, which
is what surveillance cameras send. Invariant: picture k is shown at exactly k / fps seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av

from streamer.frame import Picture

_OPTIONS = {"preset": "veryfast", "crf": "23", "bf": "0", "sc_threshold": "0"}
_TIMEOUT_S = (5.0, 5.0)


def write_video(path: Path, pictures: Iterable[Picture], fps: int) -> int:
    """Write a video file.

    Args:
        path: the name's ending chooses the container.
        pictures: uint8 (H, W, 3) RGB, all of one size, both sides even; at least one.
        fps: pictures a second.

    Returns:
        how many pictures were written.

    Raises:
        ValueError: there are no pictures, or their sides are odd.
        OSError: the file cannot be written.
    """
    remaining = iter(pictures)
    first = next(remaining, None)
    if first is None or first.shape[0] % 2 or first.shape[1] % 2:
        raise ValueError("needs at least one picture, with even sides")
    with av.open(str(path), "w", timeout=_TIMEOUT_S) as container:
        coded = container.add_stream("libx264", rate=fps, options=_OPTIONS)
        coded.height, coded.width = first.shape[:2]
        coded.pix_fmt = "yuv420p"
        coded.codec_context.gop_size = fps
        n_written = 0
        for picture in chain([first], remaining):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = n_written, Fraction(1, fps)
            container.mux(coded.encode(frame))
            n_written += 1
        container.mux(coded.encode(None))
    return n_written
