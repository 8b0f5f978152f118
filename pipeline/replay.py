"""A video through the production path, offline: what would have been told, as fast as it computes.

In: a source that does not wait. Through: the same session, ring, motion gate and window policy as a
live camera, in one thread; windows are classified in batches. Out: a `Recording` of everything the
fan-out would have been handed, which any detector can then be given again and again.
Invariant: the same source, bundle and engine give the same recording: time is that of the video,
no clock is read.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from model.classifier import Classifier, Clips
from model.errors import EvaluationError
from model.evaluation.matching import Alarm
from model.evaluation.span import Span
from model.manifest import Manifest
from pipeline import wiring
from pipeline.config import CameraConfig, PipelineConfig
from pipeline.detector import Detector
from pipeline.records import Event, MotionSample, Prediction, RunEnded, Timeline, Window
from pipeline.windowing import Windowing
from streamer.clock import Clock
from streamer.config import ReaderConfig, SourceConfig
from streamer.errors import SourceLostError, SourceOpenError
from streamer.frame import Frame, Picture
from streamer.notes import Counters, FrameNote, FromCapture
from streamer.opener import open_source
from streamer.ring import RingReader, RingWriter, remove_ring
from streamer.session import Session, Tally
from streamer.source import Source, SourceInfo, SourceStatistics

log = logging.getLogger(__name__)

NOWHEN = Timeline(0.0, 0.0, 0.0)
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Wall time of media time 0 in a replay."""
BATCH = 8
"""Windows classified together; more gain little on a CPU."""
Item = MotionSample | Prediction | RunEnded


@dataclass(frozen=True, slots=True)
class Recording:
    """What one video handed to the fan-out.

    Attributes:
        name: of the video.
        items: in order; a prediction comes right after the last frame of its window.
        labels: of the scores.
        began_s: capture time of the first frame; truth counts from here.
        duration_s: from there to the end of the last frame.
        watched_from_s: from there until the first window was full; the duration without any.
    """

    name: str
    items: tuple[Item, ...]
    labels: tuple[str, ...]
    began_s: float
    duration_s: float
    watched_from_s: float

    @property
    def n_windows(self) -> int:
        """Return the number of windows that were classified."""
        return sum(isinstance(item, Prediction) for item in self.items)


class StillClock:
    """A clock that stands still: nothing of a replay depends on when or how fast it runs."""

    def now(self) -> float:
        """Return 0."""
        return 0.0

    def wall(self) -> datetime:
        """Return the epoch of replays."""
        return EPOCH

    async def sleep(self, delay_s: float) -> None:
        """Return at once."""


class PictureSource:
    """Pictures in memory as a source.

    Args:
        pictures: uint8 (n, H, W, 3), RGB.
        fps: pictures a second.
    """

    def __init__(self, pictures: Clips, fps: float) -> None:
        self._pictures = pictures
        self._fps = fps
        self._statistics = SourceStatistics()

    def open(self) -> SourceInfo:
        """Tell the size."""
        height, width = self._pictures.shape[1:3]
        return SourceInfo("rendered", width, height, self._fps, is_live=False, is_paced=False)

    def frames(self) -> Iterator[Frame]:
        """Yield every picture."""
        height, width = self._pictures.shape[1:3]
        for index, pixels in enumerate(self._pictures):

            def picture(pixels: Picture = pixels) -> Picture:
                return pixels

            yield Frame(index, index / self._fps, 0.0, width, height, picture, is_keyframe=True)

    def close(self) -> None:
        """Nothing is held."""

    def statistics(self) -> SourceStatistics:
        """Nothing is decoded."""
        return self._statistics


class _Host:
    """What a session needs of its reader; hands every note on at once."""

    def __init__(self, config: ReaderConfig, take: Callable[[FrameNote], None]) -> None:
        self.config = config
        self.clock: Clock = StillClock()
        self.tally = Tally()
        self.analysis_fps = config.analysis_fps
        self.last_run = -1
        self.is_fast = True
        self.is_closed = False
        self._take = take

    def send(self, note: FromCapture) -> None:
        if isinstance(note, FrameNote):
            self._take(note)

    def publish(self) -> Counters:
        return Counters()

    def begin_run(self) -> int:
        self.last_run += 1
        return self.last_run

    def may_place(self, seq: int) -> bool:
        return seq >= 0


