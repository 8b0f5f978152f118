"""Animals, birds, balls, hands and shapes of no kind.

In: a course on the ground, or places in the picture with a depth for what flies or reaches in. Out:
a `Figure`.
Invariant: as with every figure, the truth comes from the points that are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamer.rendering.body import Course
from streamer.rendering.build import Builder, Rng, log_uniform, paint
from streamer.rendering.figure import Figure
from streamer.rendering.view import Points, View
from streamer.truth import Series


@dataclass(frozen=True)
class Flight:
    """Where something goes that is not bound to the ground.

    Attributes:
        view: the camera in whose picture it is.
        place: float64 (n, 2), picture heights.
        depth_m: float64 (n,).
    """

    view: View
    place: Points
    depth_m: Series


def animal(rng: Rng, course: Course, split: str) -> Figure:
    """Make a four-legged animal: cat to dog to train on, sheep to horse in the holdout."""
    size = log_uniform(rng, 0.35, 1.0) if split == "train" else log_uniform(rng, 0.7, 1.8)
    long, tall = size * rng.uniform(0.9, 1.4), size * rng.uniform(0.45, 0.65)
    make = Builder(course.place, course.heading)
    coat = paint(rng, 0.8)
    trunk = make.add(np.array([
        [-0.4 * long, 0, 1.25 * tall], [0.4 * long, 0, 1.3 * tall], [0.6 * long, 0, 1.7 * tall],
        [0.8 * long, 0, 1.6 * tall], [-0.75 * long, 0, 1.5 * tall],
    ]))  # fmt: skip
    girth = 0.16 * size * rng.uniform(0.9, 1.5)
    phase = course.gone_m * (2 * np.pi / (1.1 * size))
    parts = []
    for along, side, shift in (
        (0.36, 1, 0),
        (0.36, -1, np.pi),
        (-0.36, 1, np.pi),
        (-0.36, -1, 0.3),
    ):
        swing = 0.55 * course.pace * np.sin(phase + shift)
        foot_x, foot_z = along * long + tall * np.sin(swing), tall * (1 - np.cos(swing))
        leg = np.zeros((len(phase), 2, 3))
        leg[:, 0] = [along * long, side * 0.6 * girth, 1.1 * tall]
        leg[:, 1] = np.stack([foot_x, np.full_like(foot_x, side * 0.6 * girth), foot_z], -1)
        spots = make.add(leg)
        make.capsule(spots[0], spots[1], 0.45 * girth, 0.2 * girth, coat * 0.85)
        parts.append(spots[1])
    make.capsule(trunk[0], trunk[1], girth, 1.05 * girth, coat)
    make.capsule(trunk[1], trunk[2], 0.7 * girth, 0.6 * girth, coat)
    make.capsule(trunk[2], trunk[3], 0.65 * girth, 0.35 * girth, coat * rng.uniform(0.5, 1.2))
    make.capsule(trunk[0], trunk[4], 0.25 * girth, 0.12 * girth, coat * 0.9)
    return make.figure("animal", core=trunk[:2], parts=np.array(parts))


def ball(rng: Rng, course: Course, radius_m: float) -> Figure:
    """Make a ball with a patch that turns as it rolls."""
    make = Builder(course.place, course.heading)
    turn = course.gone_m / radius_m
    middle = make.add(np.array([[0.0, 0.0, radius_m]]))
    make.capsule(middle[0], middle[0], radius_m, radius_m, paint(rng))
    if rng.random() < 0.7:
        patch = np.stack(
            [
                0.5 * radius_m * np.sin(turn),
                np.zeros_like(turn),
                radius_m * (1 + 0.5 * np.cos(turn)),
            ],
            -1,
        )
        spot = make.add(patch[:, None])
        make.capsule(spot[0], spot[0], 0.45 * radius_m, 0.45 * radius_m, paint(rng))
    return make.figure("ball", core=middle)


def bird(rng: Rng, place: Points, heading: Series, times_s: Series, size_m: float) -> Figure:
    """Make a bird that flaps; place float64 (n, 3) in the world."""
    make = Builder(place, heading)
    coat = paint(rng, 0.7)
    trunk = make.add(size_m * np.array([[-0.5, 0, 0], [0.3, 0, 0], [0.5, 0, 0.05]]))
    flap = np.sin(2 * np.pi * rng.uniform(1.5, 4.5) * times_s)
    for side in (1.0, -1.0):
        wing = np.zeros((len(times_s), 4, 3))
        wing[:, 0], wing[:, 1] = [0.25, 0, 0], [-0.15, 0, 0]
        tip = np.stack([0 * flap, side * (0.9 - 0.2 * np.abs(flap)), 0.6 * flap], -1)
        wing[:, 2], wing[:, 3] = tip - np.array([0.15, 0, 0]), tip + np.array([0.1, 0, 0])
        make.face(make.add(size_m * wing), coat * 0.85)
    make.capsule(trunk[0], trunk[1], 0.06 * size_m, 0.14 * size_m, coat)
    make.capsule(trunk[2], trunk[2], 0.1 * size_m, 0.1 * size_m, coat * 1.1)
    return make.figure("bird", core=trunk, is_grounded=False)


def hand(rng: Rng, flight: Flight, base: Points, wiggle: Series, split: str) -> Figure:
    """Make a forearm with a hand that reaches into the picture; in the holdout it holds a stick.

    Args:
        rng: chooses looks.
        flight: where the palm is.
        base: float64 (n, 2), where the elbow is, picture heights.
        wiggle: float64 (n,), -1..1, how the fingers are bent.
        split: "train" or "holdout".
    """
    view, tip, depth_m = flight.view, flight.place, flight.depth_m
    along = tip - base
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    across = np.stack([-along[:, 1], along[:, 0]], -1)
    size = float(rng.uniform(0.06, 0.1)) / depth_m[0] * view.focal * 1.2
    make = Builder(view.at_depth(tip, depth_m), np.zeros(len(tip)))
    skin = np.array([224, 172, 140]) * rng.uniform(0.3, 1.1)
    sleeve = paint(rng) if rng.random() < 0.6 else skin
    places = [base, tip, tip - 0.9 * size * along]
    for finger in range(5):
        spread = (finger - 2) * 0.28
        root = tip + size * (0.5 * along + spread * across)
        bent = (1.0 - 0.35 * wiggle * (1 if finger % 2 else -1))[:, None]
        places += [root, root + size * bent * (0.7 * along + 0.35 * spread * across)]
    world = view.at_depth(np.stack(places, axis=1), np.repeat(depth_m[:, None], len(places), 1))
    spots = make.add_world(world)
    unit = size / view.focal * depth_m[0]
    make.capsule(spots[0], spots[2], 0.75 * unit, 0.45 * unit, sleeve)
    make.capsule(spots[2], spots[1], 0.42 * unit, 0.5 * unit, skin)
    for finger in range(5):
        make.capsule(spots[3 + 2 * finger], spots[4 + 2 * finger], 0.14 * unit, 0.11 * unit, skin)
    if split == "holdout":
        stick = make.add_world(view.at_depth(tip + 2.5 * size * across, depth_m)[:, None])
        make.capsule(spots[1], stick[0], 0.12 * unit, 0.12 * unit, paint(rng))
    return make.figure("hand", core=spots[1:3], parts=spots[4::2], is_grounded=False)


def blob(rng: Rng, flight: Flight, turn: Series, size: float, split: str) -> Figure:
    """Make a rigid shape of capsules and faces that faces the camera.

    Args:
        rng: chooses the shape.
        flight: where it goes.
        turn: float64 (n,), radians in the picture plane.
        size: its radius in picture heights at the first depth.
        split: blots to train on, stars in the holdout.
    """
    view, middle, depth_m = flight.view, flight.place, flight.depth_m
    make = Builder(view.at_depth(middle, depth_m), np.zeros(len(middle)))
    unit = size / view.focal * depth_m[0]
    own = _outline(rng, split)
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    right = own[:, 0] * cos - own[:, 1] * sin
    down = own[:, 0] * sin + own[:, 1] * cos
    axes = view.rotation
    offset = unit * (right[..., None] * axes[0] + down[..., None] * axes[1])
    spots = make.add_world(view.at_depth(middle, depth_m)[:, None] + offset)
    colours = [paint(rng) for _ in range(int(rng.integers(1, 4)))]
    for index in range(len(own)):
        far = int(rng.integers(len(own)))
        thick = unit * rng.uniform(0.12, 0.5)
        make.capsule(
            spots[index],
            spots[far],
            thick,
            thick * rng.uniform(0.5, 1),
            colours[index % len(colours)],
        )
    return make.figure("shape", core=spots, parts=spots, is_grounded=False)


def _outline(rng: Rng, split: str) -> Points:
    """Return the corners of a shape, float64 (k, 2), within 1 of its middle."""
    if split == "train":
        return rng.normal(0, 0.45, (int(rng.integers(3, 8)), 2)).clip(-1, 1)
    angle = np.linspace(0, 2 * np.pi, int(rng.integers(4, 9)))[:-1]
    far = np.where(np.arange(len(angle)) % 2, 0.4, 0.95)[:, None]
    return np.asarray(far * np.stack([np.cos(angle), np.sin(angle)], -1))


def drone(rng: Rng, place: Points, heading: Series, size_m: float) -> Figure:
    """Make a drone: four arms with a disc each; place float64 (n, 3) in the world."""
    make = Builder(place, heading)
    colour = paint(rng, 0.6)
    middle = make.add(np.array([[0.0, 0, 0], [0.1 * size_m, 0, 0]]))
    make.capsule(middle[0], middle[1], 0.15 * size_m, 0.12 * size_m, colour)
    for along, side in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        arm = 0.4 * size_m * np.array([[along, side, 0.1], [along, 1.3 * side, 0.1]])
        spots = make.add(arm)
        make.capsule(middle[0], spots[0], 0.03 * size_m, 0.03 * size_m, colour)
        make.capsule(spots[0], spots[1], 0.09 * size_m, 0.09 * size_m, colour * 0.6)
    return make.figure("drone", core=middle, is_grounded=False)
