"""The inference worker: the only process that loads an engine; run as `python -m` by `Worker`.

In: `LoadModel` first, then `Infer` naming windows in shared memory. Out: `Ready`, then one `Result`
a batch, in order. The main thread owns the classifier and reads windows in place.
Invariant: every window asked for gets exactly one outcome, whatever is wrong with one of them; when
the engine itself fails, the process exits and is replaced.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.classifier import Classifier, Clips, Scores
from model.config import ModelConfig
from model.errors import BundleError, EngineFailedError, EngineUnavailableError
from streamer.errors import LinkError, RingError, WindowOverwrittenError
from streamer.link import ParentLink, enter_child
from streamer.notes import (
    Infer,
    LoadModel,
    ModelRefused,
    Ready,
    Result,
    RingSpec,
    Score,
    ToWorker,
    WindowRef,
)
from streamer.ring import RingReader

log = logging.getLogger("worker")

EXIT_ENGINE_FAILED = 70
# Preferred victim of the out-of-memory killer: it can be replaced, the control process cannot.
OOM_SCORE = "600"


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that is in memory and not warmed up yet.

    Attributes:
        name: of the bundle.
        version: of its weights.
        sha256: of its weights, hexadecimal.
        is_trained: scores mean something.
        classifier: runs it.
    """

    name: str
    version: str
    sha256: str
    is_trained: bool
    classifier: Classifier


def load_model(config: ModelConfig) -> LoadedModel:
    """Load the bundle and the engine of a configuration.

    Raises:
        BundleError: the bundle is missing, damaged or does not fit.
        EngineUnavailableError: the engine is not there.
        EngineFailedError: the engine failed.
    """
    # Here and not above: tests of this module bring their own model and need no engine.
    from model.bundle import load_bundle
    from model.engines import open_classifier

    bundle = load_bundle(config.bundle)
    facts = bundle.manifest
    classifier = open_classifier(bundle, config)
    return LoadedModel(facts.name, facts.version, bundle.sha256, facts.is_trained, classifier)


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


