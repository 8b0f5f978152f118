"""The coded pictures a scripted camera sends: encoded once per parameters, then only replayed.

In: codec, size, keyframe interval and content. Out: per picture its NAL units, once predicted (a
keyframe every `gop` pictures) and once all-intra, so that a camera can switch content, freeze or be
joined at any picture.
Invariant: picture i carries the frame code i, and predicted pictures i..i+n decode right when i
starts a GOP.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import av
import numpy as np
import numpy.typing as npt

from tests.frame_code import STRIP, draw_code

Codec = Literal["h264", "hevc"]
Content = Literal["static", "moving", "black"]
Picture = npt.NDArray[np.uint8]
Nals = tuple[bytes, ...]

_START = re.compile(rb"\x00\x00\x00?\x01")
_H264_SETS, _HEVC_SETS = (7, 8), (32, 33, 34)


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """What a clip shows and how it is coded.

    Attributes:
        codec: h264 or hevc.
        width: pixels, even.
        height: pixels, even.
        gop: pictures from one keyframe to the next.
        content: static: a still background; moving: a bright block crosses it; black: nothing, not
            even a code.
        n_gops: length of the clip in GOPs; the camera plays it in a loop.
        crf: quality; 0 best, 51 worst.
    """

    codec: Codec = "h264"
    width: int = 320
    height: int = 240
    gop: int = 10
    content: Content = "static"
    n_gops: int = 12
    crf: int = 23

    @property
    def n_frames(self) -> int:
        """Return the number of different pictures."""
        return 1 if self.content == "black" else self.gop * self.n_gops


@dataclass(frozen=True, slots=True)
class Clip:
    """Coded pictures as NAL units without start codes.

    Attributes:
        spec: what was asked for.
        predicted: one tuple a picture; those at multiples of `spec.gop` are keyframes with
            parameter sets.
        intra: the same pictures, each a keyframe with parameter sets.
    """

    spec: ClipSpec
    predicted: tuple[Nals, ...]
    intra: tuple[Nals, ...]

    @property
    def parameter_sets(self) -> Nals:
        """Return SPS and PPS (h264) or VPS, SPS and PPS (hevc)."""
        return tuple(nal for nal in self.intra[0] if is_parameter_set(self.spec.codec, nal))


def nal_type(codec: Codec, nal: bytes) -> int:
    """Return the type number of a NAL unit."""
    return nal[0] & 31 if codec == "h264" else nal[0] >> 1 & 63


def is_parameter_set(codec: Codec, nal: bytes) -> bool:
    """Return whether the unit holds decoder parameters."""
    return nal_type(codec, nal) in (_H264_SETS if codec == "h264" else _HEVC_SETS)


def is_key(codec: Codec, nal: bytes) -> bool:
    """Return whether the unit is a slice of a picture that depends on no other."""
    number = nal_type(codec, nal)
    return number == 5 if codec == "h264" else 16 <= number <= 21


def render(spec: ClipSpec, index: int) -> Picture:
    """Return picture `index` before coding, RGB uint8 (height, width, 3)."""
    if spec.content == "black":
        return np.zeros((spec.height, spec.width, 3), np.uint8)
    picture = _background(spec.width, spec.height).copy()
    if spec.content == "moving":
        _draw_block(picture, index / spec.n_frames * max(1, round(spec.n_gops / 4)))
    draw_code(picture, index)
    return picture


@functools.lru_cache(maxsize=64)
def encode_clip(spec: ClipSpec) -> Clip:
    """Encode the clip in both forms; equal specs share one result."""
    return Clip(spec, tuple(_encode(spec, spec.gop)), tuple(_encode(spec, 1)))


def _draw_block(picture: Picture, phase: float) -> None:
    height, width = picture.shape[:2]
    side = height // 4
    # There and back: no jump at the end of the loop.
    x = round((width - side) * (1 - abs(phase % 1 * 2 - 1)))
    y = round(height * (STRIP + 0.3))
    picture[y : y + side, x : x + side] = (250, 240, 200)


@functools.lru_cache(maxsize=8)
def _background(width: int, height: int) -> Picture:
    y, x = np.mgrid[0:height, 0:width]
    ramp = (x * 120 / width + y * 60 / height + 40).astype(np.uint8)
    boards = ((x // (width // 8) + y // (height // 6)) % 2 * 24).astype(np.uint8)
    return np.stack([ramp, ramp // 2 + boards, 200 - ramp], axis=-1)


def _encode(spec: ClipSpec, gop: int) -> Iterator[Nals]:
    context = av.CodecContext.create("libx264" if spec.codec == "h264" else "libx265", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = spec.width, spec.height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.gop_size, context.max_b_frames, context.thread_count = gop, 0, 1
    keys = f"keyint={gop}:min-keyint={gop}:scenecut=0"
    private = (
        {"x264-params": f"{keys}:slices=1"}
        if spec.codec == "h264"
        else {"x265-params": f"{keys}:log-level=error:pools=none:frame-threads=1:repeat-headers=1"}
    )
    context.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "crf": str(spec.crf),
        **private,
    }
    for index in range(spec.n_frames):
        frame = av.VideoFrame.from_ndarray(render(spec, index), format="rgb24").reformat(
            format="yuv420p"
        )
        frame.pts = index
        yield from (_nals(spec.codec, bytes(packet)) for packet in context.encode(frame))
    yield from (_nals(spec.codec, bytes(packet)) for packet in context.encode(None))


def _nals(codec: Codec, packet: bytes) -> Nals:
    # Encoder self-advertising (SEI) is no part of a picture.
    sei = (6,) if codec == "h264" else (39, 40)
    return tuple(nal for nal in _START.split(packet) if nal and nal_type(codec, nal) not in sei)
