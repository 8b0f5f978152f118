"""A decoded picture becomes the square the model sees, in training and in live use alike.

In: RGB pixels as decoded. Out: RGB uint8 (S, S, 3) written into a buffer the caller owns, usually a
ring slot. The whole picture is squashed to the square (no part is cut off) and turned upright.
Invariant: the result depends on the picture and S alone; the caller's buffer is the only memory of
that size.

OpenCV's thread count belongs to the process, not to this file: a capture process sets it to 1.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from streamer.frame import Picture

_TURNS: Final = {
    90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}


def preprocess(picture: Picture, out: Picture, rotation_deg: int = 0) -> None:
    """Squash a picture to the model's square and turn it upright.

    Args:
        picture: uint8 (H, W, 3), RGB, 0..255, H and W >= 1. Not modified.
        out: uint8 (S, S, 3), C-contiguous and writable; receives the result.
        rotation_deg: clockwise degrees by which the picture must be turned: 0, 90, 180 or 270.

    Raises:
        ValueError: a shape, dtype or angle is not as described; `out` is then unchanged.
    """
    _check_rgb("picture", picture)
    _check_rgb("out", out)
    side = out.shape[0]
    if out.shape[1] != side or not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError(f"out has shape {out.shape}; a writable, contiguous square is needed")
    if rotation_deg == 0:
        _resize(picture, out)
        return
    turn = _TURNS.get(rotation_deg)
    if turn is None:
        raise ValueError(f"rotation_deg is {rotation_deg}; it must be 0, 90, 180 or 270")
    # Squashing to a square and turning commute: turning S x S pixels is cheaper than turning H x W.
    cv2.rotate(_resize(picture, np.empty_like(out)), turn, dst=out)


def small_luma(square: Picture, size_px: int) -> npt.NDArray[np.uint8]:
    """Return a small grey copy of a picture, as the motion gate wants it.

    Args:
        square: uint8 (S, S, 3), RGB. Not modified.
        size_px: side of the result, >= 1.

    Returns:
        uint8 (size_px, size_px), luma (BT.601), 0..255. New array, owned by the caller.

    Raises:
        ValueError: the picture is not RGB uint8 or the size is not positive.
    """
    _check_rgb("square", square)
    if size_px < 1:
        raise ValueError(f"size_px is {size_px}; it must be positive")
    # Shrinking first leaves a quarter of the pixels to convert.
    small = _resize(square, np.empty((size_px, size_px, 3), np.uint8))
    grey: npt.NDArray[np.uint8] = np.empty((size_px, size_px), np.uint8)
    cv2.cvtColor(small, cv2.COLOR_RGB2GRAY, dst=grey)
    return grey


def _resize(picture: Picture, out: Picture) -> Picture:
    height, width = out.shape[:2]
    # Means of 2 x 2 pixels have a fast path: 1080p to 256 takes 1.5 instead of 7 to 10 ms that way
    # (720p 1.3 instead of 3), and an average of averages is as free of aliasing.
    while _can_halve(picture, height, width):
        half = np.empty((picture.shape[0] // 2, picture.shape[1] // 2, 3), np.uint8)
        cv2.resize(picture, half.shape[1::-1], dst=half, interpolation=cv2.INTER_AREA)
        picture = half
    is_shrinking = picture.shape[0] >= height and picture.shape[1] >= width
    method = cv2.INTER_AREA if is_shrinking else cv2.INTER_LINEAR
    cv2.resize(picture, (width, height), dst=out, interpolation=method)
    return out


def _can_halve(picture: Picture, height: int, width: int) -> bool:
    rows, columns = picture.shape[:2]
    is_even = rows % 2 == 0 and columns % 2 == 0
    return bool(is_even and rows >= 2 * height and columns >= 2 * width)


def _check_rgb(name: str, picture: Picture) -> None:
    if picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise ValueError(f"{name} has shape {picture.shape}; (height, width, 3) is needed")
    if picture.dtype != np.uint8:
        raise ValueError(f"{name} has dtype {picture.dtype}; uint8 is needed")