class BatchRunner:
    """Answers batches; every window gets one outcome.

    Args:
        classifier: warmed up.
        max_batch: most windows in a batch.
        now: monotonic seconds.
    """

    def __init__(
        self, classifier: Classifier, max_batch: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._classifier = classifier
        self._n_labels = len(classifier.labels)
        self._max_batch = max_batch
        self._now = now
        self._rings = Rings()
        self._buffer: Clips | None = None

    def run(self, batch: Infer) -> Result:
        """Classify the windows of a batch.

        Raises:
            EngineFailedError: the engine is unusable; this process must be replaced.
        """
        started_at = transferred_at = inferred_at = self._now()
        answers: dict[int, Score] = {}
        views = dict(self._find(batch.windows, answers))
        if views:
            windows = [window for window in batch.windows if window.window_id in views]
            clips = self._gather(list(views.values()))
            transferred_at = self._now()
            # A window that was copied is safe from here on, one that is read in place never is.
            overwritten = self._overwritten(windows) if len(windows) > 1 else set()
            rows = self._classify(clips)
            inferred_at = self._now()
            overwritten |= self._overwritten(windows) if len(windows) == 1 else set()
            for window, row in zip(windows, rows, strict=True):
                answers[window.window_id] = _answer(window, row, overwritten)
        finished_at = self._now()
        return Result(
            batch_id=batch.batch_id,
            scores=[answers[window.window_id] for window in batch.windows],
            started_at=started_at,
            transfer_s=transferred_at - started_at,
            infer_s=inferred_at - transferred_at,
            finished_at=finished_at,
        )

    def close(self) -> None:
        """Free rings and engine."""
        self._rings.close()
        self._classifier.close()

    def _find(
        self, windows: Sequence[WindowRef], answers: dict[int, Score]
    ) -> Iterator[tuple[int, Clips]]:
        """Yield the windows that can be read together; answer for the others."""
        shape: tuple[int, ...] = ()
        for window in windows:
            try:
                view = self._view(window, shape)
            except WindowOverwrittenError:
                answers[window.window_id] = Score(window_id=window.window_id, outcome="stale")
            except (RingError, ValueError) as err:
                # As text: a log record that keeps the error keeps the ring mapped.
                log.warning("window %d cannot be read: %s", window.window_id, str(err))
                answers[window.window_id] = Score(window_id=window.window_id, outcome="error")
            else:
                shape = view.shape
                yield window.window_id, view

    def _view(self, window: WindowRef, shape: tuple[int, ...]) -> Clips:
        view = self._rings.reader(window.ring).window(window.first_seq)
        if shape and view.shape != shape:
            raise ValueError(f"its shape is {view.shape}, its companions' is {shape}")
        return view

    def _overwritten(self, windows: Sequence[WindowRef]) -> set[int]:
        """Find the windows that the writer has begun to overwrite by now."""
        found = set()
        for window in windows:
            try:
                self._rings.reader(window.ring).check(window.first_seq)
            except RingError:
                found.add(window.window_id)
        return found

    def _gather(self, views: Sequence[Clips]) -> Clips:
        """Bring the windows together; a single one is used where it lies."""
        if len(views) == 1:
            return views[0][None]
        n_places = max(len(views), self._max_batch)
        if self._buffer is None or self._buffer.shape != (n_places, *views[0].shape):
            self._buffer = np.empty((n_places, *views[0].shape), np.uint8)
        clips = self._buffer[: len(views)]
        for place, view in zip(clips, views, strict=True):
            place[:] = view
        return clips

    def _classify(self, clips: Clips) -> list[Scores | None]:
        """Return scores (K,) by window, None for those the engine refuses even alone."""
        try:
            return list(self._predict(clips))
        except EngineFailedError:
            raise
        except Exception:  # door 2 of 4 (HOUSE.md 7): one bad window must not cost its batch
            log.exception("a batch of %d failed", len(clips))
        if len(clips) == 1:
            return [None]
        return [
            row for index in range(len(clips)) for row in self._classify(clips[index : index + 1])
        ]

    def _predict(self, clips: Clips) -> Scores:
        scores, _ = self._classifier.predict(clips)
        if scores.shape != (len(clips), self._n_labels):
            raise ValueError(f"{len(clips)} windows gave scores of shape {scores.shape}")
        return scores


def _answer(window: WindowRef, row: Scores | None, overwritten: set[int]) -> Score:
    if window.window_id in overwritten:
        return Score(window_id=window.window_id, outcome="stale")
    if row is None or not np.isfinite(row).all():
        return Score(window_id=window.window_id, outcome="error")
    return Score(window_id=window.window_id, outcome="ok", scores=row.tolist())


def serve(link: ParentLink[ToWorker], now: Callable[[], float] = time.monotonic) -> int:
    """Load the model, then answer batches until told to stop.

    Returns:
        exit code: 0 when told to stop, 70 when the engine failed.
    """
    born_at = now()
    notes = link.receive()
    first = next(notes, None)
    if not isinstance(first, LoadModel):
        return 0
    try:
        model = _factory(first.factory)(ModelConfig.model_validate_json(first.config))
    except (BundleError, EngineUnavailableError) as err:
        link.send(ModelRefused(message=str(err)))
        return 0
    warm = model.classifier.warm_up(first.max_batch)
    link.send(
        Ready(
            model=model.name,
            version=model.version,
            sha256=model.sha256,
            is_trained=model.is_trained,
            labels=list(model.classifier.labels),
            engine=warm.engine,
            precision=warm.precision,
            device=warm.device,
            cost_s=dict(warm.cost_s),
            load_s=now() - born_at,
            report=dict(warm.report),
        )
    )
    with contextlib.closing(BatchRunner(model.classifier, first.max_batch, now)) as runner:
        for note in notes:
            if not isinstance(note, Infer):
                break
            link.send(runner.run(note))
    return 0


def _factory(name: str) -> Callable[[ModelConfig], LoadedModel]:
    if not name:
        return load_model
    module, _, function = name.partition(":")
    factory: Callable[[ModelConfig], LoadedModel] = getattr(
        importlib.import_module(module), function
    )
    return factory


def _volunteer_for_oom() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)


def main(argv: Sequence[str] = ()) -> int:
    """Run as a child of the control process; return the exit code."""
    _volunteer_for_oom()
    with enter_child(ToWorker, argv or sys.argv[1:]) as link:
        link.start_heartbeat("worker")
        try:
            return serve(link)
        except EngineFailedError as err:
            log.error("the engine failed: %s", err)  # noqa: TRY400 - the message says it all
            return EXIT_ENGINE_FAILED
        except LinkError as err:
            log.error("%s", err)  # noqa: TRY400 - the parent is gone, and with it this worker
            return 1


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    # Engines take seconds to end their threads, and some crash at it: nothing is left to save.
    os._exit(code)
