"""Cars, vans, lorries, bicycles, and boxes that are pushed: things with faces and wheels.

In: a course. Out: a `Figure` that is right from every side, also from above.
Invariant: a vehicle has no parts that gesture: where it stands, nothing moves.
"""

from __future__ import annotations

import numpy as np

from streamer.rendering.body import Build, Course, person, random_build, rest
from streamer.rendering.build import Builder, Rng, Spots, paint
from streamer.rendering.figure import Figure
from streamer.rendering.view import Points

_SHAPES = {
    # length, width, body from, body to, roof, cabin: rear low, rear high, front high, front low
    "sedan": (4.5, 1.8, 0.25, 0.85, 1.45, -1.6, -1.0, 0.35, 1.05),
    "suv": (4.4, 1.9, 0.35, 1.0, 1.75, -2.1, -1.9, 0.5, 1.1),
    "van": (5.2, 2.0, 0.35, 1.1, 2.2, -2.6, -2.55, 1.5, 2.2),
    "truck": (7.5, 2.4, 0.6, 1.2, 3.1, -3.7, -3.7, 3.2, 3.6),
    "hatch": (3.8, 1.7, 0.25, 0.9, 1.5, -1.85, -1.5, 0.4, 1.1),
    "pickup": (5.2, 1.9, 0.4, 1.05, 1.75, -0.7, -0.5, 0.7, 1.3),
    "bus": (10.0, 2.5, 0.4, 1.4, 3.0, -5.0, -5.0, 4.9, 5.0),
}
SHAPES = {"train": ("sedan", "suv", "van", "truck"), "holdout": ("hatch", "pickup", "bus")}


def vehicle(rng: Rng, course: Course, split: str) -> Figure:
    """Make a car, van or lorry."""
    shape = str(rng.choice(SHAPES[split], p=_shares(len(SHAPES[split]))))
    length, width, low, waist, roof, *cabin = _SHAPES[shape]
    make = Builder(course.place, course.heading)
    colour, dark = paint(rng), np.full(3, rng.uniform(15, 60))
    half = length / 2
    body = make.add(_prism((-half, -half, half, half), (low, waist, waist, low), width))
    _sides(make, body, colour)
    top = make.add(
        _prism((cabin[0], cabin[1], cabin[2], cabin[3]), (waist, roof, roof, waist), 0.9 * width)
    )
    _sides(make, top, colour)
    glass = np.array([40, 50, 60]) * rng.uniform(0.5, 2.0)
    _glazing(make, (cabin, waist, roof, width), glass)
    wheel = 0.33 if shape not in ("truck", "bus") else 0.48
    for along in (-0.62 * half, 0.62 * half):
        for side in (-1, 1):
            hub = make.add(
                np.array([[along, side * 0.42 * width, wheel], [along, side * 0.5 * width, wheel]])
            )
            make.capsule(hub[0], hub[1], wheel, wheel, dark)
            make.capsule(hub[1], hub[1], 0.5 * wheel, 0.5 * wheel, dark + rng.uniform(0, 120))
    lamps = rng.random() < 0.7
    for along, lamp in ((half, np.array([255, 250, 220])), (-half, np.array([200, 30, 30]))):
        for side in (-1, 1):
            spot = make.add(np.array([[along, side * 0.38 * width, 0.75 * waist]]))
            make.capsule(spot[0], spot[0], 0.1, 0.1, lamp if lamps else lamp * 0.6)
    return make.figure(shape, core=np.concatenate([body, top]))