class Replayer:
    """Replays videos through one classifier.

    Args:
        config: gate, motion, analysis and capture settings; its cameras are not used.
        manifest: of the bundle.
        classifier: warmed up for at least `batch` windows.
        batch: windows classified together.
    """

    def __init__(
        self,
        config: PipelineConfig,
        manifest: Manifest,
        classifier: Classifier,
        batch: int = BATCH,
    ) -> None:
        self._config = config
        self.manifest = manifest
        self._classifier = classifier
        self._sampled = wiring.sampling(config, manifest)
        side = self._sampled.size_px
        self._clips = np.empty((batch, self._sampled.n_frames, side, side, 3), np.uint8)

    def replay(self, name: str, config: SourceConfig) -> Recording:
        """Replay a file or a named scene, with `pace` fast.

        Raises:
            EvaluationError: it cannot be opened or read, or holds no picture that can be used.
        """
        clock, stop = StillClock(), threading.Event()
        return self.replay_source(name, open_source(config, self._config.capture, clock, stop))

    def replay_source(self, name: str, source: Source) -> Recording:
        """Replay a source that is not open yet; it is closed in the end.

        Raises:
            EvaluationError: it cannot be opened or read, or holds no picture that can be used.
        """
        camera = CameraConfig.model_validate({"id": "replay", "source": "synthetic:replay"})
        reader = wiring.reader_config(self._config, camera, self._sampled)
        (ring,) = wiring.prepare_rings(self._config, [reader], self._sampled)
        try:
            with RingWriter(ring) as writer, RingReader(ring) as view:
                tape = _Tape(self, view, self._windowing())
                host = _Host(reader, tape.take)
                try:
                    Session(host, writer, source.open()).read(source)
                except (SourceOpenError, SourceLostError) as err:
                    raise EvaluationError(f"{name} cannot be replayed: {err}") from err
                finally:
                    source.close()
                return tape.finish(name, 1 / self._sampled.fps)
        finally:
            remove_ring(ring)

    def _windowing(self) -> Windowing:
        return Windowing(
            camera="replay",
            n_frames=self._sampled.n_frames,
            hop=self._sampled.hop,
            gate=wiring.gate_policy(self._config),
            window_ids=itertools.count(),
            is_live=False,
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the labels of the scores."""
        return tuple(self.manifest.labels)

    @property
    def fps(self) -> float:
        """Return the frames per second that are sampled."""
        return self._sampled.fps

    @property
    def size_px(self) -> int:
        """Return the side of the pictures."""
        return self._sampled.size_px

    @property
    def clips(self) -> Clips:
        """Return the room for the clips of a batch, uint8 (B, T, S, S, 3)."""
        return self._clips

    def predict(self, windows: Sequence[Window]) -> list[Prediction]:
        """Classify the first clips of the room."""
        n = len(windows)
        scores, _ = self._classifier.predict(self._clips[:n])
        return [
            Prediction(
                window=window,
                labels=self.labels,
                scores=tuple(row.tolist()),
                model=self.manifest.name,
                is_trained=self.manifest.is_trained,
                batch_size=n,
                timeline=NOWHEN,
            )
            for window, row in zip(windows, scores, strict=True)
        ]


@dataclass(slots=True)
class _Tape:
    """Takes the notes of one video and collects what came of them."""

    replayer: Replayer
    view: RingReader
    windowing: Windowing
    items: list[Item | int] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    waiting: list[Window] = field(default_factory=list)
    watched_from_s: float = float("inf")
    began_s: float | None = None
    last_s: float = 0.0

    def take(self, note: FrameNote) -> None:
        if self.began_s is None:
            self.began_s = note.media_s
        elif note.reset is not None:
            self.items.append(RunEnded(note.camera, self.last_s, "reset"))
        self.last_s = note.media_s
        motion = MotionSample(note.camera, note.media_s, note.motion, note.is_motion_warm, NOWHEN)
        self.items.append(motion)
        for possible in self.windowing.take(note, 0.0):
            if possible.outcome != "incomplete":
                self.watched_from_s = min(self.watched_from_s, note.media_s)
            if possible.window is not None:
                self._submit(possible.window)

    def _submit(self, window: Window) -> None:
        """Copy the window before its frames are overwritten; classify when the room is full."""
        self.items.append(len(self.predictions) + len(self.waiting))
        self.replayer.clips[len(self.waiting)] = self.view.window(window.first_seq)
        self.waiting.append(window)
        if len(self.waiting) == len(self.replayer.clips):
            self._classify()

    def _classify(self) -> None:
        if self.waiting:
            self.predictions += self.replayer.predict(self.waiting)
            self.waiting.clear()

    def finish(self, name: str, step_s: float) -> Recording:
        self._classify()
        if self.began_s is None:
            raise EvaluationError(
                f"{name} cannot be replayed: it has no picture that can be used; check that it"
                " plays elsewhere"
            )
        items = [self.predictions[item] if isinstance(item, int) else item for item in self.items]
        items.append(RunEnded("replay", self.last_s, "end_of_stream"))
        duration_s = self.last_s + step_s - self.began_s
        return Recording(
            name=name,
            items=tuple(items),
            labels=self.replayer.labels,
            began_s=self.began_s,
            duration_s=duration_s,
            watched_from_s=min(self.watched_from_s - self.began_s, duration_s),
        )


def decide(items: Iterable[Item], detector: Detector) -> list[Event]:
    """Hand a recording to a detector as the fan-out would; return everything it told."""
    told: list[Event] = []
    for item in items:
        match item:
            case MotionSample():
                wall = EPOCH + timedelta(seconds=item.media_s)
                told += detector.observe_motion(
                    item.media_s, item.score, item.is_warm, wall, item.timeline
                )
            case Prediction():
                wall = EPOCH + timedelta(seconds=item.window.media_end_s)
                told += detector.observe_prediction(item, wall)
            case RunEnded():
                wall = EPOCH + timedelta(seconds=item.media_s)
                told += detector.end_all(item.media_s, item.reason, wall, NOWHEN)
    return told


def alarms_of(events: Iterable[Event], began_s: float = 0.0) -> list[Alarm]:
    """Return one alarm an event, from what was told of its start and its end.

    Args:
        events: every phase that was told.
        began_s: capture time that counts as 0.
    """
    told_s: dict[str, float] = {}
    alarms = []
    for event in events:
        if event.phase == "start":
            told_s[event.event_id] = event.detected_s - began_s
        elif event.phase == "end":
            end_s = event.onset_s if event.ended_s is None else event.ended_s
            span = Span(event.onset_s - began_s, max(end_s, event.onset_s) - began_s)
            alarms.append(Alarm(event.label, span, told_s[event.event_id]))
    return alarms
