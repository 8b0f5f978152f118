"""The same clip as another camera, lens and light would have recorded it.

In: a clip, the truth of its frames and where its objects are. Out: new ones. Every choice is made
once a clip, so that no motion appears that was not there; mirroring and reversing rename the labels
that they change, and objects stay where their pixels are.
Invariant: the result depends on the clip, the truth, the policy and the generator alone, and the
input stays as it is.

OpenCV's thread count belongs to the process, not to this file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from model.data.batch import Clips, Floats
from model.data.place import NO_OBJECTS, Objects
from model.labels import LABELS, MOTION

_MIRRORED: Final = {"left": "right", "right": "left"}
_UPENDED: Final = {"up": "down", "down": "up"}
_REVERSED: Final = {**_MIRRORED, **_UPENDED, "approach": "recede", "recede": "approach"}

# BT.601 luma of RGB.
_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)
_NOISE_BYTES: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class Policy:
    """How often and how far a clip is changed; every chance is a share of the clips.

    Attributes:
        mirror: chance of left and right exchanged.
        upend: chance of up and down exchanged; cameras hang upright, so it is rarely of use.
        reverse: chance of the clip played backwards; not for actions that have a direction in time.
        crop: chance of a cut-out, enlarged to full size.
        crop_least: smallest side of the cut-out as a share; a small one may lose the object.
        colour: chance of another light: brightness, contrast, saturation and tint.
        grey: chance of no colour at all, as at night under infrared light.
        gamma: chance of another tone curve.
        blur: chance of a lens out of focus, by up to `blur_px` (sigma, at 112 px).
        blur_px: largest sigma.
        noise: chance of sensor noise of up to `noise_levels` (sigma, of 255).
        noise_levels: largest sigma.
    """

    mirror: float = 0.5
    upend: float = 0.0
    reverse: float = 0.25
    crop: float = 0.5
    crop_least: float = 0.85
    colour: float = 0.6
    grey: float = 0.1
    gamma: float = 0.2
    blur: float = 0.15
    blur_px: float = 1.2
    noise: float = 0.3
    noise_levels: float = 8.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            is_chance = field.name not in ("blur_px", "noise_levels")
            if not 0 <= value <= (1 if is_chance else 64):
                raise ValueError(f"{field.name} is {value}; it must lie between 0 and 1")
        if self.crop_least < 0.1:
            raise ValueError(f"crop_least is {self.crop_least}; it must be at least 0.1")


DEFAULT: Final = Policy()
"""For rendered scenes."""

RECORDED: Final = Policy(reverse=0.0)
"""For videos of people's own classes: falling played backwards is getting up."""


class Shot(NamedTuple):
    """A clip and all that is known of it.

    Attributes:
        clip: uint8 (T, S, S, 3), RGB.
        truth: float32 (T, K), what each frame shows.
        objects: where objects are; none where nobody knows.
    """

    clip: Clips
    truth: Floats
    objects: Objects = NO_OBJECTS


def augment(
    shot: Shot,
    rng: np.random.Generator,
    policy: Policy = DEFAULT,
    labels: Sequence[str] = LABELS,
) -> Shot:
    """Change a clip and what is true of it.

    Args:
        shot: not modified.
        rng: makes every choice.
        policy: chances and ranges.
        labels: K names; the directions among them are renamed when they change.

    Returns:
        a clip and truth, contiguous; what nothing changed may be the input itself.

    Raises:
        ValueError: shapes do not fit.
    """
    clip, truth = shot.clip, shot.truth
    if clip.ndim != 4 or clip.shape[3] != 3 or truth.shape != (len(clip), len(labels)):
        raise ValueError(f"clip {clip.shape} and truth {truth.shape} do not fit {len(labels)}")
    chances = rng.random(10)
    if chances[0] < policy.reverse:
        shot = _reverse(shot, tuple(labels))
    if chances[3] < policy.crop:
        shot = _crop(shot, rng, policy.crop_least)
    is_mirrored, is_upended = bool(chances[1] < policy.mirror), bool(chances[2] < policy.upend)
    shot = _flip(shot, tuple(labels), is_mirrored=is_mirrored, is_upended=is_upended)
    clip = _expose(shot.clip, rng, policy, chances[4:7])
    if chances[7] < policy.blur:
        clip = _blur(clip, policy.blur_px * rng.random() * clip.shape[1] / 112)
    if chances[8] < policy.noise:
        clip = _noise(clip, policy.noise_levels * rng.random(), rng)
    return shot._replace(clip=clip, truth=np.array(shot.truth, np.float32, order="C"))


@lru_cache(maxsize=64)
def _order(labels: tuple[str, ...], change: str) -> list[int]:
    """Return for each label which one it was before the change; others stay in their place."""
    names = {"mirror": _MIRRORED, "upend": _UPENDED, "reverse": _REVERSED}[change]
    was = [names.get(label, label) for label in labels]
    return [labels.index(name) if name in labels else at for at, name in enumerate(was)]


def _reverse(shot: Shot, labels: tuple[str, ...]) -> Shot:
    return Shot(
        np.ascontiguousarray(shot.clip[::-1]),
        shot.truth[::-1, _order(labels, "reverse")],
        shot.objects.reversed(_order(MOTION, "reverse")),
    )


def _crop(shot: Shot, rng: np.random.Generator, least: float) -> Shot:
    side = shot.clip.shape[1]
    # Width and height differ a little: pictures of many shapes are squashed to the square.
    sides = rng.uniform(least, 1.0, 2)
    height, width = (max(round(side * share), 1) for share in sides)
    top, left = (int(rng.integers(side - part + 1)) for part in (height, width))
    return shot._replace(
        clip=cut_out(np.ascontiguousarray(shot.clip), (top, left), (height, width)),
        objects=shot.objects.cut_out((top / side, left / side), (height / side, width / side)),
    )


