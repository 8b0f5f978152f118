"""Who comes and goes in a rendered scene, and when.

In: a seed and kinds of visits. Out: pictures with the visitor of the moment drawn in, and the
ground truth of every visit. Time is divided into cycles, each planned by its own generator, so that
any moment can be rendered without the ones before it.
Invariant: what is drawn and what is told are functions of seed and time alone and agree with each
other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Protocol

import numpy as np

from streamer.backdrop import FAR_WALL, HALLWAY_HORIZON
from streamer.frame import Picture
from streamer.sprite import N_PHASES, Sprite, paste

NUISANCES = frozenset({"lighting", "camera", "tamper", "background"})
"""Labels of events in which no object moves."""


@dataclass(frozen=True, slots=True)
class SceneEvent:
    """Something that happens in a scene, exactly as rendered.

    Attributes:
        label: one of `truth.LABELS`.
        subject: walker, car, lamp, headlights, leaves, vibration, person, sedan, rain, ...
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


class Visit(Protocol):
    """One passage of one object."""

    @property
    def event(self) -> SceneEvent:
        """The ground truth."""
        ...

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
        gone = _progress(self.event, t_s) * (width + reach)
        x = gone - reach / 2 if self.event.label == "right" else width + reach / 2 - gone
        phase = int(gone / (self.stride * size_px) * N_PHASES) % len(self.sprites)
        paste(picture, self.sprites[phase], (x, self.foot * height), size_px)


@dataclass(frozen=True)
class Hallway:
    """A person who walks along the corridor.

    Out of the far doorway at the right and past the camera, or the other way. The camera is 2.3 m
    above the floor and sees 80 degrees.

    Attributes:
        event: approach or recede.
        sprites: phases of the gait, from the front.
        far_m: distance of the doorway.
    """

    event: SceneEvent
    sprites: Sequence[Sprite]
    far_m: float = 9.0

    CAMERA_M = 2.3
    PERSON_M = 1.75
    FOCAL = 0.6
    DOORWAY_SHARE = 0.15
    END_X_M = 0.15

    def draw(self, picture: Picture, t_s: float) -> None:
        """Draw the person at `t_s`: first sideways out of the doorway, then down the hallway."""
        height, width = picture.shape[:2]
        done = _progress(self.event, t_s)
        done = done if self.event.label == "approach" else 1 - done
        inside = max(0.0, (done - self.DOORWAY_SHARE) / (1 - self.DOORWAY_SHARE))
        focal_px, eye_px = self.FOCAL * width, HALLWAY_HORIZON * height
        # Nearer than this the head is below the lower edge of the picture.
        near_m = focal_px * (self.CAMERA_M - self.PERSON_M) / (height - eye_px)
        z_m = self.far_m + (near_m - self.far_m) * inside
        wall_m = FAR_WALL * self.far_m / self.FOCAL
        behind_m = wall_m + self.PERSON_M * max(sprite.aspect for sprite in self.sprites) / 2
        x_m = self.END_X_M + (behind_m - self.END_X_M) * max(0.0, 1 - done / self.DOORWAY_SHARE)
        hidden = width if inside else round(width * (0.5 + FAR_WALL))
        foot = (width / 2 + focal_px * x_m / z_m, eye_px + focal_px * self.CAMERA_M / z_m)
        phase = int((self.far_m - z_m + behind_m - x_m) / 1.4 * N_PHASES) % len(self.sprites)
        paste(picture, self.sprites[phase], foot, focal_px * self.PERSON_M / z_m, slice(0, hidden))


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

    def __init__(
        self, seed: int, plans: Sequence[Plan], period_s: float = 10.0, chance: float = 1.0
    ) -> None:
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

    def events(self, duration_s: float) -> Iterator[SceneEvent]:
        """Yield one event a visit."""
        for cycle in range(ceil(duration_s / self._period_s)):
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


def _progress(event: SceneEvent, t_s: float) -> float:
    """Return which share of the event has passed."""
    return (t_s - event.start_s) / (event.end_s - event.start_s)
