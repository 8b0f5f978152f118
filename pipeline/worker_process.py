"""The inference worker: the only process that loads an engine; run as `python -m` by `Worker`.

In: `LoadModel` first, then `Infer` naming windows in shared memory. Out: `Ready`, then one `Result`
a batch, in order. The main thread owns the classifier.
Invariant: every batch gets its result; when the engine itself fails, the process exits and is
replaced.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.classifier import Classifier, Mode, WarmUp
from model.config import ModelConfig
from model.errors import BundleError, EngineFailedError, EngineUnavailableError
from model.golden import check_engine, golden_clip
from model.manifest import Manifest
from pipeline.execution import BatchRunner
from pipeline.place import place
from pipeline.streams import Streams
from streamer.errors import LinkError
from streamer.link import ParentLink, enter_child
from streamer.worker_notes import Infer, LoadModel, Locate, ModelRefused, Ready, ToWorker

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
        manifest: of the bundle; with golden scores the engine is held to them.
    """

    name: str
    version: str
    sha256: str
    is_trained: bool
    classifier: Classifier
    manifest: Manifest | None = None


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
    return LoadedModel(
        facts.name, facts.version, bundle.sha256, facts.is_trained, classifier, facts
    )


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
    config = ModelConfig.model_validate_json(first.config)
    try:
        model = _factory(first.factory)(config)
        warm = model.classifier.warm_up(first.max_batch, first.hops)
        _check_golden(model, warm.precision)
    except (BundleError, EngineUnavailableError) as err:
        link.send(ModelRefused(message=str(err)))
        return 0
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
            step_cost_s={hop: dict(costs) for hop, costs in warm.step_cost_s.items()},
            mode=_mode(model.classifier, warm),
        )
    )
    streams = Streams(model.classifier, warm.precision, config.state_bytes, config.audit_every)
    with (
        contextlib.closing(model.classifier),
        contextlib.closing(
            BatchRunner(streams, first.max_batch, now, has_embeddings=config.embeddings)
        ) as runner,
    ):
        for note in notes:
            if isinstance(note, Infer):
                link.send(runner.run(note))
                runner.audit()
            elif isinstance(note, Locate):
                link.send(place(note, model.classifier, runner.copy))
            else:
                break
    return 0


def _check_golden(model: LoadedModel, precision: str) -> None:
    """Hold the engine to what the bundle says of the golden clip: one window.

    Raises:
        BundleError: it computes something else.
    """
    facts = model.manifest
    if facts is not None and facts.golden is not None:
        clip = golden_clip(facts.frames, facts.size_px, facts.golden.seed)
        scores, _ = model.classifier.predict(clip[None])
        check_engine(facts, scores[0], precision)


def _mode(classifier: Classifier, warm: WarmUp) -> Mode:
    """How windows that follow each other are computed."""
    steppers = (classifier.stepper(hop) for hop in warm.step_cost_s)
    return next((stepper.mode for stepper in steppers if stepper is not None), "full")


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
