"""People and animals: skeletons that walk, stand, gesture, bend, sit and fall.

In: a course (where it stands, which way it faces, how far it has gone) and a pose in time. Out: a
`Figure`. Angles swing about the joints; the hip is as high as the legs reach.
Invariant: a standing figure with a pose of zeros does not move at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamer.rendering.build import Builder, Rng, Spots, paint
from streamer.rendering.figure import Figure
from streamer.rendering.view import Points
from streamer.truth import Series


@dataclass(frozen=True)
class Course:
    """Where something is and which way it faces.

    Attributes:
        place: float64 (n, 3), metres.
        heading: float64 (n,), radians; 0 faces +X, pi / 2 away from the camera.
        gone_m: float64 (n,), distance covered so far.
        pace: float64 (n,), 0 standing .. 1 walking.
    """

    place: Points
    heading: Series
    gone_m: Series
    pace: Series


@dataclass(frozen=True)
class Pose:
    """What limbs and trunk do besides walking; float64 (n,) each.

    Attributes:
        lean: radians forward.
        crouch: 0 upright .. 1 squatting.
        fall: radians of the whole body about its feet.
        fall_sideways: share of the fall that goes sideways.
        turn: radians of the trunk about the vertical.
        left_arm: float64 (n, 3), shoulder forward, shoulder outward, elbow, radians.
        right_arm: likewise.
    """

    lean: Series
    crouch: Series
    fall: Series
    fall_sideways: float
    turn: Series
    left_arm: Points
    right_arm: Points


def rest(n: int) -> Pose:
    """Return the pose of somebody who just stands."""
    still = np.zeros(n)
    arm = np.tile([0.0, 0.12, 0.15], (n, 1))
    return Pose(still, still, still, 0.0, still, arm, arm)


@dataclass(frozen=True)
class Build:
    """Proportions and clothes of a person."""

    height_m: float
    girth: float
    hair: int
    coat: bool
    bag: int
    shorts: bool


def random_build(rng: Rng, split: str) -> Build:
    """Choose a person; the splits have different bags, hair and proportions."""
    is_train = split == "train"
    return Build(
        height_m=float(rng.uniform(1.2, 1.9) if is_train else rng.uniform(1.4, 2.0)),
        girth=float(rng.uniform(0.85, 1.25) if is_train else rng.uniform(1.0, 1.5)),
        hair=int(rng.choice([0, 1, 2] if is_train else [0, 3])),
        coat=bool(rng.random() < 0.3),
        bag=int(rng.choice([0, 0, 0, 1, 2] if is_train else [0, 0, 3])),
        shorts=bool(rng.random() < (0.15 if is_train else 0.4)),
    )


def person(rng: Rng, course: Course, pose: Pose, build: Build) -> Figure:
    """Make a person.

    Args:
        rng: chooses colours.
        course: where.
        pose: what the limbs do.
        build: proportions.
    """
    h = build.height_m
    make = Builder(course.place, course.heading)
    legs = _legs(course, pose, h)
    hip = np.maximum(-np.stack([leg[:, 3, 2] for leg in legs]).min(axis=0), 0.1 * h)
    limbs = {f"leg{side}": leg + _up(hip) for side, leg in zip("LR", legs, strict=True)}
    limbs |= _trunk(course, pose, h, hip)
    tipped = {name: _tipped(points, pose) for name, points in limbs.items()}
    spots = {name: make.add(points) for name, points in tipped.items()}
    top, bottom, skin = paint(rng), paint(rng, 0.6), _skin(rng)
    _limbs(make, build, spots, (top, bottom, skin, paint(rng, 0.5)))
    _torso(make, build, spots, (top, skin, paint(rng, 0.35)))
    _bags(rng, make, build, spots)
    parts = np.concatenate([spots[name][1:3] for name in ("armL", "armR", "legL", "legR")])
    trunk = spots["trunk"]
    parts = np.concatenate([parts, trunk[7:8]])
    return make.figure("person", core=trunk[:6], parts=parts)


def _limbs(
    make: Builder, build: Build, spots: dict[str, Spots], colours: tuple[Points, ...]
) -> None:
    """Put flesh and clothes on legs and arms."""
    h, girth = build.height_m, build.girth
    top, bottom, skin, shoes = colours
    for side in "LR":
        leg, arm = spots[f"leg{side}"], spots[f"arm{side}"]
        make.capsule(leg[0], leg[1], 0.052 * h * girth, 0.042 * h, bottom)
        make.capsule(leg[1], leg[2], 0.04 * h, 0.028 * h, skin if build.shorts else bottom)
        make.capsule(leg[2], leg[3], 0.024 * h, 0.02 * h, shoes)
        make.capsule(arm[0], arm[1], 0.03 * h * girth, 0.025 * h, top)
        make.capsule(arm[1], arm[2], 0.025 * h, 0.018 * h, skin if build.shorts else top * 0.95)
        make.capsule(arm[2], arm[2], 0.026 * h, 0.026 * h, skin)


def _torso(
    make: Builder, build: Build, spots: dict[str, Spots], colours: tuple[Points, ...]
) -> None:
    """Put flesh and clothes on the trunk, and a head on it."""
    h, girth = build.height_m, build.girth
    top, skin, hair = colours
    trunk = spots["trunk"]
    for near, far in ((0, 2), (1, 3)):
        make.capsule(trunk[near], trunk[far], 0.06 * h * girth, 0.062 * h * girth, top)
    make.capsule(trunk[4], trunk[5], 0.075 * h * girth, 0.07 * h * girth, top * 1.04)
    if build.coat:
        for near, leg in ((0, "legL"), (1, "legR")):
            make.capsule(trunk[near], spots[leg][1], 0.07 * h * girth, 0.06 * h, top)
    make.capsule(trunk[5], trunk[6], 0.03 * h, 0.03 * h, skin)
    make.capsule(trunk[6], trunk[7], 0.048 * h, 0.052 * h, skin)
    if build.hair:
        size = 0.056 * h * (1.0 + 0.1 * build.hair)
        make.capsule(trunk[8], trunk[8 if build.hair < 2 else 9], size, 0.8 * size, hair)


def _legs(course: Course, pose: Pose, h: float) -> list[Points]:
    """Return hip, knee, ankle and toe of both legs against the hip's middle, (n, 4, 3)."""
    phase = course.gone_m * (2 * np.pi / (0.82 * h))
    legs = []
    for side, shift in ((1.0, 0.0), (-1.0, np.pi)):
        swing = np.sin(phase + shift)
        lifted = np.maximum(0.0, np.cos(phase + shift))
        thigh = course.pace * (0.45 * swing + 0.06) + 1.45 * pose.crouch
        knee = course.pace * (0.15 + 0.75 * lifted) + 2.2 * pose.crouch
        shin = thigh - knee
        hip = _at(np.zeros_like(thigh), side * 0.055 * h, np.zeros_like(thigh))
        joint = hip + 0.245 * h * _hanging(thigh)
        ankle = joint + 0.235 * h * _hanging(shin)
        toe = ankle + _at(np.full_like(thigh, 0.085 * h), 0.0, np.full_like(thigh, -0.02 * h))
        legs.append(np.stack([hip, joint, ankle, toe], axis=1))
    return legs


