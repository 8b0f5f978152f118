"""What happens in a rendered scene: visitors, leaves, lamps, headlights, vibration, noise.

In: a picture and a time. Out: the picture with this layer applied, and the layer's ground truth as events. Time is
divided into cycles, each planned by its own generator, so that any moment can be rendered without the ones before.
Invariant: `apply` and `events` of one layer are functions of seed and time alone and agree with each other.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from streamer.backdrop import HORIZON, glow
from streamer.frame import Picture
from streamer.sprite import N_PHASES, Sprite, paste

NUISANCES = frozenset({"lighting", "camera", "background"})
"""Labels of events in which no object moves."""


@dataclass(frozen=True, slots=True)
class SceneEvent:
    """Something that happens in a scene, exactly as rendered.

    Attributes:
        label: left, right, approach, recede; or lighting, camera, background.
        subject: walker, car, lamp, headlights, leaves or vibration.
        start_s: time of the first picture it shows in, seconds.
        end_s: time of the last one; at most the duration that was asked for.
    """

    label: str
    subject: str
    start_s: float
    end_s: float

    @property
    def is_nuisance(self) -> bool:
        """True where pixels change although no object moves."""
        return self.label in NUISANCES


class Layer(Protocol):
    """One thing that happens in a scene."""

    def apply(self, picture: Picture, t_s: float) -> Picture:
        """Return the picture at `t_s` with this layer; `picture` may be modified."""
        ...

    def events(self) -> Iterator[SceneEvent]:
        """Yield what happens, ordered by start, without end."""
        ...


class Visit(Protocol):
    """One passage of one object."""

    event: SceneEvent

    @abstractmethod
    def draw(self, picture: Picture, t_s: float) -> None:
        """Draw the object at a time within its event."""
        ...


@dataclass(frozen=True)
class Crossing:
    """An object that moves across the picture from edge to edge.

    Attributes:
        event: left or right; it begins and ends with the object's edge at the picture's.
        sprites: phases of its gait, facing the way it goes; one for a car.
        foot: height of its lower edge, share of the picture.
        size: its height, share of the picture.
        stride: distance of a gait cycle in heights.
    """

    event: SceneEvent
    sprites: Sequence[Sprite]
    foot: float
    size: float
    stride: float = 0.8

    def draw(self, picture: Picture, t_s: float) -> None:
        """Draw it where it is at `t_s`."""
        height, width = picture.shape[:2]
        size_px = self.size * height
        reach = size_px * max(sprite.aspect for sprite in self.sprites)
        done = (t_s - self.event.start_s) / (self.event.end_s - self.event.start_s)
        gone = done * (width + reach)
        x = gone - reach / 2 if self.event.label == "right" else width + reach / 2 - gone
        phase = int(gone / (self.stride * size_px) * N_PHASES) % len(self.sprites)
        paste(picture, self.sprites[phase], (x, self.foot * height), size_px)


@dataclass(frozen=True)
class Hallway:
    """A person who walks along the corridor: out of the far doorway and past the camera, or the other way.

    Attributes:
        event: approach or recede.
        sprites: phases of the gait, from the front.
        far_m: distance of the doorway.
    """

    event: SceneEvent
    sprites: Sequence[Sprite]
    far_m: float = 9.0

    # A camera 2.3 m above the floor with a horizontal view of 80 degrees; a person of 1.75 m.
    camera_m = 2.3
    person_m = 1.75
    focal = 0.6
    near_m = 0.75
    doorway_share = 0.15

    def draw(self, picture: Picture, t_s: float) -> None:
        """Draw the person at `t_s`."""
        height, width = picture.shape[:2]
        done = (t_s - self.event.start_s) / (self.event.end_s - self.event.start_s)
        done = done if self.event.label == "approach" else 1 - done
        inside = np.clip((done - self.doorway_share) / (1 - self.doorway_share), 0, 1)
        z_m = self.far_m + (self.near_m - self.far_m) * float(inside)
        # Sideways out of the doorway first: 1.2 m to the right of the middle is behind the wall.
        x_m = 1.55 * (1 - min(1.0, done / self.doorway_share)) + 0.15
        focal_px = self.focal * width
        foot = (width / 2 + focal_px * x_m / z_m, HORIZON * 0.7 * height + focal_px * self.camera_m / z_m)
        hidden = width if inside > 0 else int(width / 2 + focal_px * 1.25 / self.far_m)
        phase = int((self.far_m - z_m + x_m) / 1.4 * N_PHASES) % len(self.sprites)
        paste(picture, self.sprites[phase], foot, focal_px * self.person_m / z_m, slice(0, hidden))


Plan = Callable[[np.random.Generator, float, float], Visit]
"""Makes the visit of a cycle from a generator, the cycle's start and the seconds it may take."""


