"""The one preprocessing function: right pixels, right way up, in the caller's buffer."""

from __future__ import annotations

import mmap
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamer.preprocess import preprocess, small_luma
from tests.frame_code import draw_code, read_code

# A busy machine is no failure of the code under test.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

Pixels = npt.NDArray[np.uint8]


def quarters(height: int, width: int) -> Pixels:
    """A picture of four flat quarters: red, green, blue, white (row by row)."""
    picture: Pixels = np.zeros((height, width, 3), np.uint8)
    top, left = height // 2, width // 2
    picture[:top, :left] = (255, 0, 0)
    picture[:top, left:] = (0, 255, 0)
    picture[top:, :left] = (0, 0, 255)
    picture[top:, left:] = 255
    return picture


def corners(square: Pixels) -> list[tuple[int, ...]]:
    """The colours of the four corners, row by row."""
    return [tuple(map(int, square[y, x])) for y in (0, -1) for x in (0, -1)]


RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.mark.parametrize(
    "size", [(360, 640), (1080, 1920), (240, 320), (64, 64), (256, 256), (1, 1)]
)
def test_the_whole_picture_is_squashed_to_the_square(size: tuple[int, int]) -> None:
    """Every size fills the whole square: corners keep their colours."""
    out: Pixels = np.full((256, 256, 3), 7, np.uint8)
    preprocess(quarters(*size), out)
    expected = [RED, GREEN, BLUE, WHITE] if size != (1, 1) else [WHITE] * 4
    assert corners(out) == expected


@pytest.mark.parametrize(
    ("rotation_deg", "expected"),
    [
        (0, [RED, GREEN, BLUE, WHITE]),
        (90, [BLUE, RED, WHITE, GREEN]),
        (180, [WHITE, BLUE, GREEN, RED]),
        (270, [GREEN, WHITE, RED, BLUE]),
    ],
)
def test_pictures_are_turned_clockwise(rotation_deg: int, expected: list[tuple[int, ...]]) -> None:
    """The angle is clockwise: after 90 degrees the lower left corner is the upper left one."""
    out: Pixels = np.zeros((256, 256, 3), np.uint8)
    preprocess(quarters(360, 640), out, rotation_deg)
    assert corners(out) == expected


def test_turning_after_the_squash_equals_turning_before_it() -> None:
    """The cheap order gives the pixels of the plain one."""
    picture = np.random.default_rng(0).integers(0, 256, (360, 640, 3), dtype=np.uint8)
    cheap: Pixels = np.zeros((128, 128, 3), np.uint8)
    plain: Pixels = np.zeros((128, 128, 3), np.uint8)
    preprocess(picture, cheap, 90)
    preprocess(np.ascontiguousarray(np.rot90(picture, -1)), plain)
    assert np.abs(cheap.astype(int) - plain).max() <= 1


def test_shrinking_averages_instead_of_skipping_pixels() -> None:
    """A fine black-and-white grating becomes grey (no aliasing)."""
    picture: Pixels = np.zeros((1024, 1024, 3), np.uint8)
    picture[:, ::2] = 255
    out: Pixels = np.zeros((256, 256, 3), np.uint8)
    preprocess(picture, out)
    assert abs(int(out.min()) - 128) <= 1
    assert abs(int(out.max()) - 128) <= 1


@pytest.mark.parametrize("size", [(720, 1280), (1080, 1920), (1081, 1921)])
def test_large_pictures_shrink_like_the_plain_area_mean(size: tuple[int, int]) -> None:
    """The quick way in steps equals one area mean within 2 levels on average, edges included."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    waves = np.sin(x / 40) * np.cos(y / 30) * 90 + 128 + (x // 160 + y // 120) % 2 * 30
    picture = np.repeat(waves[:, :, None], 3, axis=2).astype(np.uint8)
    out: Pixels = np.zeros((256, 256, 3), np.uint8)
    preprocess(picture, out)
    plain = cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA)
    difference = np.abs(out.astype(int) - plain)
    assert difference.mean() < 0.5
    assert difference.max() <= 20


def test_the_result_lands_in_shared_memory_without_a_copy() -> None:
    """`out` may be a view of an mmap: the bytes are in the map, the neighbours are untouched."""
    with mmap.mmap(-1, 3 * 64 * 64 * 3) as memory:
        ring = np.frombuffer(memory, np.uint8).reshape(3, 64, 64, 3)
        preprocess(np.full((100, 200, 3), 9, np.uint8), ring[1])
        assert [int(ring[i].sum()) for i in range(3)] == [0, 9 * 64 * 64 * 3, 0]
        del ring


@UNHURRIED
@given(counter=st.integers(0, 2**24 - 1), rotation=st.sampled_from([0, 180]))
def test_the_frame_code_survives_preprocessing(counter: int, rotation: int) -> None:
    """A coded picture reads back from the model's square, so tests can name the frames of a
    window."""
    picture: Pixels = np.full((240, 320, 3), 90, np.uint8)
    draw_code(picture, counter)
    if rotation:
        picture = np.ascontiguousarray(picture[::-1, ::-1])
    out: Pixels = np.zeros((256, 256, 3), np.uint8)
    preprocess(picture, out, rotation)
    assert read_code(out) == counter


def zeros(*shape: int) -> Any:
    """An array of zeros."""
    return np.zeros(shape, np.uint8)


@pytest.mark.parametrize(
    ("picture", "out", "message"),
    [
        (zeros(4, 4), zeros(8, 8, 3), r"picture has shape \(4, 4\)"),
        (zeros(4, 4, 4), zeros(8, 8, 3), r"\(4, 4, 4\)"),
        (zeros(0, 4, 3), zeros(8, 8, 3), r"\(0, 4, 3\)"),
        (zeros(4, 4, 3).astype(np.float32), zeros(8, 8, 3), "picture has dtype float32"),
        (zeros(4, 4, 3), zeros(8, 9, 3), r"out has shape \(8, 9, 3\)"),
        (zeros(4, 4, 3), zeros(8, 8, 3).astype(np.float32), "out has dtype float32"),
        (zeros(4, 4, 3), zeros(8, 16, 3)[:, ::2], "contiguous"),
    ],
)
def test_wrong_arrays_are_refused_by_name(picture: Any, out: Any, message: str) -> None:
    """The error names the array, its shape or dtype, and the buffer stays as it was."""
    with pytest.raises(ValueError, match=message):
        preprocess(picture, out)
    assert not out.any()


def test_odd_angles_are_refused() -> None:
    """Only quarter turns exist."""
    with pytest.raises(ValueError, match="45"):
        preprocess(quarters(8, 8), np.zeros((8, 8, 3), np.uint8), 45)


@pytest.mark.parametrize(
    ("colour", "luma"), [(RED, 76), (GREEN, 150), (BLUE, 29), (WHITE, 255), ((0, 0, 0), 0)]
)
def test_small_luma_weighs_rgb_in_that_order(colour: tuple[int, int, int], luma: int) -> None:
    """BT.601 weights with red first; the result has the size asked for."""
    square: Pixels = np.full((256, 256, 3), colour, np.uint8)
    small = small_luma(square, 128)
    assert small.shape == (128, 128)
    assert small.dtype == np.uint8
    assert np.all(np.abs(small.astype(int) - luma) <= 1)


def test_small_luma_refuses_nonsense() -> None:
    """A grey picture or a size of 0 are errors."""
    with pytest.raises(ValueError, match="shape"):
        small_luma(np.zeros((8, 8), np.uint8), 4)
    with pytest.raises(ValueError, match="size_px is 0"):
        small_luma(quarters(8, 8), 0)
