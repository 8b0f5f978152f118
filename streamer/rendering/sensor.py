"""What a sensor and a coder do to pictures: grain, night vision, ghosts, blur, low bitrate, text.

In: a finished clip. Out: the clip as a camera would have sent it.
Invariant: nothing here is an event; all of it may be in any clip.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import av
import cv2
import numpy as np
import numpy.typing as npt

from streamer.frame import Picture
from streamer.rendering.build import Rng, log_uniform

GOOD_CRF = 28
CODED = 0.5
"""Up to which a coder swallows nothing, and grey levels that it swallows for each step beyond."""
_MEAN = np.full((1, 3), 1 / 3, np.float32)
Changed = npt.NDArray[np.bool_]
BANK_PX = 512
N_BANKS = 4


@dataclass(frozen=True)
class Look:
    """How a camera sees; chosen once a clip.

    Attributes:
        tones: uint8 (256, 3), what becomes of each level of R, G and B.
        is_grey: night vision, or a camera without colour.
        vignette: uint8 (S, S, 3) factor, 255 leaves as it is; or None.
        noise: grey levels; 0 for none.
        bank: which noise.
        blur: sigma in pixels; 0 for none.
        stamp: how often a clock in the picture ticks and where; None for none.
        crf: of the coder; None for no coder.
        gop: frames between key frames.
        banding: grey levels, bands in the picture, and their pace, of a rolling shutter's flicker.
    """

    tones: npt.NDArray[np.uint8]
    is_grey: bool
    vignette: Picture | None
    noise: float
    bank: int
    blur: float
    stamp: tuple[float, int, int, int] | None
    crf: int | None
    gop: int
    banding: tuple[float, float, float] = (0.0, 0.0, 0.0)


def look(rng: Rng, size_px: int, *, is_night: bool) -> Look:
    """Choose how the camera sees."""
    gamma, contrast = log_uniform(rng, 0.75, 1.35), rng.uniform(0.65, 1.15)
    lift = rng.uniform(0, 30)
    gains = np.clip(rng.normal(1, 0.06, 3), 0.8, 1.2)
    if is_night:
        contrast, lift = rng.uniform(0.25, 0.75), rng.uniform(0, 25)
    level = (np.arange(256) / 255) ** gamma * 255 * contrast + lift
    tones = np.clip(level[:, None] * gains, 0, 255).astype(np.uint8)
    vignette = None
    if rng.random() < (0.7 if is_night else 0.25):
        y, x = np.mgrid[-1 : 1 : size_px * 1j, -1 : 1 : size_px * 1j]
        fall = 1 - rng.uniform(0.1, 0.8 if is_night else 0.4) * (x**2 + y**2) / 2
        vignette = cv2.merge([np.clip(fall * 255, 0, 255).astype(np.uint8)] * 3)
    noise = log_uniform(rng, 0.6, 9) * (1.6 if is_night else 1) if rng.random() < 0.85 else 0.0
    stamp = None
    if rng.random() < 0.25:
        corner = int(rng.integers(4))
        stamp = (
            float(rng.random()),
            corner,
            int(rng.integers(1 << 20)),
            int(rng.choice([255, 255, 0])),
        )
    return Look(
        tones=tones,
        is_grey=bool(rng.random() < (0.8 if is_night else 0.08)),
        vignette=vignette,
        noise=min(noise, 16.0),
        bank=int(rng.integers(N_BANKS)),
        blur=float(rng.uniform(0.4, 1.2)) if rng.random() < 0.3 else 0.0,
        stamp=stamp,
        crf=int(rng.integers(24, 42)) if rng.random() < 0.35 else None,
        gop=int(rng.choice([8, 10, 20, 30, 50])),
        banding=(rng.uniform(0.5, 3), rng.uniform(0.5, 4), rng.uniform(0.1, 5))
        if rng.random() < 0.1
        else (0.0, 0.0, 0.0),
    )


def plain(of: Look) -> Look:
    """Return the look of a good camera by day: full contrast, little grain, no coder."""
    level = np.arange(256, dtype=np.uint8)
    tones = np.repeat(level[:, None], 3, axis=1)
    return replace(of, tones=tones, noise=min(of.noise, 2.0), blur=0.0, crf=None)


def faint(of: Look) -> float:
    """Return the difference in grey levels that such a camera does not show clearly."""
    slope = float(of.tones[192].mean()) - float(of.tones[64].mean())
    return (5 + 0.8 * of.noise) / max(slope / 128, 0.1)


def lost(of: Look) -> float:
    """Return the difference in grey levels of `toned` pictures that grain and coder swallow."""
    return 5 + 0.8 * of.noise + CODED * max(0, (of.crf or 0) - GOOD_CRF)


def toned(clip: Picture, of: Look) -> Picture:
    """Return a clip as lens and sensor see it, without grain and coder.

    Args:
        clip: uint8 (n, S, S, 3).
        of: the camera.

    Returns:
        uint8 (n, S, S, 3). New array.
    """
    n, side = clip.shape[:2]
    tall = clip.reshape(n * side, side, 3)
    if of.is_grey:
        grey = cv2.cvtColor(tall, cv2.COLOR_RGB2GRAY)
        tall = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8).reshape(tall.shape)
    out = np.asarray(cv2.LUT(tall, of.tones[:, None]), np.uint8).reshape(clip.shape)
    for picture in out:
        if of.vignette is not None:
            cv2.multiply(picture, of.vignette, dst=picture, scale=1 / 255)
        if of.blur:
            cv2.GaussianBlur(picture, (5, 5), of.blur, dst=picture)
    return out


def changes(clean: Picture, clear: float) -> Changed:
    """Return which pixels change clearly around each frame.

    From the frame before it, from 1 before to 1 after, or from 2 before to 2 after: one span alone
    would miss what goes to and fro in just that time.

    Args:
        clean: uint8 (n, S, S, 3), toned.
        clear: mean difference of the channels that is clear, grey levels.

    Returns:
        bool (n, S, S). New array.
    """
    n, side = clean.shape[:2]
    index, changed = np.arange(n), np.zeros((n, side, side), np.bool_)
    for back, forth in ((1, 0), (1, 1), (2, 2)):
        before, after = np.maximum(index - back, 0), np.minimum(index + forth, n - 1)
        for frame, (first, last) in enumerate(zip(before, after, strict=True)):
            mean = cv2.transform(cv2.absdiff(clean[first], clean[last]), _MEAN)
            changed[frame] |= np.asarray(mean) > clear
    return changed


def developed(clip: Picture, of: Look, rng: Rng, times_s: npt.NDArray[np.float64]) -> Picture:
    """Return a clip as the camera sends it.

    Args:
        clip: uint8 (n, S, S, 3), toned.
        of: the camera.
        rng: noise.
        times_s: float64 (n,), for the clock in the picture.

    Returns:
        uint8 (n, S, S, 3). New array.
    """
    n, side = clip.shape[:2]
    out = clip.copy()
    brighter, darker = _noise_bank(of.bank, of.is_grey)
    starts = rng.integers(0, BANK_PX - side, (n, 2)) if side < BANK_PX else np.zeros((n, 2), int)
    for index, (y, x) in enumerate(starts.tolist()):
        picture = out[index]
        if of.noise:
            cut = slice(y, y + side), slice(x, x + side)
            cv2.scaleAdd(brighter[cut], of.noise / 16, picture, dst=picture)
            cv2.subtract(
                picture, cv2.convertScaleAbs(darker[cut], alpha=of.noise / 16), dst=picture
            )
        if of.banding[0]:
            _band(picture, of.banding, float(times_s[index]))
        if of.stamp:
            _stamp(picture, of.stamp, float(times_s[index]))
    return out if of.crf is None else coded(out, of.crf, of.gop)


def coded(clip: Picture, crf: int, gop: int) -> Picture:
    """Return a clip after H.264 and back.

    Args:
        clip: uint8 (n, S, S, 3).
        crf: 0 best .. 51 worst.
        gop: frames between key frames.

    Returns:
        uint8 (n, S, S, 3). New array.
    """
    side = clip.shape[1]
    even = side + side % 2
    coder = av.CodecContext.create("libx264", "w")
    coder.width = coder.height = even
    coder.pix_fmt = "yuv420p"
    coder.time_base, coder.framerate = Fraction(1, 10), Fraction(10, 1)
    coder.gop_size, coder.thread_count = gop, 1
    coder.options = {"preset": "ultrafast", "crf": str(crf), "tune": "zerolatency"}
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    out: list[Picture] = []
    for index, picture in enumerate(clip):
        frame = av.VideoFrame.from_ndarray(_even(picture), format="rgb24")
        frame.pts = index
        for packet in coder.encode(frame):
            out += [_back(shown) for shown in decoder.decode(packet)]
    for packet in coder.encode(None):
        out += [_back(shown) for shown in decoder.decode(packet)]
    out += [_back(shown) for shown in decoder.decode(None)]
    return np.stack(out)[:, :side, :side]


def _even(picture: Picture) -> Picture:
    spare = picture.shape[0] % 2
    return np.pad(picture, ((0, spare), (0, spare), (0, 0)), "edge") if spare else picture


def _back(frame: av.VideoFrame) -> Picture:
    return frame.to_ndarray(format="rgb24", threads=1).astype(np.uint8, copy=False)


@lru_cache(maxsize=2 * N_BANKS)
def _noise_bank(index: int, is_grey: bool) -> tuple[Picture, Picture]:
    """Return noise of 16 grey levels, split by sign: fine or coarse, with or without colour."""
    rng = np.random.default_rng((index, is_grey, 79))
    colour = 0.0 if is_grey else (0.0, 0.5, 1.0, 0.7)[index]
    luma = rng.normal(0, 1, (BANK_PX, BANK_PX, 1))
    noise = (1 - colour) * luma + colour * rng.normal(0, 1, (BANK_PX, BANK_PX, 3))
    if index >= N_BANKS - 2:
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), 0.7), np.float64).reshape(noise.shape)
    noise = 16 * noise / noise.std()
    return np.clip(noise, 0, 255).astype(np.uint8), np.clip(-noise, 0, 255).astype(np.uint8)


def _band(picture: Picture, of: tuple[float, float, float], t_s: float) -> None:
    """Brighten bands of rows that drift, in place."""
    size, n_bands, pace = of
    rows = np.linspace(0, 1, picture.shape[0])
    wave = np.sin(2 * np.pi * (n_bands * rows + pace * t_s))
    level = (size * (1 + wave)).round().astype(np.uint8)[:, None, None]
    cv2.add(picture, np.broadcast_to(level, picture.shape).copy(), dst=picture)


def _stamp(picture: Picture, of: tuple[float, int, int, int], t_s: float) -> None:
    """Write the time into a corner; it ticks every second."""
    offset, corner, start, tone = of
    second = start + int(t_s + offset)
    text = f"{second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}"
    side = picture.shape[0]
    size = side / 300
    x = 2 if corner % 2 else int(side - 150 * size)
    y = int(0.07 * side) if corner < 2 else side - 3
    cv2.putText(
        picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, (tone, tone, tone), 1, cv2.LINE_AA
    )
