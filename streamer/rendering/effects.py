"""The nuisances of a clip: light, the camera, tampering, the background.

In: chance, a place, what is wanted. Out: effects that are drawn one after the other, and what they
show: as long as the camera can show it.
Invariant: where grain, coder or a covered lens swallow an effect it is undecided, never a clear no.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from streamer.frame import Picture
from streamer.rendering.build import Rng
from streamer.rendering.light import Light, light
from streamer.rendering.sensor import Changed
from streamer.rendering.shake import Shake, shake, tremble
from streamer.rendering.stir import CHANGED, Stir, stir
from streamer.rendering.surface import Stage
from streamer.rendering.tamper import Tamper, tamper
from streamer.truth import NUISANCES, Series

LEAST_LIGHT: Final = 3.0
"""Mean difference over 0.4 s, grey levels, that light must make to be seen."""
LEAST_SHIFT: Final = 0.2
"""The same for the camera, as a share of what grain and coder swallow."""
DARKEST: Final = 0.1
"""Light below this share of the usual does not make effects any fainter."""


class Effects:
    """The nuisances of a clip.

    Args:
        rng: chance.
        wanted: which, of `NUISANCES`.
        stage: the place.
        times_s: float64 (n,).
        seen_by: the split, and the grey levels that the camera does not show clearly.
    """

    def __init__(
        self,
        rng: Rng,
        wanted: list[str],
        stage: Stage,
        times_s: Series,
        seen_by: tuple[str, float],
    ) -> None:
        size, margin = stage.size_px, stage.margin_px
        split, faintest = seen_by
        self.light: Light | None = light(rng, times_s) if "lighting" in wanted else None
        self.shake: Shake | None = None
        if "camera" in wanted:
            self.shake = shake(rng, times_s, size, margin)
        elif margin:
            self.shake = tremble(rng, times_s, size, margin)
        self.tamper: Tamper | None = None
        if "tamper" in wanted:
            self.tamper = tamper(rng, times_s, split, size, faintest)
        self.stirs: list[Stir] = []
        if "background" in wanted:
            n = 2 if rng.random() < 0.3 else 1
            levels = 1.0 if self.light is None else np.clip(self.light.levels, DARKEST, 1)
            clear = faintest / levels
            self.stirs = [stir(rng, times_s, split, stage, clear) for _ in range(n)]
        self.is_behind = bool(rng.random() < 0.4)
        self.times_s = times_s

    def states(self) -> Series:
        """Return float64 (n, 4) in order of `NUISANCES`."""
        none = np.zeros(len(self.times_s))
        given = [self.light, self.shake, self.tamper]
        columns = [none if effect is None else effect.states for effect in given]
        stirred = np.max([none, *(each.states for each in self.stirs)], axis=0)
        return np.stack([*columns, stirred], axis=1)

    def doubts(self) -> npt.NDArray[np.bool_]:
        """Return where one could be taken for the other, bool (n, 4) in order of `NUISANCES`.

        A camera that is turned away moves, and one that pans far may be turned away.
        """
        doubts = np.zeros((len(self.times_s), len(NUISANCES)), bool)
        if self.tamper:
            doubts[:, 1] = self.tamper.turns
        if self.shake:
            doubts[:, 2] = self.shake.turns
        return doubts

    def evident(self, raw: Picture, clean: Picture, changed: Changed, clear: float) -> Series:
        """Return states that are undecided where nobody could see it, float64 (n, 4).

        That is light, camera and background where hardly a pixel changes, and all but tampering
        behind a lens that is covered.

        Args:
            raw: uint8 (n, S, S, 3), what falls on the sensor.
            clean: uint8 (n, S, S, 3), what it sees.
            changed: bool (n, S, S), pixels that change clearly around each frame.
            clear: grey levels of `clean` that grain and coder swallow.
        """
        states = self.states()
        is_covered = states[:, 2:3] > 0
        states[:, [0, 1, 3]] = np.where(
            is_covered, np.minimum(states[:, [0, 1, 3]], 0.5), states[:, [0, 1, 3]]
        )
        shares = changed.mean(axis=(1, 2), dtype=np.float64)
        near = np.array([shares[max(0, k - 4) : k + 5].max() for k in range(len(shares))])
        states[:, 3] = np.where(near < CHANGED[1], np.minimum(states[:, 3], 0.5), states[:, 3])
        if not states[:, :2].any():
            return states
        index = np.arange(len(raw))
        before, after = np.maximum(index - 2, 0), np.minimum(index + 2, len(raw) - 1)
        change = np.array(
            [
                cv2.mean(cv2.absdiff(clean[first], clean[last]))[1]
                for first, last in zip(before, after, strict=True)
            ]
        )
        is_hidden = np.zeros((len(raw), 2), bool)
        if self.light:
            is_hidden[:, 0] = self.light.changes * raw.mean(axis=(1, 2, 3)) < LEAST_LIGHT
        is_hidden[:, 1] = change < LEAST_SHIFT * clear
        states[:, :2] = np.where(is_hidden, np.minimum(states[:, :2], 0.5), states[:, :2])
        return states
