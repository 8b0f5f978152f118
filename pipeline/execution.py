"""One batch in the worker: from references to frames in shared memory to scores.

In: an `Infer` note. Out: a `Result` with exactly one outcome a window. Frames are read where they
lie; what is computed from its new frames has only these read. Invariant: whatever is wrong with one
window, the others are answered; only an engine that failed ends the process.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from model.classifier import Clips
from model.errors import EngineFailedError
from pipeline.streams import Group, Scored, Streams
from streamer.errors import RingError, WindowOverwrittenError
from streamer.notes import RingSpec
from streamer.ring import RingReader
from streamer.worker_notes import Audit, Infer, Result, Score, StateReset, WindowOutcome, WindowRef

log = logging.getLogger(__name__)


class Rings:
    """The rings this process has mapped, by path."""

    def __init__(self) -> None:
        self._readers: dict[str, RingReader] = {}

    def reader(self, spec: RingSpec) -> RingReader:
        """Return the reader of a ring, mapping it on first use.

        Raises:
            RingError: the ring is gone or does not look as described.
        """
        reader = self._readers.get(spec.path)
        if reader is None or reader.spec != spec:
            self._forget_removed()
            reader = self._readers[spec.path] = RingReader(spec)
        return reader

    def newest(self, window: WindowRef, n_frames: int) -> Clips:
        """Return a view of a window's newest frames.

        Raises:
            RingError: the ring is gone, or a frame is overwritten or not written yet.
            ValueError: the window makes no sense.
        """
        reader = self.reader(window.ring)
        return reader.window(window.first_seq + window.ring.n_frames - n_frames, n_frames)

    def check(self, window: WindowRef, n_frames: int) -> None:
        """Make sure that a window's newest frames are intact after they were read.

        Raises:
            RingError: they are not.
        """
        self.reader(window.ring).check(window.first_seq + window.ring.n_frames - n_frames)

    def __len__(self) -> int:
        return len(self._readers)

    def close(self) -> None:
        """Unmap all."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    def _forget_removed(self) -> None:
        """Unmap rings whose camera is gone; their memory is freed only then."""
        for path in [path for path in self._readers if not Path(path).exists()]:
            self._readers.pop(path).close()


@dataclass(slots=True)
class _Answers:
    """The outcomes of a batch so far, by window, and the time spent."""

    has_embeddings: bool = False
    scores: dict[int, Score] = field(default_factory=dict)
    transfer_s: float = 0.0
    infer_s: float = 0.0

    def refuse(self, window: WindowRef, err: Exception) -> None:
        """A window cannot be read."""
        is_stale = isinstance(err, WindowOverwrittenError)
        if not is_stale:
            # As text: a log record that keeps the error keeps the ring mapped.
            log.warning("window %d cannot be read: %s", window.window_id, str(err))
        outcome: WindowOutcome = "stale" if is_stale else "error"
        self.scores[window.window_id] = Score(window_id=window.window_id, outcome=outcome)

    def take(self, scored: Scored, *, is_stale: bool) -> None:
        """A window was computed."""
        number = scored.window.window_id
        if is_stale:
            self.scores[number] = Score(window_id=number, outcome="stale")
        elif scored.scores is None:
            self.scores[number] = Score(window_id=number, outcome="error")
        else:
            self.scores[number] = Score(
                window_id=number,
                outcome="ok",
                scores=scored.scores.tolist(),
                embedding=self._embedding(scored),
                is_step=scored.is_step,
                reset=scored.reset,
            )

    def _embedding(self, scored: Scored) -> bytes:
        if not self.has_embeddings or scored.embedding is None:
            return b""
        return scored.embedding.astype(np.float32).tobytes()


