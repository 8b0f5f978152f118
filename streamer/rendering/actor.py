"""An object on its stage: drawn into each frame, and measured while it is drawn.

In: a figure and a stage. Out: pictures with the object, its shadow and its motion blur in them, and
its track.
Invariant: what the depth of the place hides is neither drawn nor counted as seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import atan2, cos, hypot, sin

import cv2
import numpy as np
import numpy.typing as npt

from streamer.frame import Picture
from streamer.rendering.build import Rng
from streamer.rendering.figure import Figure, Flat, drawn, flattened
from streamer.rendering.sensor import Changed
from streamer.rendering.sighting import PAD_PX, Shown, Sighting
from streamer.rendering.surface import Stage
from streamer.rendering.texture import Texture
from streamer.truth import LEAST_AREA, Series, Track

LONGEST_BLUR_PX = 24.0
SKIN_PX = 64
FAINT = 9.0
"""What an ordinary camera does not show clearly, grey levels."""


@dataclass(frozen=True)
class Weather:
    """What light and lens do to all objects of a clip.

    Attributes:
        sun: float64 (3,), direction to the light.
        shadow: darkness of shadows, 0 for none.
        ambient: float64 (3,), factor of colours.
        shutter: share of the frame interval that it is open.
        softness: blur of objects, sigma in pixels; 0 for none.
        gloss: share of light that a shiny floor throws back, 0 for none.
        is_interlaced: whether motion doubles edges instead of smearing them.
        faint: mean difference from the background, grey levels, below which an object is not
            clearly seen by this camera.
    """

    sun: npt.NDArray[np.float64]
    shadow: float
    ambient: npt.NDArray[np.float64]
    shutter: float
    softness: float
    gloss: float = 0.0
    is_interlaced: bool = False
    faint: float = FAINT


class Actor:
    """One object of a clip.

    Args:
        figure: what.
        stage: where; its depth hides the object.
        times_s: float64 (n,).
        weather: light and lens.
        skin: texture of its surface; None for plain.

    Attributes:
        flat: the figure in the picture.
        sighting: what is seen of it, measured while it is drawn.
    """

    def __init__(
        self, figure: Figure, stage: Stage, times_s: Series, weather: Weather, skin: Texture | None
    ) -> None:
        self._stage = stage
        self._weather = weather
        tinted = replace(
            figure,
            capsule_rgb=figure.capsule_rgb * weather.ambient,
            face_rgb=figure.face_rgb * weather.ambient,
        )
        self.name = figure.name
        self.flat = flattened(tinted, stage, times_s, weather.sun)
        self._shadow = _shadow(figure, stage, times_s, weather) if weather.shadow else None
        self._mirrored = _mirrored(tinted, stage, times_s, weather) if weather.gloss else None
        self._velocity = np.gradient(stage.pixels(self.flat.centre), axis=0) * weather.shutter
        self._skin = None if skin is None else _skin(skin)
        self._shown: Shown | None = None
        self.sighting = Sighting(self.flat, stage.size_px, stage.margin_px)

    def n_seen(self) -> int:
        """Return in how many frames its middle is in the picture, large enough and not hidden."""
        flat, stage = self.flat, self._stage
        is_open = stage.is_open(flat.centre, flat.depth)
        is_large = (flat.high - flat.low).prod(axis=1) > 2 * LEAST_AREA * stage.size_px**2
        return int((flat.is_drawn & is_open & is_large).sum())

    def draw(self, canvas: Picture, frame: int) -> None:
        """Draw the object of a frame into the canvas, in place, and measure it."""
        flat, self._shown = self.flat, None
        if not flat.is_drawn[frame]:
            return
        if self._shadow is not None and self._shadow.is_drawn[frame]:
            self._darken(canvas, frame)
        if self._mirrored is not None and self._mirrored.is_drawn[frame]:
            self._mirror(canvas, self._mirrored, frame)
        velocity = self._velocity[frame]
        length = min(hypot(*velocity), LONGEST_BLUR_PX)
        window = _window(flat, frame, canvas.shape[0], PAD_PX + int(length / 2))
        if window is None:
            return
        x0, y0, x1, y1 = window
        layer = self._painted(frame, window, velocity, length)
        total = cv2.mean(layer)[3]
        is_hidden = self._stage.hiding[y0:y1, x0:x1] > 1.0 / flat.depth[frame]
        layer[is_hidden] = 0
        self._shown = Shown(np.ascontiguousarray(layer[..., 3]), window, total)
        self.sighting.measure(self._shown, frame)
        region = canvas[y0:y1, x0:x1]
        through = cv2.cvtColor(255 - layer[..., 3], cv2.COLOR_GRAY2RGB)
        kept = cv2.multiply(region, through, scale=1 / 255)
        shown = cv2.add(kept, np.ascontiguousarray(layer[..., :3]))
        change, cover = cv2.mean(cv2.absdiff(shown, region)), cv2.mean(layer)[3]
        if sum(change[:3]) / 3 < self._weather.faint * cover / 255:
            self.sighting.doubt(frame)
        region[...] = shown

    def hide(self, nearer: Picture, frame: int) -> None:
        """Count as seen only what nearer objects leave of the frame drawn last, and join them.

        Args:
            nearer: uint8 (H, W) of the canvas, how much of each pixel they cover, 0..255; the
                object is added in place.
            frame: the one drawn last.
        """
        if self._shown is not None:
            self.sighting.hide(self._shown, nearer, frame)

    def outline(self) -> Track:
        """Return the track as the outline alone suggests it, without drawing."""
        flat, stage = self.flat, self._stage
        first, last = stage.margin_px, stage.margin_px + stage.size_px
        seen = np.clip(flat.high, first, last) - np.clip(flat.low, first, last)
        inside = seen.prod(axis=1) * flat.is_drawn * stage.is_open(flat.centre, flat.depth)
        whole = np.maximum((flat.high - flat.low).prod(axis=1), 1e-6)
        high = (flat.high[:, 1] - flat.low[:, 1]) / stage.px[1]
        area, visible = 0.6 * inside / stage.size_px**2, inside / whole
        return Track(
            flat.centre, high, flat.scale, flat.part_speed, area, visible, flat.hidden_speed
        )

    def imprint(self) -> None:
        """Make the object part of the still place: drawn once, and hiding what is behind it."""
        stage, flat = self._stage, self.flat
        before = stage.picture.copy()
        self.draw(stage.picture, 0)
        window = _window(flat, 0, stage.side_px, PAD_PX)
        if window is None or not flat.is_drawn[0]:
            return
        x0, y0, x1, y1 = window
        layer = drawn(flat, 0, (x0, y0), (x1 - x0, y1 - y0))
        is_changed = (stage.picture != before)[y0:y1, x0:x1].any(axis=2)
        is_solid = (layer[..., 3] > 128) & is_changed
        stage.hiding[y0:y1, x0:x1][is_solid] = 1 / flat.depth[0]

    def track(self, changed: Changed | None = None) -> Track:
        """Return what has been measured, after the last frame was drawn.

        Args:
            changed: bool (n, S, S), pixels that change clearly around each frame; None where that
                does not matter.
        """
        flat = self.flat
        high = (flat.high[:, 1] - flat.low[:, 1]) / self._stage.px[1]
        return Track(
            flat.centre,
            high,
            flat.scale,
            flat.part_speed,
            self.sighting.area,
            self.sighting.visible,
            flat.hidden_speed,
            None if changed is None else self.sighting.stirred(changed),
        )

    def _painted(
        self,
        frame: int,
        window: tuple[int, int, int, int],
        velocity: npt.NDArray[np.float64],
        length: float,
    ) -> Picture:
        """Return the object alone, dressed and blurred by its motion or the lens, (h, w, 4)."""
        x0, y0, x1, y1 = window
        layer = drawn(self.flat, frame, (x0, y0), (x1 - x0, y1 - y0))
        if self._skin is not None:
            self._dress(layer, self._skin, frame, (x0, y0))
        blurred: cv2.typing.MatLike = layer
        if length > 1.5:
            streak = _streak(velocity, length, is_double=self._weather.is_interlaced)
            blurred = cv2.filter2D(layer, -1, streak, borderType=cv2.BORDER_CONSTANT)
        elif self._weather.softness:
            blurred = cv2.GaussianBlur(layer, (5, 5), self._weather.softness)
        return np.asarray(blurred, np.uint8)

    def _darken(self, canvas: Picture, frame: int) -> None:
        shadow = self._shadow
        window = None if shadow is None else _window(shadow, frame, canvas.shape[0], PAD_PX)
        if shadow is None or window is None:
            return
        x0, y0, x1, y1 = window
        layer = drawn(shadow, frame, (x0, y0), (x1 - x0, y1 - y0))
        layer[self._stage.hiding[y0:y1, x0:x1] > 1.02 / shadow.depth[frame]] = 0
        soft = cv2.blur(layer[..., 3], (3, 3))
        through = cv2.convertScaleAbs(soft, alpha=-self._weather.shadow, beta=0)
        factor = cv2.cvtColor(255 - through, cv2.COLOR_GRAY2RGB)
        region = canvas[y0:y1, x0:x1]
        cv2.multiply(region, factor, dst=region, scale=1 / 255)

    def _mirror(self, canvas: Picture, mirrored: Flat, frame: int) -> None:
        """Add what a shiny floor shows of the object, in place."""
        window = _window(mirrored, frame, canvas.shape[0], PAD_PX)
        if window is None:
            return
        x0, y0, x1, y1 = window
        layer = drawn(mirrored, frame, (x0, y0), (x1 - x0, y1 - y0))
        layer[self._stage.hiding[y0:y1, x0:x1] > 1.0 / mirrored.depth[frame]] = 0
        layer = np.asarray(cv2.blur(cv2.convertScaleAbs(layer, alpha=self._weather.gloss), (1, 3)))
        region = canvas[y0:y1, x0:x1]
        through = cv2.cvtColor(255 - layer[..., 3], cv2.COLOR_GRAY2RGB)
        kept = cv2.multiply(region, through, scale=1 / 255)
        region[...] = cv2.add(kept, np.ascontiguousarray(layer[..., :3]))

    def _dress(self, layer: Picture, skin: Picture, frame: int, corner: tuple[int, int]) -> None:
        """Multiply the object's colours with a texture that goes with it."""
        flat = self.flat
        height = max(float(flat.high[frame, 1] - flat.low[frame, 1]), 4.0)
        scale = SKIN_PX / height
        at = self._stage.pixels(flat.centre[frame]) - np.array(corner)
        place = np.array(
            [[scale, 0, 32 - scale * at[0]], [0, scale, 32 - scale * at[1]]], np.float32
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (layer.shape[1], layer.shape[0])
        cloth = cv2.warpAffine(skin, place, size, flags=flags, borderMode=cv2.BORDER_WRAP)
        cv2.multiply(layer, cloth, dst=layer, scale=1 / 128)


def _skin(texture: Texture) -> Picture:
    """Return a factor around 128, the alpha's always 128."""
    small = cv2.resize(texture, (SKIN_PX, SKIN_PX), interpolation=cv2.INTER_AREA)
    tone = cv2.convertScaleAbs(small, alpha=0.42, beta=72)
    return np.asarray(cv2.merge([tone, tone, tone, np.full_like(tone, 128)]), np.uint8)


def _shadow(figure: Figure, stage: Stage, times_s: Series, weather: Weather) -> Flat | None:
    """Return the figure's shadow on the ground."""
    if not figure.is_grounded:
        return None
    points = figure.points - weather.sun * (figure.points[..., 1:2] / weather.sun[1])
    white = np.full(3, 255.0)
    flat_on_ground = replace(
        figure,
        points=points,
        radii=figure.radii * 0.9,
        capsule_rgb=np.broadcast_to(white, figure.capsule_rgb.shape),
        face_rgb=np.broadcast_to(white, figure.face_rgb.shape),
        parts=np.zeros(0, np.int64),
    )
    return flattened(flat_on_ground, stage, times_s, weather.sun)


def _mirrored(figure: Figure, stage: Stage, times_s: Series, weather: Weather) -> Flat | None:
    """Return the figure upside down below the ground."""
    if not figure.is_grounded:
        return None
    points = figure.points * np.array([1.0, -1.0, 1.0])
    below = replace(figure, points=points, parts=np.zeros(0, np.int64))
    return flattened(below, stage, times_s, weather.sun)


def _window(flat: Flat, frame: int, side: int, pad: int) -> tuple[int, int, int, int] | None:
    """Return x0, y0, x1, y1 of the canvas that a frame of a figure covers."""
    (x0, y0), (x1, y1) = flat.low[frame], flat.high[frame]
    left, top = max(0, int(x0) - pad), max(0, int(y0) - pad)
    right, bottom = min(side, int(x1) + pad + 1), min(side, int(y1) + pad + 1)
    if right - left < 1 or bottom - top < 1:
        return None
    return left, top, right, bottom


def _streak(
    velocity: npt.NDArray[np.float64], length: float, *, is_double: bool
) -> npt.NDArray[np.float32]:
    """Return the kernel of a straight motion."""
    half = int(length / 2) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    angle = atan2(velocity[1], velocity[0])
    dx, dy = cos(angle) * length / 2, sin(angle) * length / 2
    start = (round((half - dx) * 16), round((half - dy) * 16))
    end = (round((half + dx) * 16), round((half + dy) * 16))
    if is_double:
        kernel[round(half - dy), round(half - dx)] = kernel[round(half + dy), round(half + dx)] = 1
        return kernel / np.float32(kernel.sum())
    cv2.line(kernel, start, end, 1.0, 1, cv2.LINE_AA, 4)
    kernel[half, half] = max(kernel[half, half], 0.5)
    return np.asarray(kernel / kernel.sum(), np.float32)


def weather(rng: Rng, mean_rgb: npt.NDArray[np.float64]) -> Weather:
    """Choose light and lens to go with a place's mean colour, float64 (3,) 0..255."""
    angle = rng.uniform(0, 2 * np.pi)
    sun = np.array([cos(angle), rng.uniform(0.6, 3.0), sin(angle)])
    level = np.clip(mean_rgb.mean() / 110, 0.3, 1.25) * rng.uniform(0.8, 1.2)
    tint = 0.8 + 0.2 * mean_rgb / max(float(mean_rgb.mean()), 1.0)
    return Weather(
        sun=sun / np.linalg.norm(sun),
        shadow=float(rng.uniform(0.2, 0.65)) if rng.random() < 0.5 else 0.0,
        ambient=level * tint,
        shutter=float(rng.uniform(0.1, 0.7)),
        softness=float(rng.uniform(0.3, 0.8)) if rng.random() < 0.4 else 0.0,
        gloss=float(rng.uniform(0.08, 0.35)) if rng.random() < 0.12 else 0.0,
        is_interlaced=bool(rng.random() < 0.08),
    )
