"""Who and what is in a clip: chooses objects, what they do and where they go.

In: a place's camera and the scale of the place. Out: figures.
Invariant: the splits share no model of object: proportions, vehicle shapes and bags differ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from streamer.rendering.body import Build, Course, Pose, person, random_build, rest
from streamer.rendering.build import Rng, log_uniform
from streamer.rendering.course import (
    HEADINGS,
    flight,
    ground_course,
    heading_of,
    seen_spot,
    thrown,
)
from streamer.rendering.figure import Figure
from streamer.rendering.thing import Flight, animal, ball, bird, blob, drone, hand
from streamer.rendering.vehicle import bicycle, crate, joined, vehicle
from streamer.rendering.view import View
from streamer.truth import Series

SIZES = (0.13, 1.25)
SMALL = (0.09, 0.3)
"""Heights of objects in the picture that are wished for."""


@dataclass(frozen=True)
class Set:
    """What casting works with; `wish` is where all that travels goes, "" leaves it to chance."""

    rng: Rng
    view: View
    times_s: Series
    split: str
    kind: str = ""
    sizes: tuple[float, float] = SIZES
    wish: str = ""

    def way(self, ways: tuple[str, ...], shares: list[float] | None = None) -> str:
        """Return where something goes: the way wished for, else one of `ways` by chance."""
        way = str(self.rng.choice(ways, p=shares))
        return self.wish or way


def walker(of: Set) -> Figure:
    """Cast a person who goes somewhere."""
    build = random_build(of.rng, of.split)
    wish = of.way(HEADINGS, [0.2, 0.2, 0.24, 0.22, 0.14])
    course = _course(of, build.height_m, wish, log_uniform(of.rng, 0.6, 3.2))
    pose = rest(len(of.times_s))
    if of.rng.random() < 0.3:
        pose = replace(pose, right_arm=np.tile([0.7, 0.1, 1.2], (len(of.times_s), 1)))
    if of.rng.random() < 0.07:
        return _pusher(of, course, build)
    return person(of.rng, course, pose, build)


def _pusher(of: Set, course: Course, build: Build) -> Figure:
    """Return a person who pushes a cart, a pram or a case."""
    ahead = np.stack([np.cos(course.heading), 0 * course.heading, np.sin(course.heading)], -1)
    cart = crate(of.rng, replace(course, place=course.place + 0.8 * ahead), 0.9)
    arm = np.tile([0.8, 0.1, 0.3], (len(of.times_s), 1))
    pose = replace(rest(len(of.times_s)), left_arm=arm, right_arm=arm)
    return joined(cart, person(of.rng, course, pose, build))


def gesturer(of: Set) -> Figure:
    """Cast a person who stays and waves, works, turns or fidgets."""
    build = random_build(of.rng, of.split)
    course = _standing(of, build.height_m)
    pose = _gesture(of)
    if of.rng.random() < 0.3:
        pose = replace(pose, crouch=np.full_like(of.times_s, 0.62))
    return person(of.rng, course, pose, build)


def mover(of: Set) -> Figure:
    """Cast a person who bends, squats, sits down, stands up or falls."""
    build = random_build(of.rng, of.split)
    return person(of.rng, _standing(of, build.height_m), _bow(of), build)


def stander(of: Set) -> Figure:
    """Cast a person or vehicle that does not move at all."""
    if of.rng.random() < 0.4:
        return vehicle(of.rng, _standing(of, 1.5), of.split)
    build = random_build(of.rng, of.split)
    return person(of.rng, _standing(of, build.height_m), rest(len(of.times_s)), build)


def driver(of: Set) -> Figure:
    """Cast a car, van or lorry."""
    wish = of.way(HEADINGS, [0.22, 0.22, 0.24, 0.22, 0.1])
    return vehicle(of.rng, _course(of, 1.5, wish, log_uniform(of.rng, 2.0, 14.0)), of.split)


def cyclist(of: Set) -> Figure:
    """Cast a rider."""
    wish = of.way(HEADINGS)
    return bicycle(of.rng, _course(of, 1.7, wish, log_uniform(of.rng, 2.0, 6.0)), of.split)


def beast(of: Set) -> Figure:
    """Cast an animal that walks or runs."""
    wish = of.way(HEADINGS)
    return animal(of.rng, _course(of, 0.6, wish, log_uniform(of.rng, 0.4, 4.0)), of.split)


def roller(of: Set) -> Figure:
    """Cast a ball or a box that rolls or slides."""
    size = log_uniform(of.rng, 0.15, 0.8)
    wish = of.way(HEADINGS)
    course = _course(of, size, wish, log_uniform(of.rng, 0.5, 5.0))
    if of.split == "train" and of.rng.random() < 0.5:
        return ball(of.rng, course, size / 2)
    return crate(of.rng, course, size)


def faller(of: Set) -> Figure:
    """Cast a ball or a box that falls or is thrown."""
    size = log_uniform(of.rng, 0.2, 0.8)
    spot = seen_spot(of.rng, of.view, size, (0.08, 0.3))
    course = thrown(of.rng, of.view, spot, of.times_s)
    if of.split == "train" and of.rng.random() < 0.5:
        return ball(of.rng, course, size / 2)
    return crate(of.rng, course, size)


def reacher(of: Set) -> Figure:
    """Cast a hand that reaches in from an edge, does something and leaves."""
    rng, view, t = of.rng, of.view, of.times_s
    edge = rng.uniform(0, 2 * np.pi)
    out = np.array([np.cos(edge), np.sin(edge)])
    middle = np.array([view.aspect, 1.0]) * rng.uniform(0.3, 0.7, 2)
    start, stay = rng.uniform(0, 0.6) * t[-1], rng.uniform(0.3, 4.0)
    ramp = rng.uniform(0.4, 2.0)
    inside = np.clip((t - start) / ramp, 0, 1) - np.clip((t - start - ramp - stay) / ramp, 0, 1)
    inside = inside * inside * (3 - 2 * inside)
    works = rng.random() < 0.6
    beat = np.sin(2 * np.pi * rng.uniform(0.7, 2.2) * t) * works
    tip = (
        middle
        + out * (1.4 * (1 - inside)[:, None])
        + 0.03 * beat[:, None] * np.array([-out[1], out[0]])
    )
    depth = np.full_like(t, log_uniform(rng, 0.5, 1.6))
    return hand(rng, Flight(view, tip, depth), tip + out * 1.2, beat, of.split)


def flyer(of: Set) -> Figure:
    """Cast a bird or, in the holdout, a drone."""
    wish = str(of.rng.choice(["left", "right", "up", "down", "any"]))
    at, nearer = flight(of.rng, of.view, of.times_s, wish)
    size = log_uniform(of.rng, 0.08, 0.35)
    depth = 0.6 * of.view.focal / size * nearer
    place = of.view.at_depth(at, np.maximum(depth, 0.4))
    step = np.gradient(place[:, [0, 2]], axis=0).mean(axis=0)
    heading = np.full(len(at), np.arctan2(step[1], step[0]))
    if of.split == "holdout":
        return drone(of.rng, place, heading, 0.6)
    return bird(of.rng, place, heading, of.times_s, 0.6)


def shape(of: Set) -> Figure:
    """Cast a shape of no kind that goes anywhere, also straight up and down."""
    wish = of.way(("left", "right", "up", "down", "approach", "recede"))
    at, nearer = flight(of.rng, of.view, of.times_s, wish)
    turn = of.rng.normal(0, 0.8) * of.times_s * (of.rng.random() < 0.25) + of.rng.uniform(0, 6)
    size = log_uniform(of.rng, 0.05, 0.3)
    return blob(of.rng, Flight(of.view, at, 5.0 * nearer), turn, size, of.split)


def floater(of: Set) -> Figure:
    """Cast a shape or bird that grows, shrinks or does neither whatever way it goes, or a hand."""
    rng, t = of.rng, of.times_s
    if rng.random() < 0.2:
        return reacher(of)
    wish = str(rng.choice(["left", "right", "up", "down", "any"]))
    at, _ = flight(rng, of.view, t, wish)
    if rng.random() < 0.25:
        at = np.broadcast_to(at[:1], at.shape)
    pace = log_uniform(rng, 0.16, 0.9) * rng.choice([-1, 0, 1])
    begins, ends = np.sort(rng.uniform(-0.5, 1.5, 2)) * t[-1]
    gone = np.clip(t, begins, ends) - t[-1] * rng.uniform(0.2, 0.8)
    nearer = np.exp(-np.clip(pace * gone, -1.8, 1.8))
    size = log_uniform(rng, 0.06, 0.3)
    if of.split == "train" and rng.random() < 0.25:
        depth = np.maximum(0.6 * of.view.focal / (2 * size) * nearer, 0.4)
        place = of.view.at_depth(at, depth)
        return bird(rng, place, np.full(len(t), rng.uniform(0, 6)), t, 0.6)
    turn = rng.normal(0, 0.8) * t * (rng.random() < 0.15) + rng.uniform(0, 6)
    return blob(rng, Flight(of.view, at, 5.0 * nearer), turn, size, of.split)


def _course(of: Set, height_m: float, wish: str, speed_m_s: float) -> Course:
    """Return a course of a speed that can be seen and followed in the picture."""
    spot = seen_spot(of.rng, of.view, height_m, of.sizes)
    heading = heading_of(of.rng, spot, wish)
    depth = max(float(of.view.seen(spot)[2]), 0.3)
    metre = of.view.focal / depth
    speed = float(np.clip(speed_m_s, 0.05 / metre, 1.2 / metre))
    if wish in ("approach", "recede"):
        speed = min(speed, 0.6 * depth)
    manner = str(of.rng.choice(["through", "stop", "start", "pause"], p=[0.5, 0.18, 0.16, 0.16]))
    return ground_course(of.rng, spot, heading, speed, of.times_s, manner)


def _standing(of: Set, height_m: float) -> Course:
    spot = seen_spot(of.rng, of.view, height_m, (0.25, 1.1))
    heading = float(of.rng.uniform(-np.pi, np.pi))
    return ground_course(of.rng, spot, heading, 0.0, of.times_s, "stay")


def _envelope(rng: Rng, t: Series) -> Series:
    """Return when something is done: all the time, or between two moments, float64 0..1."""
    if rng.random() < 0.35:
        return np.ones_like(t)
    start = t[-1] * rng.uniform(0, 0.6)
    end = start + rng.uniform(1.5, 6.0)
    return np.asarray(np.clip((t - start) / 0.3, 0, 1) * np.clip((end - t) / 0.3, 0, 1))


def _gesture(of: Set) -> Pose:
    rng, t = of.rng, of.times_s
    on = _envelope(rng, t)
    pose = rest(len(t))
    hz = rng.uniform(0.4, 2.5)
    beat = np.sin(2 * np.pi * hz * t + 0.8 * np.sin(1.3 * t)) * on
    second = np.sin(2 * np.pi * hz * rng.uniform(0.6, 1.5) * t + 1) * on
    none = np.zeros_like(t)
    manner = int(rng.integers(4))
    size = rng.uniform(0.35, 1.0)
    if manner == 0:
        arm = np.stack([none + 0.3, 2.2 * on + 0.1, 0.6 + size * beat], -1)
        return replace(pose, right_arm=arm, left_arm=arm if rng.random() < 0.3 else pose.left_arm)
    if manner == 1:
        base = rng.uniform(0.5, 1.2)
        right = np.stack([base + 0.4 * size * beat, none + 0.1, 0.8 + 0.5 * size * second], -1)
        left = np.stack([base + 0.4 * size * second, none + 0.1, 0.8 + 0.5 * size * beat], -1)
        return replace(pose, right_arm=right, left_arm=left, lean=none + rng.uniform(0, 0.4))
    if manner == 2:
        return replace(pose, turn=0.9 * size * beat, right_arm=pose.right_arm + 0.3 * on[:, None])
    right = np.stack([1.2 * size * (beat + on), none + 0.2, none + 0.4], -1)
    return replace(pose, right_arm=right, lean=0.15 * size * second)


def _bow(of: Set) -> Pose:
    rng, t = of.rng, of.times_s
    start = t[-1] * rng.uniform(0.05, 0.7)
    takes = rng.uniform(0.5, 1.6)
    down = np.clip((t - start) / takes, 0, 1)
    down = down * down * (3 - 2 * down)
    stays = rng.uniform(0.5, 3.0)
    back = np.clip((t - start - takes - stays) / takes, 0, 1)
    both = down - back * back * (3 - 2 * back)
    pose = rest(len(t))
    manner = int(rng.integers(4))
    if manner == 0:
        return replace(pose, lean=1.5 * both)
    if manner == 1:
        return replace(pose, crouch=rng.uniform(0.6, 1.0) * both, lean=0.4 * both)
    if manner == 2:
        up = 1 - down if rng.random() < 0.5 else down
        return replace(pose, crouch=0.62 * up, lean=0.15 * up)
    fall = 1.5 * down * rng.choice([-1, 1])
    return replace(pose, fall=fall, fall_sideways=float(rng.choice([0.0, 1.0])), crouch=0.4 * down)


CASTS = {
    "walker": (walker, 0.36),
    "driver": (driver, 0.16),
    "gesturer": (gesturer, 0.12),
    "shape": (shape, 0.12),
    "cyclist": (cyclist, 0.05),
    "mover": (mover, 0.05),
    "beast": (beast, 0.05),
    "roller": (roller, 0.03),
    "faller": (faller, 0.03),
    "reacher": (reacher, 0.04),
    "flyer": (flyer, 0.03),
    "floater": (floater, 0.0),
}

TRAVELLERS = {
    "walker": 0.42,
    "driver": 0.2,
    "shape": 0.22,
    "cyclist": 0.06,
    "beast": 0.06,
    "roller": 0.04,
}
"""What goes the way that is wished for."""


LIKELIER = {
    "room": {"driver": 0.12, "cyclist": 0.3, "reacher": 1.5, "mover": 1.6, "gesturer": 1.4},
    "corridor": {"driver": 0.12, "cyclist": 0.3},
    "table": {"driver": 0.1, "cyclist": 0.1, "reacher": 15.0, "walker": 0.2},
    "street": {"reacher": 0.3, "driver": 1.3},
    "above": {"driver": 1.5},
}
"""By which factor a kind of place changes the chances."""


def chosen(of: Set, only: str | None = None) -> Figure:
    """Cast one object that does something, by the shares of `CASTS` or as asked for.

    Args:
        of: what to work with.
        only: a name of `CASTS`, "stander", or "traveller" for one of `TRAVELLERS`.
    """
    if only == "stander":
        return stander(of)
    everyone = {name: share for name, (_, share) in CASTS.items()}
    usual = TRAVELLERS if only == "traveller" else everyone
    names = list(usual)
    factors = LIKELIER.get(of.kind, {})
    shares = np.array([usual[name] * factors.get(name, 1.0) for name in names])
    name = only if only in CASTS else names[int(of.rng.choice(len(names), p=shares / shares.sum()))]
    return CASTS[name][0](of)