class BatchRunner:
    """Answers batches; every window gets one outcome.

    Args:
        streams: of the classifier.
        max_batch: most windows in a batch.
        now: monotonic seconds.
        has_embeddings: answers carry the embeddings of the windows.
    """

    def __init__(
        self,
        streams: Streams,
        max_batch: int,
        now: Callable[[], float] = time.monotonic,
        *,
        has_embeddings: bool = False,
    ) -> None:
        self._has_embeddings = has_embeddings
        self._streams = streams
        self._max_batch = max_batch
        self._now = now
        self._rings = Rings()
        self._buffers: dict[tuple[int, ...], Clips] = {}
        self._audit: Audit | None = None

    def run(self, batch: Infer) -> Result:
        """Classify the windows of a batch.

        Raises:
            EngineFailedError: the engine is unusable; this process must be replaced.
        """
        started_at, answers = self._now(), _Answers(self._has_embeddings)
        for group in self._streams.groups(batch.windows):
            self._run_group(group, answers)
        audit, self._audit = self._audit, None
        return Result(
            batch_id=batch.batch_id,
            scores=[answers.scores[window.window_id] for window in batch.windows],
            started_at=started_at,
            transfer_s=answers.transfer_s,
            infer_s=answers.infer_s,
            finished_at=self._now(),
            state_bytes=self._streams.n_bytes,
            audit=audit,
        )

    def audit(self) -> None:
        """Compute a window in full that was computed from its new frames, if one is due.

        To be called between batches; what it finds travels with the next result.

        Raises:
            EngineFailedError: the engine is unusable.
        """
        try:
            self._audit = self._streams.audit(self.copy) or self._audit
        except (RingError, ValueError):
            return

    def close(self) -> None:
        """Unmap the rings."""
        self._rings.close()

    def copy(self, window: WindowRef) -> Clips:
        """Return a copy of a window's frames, uint8 (T, S, S, 3).

        Raises:
            RingError: it is overwritten by now, or the ring is gone.
        """
        clip = self._rings.newest(window, window.ring.n_frames).copy()
        self._rings.check(window, window.ring.n_frames)
        return clip

    def _run_group(self, group: Group, answers: _Answers) -> None:
        started_at = self._now()
        views = list(self._find(group, answers))
        if not views:
            return
        whole = group.only([index for index, _ in views])
        clips = self._gather([view for _, view in views])
        is_copy = len(views) > 1
        gathered_at = self._now()
        # A window that was copied is safe from here on, one that is read in place never is.
        stale = self._overwritten(whole) if is_copy else set()
        sound = [n for n, window in enumerate(whole.windows) if window.window_id not in stale]
        self._streams.forget([w for w in whole.windows if w.window_id in stale])
        for number in stale:
            answers.scores[number] = Score(window_id=number, outcome="stale")
        group = whole.only(sound)
        rows = self._classify(group, clips[sound] if stale else clips) if sound else []
        answers.transfer_s += gathered_at - started_at
        answers.infer_s += self._now() - gathered_at
        stale = set() if is_copy else self._overwritten(group)
        for scored in rows:
            answers.take(scored, is_stale=scored.window.window_id in stale)
        self._streams.forget([w for w in group.windows if w.window_id in stale])

    def _find(self, group: Group, answers: _Answers) -> Iterator[tuple[int, Clips]]:
        """Yield, by place in the group, what can be read together; answer for the others."""
        shape: tuple[int, ...] = ()
        for index, window in enumerate(group.windows):
            try:
                view = self._view(window, group.n_frames(window), shape)
            except (RingError, ValueError) as err:
                self._streams.forget([window])
                answers.refuse(window, err)
            else:
                shape = view.shape
                yield index, view

    def _view(self, window: WindowRef, n_frames: int, shape: tuple[int, ...]) -> Clips:
        view = self._rings.newest(window, n_frames)
        if shape and view.shape != shape:
            raise ValueError(f"its shape is {view.shape}, its companions' is {shape}")
        return view

    def _overwritten(self, group: Group) -> set[int]:
        """Find the windows that the writer has begun to overwrite by now."""
        found = set()
        for window in group.windows:
            try:
                self._rings.check(window, group.n_frames(window))
            except RingError:
                found.add(window.window_id)
        return found

    def _gather(self, views: Sequence[Clips]) -> Clips:
        """Bring the windows together; a single one is used where it lies."""
        if len(views) == 1:
            return views[0][None]
        # One for whole windows and one for the frames of each kind of step: batches alternate.
        shape = (max(len(views), self._max_batch), *views[0].shape)
        if shape not in self._buffers:
            self._buffers[shape] = np.empty(shape, np.uint8)
        clips = self._buffers[shape][: len(views)]
        for place, view in zip(clips, views, strict=True):
            place[:] = view
        return clips

    def _classify(self, group: Group, clips: Clips) -> list[Scored]:
        """Compute a group; where the engine refuses it, its windows alone and in full."""
        try:
            return self._streams.run(group, clips)
        except EngineFailedError:
            raise
        except Exception:  # door 2 of 4 (HOUSE.md 7): one bad window must not cost its batch
            log.exception("a batch of %d failed", len(clips))
        if len(clips) == 1 and group.stepper is None:
            return [Scored(group.windows[0], None, is_step=False, reset=None)]
        return [scored for n in range(len(clips)) for scored in self._alone(n, group, clips)]

    def _alone(self, index: int, group: Group, clips: Clips) -> list[Scored]:
        """Compute one window of a refused group in full."""
        window = group.windows[index]
        reset: StateReset | None = None if group.stepper is None else "error"
        try:
            clip = self.copy(window) if group.is_step else clips[index]
        except (RingError, ValueError):
            return [Scored(window, None, is_step=False, reset=reset)]
        return self._classify(Group([window], resets=[reset]), clip[None])
