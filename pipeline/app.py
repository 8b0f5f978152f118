"""The composition root: builds every part from the configuration, runs them in the one TaskGroup.

In: a `PipelineConfig`. Out: live cameras, events, metrics and pages until every source has ended or
`stop` is called. Stop = close the sources; the end then flows right through cameras, inference,
fan-out and sinks, and what has not drained after `drain_s` is cancelled.
Invariant: whatever happens, no process, thread or shared memory is left behind.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import uuid
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from importlib.metadata import version
from typing import Any

from model.bundle import load_manifest
from model.errors import ModelError
from model.manifest import Manifest
from pipeline import wiring
from pipeline.batching import Batcher
from pipeline.camera import Camera, Signal
from pipeline.config import PipelineConfig
from pipeline.detector import Detector
from pipeline.errors import ConfigError
from pipeline.fanout import Delivery, Fanout
from pipeline.inference import InferenceStage
from pipeline.mailbox import Mailbox
from pipeline.metrics import Metrics
from pipeline.observer import Observer
from pipeline.overload import LiveCamera, Overload, Quality
from pipeline.places import Places
from pipeline.records import Event, Located, Prediction, Window
from pipeline.sinks.base import Sink
from pipeline.status import StatusBoard
from pipeline.supervise import supervise
from pipeline.web.app import HttpServer
from pipeline.windowing import Windowing
from pipeline.worker import Worker
from streamer.capture import Capture, share_out
from streamer.clock import Clock
from streamer.config import ReaderConfig
from streamer.connection import CaptureJob, Connection
from streamer.notes import FromCapture, RingSpec
from streamer.reconnect import Backoff
from streamer.resolver import Resolver
from streamer.ring import reclaim_stale_rings, remove_ring
from streamer.worker_notes import WindowRef

log = logging.getLogger(__name__)

# Loading TensorFlow keeps a core busy for seconds: cameras get this head start (or until all run).
_HEAD_START_S = 1.5
_NOTES = 1024
_SIGNALS = 4096
_EVENTS = 1024
_LAG_S = 0.25
# A capture process beats twice a second: six beats missed are a hang, whatever its cameras may do.
_SILENCE_S = 3.0


class Pipeline:
    """One run of everything.

    Args:
        config: what to run.
        clock: time.
        sinks: destinations of events, not yet entered.
        factory: `module:function` that loads the model in the worker; empty for the real one.

    Raises:
        ConfigError: the bundle or the devices are not there.
    """

    def __init__(
        self, config: PipelineConfig, clock: Clock, sinks: Sequence[Sink], factory: str = ""
    ) -> None:
        wiring.check_devices(config)
        wiring.check_overlays(config)
        manifest = self._manifest = _manifest_of(config)
        self.config = config
        product = version("bresnet-stream")
        self.status = StatusBoard(clock, product)
        self.metrics = Metrics(clock, manifest.name, product)
        if manifest.is_trained:
            self.metrics.add_events(wiring.labels_of(manifest, "motion"))
            self.metrics.add_nuisances(wiring.labels_of(manifest, "nuisance"))
        self._clock = clock
        self._sinks = sinks
        self._sampled = wiring.sampling(config, manifest)
        self._readers = [wiring.reader_config(config, c, self._sampled) for c in config.cameras]
        self._full = wiring.full_quality(config, self._sampled)
        self._cameras: dict[str, Camera] = {}
        self._captures: list[Capture] = []
        self._capture_of: dict[str, Capture] = {}
        self._live: list[LiveCamera] = []
        self._window_ids = itertools.count()
        self._observer = Observer(
            self.metrics, self.status, self._resolved, config.batching.max_wait_s
        )
        self._windows: Mailbox[Window] = Mailbox(_NOTES)
        self._decisions: Mailbox[Signal | Prediction | Located] = Mailbox(_SIGNALS)
        self._outboxes: dict[str, Mailbox[Event]] = {
            sink.name: Mailbox(_EVENTS, partial(self._expired, sink.name)) for sink in sinks
        }
        self._deadline: asyncio.Timeout | None = None
        self._is_stopping = asyncio.Event()
        self._resolver = Resolver()
        self._worker = Worker(
            config.worker,
            config.model,
            config.batching.max_batch,
            clock,
            self._observer,
            factory,
            wiring.step_hops(self._full, may_degrade=config.analysis.degrade),
        )
        self.server = HttpServer(config.http, self.status, self.metrics, clock)

    # ---- life ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until every source has ended or `stop` is called, then drain.

        Raises:
            ConfigError: a port, a sink or the model cannot be used.
        """
        self.server.bind()
        reclaim_stale_rings()
        async with AsyncExitStack() as stack:
            stack.callback(self.server.close)
            for sink in self._sinks:
                await stack.enter_async_context(sink)
                self.metrics.add_sink(sink.name)
            rings = wiring.prepare_rings(self.config, self._readers, self._sampled)
            for ring in rings:
                stack.callback(remove_ring, ring)
            await self._run_stages(rings)

    async def _run_stages(self, rings: Sequence[RingSpec]) -> None:
        try:
            async with asyncio.timeout(None) as self._deadline, asyncio.TaskGroup() as group:
                flow = self._start_flow(group, rings)
                if self._is_stopping.is_set():  # asked for while the sinks were being opened
                    self._close_sources()
                services = [
                    group.create_task(self._serve_worker(), name="worker"),
                    group.create_task(self.server.run(), name="http"),
                    group.create_task(self._probe_loop(), name="lag"),
                ]
                await asyncio.wait(flow)
                self._worker.close()
                self.server.close()
                services[-1].cancel()
        except TimeoutError:
            log.warning("stopped: not drained within %.1f s", self.config.drain_s)
        except BaseExceptionGroup as group_error:
            # The operator's mistakes come out of the group as what they are.
            if (mistakes := group_error.subgroup(ConfigError)) is not None:
                raise _first(mistakes) from None
            raise
        finally:
            self._deadline = None

    def stop(self) -> None:
        """Close every source; the end flows down; what has not drained in time is cancelled."""
        if self._is_stopping.is_set():
            return
        self._is_stopping.set()
        log.info("stopping: finishing what is under way, for at most %.1f s", self.config.drain_s)
        self._close_sources()

    def _close_sources(self) -> None:
        for capture in self._captures:
            capture.close()
        if self._worker.ready is None:
            # Nobody will answer in time: what waits for the worker is given up at once.
            self._worker.close()
        if self._deadline is not None:
            self._deadline.reschedule(asyncio.get_running_loop().time() + self.config.drain_s)

    def listen(self, on_prediction: Callable[[Prediction], None]) -> None:
        """Have `on_prediction` called with every prediction; it must not block."""
        self._observer.listen(on_prediction)

    def pids(self) -> dict[str, int]:
        """Return the child processes that run now, by name."""
        pids = {f"capture:{capture.name}": capture.pid for capture in self._captures}
        pids["worker"] = self._worker.pid
        return {name: pid for name, pid in pids.items() if pid is not None}

    def decode_cpu_s(self) -> float:
        """Return the CPU seconds all decoders have used."""
        return sum(c.tally.total.decode_cpu_s for c in self.status.cameras.values())

    # ---- stages ----------------------------------------------------------------------------------

    def _start_flow(
        self, group: asyncio.TaskGroup, rings: Sequence[RingSpec]
    ) -> list[asyncio.Task[None]]:
        """Start everything the end of the sources flows through; return its tasks."""
        stages: list[tuple[str, Coroutine[Any, Any, None]]] = []
        jobs = [self._add_camera(*pair) for pair in zip(self._readers, rings, strict=True)]
        for capture in self._add_captures(jobs):
            stages += capture.stages()
        self._overload = Overload(self._live, self._full, self._clock, self._lowered)
        self._observer.watch_load(self._overload)
        stages += [(f"camera:{name}", self._run_camera(c)) for name, c in self._cameras.items()]
        inference = InferenceStage(
            inbox=self._windows,
            outbox=self._decisions,
            rings={reader.camera: ring for reader, ring in zip(self._readers, rings, strict=True)},
            batcher=Batcher(self.config.batching),
            worker=self._worker,
            clock=self._clock,
            observer=self._observer,
        )
        detectors = {
            name: Detector(name, self.config.detector, lambda: uuid.uuid4().hex, self._manifest)
            for name in self._cameras
        }
        ask_where = self._places(inference.reference) if self.config.detector.regions else None
        fanout = Fanout(
            self._decisions, detectors, self._outboxes, self._clock, self._observer, ask_where
        )
        stages += [
            ("inference:receive", inference.receive()),
            ("inference:dispatch", inference.dispatch()),
            ("fanout", fanout.run()),
        ]
        for sink in self._sinks:
            delivery = Delivery(sink, self._outboxes[sink.name], self._clock, self._observer)
            stages.append((f"sink:{sink.name}", delivery.run()))
        return [group.create_task(coroutine, name=name) for name, coroutine in stages]

    def _places(self, reference: Callable[[Window], WindowRef]) -> Callable[[Event, Window], None]:
        """Return what asks the worker where an event is."""
        overlays = self.config.detector.overlays
        places = Places(self._worker.locate, reference, self._decisions.put, overlays)
        self._worker.hear_places(places.placed)
        self._worker.listen(lambda: places.forget() if self._worker.ready is None else None)
        return places.ask

    def _add_camera(self, reader: ReaderConfig, ring: RingSpec) -> CaptureJob:
        config = next(c for c in self.config.cameras if c.id == reader.camera)
        self.status.add_camera(reader.camera, wiring.name_of(config))
        self.metrics.add_camera(reader.camera, config.source.kind, ring)
        inbox: Mailbox[FromCapture] = Mailbox(_NOTES)
        is_fast = wiring.is_fast(config)
        windowing = Windowing(
            camera=reader.camera,
            n_frames=self._sampled.n_frames,
            hop=self._sampled.hop,
            gate=wiring.gate_policy(self.config),
            window_ids=self._window_ids,
            is_live=not is_fast,
        )
        if not is_fast:
            self._live.append(LiveCamera(windowing, partial(self._set_rate, reader.camera)))
        self._cameras[reader.camera] = Camera(
            camera=reader.camera,
            windowing=windowing,
            inbox=inbox,
            windows=self._windows,
            signals=self._decisions,
            clock=self._clock,
            observer=self._observer,
            advance=partial(self._advance, reader.camera) if is_fast else None,
            step=self._sampled.hop,
        )
        return CaptureJob(config=reader, ring=ring, deliver=inbox.put)

    def _add_captures(self, jobs: Sequence[CaptureJob]) -> list[Capture]:
        plan, clock = self.config.capture, self._clock
        opens = asyncio.Semaphore(plan.max_opens)
        for index, share in enumerate(share_out(jobs, plan.cameras_per_process)):
            connections = [
                Connection(job, self._backoff(), opens, self._resolver.resolve, clock)
                for job in share
            ]
            name = share[0].config.camera if len(share) == 1 else f"group{index}"
            silence_s = min(plan.stall_s, _SILENCE_S)
            capture = Capture(name, connections, self._backoff(), silence_s, clock)
            self._captures.append(capture)
            self._capture_of.update({job.config.camera: capture for job in share})
        return self._captures

    def _backoff(self) -> Backoff:
        # Jitter is no secret.
        return Backoff(self.config.capture.reconnect, random.Random())  # noqa: S311

    async def _run_camera(self, camera: Camera) -> None:
        # The mailboxes stay open over a restart of the stage.
        with self._windows, self._decisions:
            await supervise(f"camera:{camera.camera}", camera.run, self._clock)

    async def _serve_worker(self) -> None:
        """Give the cameras their head start, then keep the worker running."""
        until = self._clock.now() + _HEAD_START_S
        while self._clock.now() < until and not (self._all_deliver() or self._worker.is_closing):
            await self._clock.sleep(0.05)
        await self._worker.run()

    def _all_deliver(self) -> bool:
        return all(camera.tally.total.decoded > 0 for camera in self.status.cameras.values())

    async def _probe_loop(self) -> None:
        """Measure how late the event loop wakes a task; see whether there is too much work."""
        while True:
            due = self._clock.now() + _LAG_S
            await self._clock.sleep(_LAG_S)
            self.metrics.loop_lag(self._clock.now() - due)
            self.metrics.ready(is_ready=not self.status.not_ready())
            if self.config.analysis.degrade and not self._is_stopping.is_set():
                self._overload.review(is_ready=self._worker.ready is not None)

    def _resolved(self, camera: str, window_id: int) -> None:
        self._cameras[camera].resolved(window_id)

    def _expired(self, sink: str, event: Event) -> None:
        """Count an event that a full outbox has lost."""
        self._observer.delivery(sink, "expired", event, event.timeline.decided_at)

    def _lowered(self, quality: Quality) -> None:
        self.metrics.degradation(quality.steps)
        self.status.degradation = quality.level, quality.text

    def _set_rate(self, camera: str, analysis_fps: float) -> None:
        self._capture_of[camera].set_rate(camera, analysis_fps)

    def _advance(self, camera: str, until_seq: int) -> None:
        self._capture_of[camera].advance(camera, until_seq)


def _manifest_of(config: PipelineConfig) -> Manifest:
    try:
        return load_manifest(config.model.bundle)
    except ModelError as err:
        raise ConfigError(f"model.bundle: {err}") from err


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first plain exception of a group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