class Visits:
    """Objects that come and go, one a cycle, with a pause in which nothing moves.

    Args:
        seed: chooses who comes and when.
        plans: kinds of visits, chosen with equal chance.
        period_s: length of a cycle; the pause is its last 4 s and the first 3 s of the scene.
        chance: share of cycles with a visit.
    """

    PAUSE_S = 4.0
    LEAD_S = 3.0

    def __init__(self, seed: int, plans: Sequence[Plan], period_s: float = 10.0, chance: float = 1.0) -> None:
        self._seed = seed
        self._plans = plans
        self._period_s = period_s
        self._chance = chance
        # The present cycle and its neighbours; the drawings of a visit are 1 MB.
        self._visit = lru_cache(maxsize=4)(self._planned)

    def apply(self, picture: Picture, t_s: float) -> Picture:
        """Draw the visitor that is there at `t_s`, if any."""
        visit = self._visit(int((t_s - self.LEAD_S) // self._period_s))
        if visit and visit.event.start_s <= t_s <= visit.event.end_s:
            visit.draw(picture, t_s)
        return picture

    def events(self) -> Iterator[SceneEvent]:
        """Yield one event a visit."""
        for cycle in count():
            visit = self._planned(cycle)
            if visit:
                yield visit.event

    def _planned(self, cycle: int) -> Visit | None:
        if cycle < 0:
            return None
        rng = np.random.default_rng((self._seed, cycle))
        if rng.random() >= self._chance:
            return None
        plan = self._plans[int(rng.integers(len(self._plans)))]
        return plan(rng, self.LEAD_S + cycle * self._period_s, self._period_s - self.PAUSE_S)


class Leaves:
    """Bunches of leaves that sway in gusts; they never quite stand still."""

    def __init__(self, rng: np.random.Generator, sprites: Sequence[Sprite], n: int = 14) -> None:
        self._sprites = sprites
        self._places = rng.uniform((-0.02, 0.2, 0.2), (1.02, 0.5, 0.32), (n, 3))
        self._phases = rng.uniform(0, 2 * np.pi, (n, 2))

    def apply(self, picture: Picture, t_s: float) -> Picture:
        """Draw every bunch where the wind has it."""
        height, width = picture.shape[:2]
        gust = 0.004 + 0.014 * max(0.0, np.sin(t_s / 3.1) * np.sin(t_s / 7.7 + 1))
        for index, (x, y, size) in enumerate(self._places):
            slow, fast = self._phases[index]
            sway = gust * (np.sin(2.1 * t_s + slow) + 0.5 * np.sin(5.3 * t_s + fast))
            foot = ((x + sway) * width, (y + 0.4 * sway) * height)
            paste(picture, self._sprites[index % len(self._sprites)], foot, size * height)
        return picture

    def events(self) -> Iterator[SceneEvent]:
        """Yield one event without end."""
        yield SceneEvent("background", "leaves", 0.0, float("inf"))


class Headlights:
    """The light of a car that is not seen sweeps over a dark place."""

    SWEEP_S = 2.5

    def __init__(self, seed: int, width: int, height: int, ambient: float = 0.22, period_s: float = 13.0) -> None:
        self._seed = seed
        self._period_s = period_s
        self._size = (width, height)
        beam = ambient + glow(3 * width, height, (0.5, 0.6), 0.09, 1.0)
        self._beam = _as_factor(beam)
        self._dark = _as_factor(np.full((height, width), ambient, np.float32))

    def apply(self, picture: Picture, t_s: float) -> Picture:
        """Darken the picture but for where the beam is."""
        width, _ = self._size
        cycle = int(t_s // self._period_s)
        event = self._sweep(cycle)
        if not event.start_s <= t_s <= event.end_s:
            return _lit(picture, self._dark)
        done = (t_s - event.start_s) / self.SWEEP_S
        shift = int(2 * width * (done if cycle % 2 else 1 - done))
        return _lit(picture, self._beam[:, shift : shift + width])

    def events(self) -> Iterator[SceneEvent]:
        """Yield one event a sweep."""
        for cycle in count():
            yield self._sweep(cycle)

    def _sweep(self, cycle: int) -> SceneEvent:
        late_s = np.random.default_rng((self._seed, cycle)).uniform(5.0, self._period_s - self.SWEEP_S - 1)
        start_s = cycle * self._period_s + float(late_s)
        return SceneEvent("lighting", "headlights", start_s, start_s + self.SWEEP_S)


class Lamps:
    """Two lamps of a room that are switched in turn."""

    RAMP_S = 0.15

    def __init__(self, seed: int, width: int, height: int, period_s: float = 8.0) -> None:
        self._seed = seed
        self._period_s = period_s
        places = ((0.3, 0.26), (0.8, 0.26))
        self._glows = [glow(width, height, place, 0.35, 0.75) for place in places]
        self._light = lru_cache(maxsize=2)(self._mixed)

    def apply(self, picture: Picture, t_s: float) -> Picture:
        """Light the picture as the lamps are at `t_s`."""
        levels = [0.0, 1.0]
        cycle = int(t_s // self._period_s)
        for earlier in range(max(0, cycle - 1), cycle + 1):
            done = float(np.clip((t_s - self._switch_s(earlier)) / self.RAMP_S, 0, 1))
            lamp = earlier % 2
            is_on = (earlier // 2) % 2 == lamp
            levels[lamp] = done if is_on else 1 - done
        if cycle >= 1:
            levels[(cycle + 1) % 2] = float(((cycle - 1) // 2) % 2 == (cycle - 1) % 2)
        return _lit(picture, self._light(round(levels[0], 3), round(levels[1], 3)))

    def events(self) -> Iterator[SceneEvent]:
        """Yield one event a switching."""
        for cycle in count():
            start_s = self._switch_s(cycle)
            yield SceneEvent("lighting", "lamp", start_s, start_s + self.RAMP_S)

    def _switch_s(self, cycle: int) -> float:
        late_s = np.random.default_rng((self._seed, cycle)).uniform(3.0, self._period_s - 1)
        return cycle * self._period_s + float(late_s)

    def _mixed(self, first: float, second: float) -> Picture:
        return _as_factor(0.45 + first * self._glows[0] + second * self._glows[1])


class Vibration:
    """A camera that trembles for a while in each cycle."""

    BURST_S = 3.0

    def __init__(self, seed: int, period_s: float = 9.0, amplitude: float = 0.005) -> None:
        self._seed = seed
        self._period_s = period_s
        self._amplitude = amplitude

    def apply(self, picture: Picture, t_s: float) -> Picture:
        """Shift the picture by a fraction of its width during a burst."""
        event = self._burst(int(t_s // self._period_s))
        if not event.start_s <= t_s <= event.end_s:
            return picture
        height, width = picture.shape[:2]
        swing = self._amplitude * width
        x = swing * (np.sin(23 * t_s) + 0.6 * np.sin(41 * t_s + 1))
        y = swing * (np.sin(29 * t_s + 2) + 0.6 * np.sin(37 * t_s))
        shift = np.array([[1, 0, x], [0, 1, y]], np.float32)
        moved = cv2.warpAffine(picture, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(moved, np.uint8)

    def events(self) -> Iterator[SceneEvent]:
        """Yield one event a burst."""
        for cycle in count():
            yield self._burst(cycle)

    def _burst(self, cycle: int) -> SceneEvent:
        late_s = np.random.default_rng((self._seed, cycle)).uniform(3.0, self._period_s - self.BURST_S)
        start_s = cycle * self._period_s + float(late_s)
        return SceneEvent("camera", "vibration", start_s, start_s + self.BURST_S)


class Noise:
    """Sensor noise: a different part of one large noise picture at each time."""

    SPARE_PX = 64

    def __init__(self, rng: np.random.Generator, width: int, height: int, sigma: float) -> None:
        shape = (height + self.SPARE_PX, width + self.SPARE_PX, 3)
        noise = rng.normal(0, sigma, shape).round()
        # Two saturating 8-bit operations cost 0.1 ms at 640 x 360, one in 16 bits 1 ms.
        self._brighter = np.clip(noise, 0, 255).astype(np.uint8)
        self._darker = np.clip(-noise, 0, 255).astype(np.uint8)

    def apply(self, picture: Picture, t_s: float) -> Picture:
        """Add the noise of this time."""
        height, width = picture.shape[:2]
        mixed = (round(t_s * 1000) * 2654435761) & 0xFFFFFFFF
        y, x = mixed >> 8 & (self.SPARE_PX - 1), mixed >> 20 & (self.SPARE_PX - 1)
        view = slice(y, y + height), slice(x, x + width)
        cv2.add(picture, self._brighter[view], dst=picture)
        cv2.subtract(picture, self._darker[view], dst=picture)
        return picture

    def events(self) -> Iterator[SceneEvent]:
        """Yield nothing: noise is always there."""
        yield from ()


FACTOR_ONE = 128
"""Value of an 8-bit light map that leaves a pixel as it is; 255 doubles it."""


def _as_factor(light: npt.NDArray[np.float32]) -> Picture:
    factor = np.clip(light * FACTOR_ONE, 0, 255).round().astype(np.uint8)
    return np.asarray(cv2.cvtColor(factor, cv2.COLOR_GRAY2RGB), np.uint8)


def _lit(picture: Picture, factor: Picture) -> Picture:
    return np.asarray(cv2.multiply(picture, factor, dst=picture, scale=1 / FACTOR_ONE), np.uint8)
