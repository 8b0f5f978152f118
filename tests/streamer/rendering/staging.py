"""What tests of the renderer share: a plain stage, a straight course, a view."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from streamer.rendering.actor import Actor, Weather
from streamer.rendering.body import Course
from streamer.rendering.figure import Figure
from streamer.rendering.surface import Stage
from streamer.rendering.vehicle import crate
from streamer.rendering.view import View

N = 20
TIMES = np.arange(N) / 10.0
SIDE = 64


def level_view(height_m: float = 1.5, tilt: float = 0.0, aspect: float = 1.0) -> View:
    """A camera that looks along Z."""
    return View(height_m, tilt, 0.0, 1.0, aspect)


def plain_stage(view: View | None = None, margin_px: int = 0) -> Stage:
    """Grey, nothing that hides."""
    stage = Stage(view or level_view(), SIDE, margin_px)
    stage.picture[:] = 110
    return stage


def straight(
    velocity: tuple[float, float] = (0.0, 0.0), start: tuple[float, float] = (0.0, 5.0)
) -> Course:
    """A course over the ground in metres a second, X and Z."""
    x, z = (start[k] + velocity[k] * TIMES for k in (0, 1))
    speed = float(np.hypot(*velocity))
    heading = np.full(N, np.arctan2(velocity[1], velocity[0]))
    place = np.stack([x, np.zeros(N), z], -1)
    return Course(place, heading, speed * TIMES, np.full(N, float(speed > 0)))


def weather(shadow: float = 0.0, shutter: float = 0.0) -> Weather:
    """Light from above, a sharp lens."""
    return Weather(np.array([0.0, 1.0, 0.0]), shadow, np.ones(3), shutter, 0.0)


def acted(figure: Figure, stage: Stage | None = None) -> tuple[Actor, np.ndarray]:
    """Draw every frame of a figure; return the actor and uint8 (N, C, C, 3)."""
    stage = stage or plain_stage()
    actor = Actor(figure, stage, TIMES, weather(), None)
    pictures = np.stack([stage.picture] * N)
    for frame in range(N):
        actor.draw(pictures[frame], frame)
    return actor, pictures


def mass_centres(pictures: np.ndarray, still: np.ndarray) -> np.ndarray:
    """Where a sequence differs from the still picture, float (n, 2) x, y in shares."""
    changed = np.abs(pictures.astype(int) - still).max(axis=3) > 12
    y, x = np.mgrid[0 : 1 : changed.shape[1] * 1j, 0 : 1 : changed.shape[2] * 1j]
    n = np.maximum(changed.sum(axis=(1, 2)), 1)
    return np.stack([(x * changed).sum(axis=(1, 2)) / n, (y * changed).sum(axis=(1, 2)) / n], -1)


def moving(
    velocity: tuple[float, float], start: tuple[float, float], size_m: float = 1.0
) -> Figure:
    """A white box on its way."""
    figure = crate(np.random.default_rng(3), straight(velocity, start), size_m)
    return replace(figure, face_rgb=np.full_like(figure.face_rgb, 250.0))
