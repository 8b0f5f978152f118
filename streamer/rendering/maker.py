"""Draws things of a place with looks chosen at random: planes, floors, boxes, poles, leaves.

In: chance, a split and a stage. Out: surfaces drawn on the stage.
Invariant: every texture and colour comes from the split's own.
"""

from __future__ import annotations

import numpy as np

from streamer.rendering.build import Rng, log_uniform, surface_paint
from streamer.rendering.surface import Stage, Surface, box
from streamer.rendering.texture import Texture, cloud, n_textures, texture
from streamer.rendering.view import Points


def at(x: float, y: float, z: float) -> Points:
    """Return a point or a direction of the world, metres."""
    return np.array([x, y, z], np.float64)


class Maker:
    """Draws surfaces with textures and colours chosen at random.

    Args:
        rng: chance.
        split: whose textures.
        stage: where to.
    """

    def __init__(self, rng: Rng, split: str, stage: Stage) -> None:
        self.rng = rng
        self.split = split
        self.stage = stage

    def look(self, contrast: float = 0.5) -> tuple[Texture, Points, Points]:
        """Return a texture and two colours of the same hue or, seldom, of two."""
        found = texture(self.split, int(self.rng.integers(n_textures(self.split))))
        bright = surface_paint(self.rng)
        other = (
            surface_paint(self.rng)
            if self.rng.random() < 0.25
            else bright * self.rng.uniform(0.3, 1)
        )
        share = contrast * self.rng.uniform(0.4, 1)
        return found, bright + share * (other - bright), bright

    def plane(
        self, corner: Points, u: Points, v: Points, tile_m: float = 0.0, *, hides: bool = True
    ) -> None:
        """Draw a rectangle with a new look."""
        dull, dark, bright = self.look(float(self.rng.choice([0.2, 0.5, 0.8, 1.0])))
        tile = tile_m or log_uniform(self.rng, 0.6, 5.0)
        self.stage.draw(Surface(corner, u, v, dull, dark, bright, tile, hides))

    def floor(self, far_m: float = 60.0) -> None:
        """Draw the ground."""
        wide = 2.5 * far_m
        self.plane(at(-wide / 2, 0, -5), at(wide, 0, 0), at(0, 0, far_m + 5), hides=False)

    def decals(self, far_m: float, n: int) -> None:
        """Lay rugs, stains, patches and covers on the ground."""
        for _ in range(n):
            spot = at(self.rng.normal(0, 0.35 * far_m), 0.006, self.rng.uniform(0.3, far_m))
            yaw, wide, deep = (
                self.rng.uniform(0, 3),
                *(log_uniform(self.rng, 0.15, 0.4 * far_m) for _ in range(2)),
            )
            across = at(np.cos(yaw), 0, np.sin(yaw)) * wide
            along = at(-np.sin(yaw), 0, np.cos(yaw)) * deep
            if self.rng.random() < 0.5:
                self.plane(spot, across, along, hides=False)
                continue
            stain = cloud(self.split, int(self.rng.integers(24)))
            tone = surface_paint(self.rng)
            gap = float(self.rng.uniform(0.4, 0.7))
            self.stage.draw(Surface(spot, across, along, stain, tone, tone, 0.0, False, gap))

    def strip(self, heading: float, offset_m: float, width_m: float, rise_m: float = 0.004) -> None:
        """Draw a path, a road or a line over the ground."""
        along, across = (
            at(np.cos(heading), 0, np.sin(heading)),
            at(-np.sin(heading), 0, np.cos(heading)),
        )
        corner = -80 * along + (offset_m - width_m / 2) * across + at(0, rise_m, 8)
        self.plane(corner, 160 * along, width_m * across, hides=False)

    def box(self, spot: Points, size: Points, tile_m: float = 0.0) -> None:
        """Draw a box that stands at a spot."""
        yaw = float(self.rng.choice([0, self.rng.uniform(0, 1.5)]))
        for face in box(spot, size, yaw, self.look(), tile_m or log_uniform(self.rng, 0.4, 2.0)):
            self.stage.draw(face)

    def post(self, spot: Points, width_m: float, height_m: float) -> None:
        """Draw a pole or a trunk."""
        self.plane(spot - at(width_m / 2, 0, 0), at(width_m, 0, 0), at(0, height_m, 0), 0.5)

    def foliage(self, spot: Points, width_m: float, height_m: float, base_m: float) -> None:
        """Draw a bush or the crown of a tree: blots of leaves with gaps."""
        green = np.array(
            [self.rng.uniform(20, 110), self.rng.uniform(50, 150), self.rng.uniform(10, 70)]
        )
        for _ in range(3):
            shift = self.rng.normal(0, 0.25, 3) * [width_m, 0.5 * height_m, 0.3]
            corner = spot + shift + at(-width_m / 2, base_m, 0)
            leaves = cloud(self.split, int(self.rng.integers(24)))
            gap = float(self.rng.uniform(0.35, 0.55))
            dark, bright = green * 0.15, green * self.rng.uniform(0.9, 1.6)
            self.stage.draw(
                Surface(
                    corner,
                    at(width_m, 0, 0),
                    at(0, height_m, 0),
                    leaves,
                    dark,
                    bright,
                    0.0,
                    True,
                    gap,
                )
            )
