"""The identity of a frame, drawn into its picture so that it survives H.264 and the resize to the
model's square.

In: a picture and a counter of 24 bits. Out: the counter read back from any RGB or luma picture of
any size. 32 cells (24 bits and an 8-bit check) fill the top sixth of the picture, 16 in a row,
sized relative to the picture.
Invariant: a damaged or mixed picture reads as None (wrongly as some number in fewer than 1 of 256
cases).

The bits are scrambled, so that each cell is black or white about equally often: background
subtraction learns the flicker within a second, and a scene that only carries its code counts as
still.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

N_COLUMNS, N_ROWS = 16, 2
STRIP = 1 / 6
"""Height of the code as a share of the picture's."""
N_COUNTERS = 1 << 24

_MASK = N_COUNTERS - 1
_FACTOR = 0x9E3779 | 1
_INVERSE = pow(_FACTOR, -1, N_COUNTERS)
# A cell that is neither clearly black nor clearly white belongs to a damaged or blended picture.
_DARK, _BRIGHT = 88, 167


def draw_code(picture: npt.NDArray[np.uint8], counter: int) -> None:
    """Draw `counter` into `picture`.

    Args:
        picture: uint8 (H, W) or (H, W, C), H >= 48 and W >= 64; changed in place.
        counter: 0..2^24-1.
    """
    if not 0 <= counter < N_COUNTERS:
        raise ValueError(f"counter {counter} does not fit into 24 bits")
    height, width = picture.shape[:2]
    bits = (_scramble(counter) << 8) | _check(counter)
    for index in range(N_ROWS * N_COLUMNS):
        top, bottom, left, right = _cell(index, height, width, margin=0.0)
        picture[top:bottom, left:right] = 255 if bits >> (31 - index) & 1 else 0


def read_code(picture: npt.NDArray[np.uint8]) -> int | None:
    """Return the counter drawn into `picture`.

    Args:
        picture: uint8 (H, W) luma or (H, W, 3), any size of at least 48 x 64; not modified.

    Returns:
        the counter, or None where the picture carries no intact code.
    """
    luma = picture if picture.ndim == 2 else picture[:, :, 1]
    height, width = luma.shape
    bits = 0
    for index in range(N_ROWS * N_COLUMNS):
        top, bottom, left, right = _cell(index, height, width, margin=0.25)
        mean = luma[top:bottom, left:right].mean()
        if _DARK < mean < _BRIGHT:
            return None
        bits = (bits << 1) | int(mean > 127)
    counter = _unscramble(bits >> 8)
    return counter if bits & 0xFF == _check(counter) else None


def _cell(index: int, height: int, width: int, margin: float) -> tuple[int, int, int, int]:
    row, column = divmod(index, N_COLUMNS)
    tall, wide = height * STRIP / N_ROWS, width / N_COLUMNS
    top, bottom = round((row + margin) * tall), round((row + 1 - margin) * tall)
    left, right = round((column + margin) * wide), round((column + 1 - margin) * wide)
    return top, max(bottom, top + 1), left, max(right, left + 1)


def _scramble(counter: int) -> int:
    value = counter * _FACTOR & _MASK
    value ^= value >> 12
    value = value * _FACTOR & _MASK
    return value ^ value >> 12


def _unscramble(value: int) -> int:
    value ^= value >> 12
    value = value * _INVERSE & _MASK
    value ^= value >> 12
    return value * _INVERSE & _MASK


def _check(counter: int) -> int:
    return zlib.crc32(counter.to_bytes(3, "big")) & 0xFF
