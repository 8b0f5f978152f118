"""A picture of where something happens: the frame, heat over it, a box around it.

In: a frame, a coarse map, a box. Out: a PNG. Invariant: the frame itself is never changed.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from streamer.frame import Picture

_BOX_COLOUR = (255, 255, 255)
_STRENGTH = 0.55
ENDING = ".png"


def draw(
    frame: Picture, heat: npt.NDArray[np.float32], box: tuple[float, float, float, float]
) -> bytes:
    """Draw heat and box over a frame.

    Args:
        frame: uint8 (S, S, 3), RGB. Not modified.
        heat: float32 (H', W'), >= 0; any scale.
        box: left, top, right, bottom, in shares of the sides.

    Returns:
        a PNG of the frame's size.
    """
    height, width = frame.shape[:2]
    top = max(float(heat.max()), 1e-9)
    share = cv2.resize(heat / np.float32(top), (width, height), interpolation=cv2.INTER_LINEAR)
    share = np.clip(share, 0, 1)[..., None]
    colours = cv2.applyColorMap((255 * share).astype(np.uint8), cv2.COLORMAP_JET)
    # Cold places keep their colours, so that the picture stays readable.
    weight = _STRENGTH * share
    picture = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR) * (1 - weight) + colours * weight
    picture = np.ascontiguousarray(picture.round().astype(np.uint8))
    left, upper, right, lower = (
        round(edge * (side - 1)) for edge, side in zip(box, (width, height) * 2, strict=True)
    )
    cv2.rectangle(picture, (left, upper), (right, lower), _BOX_COLOUR, 1)
    _, content = cv2.imencode(ENDING, picture)
    return content.tobytes()


def keep_newest(folder: Path, n: int) -> None:
    """Remove all but the newest n pictures of a folder.

    Raises:
        OSError: the folder cannot be read.
    """
    pictures = [(path.stat().st_mtime_ns, path) for path in folder.glob(f"*{ENDING}")]
    for _, path in sorted(pictures, reverse=True)[n:]:
        path.unlink(missing_ok=True)