def cut_out(clip: Clips, corner: tuple[int, int], size: tuple[int, int]) -> Clips:
    """Return a part of every frame, enlarged to the whole.

    Args:
        clip: uint8 (T, S, S, 3). Not modified.
        corner: top and left of the part, px.
        size: its height and width, px.

    Returns:
        uint8 (T, S, S, 3), new.
    """
    side, (top, left), (height, width) = clip.shape[1], corner, size
    out = np.empty_like(clip)
    for frame, room in zip(clip, out, strict=True):
        part = frame[top : top + height, left : left + width]
        cv2.resize(part, (side, side), dst=room, interpolation=cv2.INTER_LINEAR)
    return out


def _flip(shot: Shot, labels: tuple[str, ...], *, is_mirrored: bool, is_upended: bool) -> Shot:
    clip, truth, objects = np.ascontiguousarray(shot.clip), shot.truth, shot.objects
    if is_mirrored:
        mirrored = np.empty_like(clip)
        # All frames at once, as one tall picture.
        cv2.flip(_tall(clip), 1, dst=_tall(mirrored))
        clip, truth = mirrored, truth[:, _order(labels, "mirror")]
        objects = objects.mirrored(_order(MOTION, "mirror"))
    if is_upended:
        clip, truth = np.ascontiguousarray(clip[:, ::-1]), truth[:, _order(labels, "upend")]
        objects = objects.upended(_order(MOTION, "upend"))
    return Shot(clip, truth, objects)


def _expose(
    clip: Clips, rng: np.random.Generator, policy: Policy, chances: npt.NDArray[np.float64]
) -> Clips:
    is_coloured, is_grey = chances[0] < policy.colour, chances[1] < policy.grey
    if is_coloured or is_grey:
        matrix = _colours(rng, is_coloured=bool(is_coloured), is_grey=bool(is_grey))
        lit = np.empty_like(clip)
        cv2.transform(_tall(clip), matrix, dst=_tall(lit))
        clip = lit
    if chances[2] < policy.gamma:
        power = math.exp(rng.uniform(-0.5, 0.5))
        table = np.rint(255 * (np.arange(256) / 255) ** power).astype(np.uint8)
        toned = np.empty_like(clip)
        cv2.LUT(_tall(clip), table, dst=_tall(toned))
        clip = toned
    return clip


def _tall(clip: Clips) -> Clips:
    """Return a view of a clip as one picture, its frames below each other."""
    return clip.reshape(-1, *clip.shape[2:])


def _colours(
    rng: np.random.Generator, *, is_coloured: bool, is_grey: bool
) -> npt.NDArray[np.float32]:
    """Return the 3 x 4 matrix from RGB to another light's RGB."""
    matrix = np.eye(3, 4, dtype=np.float32)
    saturation, hue = (0.0, 0.0) if is_grey else (1.0, 0.0)
    if is_coloured and not is_grey:
        saturation, hue = rng.uniform(0.4, 1.5), rng.uniform(-0.15, 0.15)
    grey = np.tile(_LUMA, (3, 1))
    # A small turn about the grey axis; the cross product with it is the turn's generator.
    turn = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], np.float32) / math.sqrt(3)
    turned = np.eye(3) + math.sin(hue) * turn + (1 - math.cos(hue)) * turn @ turn
    matrix[:, :3] = grey + saturation * (turned - grey)
    if is_coloured:
        gain = math.exp(rng.uniform(-0.4, 0.4))
        tint = 1 + rng.uniform(-0.08, 0.08, (3, 1)) * (0 if is_grey else 1)
        matrix[:, :3] *= (gain * tint).astype(np.float32)
        # Contrast turns about mid-grey, brightness shifts everything.
        matrix[:, 3] = 127.5 * (1 - gain) + rng.uniform(-25, 25)
    return matrix


def _blur(clip: Clips, sigma_px: float) -> Clips:
    if sigma_px < 0.3:
        return clip
    out = np.empty_like(clip)
    for frame, room in zip(clip, out, strict=True):
        cv2.GaussianBlur(frame, (5, 5), sigma_px, dst=room)
    return out


@lru_cache(maxsize=16)
def _bank(level: int) -> tuple[Clips, Clips]:
    """Return 4 MiB of noise of a level, its positive and its negative part."""
    # Drawing a clip's 1.2 million values anew would take 12 ms; a piece of a bank takes none.
    noise = np.random.default_rng(level).normal(0.0, level, _NOISE_BYTES).round().clip(-127, 127)
    return noise.clip(0).astype(np.uint8), (-noise).clip(0).astype(np.uint8)


def _noise(clip: Clips, sigma: float, rng: np.random.Generator) -> Clips:
    level = round(sigma)
    if level < 1:
        return clip
    more, less = _bank(level)
    values = clip.reshape(-1)
    out = np.empty_like(values)
    # Pieces at random places: a clip larger than the bank must not repeat it in step.
    for first in range(0, len(values), _NOISE_BYTES // 4):
        part = values[first : first + _NOISE_BYTES // 4]
        at = int(rng.integers(_NOISE_BYTES - len(part) + 1))
        piece = out[first : first + len(part)]
        cv2.add(part, more[at : at + len(part)], dst=piece[:, None])
        cv2.subtract(piece, less[at : at + len(part)], dst=piece[:, None])
    return out.reshape(clip.shape)
