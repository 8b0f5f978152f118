"""Scores become events: something begins, goes on and ends, told exactly once each.

In: the motion score of each frame and the label scores of each window, with capture times. Out:
start, update and end of events, and asides: nuisances that come and go, and starts that were not
told. One small machine a label (`track`), what each label is for (`limits`), and who silences whom
(`suppression`). Pure: time comes in with the data, ids from the caller.
Invariant: for each label starts and ends alternate, and an event never spans two runs (as windows
never do): the camera calls `end_all(..., "reset")` on every new run but the first, however short
the gap was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from model.manifest import Manifest
from pipeline.config import DetectorConfig
from pipeline.limits import rules_of
from pipeline.records import EndReason, Event, Nuisance, Prediction, Region, Suppressed, Timeline
from pipeline.suppression import LASTING, Claim, blocker
from pipeline.track import UNSEEN_S, Moment, Track

__all__ = ["MOTION", "UNSEEN_S", "Detector"]

MOTION = "motion"
"""The label of events that come from the motion gate."""


class Detector:
    """Turns the scores of one camera into events.

    Args:
        camera: camera id.
        config: thresholds and times.
        new_id: returns a new unique event id at each call.
        manifest: of the bundle whose scores come; its tuned limits and kinds of labels count.
            Without it every label is motion, and the gate raises events of its own.
    """

    def __init__(
        self,
        camera: str,
        config: DetectorConfig,
        new_id: Callable[[], str],
        manifest: Manifest | None = None,
    ) -> None:
        self._camera = camera
        self._rules = rules_of(config, manifest)
        self._new_id = new_id
        self._tracks: dict[str, Track] = {}
        self._claim: Claim | None = None
        self._asides: list[Suppressed | Nuisance] = []
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
        moment = Moment(media_s, wall, timeline)
        events = self._observe(MOTION, score if is_warm else 0.0, moment)
        for label, track in self._tracks.items():
            # A covered camera shows no motion, so that the gate lets no window through.
            is_lasting = label in LASTING and self._is_nuisance(label) and not track.is_low()
            if label != MOTION and track.is_unseen(media_s) and not is_lasting:
                events += self._end(track, label, "quiet", moment)
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
        moment = Moment(prediction.window.media_end_s, wall, prediction.timeline)
        events = self._begin_run(moment) if run > self._run >= 0 else []
        self._run = run
        scores = dict(zip(prediction.labels, prediction.scores, strict=True))
        # What silences a label must be known before the label is looked at.
        for kind in ("nuisance", "motion"):
            for label, score in scores.items():
                # The name motion belongs to the gate.
                if label != MOTION and self._rules.kind(label) == kind:
                    events += self._observe(label, score, moment)
        if self._claim is not None:
            has_event = any(label != MOTION for label, _ in self.active())
            self._claim.hear(moment.media_s, self._nuisances(), has_event=has_event)
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
        moment = Moment(media_s, wall, timeline)
        events = []
        for label, track in self._tracks.items():
            events += self._end(track, label, reason, moment)
        self._tracks.clear()
        self._first_valid_run = self._run + 1
        return events

    def locate(self, event_id: str, region: Region, wall: datetime) -> list[Event]:
        """Take where an event happens, which is found out after its start was told.

        Args:
            event_id: as told.
            region: where and when.
            wall: wall time of the frame that decided, aware.

        Returns:
            an update; empty where the event is over.
        """
        for track in self._tracks.values():
            event = track.event
            if event is not None and track.is_told and event.event_id == event_id:
                moment = Moment(event.detected_s, wall, event.timeline)
                return [track.update(replace(event, region=region), moment)]
        return []

    def active(self) -> tuple[tuple[str, float], ...]:
        """Return label and smoothed score of each event that goes on."""
        tracks = self._tracks.items()
        return tuple((label, t.smoothed) for label, t in tracks if t.event and t.is_told)

    def asides(self) -> list[Suppressed | Nuisance]:
        """Return, once, what happened besides events since the last call."""
        asides, self._asides = self._asides, []
        return asides

    # ---- one label -------------------------------------------------------------------------------

    def _observe(self, label: str, score: float, moment: Moment) -> list[Event]:
        track = self._track(label)
        if not track.take(score, moment):
            return []
        if track.event is None:
            return self._begin(track, label, moment) if track.may_start() else []
        if track.is_quiet():
            return self._end(track, label, "quiet", moment)
        return self._go_on(track, track.event, moment)

    def _begin(self, track: Track, label: str, moment: Moment) -> list[Event]:
        """Begin an event, aloud or in silence, unless a nuisance forbids it."""
        is_held = label == MOTION and self._rules.gate != "raise"
        is_told = not (is_held or self._is_nuisance(label))
        reason = self._silencer(label) if is_told else None
        if reason is not None:
            if track.block():
                self._asides.append(Suppressed(self._camera, label, reason))
            return []
        event = track.start(self._new_id(), self._camera, label, moment, is_told=is_told)
        if is_held:
            self._claim = Claim(event.onset_s, moment.media_s)
        elif not is_told:
            self._disturbed(track, event, is_active=True)
        return [event] if is_told else []

    def _go_on(self, track: Track, event: Event, moment: Moment) -> list[Event]:
        """Tell what is due; motion that was held is told when no scores come."""
        if track.is_told:
            update = track.go_on(event, moment)
            return [update] if update else []
        is_away = event.label == MOTION and self._claim and self._claim.is_unheard(moment.media_s)
        if not is_away or self._rules.gate != "confirm":
            return []
        self._claim = None
        return [track.tell(event, moment)]

    def _end(self, track: Track, label: str, reason: EndReason, moment: Moment) -> list[Event]:
        """End what goes on; told where the start was told."""
        if track.event is None:
            return []
        claim, self._claim = self._claim, None if label == MOTION else self._claim
        started = []
        if label == MOTION and claim is not None:
            if self._rules.gate == "confirm" and not claim.is_scored:
                started = [track.tell(track.event, moment)]
            elif (why := claim.reason()) is not None:
                self._asides.append(Suppressed(self._camera, label, why))
        event = track.end(track.event, reason, moment)
        if self._is_nuisance(label):
            self._disturbed(track, event, is_active=False)
        return [*started, event] if track.is_told else []

    def _disturbed(self, track: Track, event: Event, *, is_active: bool) -> None:
        wall = event.onset_wall
        self._asides.append(Nuisance(self._camera, event.label, is_active, track.smoothed, wall))

    def _begin_run(self, moment: Moment) -> list[Event]:
        """End what a window of a newer run shows to be over, should the camera not have said so."""
        events = []
        for label in [label for label in self._tracks if label != MOTION]:
            events += self._end(self._tracks.pop(label), label, "reset", moment)
        return events

    # ---- who silences whom -----------------------------------------------------------------------

    def _silencer(self, label: str) -> str | None:
        nuisances = self._nuisances()
        if label == MOTION:
            return max(nuisances, key=nuisances.__getitem__, default=None)
        return blocker(nuisances)

    def _nuisances(self) -> dict[str, float]:
        """Scores of the nuisances that go on, from their first score above `on`."""
        return {
            label: track.smoothed
            for label, track in self._tracks.items()
            if self._is_nuisance(label) and (track.event is not None or track.is_high())
        }

    def _is_nuisance(self, label: str) -> bool:
        return self._rules.kind(label) == "nuisance"

    def _track(self, label: str) -> Track:
        track = self._tracks.get(label)
        if track is None:
            limits = self._rules.motion if label == MOTION else self._rules.limits(label)
            track = self._tracks[label] = Track(limits)
        return track
