"""Scores become events: something begins, goes on and ends, told exactly once each.

In: the motion score of each frame and the label scores of each window, with capture times. Out:
start, update and end of events. One small machine a label: exponential smoothing, a threshold to
begin, a lower one to end, a minimum duration and a quiet time. Pure: time comes in with the data,
ids from the caller.
Invariant: for each label starts and ends alternate, and an event never spans two runs (as windows
never do): the camera calls `end_all(..., "reset")` on every new run but the first, however short
the gap was.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pipeline.config import DetectorConfig
from pipeline.records import EndReason, Event, Prediction, Timeline

MOTION = "motion"
"""The label of events that come from the motion gate."""
UNSEEN_S = 5.0
"""Seconds without any window (gate closed, worker away) after which a label's event ends; longer
than the 3.2 s of a window at 10 fps, so that even a hop of a whole window is no interruption."""
ROUNDING_S = 1e-6
"""Capture times are sums of floats: a duration this close to a limit has reached it."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """When a score was seen, and what events of that moment carry with them."""

    media_s: float
    wall: datetime
    timeline: Timeline


class _Track:
    """The machine of one label; `event` is the active event as told last, else None."""

    def __init__(self, on: float, off: float, config: DetectorConfig) -> None:
        self.event: Event | None = None
        self.smoothed = 0.0
        self._on, self._off, self._config = on, off, config
        self._last_s = -math.inf
        self._told_s = -math.inf
        self._seen_s = -math.inf
        self._onset: _Moment | None = None
        self._above_since_s = math.inf

    def take(self, score: float, moment: _Moment) -> bool:
        """Follow the score; return False where time stands or the score is no number."""
        smoothing_s = self._config.smoothing_s
        elapsed_s = moment.media_s - self._last_s
        if elapsed_s <= 0 or math.isnan(score):
            return False
        # Before the first score an infinite time has elapsed: it counts in full.
        weight = 1.0 if smoothing_s == 0 else -math.expm1(-elapsed_s / smoothing_s)
        self.smoothed += weight * (score - self.smoothed)
        self._last_s = moment.media_s
        self._note_limits(score, moment)
        return True

    def start(self, event_id: str, camera: str, label: str, moment: _Moment) -> Event:
        """Begin an event, back-dated to the first score above `off` of this rise."""
        onset = self._onset or moment
        self._told_s = moment.media_s
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

    def go_on(self, event: Event, moment: _Moment) -> Event | None:
        """Return an update where one is due; keep the peak in any case."""
        self.event = replace(event, score=self.smoothed, peak=max(event.peak, self.smoothed))
        if not _has_passed(self._told_s, self._config.update_s, moment.media_s):
            return None
        self._told_s = moment.media_s
        update = replace(self.event, phase="update", detected_s=moment.media_s)
        self.event = replace(update, timeline=moment.timeline)
        return self.event

    def end(self, event: Event, reason: EndReason, moment: _Moment) -> Event:
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
        return _has_passed(self._above_since_s, self._config.min_duration_s, self._last_s)

    def is_quiet(self) -> bool:
        """Tell whether the score has been below `off` for the quiet time."""
        is_low = self.smoothed < self._off
        return is_low and _has_passed(self._seen_s, self._config.quiet_s, self._last_s)

    def is_unseen(self, now_s: float) -> bool:
        """Tell whether the label has had no score for so long that its event must end."""
        return now_s - self._last_s > max(UNSEEN_S, self._config.quiet_s)

    def _note_limits(self, score: float, moment: _Moment) -> None:
        """Note since when the score is above `off` (raw or smoothed) and above `on` (smoothed)."""
        if max(score, self.smoothed) < self._off:
            self._onset = None
        elif self._onset is None:
            self._onset = moment
        is_above = self.smoothed >= self._on
        self._above_since_s = min(self._above_since_s, moment.media_s) if is_above else math.inf
        # The raw score ends an event to the frame; the smoothed one ignores a blip of noise.
        if min(score, self.smoothed) >= self._off:
            self._seen_s = moment.media_s


class Detector:
    """Turns the scores of one camera into events.

    Args:
        camera: camera id.
        config: thresholds and times.
        new_id: returns a new unique event id at each call.
    """

    def __init__(self, camera: str, config: DetectorConfig, new_id: Callable[[], str]) -> None:
        self._camera = camera
        self._config = config
        self._new_id = new_id
        self._tracks: dict[str, _Track] = {}
        self._run = -1
        self._first_valid_run = 0

    def observe_motion(
        self, media_s: float, score: float, is_warm: bool, wall: datetime, timeline: Timeline
    ) -> list[Event]:
        """Take the motion score of a frame; its time also ends labels that have no windows.

        Args:
            media_s: capture time of the frame, seconds, increasing until the next `end_all`.
            score: 0..1.
            is_warm: the gate has learned its background; otherwise the score counts as 0.
            wall: wall time at which the frame was captured, aware.
            timeline: of the frame, as the events shall carry it.

        Returns:
            what happened now, oldest first; mostly nothing.
        """
        moment = _Moment(media_s, wall, timeline)
        events = self._observe(MOTION, score if is_warm else 0.0, moment)
        for label, track in self._tracks.items():
            if label != MOTION and track.event and track.is_unseen(media_s):
                events.append(track.end(track.event, "quiet", moment))
        return events

    def observe_prediction(self, prediction: Prediction, wall: datetime) -> list[Event]:
        """Take the scores of a window; its time is that of its newest frame.

        Untrained scores raise no event. A window of an earlier run that arrives late is ignored.

        Args:
            prediction: labels and scores.
            wall: wall time at which the window's newest frame was captured, aware.

        Returns:
            what happened now, in the order of the labels.
        """
        run = prediction.window.run
        if not prediction.is_trained or run < max(self._run, self._first_valid_run):
            return []
        moment = _Moment(prediction.window.media_end_s, wall, prediction.timeline)
        events = self._begin_run(moment) if run > self._run >= 0 else []
        self._run = run
        for label, score in zip(prediction.labels, prediction.scores, strict=True):
            if label != MOTION:  # that name belongs to the gate
                events.extend(self._observe(label, score, moment))
        return events

    def end_all(
        self, media_s: float, reason: EndReason, wall: datetime, timeline: Timeline
    ) -> list[Event]:
        """End every active event and forget all scores; a new time line may follow.

        Args:
            media_s: the newest capture time known; an event ends where its score last was.
            reason: told as `ended_by`.
            wall: wall time now, aware.
            timeline: as the events shall carry it.

        Returns:
            the ends; empty where nothing was active, so that a second call is harmless.
        """
        moment = _Moment(media_s, wall, timeline)
        tracks = self._tracks.values()
        events = [track.end(track.event, reason, moment) for track in tracks if track.event]
        self._tracks.clear()
        self._first_valid_run = self._run + 1
        return events

    def active(self) -> tuple[tuple[str, float], ...]:
        """Return label and smoothed score of each event that goes on."""
        tracks = self._tracks.items()
        return tuple((label, track.smoothed) for label, track in tracks if track.event)

    def _begin_run(self, moment: _Moment) -> list[Event]:
        """End what a window of a newer run shows to be over, should the camera not have said so."""
        labels = [label for label in self._tracks if label != MOTION]
        tracks = [self._tracks.pop(label) for label in labels]
        return [track.end(track.event, "reset", moment) for track in tracks if track.event]

    def _observe(self, label: str, score: float, moment: _Moment) -> list[Event]:
        track = self._tracks.get(label) or self._tracks.setdefault(label, self._track(label))
        if not track.take(score, moment):
            return []
        if track.event is None:
            is_due = track.may_start()
            return [track.start(self._new_id(), self._camera, label, moment)] if is_due else []
        if track.is_quiet():
            return [track.end(track.event, "quiet", moment)]
        update = track.go_on(track.event, moment)
        return [update] if update else []

    def _track(self, label: str) -> _Track:
        config = self._config
        if label == MOTION:
            return _Track(config.motion_on, config.motion_off, config)
        return _Track(config.score_on, config.score_off, config)


def _has_passed(since_s: float, duration_s: float, now_s: float) -> bool:
    return now_s - since_s >= duration_s - ROUNDING_S
