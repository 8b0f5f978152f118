"""Rendered scenes with exact ground truth: a camera for the demo, for tests and for training.

In: a name, a seed and a size. Out: pictures for any time, and the list of what happens. A scene is
a backdrop and
layers: visitors that come and go, nuisances that change pixels although nothing moves, sensor
noise.
Invariant: a picture depends on name, seed, size and time alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from streamer import backdrop, nuisance, play
from streamer.frame import Picture
from streamer.play import Play, Role, Spell, side_px
from streamer.rendering.particle import rain_alone
from streamer.rendering.tamper import cover
from streamer.sprite import car, leaf_cluster, walker_gait
from streamer.visit import NUISANCES, Crossing, Hallway, Plan, SceneEvent, Visit, Visits

__all__ = ["NUISANCES", "Scene", "SceneEvent", "scene", "scene_names"]

NOISE = 2.5
"""Standard deviation of sensor noise by day, grey levels."""


class Layer(Protocol):
    """One thing that happens in a scene."""

    def apply(self, picture: Picture, t_s: float) -> Picture:
        """Return the picture at `t_s` with this layer; `picture` may be modified."""
        ...

    def events(self, duration_s: float) -> Iterable[SceneEvent]:
        """Return at least what begins in the first `duration_s`."""
        ...


class Scene:
    """A place, what happens there, and the camera that sees it.

    Args:
        name: as asked for.
        still: uint8 (H, W, 3) RGB, the place.
        layers: applied in order, farthest first, the camera's own (vibration, noise) last.
    """

    def __init__(self, name: str, still: Picture, layers: Sequence[Layer]) -> None:
        self.name = name
        self.height, self.width = still.shape[:2]
        self._still = still
        self._layers = tuple(layers)

    def render(self, t_s: float) -> Picture:
        """Render the picture of a moment.

        Args:
            t_s: seconds since the scene began, at least 0; any order.

        Returns:
            uint8 (H, W, 3) RGB. New array, owned by the caller.
        """
        picture = self._still.copy()
        for layer in self._layers:
            picture = layer.apply(picture, t_s)
        return picture

    def events(self, duration_s: float) -> list[SceneEvent]:
        """List what happens.

        Args:
            duration_s: seconds from the beginning; an event that goes on then is cut there.

        Returns:
            events of objects and of nuisances, ordered by start.
        """
        begun = [
            replace(event, end_s=min(event.end_s, duration_s))
            for layer in self._layers
            for event in layer.events(duration_s)
            if event.start_s < duration_s
        ]
        return sorted(begun, key=lambda event: (event.start_s, event.label))


@dataclass(frozen=True)
class _Set:
    """What a recipe works with."""

    rng: np.random.Generator
    seed: int
    width: int
    height: int

    def still(self, draw: backdrop.Backdrop) -> Picture:
        return draw(self.rng, self.width, self.height)

    def noise(self, sigma: float = NOISE) -> nuisance.Noise:
        return nuisance.Noise(self.rng, self.width, self.height, sigma)


Recipe = Callable[[_Set], tuple[Picture, list[Layer]]]


def scene_names() -> tuple[str, ...]:
    """Return the names `scene` knows."""
    return tuple(_RECIPES)


def scene(name: str, seed: int = 0, width: int = 640, height: int = 360) -> Scene:
    """Build a scene; drawing it takes some 50 ms.

    Args:
        name: one of `scene_names()`.
        seed: looks and timing; the same seed gives the same pictures.
        width: pixels, at least 64.
        height: pixels, at least 64.

    Raises:
        ValueError: there is no scene of that name, or the size is too small.
    """
    recipe = _RECIPES.get(name)
    if recipe is None:
        raise ValueError(f"there is no scene {name!r}; choose one of {', '.join(_RECIPES)}")
    if min(width, height) < 64:
        raise ValueError(f"a scene of {width} x {height} pixels is too small; use at least 64 x 64")
    still, layers = recipe(_Set(np.random.default_rng(seed), seed, width, height))
    return Scene(name, still, layers)


def _crossing(subject: str, foot: dict[str, float], size: float, fastest_s: float) -> Plan:
    """Plan someone who crosses: `foot` says at which height, by direction; smaller farther away."""

    def plan(rng: np.random.Generator, start_s: float, limit_s: float) -> Visit:
        label = str(rng.choice(["left", "right"]))
        sprites = walker_gait(rng) if subject == "walker" else (car(rng),)
        if label == "left":
            sprites = tuple(sprite.mirrored() for sprite in sprites)
        start_s += float(rng.uniform(0, 0.3))
        duration_s = float(rng.uniform(fastest_s, min(limit_s, 2 * fastest_s) - 0.3))
        event = SceneEvent(label, subject, start_s, start_s + duration_s)
        # Things on a plane shrink in proportion to their distance below the horizon.
        nearness = (foot[label] - backdrop.HORIZON) / (max(foot.values()) - backdrop.HORIZON)
        stride = 0.8 if subject == "walker" else 1.0
        return Crossing(event, sprites, foot[label], size * nearness, stride)

    return plan


def _hallway(rng: np.random.Generator, start_s: float, limit_s: float) -> Visit:
    label = str(rng.choice(["approach", "recede"]))
    duration_s = float(rng.uniform(0.8 * limit_s, limit_s))
    event = SceneEvent(label, "walker", start_s, start_s + duration_s)
    return Hallway(event, walker_gait(rng, is_frontal=True))


_PAVEMENT = _crossing("walker", {"left": 0.59, "right": 0.61}, 0.3, 4.0)
_ROAD = _crossing("car", {"left": 0.76, "right": 0.95}, 0.26, 2.2)


def _street(of: _Set) -> tuple[Picture, list[Layer]]:
    return of.still(backdrop.street), [Visits(of.seed, (_PAVEMENT, _ROAD)), of.noise()]


def _corridor(of: _Set) -> tuple[Picture, list[Layer]]:
    return of.still(backdrop.corridor), [Visits(of.seed, (_hallway,)), of.noise()]


def _garden_windy(of: _Set) -> tuple[Picture, list[Layer]]:
    path = _crossing("walker", {"left": 0.78, "right": 0.8}, 0.42, 4.0)
    leaves = nuisance.Leaves(of.rng, [leaf_cluster(of.rng) for _ in range(4)])
    visits = Visits(of.seed, (path,), period_s=30.0, chance=0.6)
    return of.still(backdrop.garden), [visits, leaves, of.noise()]


def _night_headlights(of: _Set) -> tuple[Picture, list[Layer]]:
    visits = Visits(of.seed, (_PAVEMENT,), period_s=20.0)
    beam = nuisance.Headlights(of.seed, of.width, of.height)
    return of.still(backdrop.street), [visits, beam, of.noise(2 * NOISE)]


def _shaky(of: _Set) -> tuple[Picture, list[Layer]]:
    visits = Visits(of.seed, (_PAVEMENT,), period_s=20.0)
    return of.still(backdrop.street), [visits, nuisance.Vibration(of.seed), of.noise()]


def _empty(of: _Set) -> tuple[Picture, list[Layer]]:
    return of.still(backdrop.room), [of.noise(2 * NOISE)]


def _lights(of: _Set) -> tuple[Picture, list[Layer]]:
    lamps = nuisance.Lamps(of.seed, of.width, of.height)
    return of.still(backdrop.room), [lamps, of.noise()]


def _played(
    of: _Set, kind: str, roles: tuple[Role, ...], spell: Spell | None = None
) -> tuple[Picture, list[Layer]]:
    """Return a play; the picture below it is only the canvas."""
    canvas = np.zeros((of.height, of.width, 3), np.uint8)
    return canvas, [Play(of.seed, kind, roles, (of.width, of.height), spell), of.noise()]


def _parking(of: _Set) -> tuple[Picture, list[Layer]]:
    return _played(of, "above", (play.car,))


def _workshop(of: _Set) -> tuple[Picture, list[Layer]]:
    return _played(of, "room", (play.worker,))


def _rain(of: _Set) -> tuple[Picture, list[Layer]]:
    effect = rain_alone(of.rng, side_px((of.width, of.height)))
    return _played(of, "street", (play.passer,), Spell("background", "rain", effect, 0.5))


def _tamper(of: _Set) -> tuple[Picture, list[Layer]]:
    covered = cover(of.rng, side_px((of.width, of.height)))

    def effect(picture: Picture, strength: float, _: float) -> Picture:
        return covered(picture, strength)

    return _played(of, "room", (), Spell("tamper", "cover", effect, 0.8))


_RECIPES: dict[str, Recipe] = {
    "street": _street,
    "corridor": _corridor,
    "garden-windy": _garden_windy,
    "night-headlights": _night_headlights,
    "shaky": _shaky,
    "empty": _empty,
    "lights": _lights,
    "parking": _parking,
    "workshop": _workshop,
    "rain": _rain,
    "tamper": _tamper,
}
