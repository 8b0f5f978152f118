"""Why there was no event: what explains a change, and whom it silences.

In: which nuisances go on, what the motion gate sees, which events of labels run. Out: the reason a
start is not told, or None. A camera that moves or is covered silences every start; light and
background explain only what the gate alone would have raised. Pure.
Invariant: motion of the gate is told, or confirmed by a label's event, or counted with exactly one
reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipeline.track import ROUNDING_S, UNSEEN_S

BLOCKING = ("tamper", "camera")
"""Nuisances during which no label's event starts, the worse one first: the whole picture moves or
is gone, so that a direction in it says nothing."""

LASTING = ("tamper",)
"""Nuisances that are believed while no windows come: a covered camera shows nothing that moves."""

UNCONFIRMED = "unconfirmed"
"""The gate saw motion, the scores saw neither an object nor a nuisance."""


def blocker(active: Iterable[str]) -> str | None:
    """Return the nuisance that keeps a label's event from starting."""
    going_on = set(active)
    return next((nuisance for nuisance in BLOCKING if nuisance in going_on), None)


@dataclass(slots=True)
class Claim:
    """Motion that the gate sees and that is not told by itself.

    Attributes:
        began_s: capture time of its onset.
        detected_s: capture time at which the gate was sure.
        is_confirmed: a label's event told it.
        is_scored: scores came that could tell what it is.
        peaks: highest score of each nuisance meanwhile.
    """

    began_s: float
    detected_s: float
    is_confirmed: bool = False
    is_scored: bool = False
    peaks: dict[str, float] = field(default_factory=dict)

    def hear(self, media_s: float, nuisances: Mapping[str, float], *, has_event: bool) -> None:
        """Take what the scores of a window say.

        Args:
            media_s: capture time of the window's newest frame.
            nuisances: scores of those that go on.
            has_event: an event of a label goes on.
        """
        if media_s < self.began_s - ROUNDING_S:
            return
        self.is_scored = True
        self.is_confirmed |= has_event
        for nuisance, score in nuisances.items():
            self.peaks[nuisance] = max(score, self.peaks.get(nuisance, 0.0))

    def is_unheard(self, media_s: float) -> bool:
        """Tell whether the scores are away: nobody else will tell this motion."""
        return not self.is_scored and media_s - self.detected_s >= UNSEEN_S - ROUNDING_S

    def reason(self) -> str | None:
        """Say why it was not told; None where a label's event told it."""
        if self.is_confirmed:
            return None
        return max(self.peaks, key=self.peaks.__getitem__, default=UNCONFIRMED)
