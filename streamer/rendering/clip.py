"""Renders one clip: a place, objects, nuisances, a camera, and the truth of every frame.

In: a seed and what is wanted. Out: uint8 pictures as `preprocess` would deliver them, labels per
frame, boxes per object. A clip takes some 80 ms at 72 frames of 112 px on one core.
Invariant: a clip is a function of seed and `ClipSpec` alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streamer.frame import Picture
from streamer.rendering import cast
from streamer.rendering.actor import Actor, Weather, weather
from streamer.rendering.build import Rng
from streamer.rendering.effects import Effects
from streamer.rendering.light import Light, exposure
from streamer.rendering.place import place
from streamer.rendering.sensor import Changed, changes, developed, faint, look, lost, plain, toned
from streamer.rendering.stir import Stir
from streamer.rendering.surface import Stage
from streamer.rendering.texture import n_textures, texture
from streamer.truth import (
    MOTION,
    NUISANCES,
    Labels,
    Series,
    frame_labels,
    object_labels,
    object_rates,
)

MARGIN: Final = 0.18
"""Border around the picture that a moving camera can show, share of its side."""


@dataclass(frozen=True)
class Recipe:
    """What a kind of clip is made of: numbers of objects and chances of nuisances.

    Objects of a clip are cast from `only` by turns, and with `ways` go one of two ways by turns.
    """

    share: float
    movers: tuple[int, ...] = (0,)
    standers: tuple[int, ...] = (0, 0, 0, 1, 1, 2, 3)
    nuisances: dict[str, float] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    is_night: bool = False
    is_plain: bool = False
    sizes: tuple[float, float] = cast.SIZES
    ways: tuple[tuple[str, str], ...] = ()


FEWEST_SEEN: Final = 8
MOST_TRIES: Final = 5
"""An object that is seen in fewer frames is cast again, at most so often."""

PLAIN_CONTRAST: Final = 2.5
"""Objects of plain clips stand out from their background by so much more than they must."""

_ANY = dict.fromkeys(NUISANCES, 0.35)
KINDS: Final[dict[str, Recipe]] = {
    "empty": Recipe(0.05),
    "object": Recipe(0.42, (1, 1, 1, 2, 2, 3, 4)),
    "crowd": Recipe(0.04, (3, 4, 5, 6), only=("walker",), sizes=cast.SMALL),
    "gesture": Recipe(0.1, (1, 1, 2), only=("gesturer",)),
    "lighting": Recipe(0.09, nuisances={"lighting": 1.0}),
    "camera": Recipe(0.15, nuisances={"camera": 1.0}),
    "tamper": Recipe(0.08, (0, 0, 1), nuisances={"tamper": 1.0}),
    "background": Recipe(0.09, nuisances={"background": 1.0}),
    "night": Recipe(
        0.06, (0, 1, 1, 2), nuisances={"lighting": 0.25, "background": 0.15}, is_night=True
    ),
    "mixed": Recipe(0.09, (1, 1, 2), nuisances=_ANY),
    # Only where it is asked for: large objects, a good camera. What a network can begin with.
    "plain": Recipe(0.0, (1, 1, 1, 2), (0, 0, 1), is_plain=True, sizes=(0.3, 1.1)),
    # Only where it is asked for: on the ground what goes up also goes away; here it need not.
    "growth": Recipe(0.0, (1, 1, 2), only=("floater",)),
    # Only where it is asked for: what one object does says nothing about the others.
    "opposed": Recipe(
        0.0,
        (2, 2, 3, 4),
        only=("traveller",),
        ways=(
            ("approach", "recede"),
            ("recede", "approach"),
            ("approach", "any"),
            ("recede", "any"),
            ("left", "right"),
        ),
    ),
    # Only where it is asked for: who stays and gestures is seen beside what travels.
    "company": Recipe(0.0, (2, 2, 3, 4), only=("gesturer", "traveller")),
}


@dataclass(frozen=True)
class ClipSpec:
    """What to render.

    Attributes:
        frames: how many.
        fps: per second.
        size_px: side of the square pictures, at least 32.
        split: "train" or "holdout"; they share no texture family and no object model.
        kind: one of `KINDS`; None chooses by their shares.
    """

    frames: int = 72
    fps: float = 10.0
    size_px: int = 112
    split: str = "train"
    kind: str | None = None


@dataclass(frozen=True)
class RenderedClip:
    """A clip and its truth.

    Attributes:
        pictures: uint8 (n, S, S, 3), RGB, oldest first; owned by the caller.
        labels: float32 (n, 11) in order of `truth.LABELS`: 0, 1, NaN undecided.
        boxes: float32 (objects, n, 4): x0, y0, x1, y1 as shares of the picture; NaN unseen.
        motions: float32 (objects, n, 7) in order of `truth.MOTION`: what each object does.
        rates: float32 (objects, n, 4) in order of `truth.RATES`: how fast each object moves.
        facts: kind, objects and nuisances, for people.
    """

    pictures: Picture
    labels: Labels
    boxes: npt.NDArray[np.float32]
    motions: Labels
    rates: Labels
    facts: dict[str, Any]


def render_clip(seed: int, spec: ClipSpec) -> RenderedClip:
    """Render a clip.

    Args:
        seed: any integer from 0; each gives another clip.
        spec: what is wanted.

    Raises:
        ValueError: split or kind is unknown, or the size is too small.
    """
    _check(spec)
    rng = np.random.default_rng((seed, 0 if spec.split == "train" else 1))
    names = list(KINDS)
    shares = np.array([KINDS[name].share for name in names])
    kind = spec.kind or names[int(rng.choice(len(names), p=shares / shares.sum()))]
    recipe = KINDS[kind]
    wanted = [name for name in NUISANCES if rng.random() < recipe.nuisances.get(name, 0.0)]
    margin = round(MARGIN * spec.size_px) if "camera" in wanted or rng.random() < 0.2 else 0
    stage = place(rng, spec.split, spec.size_px, margin)
    times_s = _times(rng, spec)
    seen = look(rng, spec.size_px, is_night=recipe.is_night)
    if recipe.is_plain:
        seen = plain(seen)
    of = cast.Set(rng, stage.view, times_s, spec.split, stage.kind, recipe.sizes)
    actors = _actors(of, recipe, stage, faint(seen) * (PLAIN_CONTRAST if recipe.is_plain else 1))
    effects = Effects(rng, wanted, stage, times_s, (spec.split, faint(seen)))
    if "lighting" not in wanted and actors and rng.random() < 0.12:
        effects.light = _adapting(rng, actors, stage, times_s)
    if effects.shake:
        for actor in actors:
            actor.sighting.sight = effects.shake.sight
    raw = _shot(stage, actors, effects, times_s)
    clean = toned(raw, seen)
    pictures = developed(clean, seen, rng, times_s)
    facts = {"kind": kind, "objects": [actor.name for actor in actors], "nuisances": wanted}
    changed = changes(clean, lost(seen))
    states = effects.evident(raw, clean, changed, lost(seen))
    return RenderedClip(pictures, *_truth(actors, effects, states, changed), facts)


def _truth(
    actors: list[Actor], effects: Effects, states: Series, changed: Changed
) -> tuple[Labels, npt.NDArray[np.float32], Labels, Labels]:
    """Return labels, boxes, motions and rates as in `RenderedClip`, after everything was drawn."""
    tracks = [actor.track(changed) for actor in actors]
    labels = frame_labels(tracks, states, effects.times_s)
    labels[:, len(MOTION) :][effects.doubts() & (states == 0)] = np.nan
    none = np.zeros((0, len(states), 4))
    boxes = np.stack([actor.sighting.boxes for actor in actors]) if actors else none
    motions = object_labels(tracks, states, effects.times_s)
    rates = object_rates(tracks, states, effects.times_s)
    return labels, boxes.astype(np.float32), motions, rates


def _check(spec: ClipSpec) -> None:
    if spec.split not in ("train", "holdout"):
        raise ValueError(f"split is {spec.split!r}; it must be train or holdout")
    if spec.kind is not None and spec.kind not in KINDS:
        raise ValueError(f"kind is {spec.kind!r}; choose one of {', '.join(KINDS)}")
    if spec.size_px < 32 or spec.frames < 2:
        raise ValueError(f"{spec.frames} frames of {spec.size_px} px; at least 2 of 32 are needed")


def _times(rng: Rng, spec: ClipSpec) -> Series:
    """Return when each frame was taken: a slow camera holds frames, a bad link jitters."""
    due = np.arange(spec.frames) / spec.fps
    if rng.random() < 0.4:
        return due
    source_fps = float(rng.choice([5.0, 6.0, 7.5, 8.0, 12.5, 15.0, 20.0, 25.0, 29.97]))
    taken = np.floor(due * source_fps + rng.random()) / source_fps
    if rng.random() < 0.3:
        late = rng.uniform(0, 0.4, len(due)) / source_fps
        taken = np.maximum.accumulate(taken - late)
    return np.asarray(taken - taken[0])


def _actors(of: cast.Set, recipe: Recipe, stage: Stage, faintest: float) -> list[Actor]:
    """Cast objects; those that stand still become part of the place."""
    rng = of.rng
    seen = replace(weather(rng, stage.picture.reshape(-1, 3).mean(axis=0)), faint=faintest)
    for _ in range(int(rng.choice(recipe.standers))):
        _cast(of, stage, seen, "stander").imprint()
    actors: list[Actor] = []
    n_movers = int(rng.choice(recipe.movers))
    ways = recipe.ways[int(rng.integers(len(recipe.ways)))] if recipe.ways else ("",)
    casts = recipe.only or (None,)
    for number in range(n_movers):
        of, only = replace(of, wish=ways[number % len(ways)]), casts[number % len(casts)]
        tries = [_cast(of, stage, seen, only)]
        while tries[-1].n_seen() < FEWEST_SEEN and len(tries) < MOST_TRIES:
            tries.append(_cast(of, stage, seen, only))
        actors.append(max(tries, key=Actor.n_seen))
    return actors


def _cast(of: cast.Set, stage: Stage, seen: Weather, only: str | None) -> Actor:
    skin = None
    if of.rng.random() < 0.6:
        skin = texture(of.split, int(of.rng.integers(n_textures(of.split))))
    return Actor(cast.chosen(of, only), stage, of.times_s, seen, skin)


def _adapting(rng: Rng, actors: list[Actor], stage: Stage, times_s: Series) -> Light:
    """Return the exposure of a camera that answers to the objects."""
    mean = float(stage.picture.mean())
    added = np.zeros(len(times_s))
    for actor in actors:
        flat = actor.flat
        box = np.clip(flat.high, 0, stage.side_px) - np.clip(flat.low, 0, stage.side_px)
        tone = float(flat.rgb[0].mean())
        added += 0.6 * box.prod(axis=1) / stage.side_px**2 * (tone - mean) / 128
    return exposure(added, times_s, float(rng.uniform(1, 5)), float(rng.uniform(0.2, 1.5)))


def _shot(stage: Stage, actors: list[Actor], effects: Effects, times_s: Series) -> Picture:
    """Return what falls on the sensor, uint8 (n, S, S, 3)."""
    size = stage.size_px
    out = np.empty((len(times_s), size, size, 3), np.uint8)
    for frame in range(len(times_s)):
        canvas = stage.picture.copy()
        if effects.is_behind:
            canvas = _stirred(canvas, effects.stirs, frame)
        _act(actors, canvas, frame)
        if not effects.is_behind:
            canvas = _stirred(canvas, effects.stirs, frame)
        if effects.light:
            canvas = effects.light.apply(canvas, frame)
        if effects.shake:
            canvas = effects.shake.apply(canvas, frame)
        if effects.tamper:
            canvas = effects.tamper.apply(np.ascontiguousarray(canvas), frame)
        out[frame] = canvas
    return out


def _act(actors: list[Actor], canvas: Picture, frame: int) -> None:
    """Draw all objects of a frame, far ones first, and measure what is seen of each."""
    from_afar = sorted(actors, key=lambda actor: -actor.flat.depth[frame])
    for actor in from_afar:
        actor.draw(canvas, frame)
    if len(actors) > 1:
        nearer = np.zeros(canvas.shape[:2], np.uint8)
        for actor in reversed(from_afar):
            actor.hide(nearer, frame)


def _stirred(canvas: Picture, stirs: list[Stir], frame: int) -> Picture:
    for each in stirs:
        canvas = each.apply(canvas, frame)
    return canvas