def bicycle(rng: Rng, course: Course, split: str) -> Figure:
    """Make somebody on a bicycle or, in the holdout, on a scooter."""
    build = random_build(rng, split)
    h = build.height_m
    lifted = Course(
        course.place + np.array([0, 0.18 * h, 0]),
        course.heading,
        0.6 * course.gone_m,
        0.7 * course.pace,
    )
    n = len(course.gone_m)
    pose = rest(n)
    arm = np.tile([0.9, 0.1, 0.3], (n, 1))
    posed = type(pose)(np.full(n, 0.35), np.full(n, 0.25), pose.fall, 0.0, pose.turn, arm, arm)
    rider = person(rng, lifted, posed, Build(h, build.girth, build.hair, False, 0, build.shorts))
    make = Builder(course.place, course.heading)
    colour, wheel = paint(rng), 0.34 if split == "train" else 0.2
    hubs = []
    for along in (-0.52, 0.52):
        turn = np.linspace(0, 2 * np.pi, 9)[:-1]
        rim = np.stack(
            [along + wheel * np.cos(turn), np.zeros(8), wheel + wheel * np.sin(turn)], -1
        )
        spots = make.add(rim)
        for index in range(8):
            make.capsule(spots[index], spots[(index + 1) % 8], 0.025, 0.025, np.full(3, 30.0))
        hubs.append(along)
    frame = make.add(
        np.array(
            [[-0.52, 0, wheel], [-0.15, 0, 0.8], [0.4, 0, 0.85], [0.52, 0, wheel], [0.0, 0, 0.35]]
        )
    )
    for start, end in ((0, 1), (1, 2), (2, 3), (4, 1), (4, 2), (0, 4)):
        make.capsule(frame[start], frame[end], 0.03, 0.03, colour)
    machine = make.figure("bicycle", core=frame)
    return joined(machine, rider)


def joined(first: Figure, second: Figure) -> Figure:
    """Return two figures as one; the body is the second's, and nothing gestures."""
    n_points = first.points.shape[1]
    return Figure(
        points=np.concatenate([first.points, second.points], axis=1),
        capsules=np.concatenate([first.capsules, second.capsules + n_points]),
        radii=np.concatenate([first.radii, second.radii]),
        capsule_rgb=np.concatenate([first.capsule_rgb, second.capsule_rgb]),
        faces=np.concatenate([first.faces, second.faces + n_points]),
        face_rgb=np.concatenate([first.face_rgb, second.face_rgb]),
        core=second.core + n_points,
        parts=np.zeros(0, np.int64),
        is_grounded=first.is_grounded,
        name=first.name,
    )


def crate(rng: Rng, course: Course, size_m: float) -> Figure:
    """Make a box of any proportions."""
    length, width, height = size_m * rng.uniform(0.4, 1.2, 3)
    make = Builder(course.place, course.heading)
    corners = _prism(
        (-length / 2, -length / 2, length / 2, length / 2), (0, height, height, 0), width
    )
    spots = make.add(corners)
    colour = paint(rng)
    _sides(make, spots, colour)
    if rng.random() < 0.5:
        tape = make.add(
            _prism(
                (-0.1 * length, -0.1 * length, 0.1 * length, 0.1 * length),
                (0, 1.01 * height, 1.01 * height, 0),
                1.01 * width,
            )
        )
        _sides(make, tape, paint(rng))
    return make.figure("box", core=spots)


def _shares(n: int) -> Points:
    share = np.array([4.0, 2.0, 1.5, 1.0])[:n]
    return np.asarray(share / share.sum())


def _prism(along: tuple[float, ...], up: tuple[float, ...], width: float) -> Points:
    """Return 4 corners of a side at the left, then the same at the right, (8, 3)."""
    sides = [[(x, side * width / 2, z) for x, z in zip(along, up, strict=True)] for side in (1, -1)]
    return np.array(sides).reshape(8, 3)


def _sides(make: Builder, spots: Spots, colour: Points) -> None:
    for corners in ((0, 1, 2, 3), (4, 5, 6, 7), (1, 2, 6, 5), (0, 1, 5, 4), (2, 3, 7, 6)):
        make.face(spots[list(corners)], colour)


def _glazing(make: Builder, cabin: tuple[list[float], float, float, float], glass: Points) -> None:
    """Put windows on the cabin, a little outside of it, so that they are drawn after it."""
    (rear_low, rear_high, front_high, front_low), low, high, width = cabin
    z0, z1, out = low + 0.06, high - 0.1 * (high - low), 0.455 * width
    for side in (1, -1):
        spots = make.add(np.array([
            [rear_low + 0.25, side * out, z0], [rear_high + 0.15, side * out, z1],
            [front_high - 0.05, side * out, z1], [front_low - 0.2, side * out, z0],
        ]))  # fmt: skip
        make.face(spots, glass)
    for low_x, high_x, sign in ((rear_low, rear_high, -1), (front_low, front_high, 1)):
        push = 0.03 * sign
        spots = make.add(np.array([
            [low_x + push, 0.4 * width, z0], [high_x + push, 0.4 * width, z1],
            [high_x + push, -0.4 * width, z1], [low_x + push, -0.4 * width, z0],
        ]))  # fmt: skip
        make.face(spots, glass * 1.1)
