"""A rendered place as a scene: the training renderer's objects and effects at any time.

In: a seed, a kind of place, who comes. Out: pictures for any time, and events. Time is divided into
cycles, each planned by its own generator; who comes is out of the picture when a cycle ends.
Invariant: pictures and events are functions of seed and time alone, and come from one geometry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Final

import cv2
import numpy as np

from streamer.frame import Picture
from streamer.rendering import cast
from streamer.rendering.actor import Actor, weather
from streamer.rendering.body import Course, person, random_build, rest
from streamer.rendering.course import seen_spot
from streamer.rendering.figure import Figure
from streamer.rendering.place import place
from streamer.rendering.vehicle import vehicle
from streamer.rendering.view import NEAR_M
from streamer.truth import LABELS, MOTION, Series, frame_labels
from streamer.visit import SceneEvent

PERIOD_S: Final = 20.0
STEP_S: Final = 0.05
SHORTEST_S: Final = 0.5
LOWEST_M: Final = {"above": 7.0}
"""From below a few metres hardly a whole car is seen from above."""
FASTEST_M_S: Final = 40.0
LARGEST_PX: Final = 360
_TIMES: Final = np.arange(0, PERIOD_S, STEP_S)

Role = Callable[[cast.Set], Figure]


@dataclass(frozen=True)
class Spell:
    """An effect that comes once a cycle.

    Attributes:
        label: of its event.
        subject: of its event.
        effect: picture, strength 0..1 and time -> picture.
        ramp_s: how long it takes to come and to go.
    """

    label: str
    subject: str
    effect: Callable[[Picture, float, float], Picture]
    ramp_s: float

    START_S = 7.0
    END_S = 13.0

    def strength(self, t_s: float) -> float:
        """Return how strong it is at a time of the scene."""
        at = t_s % PERIOD_S
        edge = min(at - self.START_S, self.END_S - at) / self.ramp_s
        return float(np.clip(edge, 0, 1))


class Play:
    """A place and who comes, as the layer of a scene that fills the picture.

    Args:
        seed: looks and timing.
        kind: of place.
        roles: one of them comes in each cycle; may be empty.
        size: width and height of the picture.
        spell: an effect; None for none.
    """

    def __init__(
        self,
        seed: int,
        kind: str,
        roles: Sequence[Role],
        size: tuple[int, int],
        spell: Spell | None = None,
    ) -> None:
        self._seed = seed
        self._roles = roles
        self._size = size
        self._spell = spell
        rng = np.random.default_rng((seed, 5))
        side = side_px(size)
        self._stage = place(rng, "train", side, 0, kind, size[0] / size[1])
        while self._stage.view.height_m < LOWEST_M.get(kind, 0.0):
            self._stage = place(rng, "train", side, 0, kind, size[0] / size[1])
        self._weather = weather(rng, self._stage.picture.reshape(-1, 3).mean(axis=0))
        self._actor = lru_cache(maxsize=3)(self._cast)

    def apply(self, picture: Picture, t_s: float) -> Picture:
        """Replace the picture by that of the place at `t_s`."""
        canvas = self._stage.picture.copy()
        actor = self._actor(int(t_s // PERIOD_S))
        if actor:
            actor.draw(canvas, min(int(t_s % PERIOD_S / STEP_S), len(_TIMES) - 1))
        if self._spell and (strength := self._spell.strength(t_s)):
            canvas = self._spell.effect(canvas, strength, t_s)
        cv2.resize(canvas, self._size, dst=picture, interpolation=cv2.INTER_LINEAR)
        return picture

    def events(self, duration_s: float) -> Iterator[SceneEvent]:
        """Yield one event a run of a label, and one a spell."""
        for cycle in range(ceil(duration_s / PERIOD_S)):
            start_s = cycle * PERIOD_S
            actor = self._actor(cycle)
            if actor:
                yield from _runs(actor, start_s)
            if self._spell:
                begin, end = start_s + self._spell.START_S, start_s + self._spell.END_S
                yield SceneEvent(self._spell.label, self._spell.subject, begin, end)

    def _cast(self, cycle: int) -> Actor | None:
        if not self._roles:
            return None
        rng = np.random.default_rng((self._seed, cycle, 6))
        of = cast.Set(rng, self._stage.view, _TIMES, "train", self._stage.kind)
        role = self._roles[int(rng.integers(len(self._roles)))]
        tries = [Actor(role(of), self._stage, _TIMES, self._weather, None) for _ in range(6)]
        return max(tries, key=Actor.n_seen)


def side_px(size: tuple[int, int]) -> int:
    """Return the side of the square that a picture of width and height is rendered in."""
    return min(max(size), LARGEST_PX)


def worker(of: cast.Set) -> Figure:
    """Cast somebody who stands and moves the arms for a while in the middle of a cycle."""
    build = random_build(of.rng, of.split)
    spot = seen_spot(of.rng, of.view, build.height_m, (0.5, 0.8))
    on = np.clip(np.minimum(_TIMES - 6, 14 - _TIMES) / 0.3, 0, 1)
    beat = on * np.sin(2 * np.pi * of.rng.uniform(0.8, 1.6) * _TIMES)
    none = np.zeros_like(_TIMES)
    arm = np.stack([0.9 + 0.7 * beat, none + 0.2, 0.8 + 0.5 * beat], -1)
    pose = type(rest(1))(none, none, none, 0.0, none, arm, arm)
    course = _passing(spot, float(of.rng.uniform(-np.pi, np.pi)), 0.0)
    return person(of.rng, course, pose, build)


def passer(of: cast.Set) -> Figure:
    """Cast somebody who walks through the picture."""
    build = random_build(of.rng, of.split)
    course = _crossing(of, build.height_m, 0.2)
    return person(of.rng, course, rest(len(_TIMES)), build)


def car(of: cast.Set) -> Figure:
    """Cast a car that drives through the picture."""
    return vehicle(of.rng, _crossing(of, 1.5, 0.12), of.split)


def _crossing(of: cast.Set, height_m: float, smallest: float) -> Course:
    """Return a straight course to the left or right, in the picture in the middle of a cycle.

    Args:
        of: the place.
        height_m: of who comes.
        smallest: height in the picture that is enough, picture heights.
    """
    spot = of.view.ground(np.array([0.5 * of.view.aspect, 0.8]))
    for _ in range(12):
        place_at = np.array([of.view.aspect * of.rng.uniform(0.4, 0.6), of.rng.uniform(0.5, 0.85)])
        tried = of.view.ground(place_at)
        if of.view.focal * height_m / max(float(of.view.seen(tried)[2]), 0.1) > smallest:
            spot = tried
            break
    heading = float(of.rng.choice([0.0, np.pi]))
    depth = float(of.view.seen(spot)[2])
    speed = 0.5 * of.view.aspect * depth / of.view.focal / (PERIOD_S / 2)
    course = _passing(spot, heading, speed)
    while not _leaves(of, course) and speed < FASTEST_M_S:
        speed *= 1.3
        course = _passing(spot, heading, speed)
    return course


def _leaves(of: cast.Set, course: Course) -> bool:
    """Say whether the course begins and ends well outside of the picture."""
    ends, depth = of.view.project(course.place[[0, -1]])
    x = ends[:, 0] - of.view.aspect / 2
    return bool(((np.abs(x) > 0.5 * of.view.aspect + 0.6) | (depth < NEAR_M)).all())


def _passing(spot: Series, heading: float, speed_m_s: float) -> Course:
    gone = speed_m_s * (_TIMES - PERIOD_S / 2)
    step = np.array([np.cos(heading), 0.0, np.sin(heading)])
    pace = np.full_like(_TIMES, float(speed_m_s > 0))
    return Course(spot + gone[:, None] * step, np.full_like(_TIMES, heading), gone, pace)


def _runs(actor: Actor, start_s: float) -> Iterator[SceneEvent]:
    """Yield the spans in which a label of motion is 1."""
    none = np.zeros((len(_TIMES), len(LABELS) - len(MOTION)))
    is_on = frame_labels([actor.outline()], none, _TIMES) == 1
    for column, label in enumerate(MOTION):
        edges = np.flatnonzero(np.diff(np.pad(is_on[:, column].astype(int), 1)))
        for first, last in edges.reshape(-1, 2).tolist():
            begin, end = start_s + first * STEP_S, start_s + (last - 1) * STEP_S
            if end - begin >= SHORTEST_S:
                yield SceneEvent(label, actor.name, begin, end)