def _trunk(course: Course, pose: Pose, h: float, hip: Series) -> dict[str, Points]:
    """Return trunk with head, (n, 10, 3), and both arms, (n, 3, 3)."""
    phase = course.gone_m * (2 * np.pi / (0.82 * h))
    lean = pose.lean + 0.05 * course.pace
    ahead, up = np.sin(lean), np.cos(lean)
    turn = pose.turn + 0.12 * course.pace * np.sin(phase)

    def spot(along: float, side: float, forward: float) -> Points:
        spin = turn * min(1.0, along / 0.2)
        front = along * h * ahead + forward * h * up * np.cos(spin) - side * h * np.sin(spin)
        rise = along * h * up - forward * h * ahead
        return _at(front, side * h * np.cos(spin) + forward * h * np.sin(spin), rise) + _up1(hip)

    spots = [
        spot(0.02, 0.045, 0), spot(0.02, -0.045, 0), spot(0.26, 0.075, 0), spot(0.26, -0.075, 0),
        spot(0.05, 0, 0), spot(0.28, 0, 0), spot(0.36, 0, 0.01), spot(0.41, 0, 0.02),
        spot(0.425, 0, -0.015), spot(0.33, 0, -0.035),
    ]  # fmt: skip
    arms = {}
    for name, side, shift, arm in (
        ("armL", 1.0, np.pi, pose.left_arm),
        ("armR", -1.0, 0.0, pose.right_arm),
    ):
        swing = course.pace * 0.4 * np.sin(phase + shift) - 0.5 * lean
        shoulder = spot(0.275, side * 0.11, 0)
        upper, outward, elbow = swing + arm[:, 0], arm[:, 1], arm[:, 2] + 0.3 * course.pace
        joint = shoulder + 0.165 * h * _spread(upper, outward, side)
        hand = joint + 0.155 * h * _spread(upper + elbow, outward * 0.6, side)
        arms[name] = np.stack([shoulder, joint, hand], axis=1)
    return {"trunk": np.stack(spots, axis=1), **arms}


def _bags(rng: Rng, make: Builder, build: Build, spots: dict[str, Spots]) -> None:
    h, colour = build.height_m, paint(rng)
    trunk = spots["trunk"]
    if build.bag == 1:
        make.capsule(trunk[9], trunk[4], 0.06 * h, 0.09 * h, colour)
    elif build.bag == 2:
        hand = spots["armR"][2]
        make.capsule(hand, hand, 0.07 * h, 0.07 * h, colour)
    elif build.bag == 3:
        make.capsule(trunk[0], spots["legL"][1], 0.08 * h, 0.03 * h, colour)


def _tipped(points: Points, pose: Pose) -> Points:
    """Turn points about the feet: forward and sideways falls."""
    turned = points.copy()
    for axis, angle in (
        (0, pose.fall * (1 - pose.fall_sideways)),
        (1, pose.fall * pose.fall_sideways),
    ):
        cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
        level, rise = turned[..., axis].copy(), turned[..., 2].copy()
        turned[..., axis] = level * cos + rise * sin
        turned[..., 2] = rise * cos - level * sin
    turned[..., 2] = np.maximum(turned[..., 2], 0.05)
    return turned


def _at(forward: Series, side: Series | float, up: Series) -> Points:
    return np.stack([forward, np.broadcast_to(side, forward.shape), up], axis=-1)


def _up(rise: Series) -> Points:
    return np.stack([np.zeros_like(rise), np.zeros_like(rise), rise], axis=-1)[:, None]


def _up1(rise: Series) -> Points:
    return np.stack([np.zeros_like(rise), np.zeros_like(rise), rise], axis=-1)


def _hanging(angle: Series) -> Points:
    return np.stack([np.sin(angle), np.zeros_like(angle), -np.cos(angle)], axis=-1)


def _spread(forward: Series, outward: Series, side: float) -> Points:
    return np.stack(
        [
            np.sin(forward) * np.cos(outward),
            side * np.sin(outward),
            -np.cos(forward) * np.cos(outward),
        ],
        axis=-1,
    )


def _skin(rng: Rng) -> Points:
    return np.array([224, 172, 140]) * rng.uniform(0.3, 1.1)
