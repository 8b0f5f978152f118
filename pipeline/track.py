"""The machine of one label: smoothing, a limit to begin, a lower one to end, and times.

In: scores with their capture times. Out: the phases of one event after the other. Nobody need be
told of them: a nuisance runs through the same machine in silence. Pure. Invariant: starts and ends
alternate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pipeline.limits import Limits
from pipeline.records import EndReason, Event, Timeline

UNSEEN_S = 5.0
"""Seconds without any window (gate closed, worker away) after which a label's event ends; longer
than the 3.2 s of a window at 10 fps, so that even a hop of a whole window is no interruption."""
ROUNDING_S = 1e-6
"""Capture times are sums of floats: a duration this close to a limit has reached it."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a score was seen, and what events of that moment carry with them."""

    media_s: float
    wall: datetime
    timeline: Timeline


class Track:
    """The machine of one label.

    Args:
        limits: of the label's score.

    Attributes:
        event: that goes on, as told last; None between two.
        is_told: somebody was told of it.
        is_blocked: a start was due in this rise of the score and was not allowed.
        smoothed: score.
    """

    def __init__(self, limits: Limits) -> None:
        self.event: Event | None = None
        self.is_told = False
        self.is_blocked = False
        self.smoothed = 0.0
        self._limits = limits
        self._raw = 0.0
        self._last_s = -math.inf
        self._told_s = -math.inf
        self._seen_s = -math.inf
        self._onset: Moment | None = None
        self._above_since_s = math.inf

    def take(self, score: float, moment: Moment) -> bool:
        """Follow the score; return False where time stands or the score is no number."""
        smoothing_s = self._limits.smoothing_s
        elapsed_s = moment.media_s - self._last_s
        if elapsed_s <= 0 or math.isnan(score):
            return False
        # Before the first score an infinite time has elapsed: it counts in full.
        weight = 1.0 if smoothing_s == 0 else -math.expm1(-elapsed_s / smoothing_s)
        self.smoothed += weight * (score - self.smoothed)
        self._last_s, self._raw = moment.media_s, score
        self._note_limits(score, moment)
        return True

    def start(
        self, event_id: str, camera: str, label: str, moment: Moment, *, is_told: bool = True
    ) -> Event:
        """Begin an event, back-dated to the first score above `off` of this rise."""
        onset = self._onset or moment
        self._told_s, self.is_told = moment.media_s, is_told
        self.event = Event(
            event_id=event_id,
            phase="start",
            camera=camera,
            label=label,
            onset_s=onset.media_s,
            detected_s=moment.media_s,
            ended_s=None,
            ended_by=None,
            onset_wall=onset.wall.astimezone(UTC).isoformat(timespec="milliseconds"),
            score=self.smoothed,
            peak=self.smoothed,
            timeline=moment.timeline,
        )
        return self.event

    def tell(self, event: Event, moment: Moment) -> Event:
        """Tell an event now that went on in silence; it keeps its onset."""
        self._told_s, self.is_told = moment.media_s, True
        self.event = replace(
            event,
            detected_s=moment.media_s,
            score=self.smoothed,
            peak=max(event.peak, self.smoothed),
            timeline=moment.timeline,
        )
        return self.event

    def block(self) -> bool:
        """Let a start that is due wait; its onset will be no earlier. True for the first time."""
        is_new, self.is_blocked = not self.is_blocked, True
        self._onset = None
        return is_new

    def go_on(self, event: Event, moment: Moment) -> Event | None:
        """Return an update where one is due; keep the peak in any case."""
        self.event = replace(event, score=self.smoothed, peak=max(event.peak, self.smoothed))
        if not _has_passed(self._told_s, self._limits.update_s, moment.media_s):
            return None
        return self.update(self.event, moment)

    def update(self, event: Event, moment: Moment) -> Event:
        """Return an update now."""
        self._told_s = moment.media_s
        update = replace(event, phase="update", detected_s=moment.media_s)
        self.event = replace(update, timeline=moment.timeline)
        return self.event

    def end(self, event: Event, reason: EndReason, moment: Moment) -> Event:
        """End the event at the last moment the score was there, not at the moment this is known."""
        self.event, self._onset, self._above_since_s = None, None, math.inf
        return replace(
            event,
            phase="end",
            detected_s=max(self._last_s, moment.media_s),
            ended_s=max(self._seen_s, event.onset_s),
            ended_by=reason,
            score=self.smoothed,
            timeline=moment.timeline,
        )

    def may_start(self) -> bool:
        """Tell whether the smoothed score has been above `on` for the minimum duration."""
        return _has_passed(self._above_since_s, self._limits.min_duration_s, self._last_s)

    def is_high(self) -> bool:
        """Tell whether the smoothed score is above `on`, for however short a time."""
        return self.smoothed >= self._limits.on

    def is_low(self) -> bool:
        """Tell whether the newest score, as it came, is below `off`."""
        return self._raw < self._limits.off

    def is_quiet(self) -> bool:
        """Tell whether the score has been below `off` for the quiet time."""
        is_low = self.smoothed < self._limits.off
        return is_low and _has_passed(self._seen_s, self._limits.quiet_s, self._last_s)

    def is_unseen(self, now_s: float) -> bool:
        """Tell whether the label has had no score for so long that its event must end."""
        return now_s - self._last_s > max(UNSEEN_S, self._limits.quiet_s)

    def _note_limits(self, score: float, moment: Moment) -> None:
        """Note since when the score is above `off` (raw or smoothed) and above `on` (smoothed)."""
        if max(score, self.smoothed) < self._limits.off:
            self._onset, self.is_blocked = None, False
        elif self._onset is None:
            self._onset = moment
        is_above = self.is_high()
        self._above_since_s = min(self._above_since_s, moment.media_s) if is_above else math.inf
        # The raw score ends an event to the frame; the smoothed one ignores a blip of noise.
        if min(score, self.smoothed) >= self._limits.off:
            self._seen_s = moment.media_s


def _has_passed(since_s: float, duration_s: float, now_s: float) -> bool:
    return now_s - since_s >= duration_s - ROUNDING_S
