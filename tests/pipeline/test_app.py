"""Claims about pipeline.app: the parts work together, and nothing is left behind whatever happens.

Real capture processes and a real worker process with a model that reads frames; the scenes are
rendered, so that no decoder is needed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket

import psutil
import pytest

from pipeline.app import Pipeline
from pipeline.config import PipelineConfig
from pipeline.errors import ConfigError
from pipeline.records import Event
from streamer.clock import SystemClock
from tests.conftest import eventually
from tests.product import READER, CollectSink, camera_config, config_of, parse, running
from tests.records import event

SCENE = {"kind": "synthetic", "name": "street", "width": 160, "height": 120}


def scene(**changes: object) -> dict[str, object]:
    return SCENE | changes


async def test_every_frame_and_window_of_two_cameras_is_accounted_for() -> None:
    """Books, metrics and predictions agree after a run to the end of both sources."""
    cameras = [camera_config(f"c{i}", scene(duration_s=6.0, seed=i)) for i in range(2)]
    async with running(config_of(*cameras)) as product:
        await asyncio.wait_for(product.task, 40)
    product.assert_conserved()
    samples = product.samples()
    for camera in ("c0", "c1"):
        label = ("camera", camera)
        total = samples["bresnet_source_frames_total", frozenset([label])]
        used = samples["bresnet_source_frames_used_total", frozenset([label])]
        dropped = sum(
            value
            for (name, labels), value in samples.items()
            if name == "bresnet_frames_dropped_total" and label in labels
        )
        assert total == used + dropped
        assert total > 100
    submitted = sum(
        value
        for (name, labels), value in samples.items()
        if name == "bresnet_windows_total" and ("outcome", "submitted") in labels
    )
    resolved = sum(
        value for (name, _), value in samples.items() if name == "bresnet_inference_windows_total"
    )
    assert submitted == resolved > 0


async def test_a_fast_source_loses_no_window() -> None:
    """Without hurry every window is inferred, however slow the worker is to start."""
    source = scene(duration_s=20.0, pace="fast", fps=10.0)
    async with running(config_of(camera_config("c", source))) as product:
        await asyncio.wait_for(product.task, 40)
    report = product.camera("c")
    n_windows = (200 - 32) // 4 + 1
    assert report.windows["submitted"] == n_windows
    assert len(product.predictions) == n_windows
    product.assert_conserved()


async def test_a_camera_that_cannot_be_had_does_not_stop_the_others() -> None:
    """A missing file, a refused port, a name nobody knows, beside a healthy scene."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        cameras = [
            camera_config("scene", scene()),
            camera_config("file", "no-such-file.mp4"),
            camera_config("refused", f"rtsp://127.0.0.1:{port}/x"),
            camera_config("webcam", "webcam:77"),
        ]
        async with running(config_of(*cameras)) as product:
            await product.until_state("scene", "running")
            await product.until_state("file", "ended")
            await product.until_state("refused", "backoff")
            await product.until_state("webcam", "not_found", "backoff")
            assert "no-such-file.mp4" in product.camera("file").detail
            assert product.camera("scene").state == "running"


async def test_motion_in_a_scene_becomes_events_that_start_and_end() -> None:
    """The gate needs no trained model; every start has its end at the latest by the stop."""
    source = scene(pace="fast", duration_s=40.0, width=320, height=180)
    async with running(config_of(camera_config("c", source))) as product:
        await asyncio.wait_for(product.task, 40)
    phases = [(event.event_id, event.phase) for event in product.sink.events]
    starts = [event_id for event_id, phase in phases if phase == "start"]
    ends = [event_id for event_id, phase in phases if phase == "end"]
    assert starts
    assert starts == ends


async def test_a_port_in_use_is_refused_before_any_camera_is_opened() -> None:
    """I5: no process is started, no shared memory taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = config_of(camera_config("c", scene()), http={"port": port})
        pipeline = Pipeline(config, SystemClock(), [CollectSink()])
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}"):
            await pipeline.run()
        assert pipeline.pids() == {}


async def test_a_model_that_is_refused_ends_the_run_with_the_sentence() -> None:
    """The operator has to choose another bundle; the cameras are closed in order."""
    config = config_of(camera_config("c", scene()), model={"bundle": "untrained"})
    pipeline = Pipeline(config, SystemClock(), [], "tests.fakes:load_refused")
    with pytest.raises(ConfigError, match="choose another"):
        await asyncio.wait_for(pipeline.run(), 30)


def test_a_bundle_that_is_not_there_is_refused_at_once() -> None:
    """Before any process is started; the message names the key."""
    config = config_of(camera_config("c", scene()), model={"bundle": "no/such/bundle"})
    with pytest.raises(ConfigError, match=r"model\.bundle: .*no/such/bundle"):
        Pipeline(config, SystemClock(), [])


async def test_a_stop_before_the_start_is_not_forgotten() -> None:
    """Ctrl-C while the sinks are being opened ends the run, too."""
    async with running(config_of(camera_config("c", SCENE))) as product:
        product.pipeline.stop()
        await asyncio.wait_for(asyncio.shield(product.task), 10)
    assert product.camera("c").state == "ended"
    product.assert_conserved()


async def test_a_stop_that_cannot_drain_is_cut_off() -> None:
    """A stopped worker holds a batch; the drain limit ends the run and kills the process."""
    config = config_of(camera_config("c", scene()), drain_s=1.0)
    async with running(config) as product:
        await product.until(lambda: product.predictions)
        worker = product.pipeline.pids()["worker"]
        os.kill(worker, signal.SIGSTOP)
        n_told = len(product.predictions)
        await product.until(lambda: product.camera("c").windows["submitted"] > n_told + 2)
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        product.pipeline.stop()
        await asyncio.wait_for(asyncio.shield(product.task), 8)
        assert loop.time() - began_at < 5
        assert not psutil.pid_exists(worker)
    product.assert_conserved()


class HungSink(CollectSink):
    """Takes the first event and never lets go of it."""

    async def deliver(self, event: Event) -> None:
        self.events.append(event)
        await asyncio.Event().wait()


async def test_a_hung_sink_costs_a_stop_the_drain_limit_and_no_more() -> None:
    """I1 with a sink that hangs: inference goes on, and the stop is cut off, not stuck."""
    sink = HungSink()
    source = scene(width=320, height=180)
    config = config_of(camera_config("c", source), drain_s=1.0)
    pipeline = Pipeline(config, SystemClock(), [sink], READER)
    loop = asyncio.get_running_loop()
    run = loop.create_task(pipeline.run())
    try:
        await eventually(lambda: bool(sink.events), 40)
        inferred = pipeline.status.cameras["c"].inferred
        n_before = inferred["ok"]
        await eventually(lambda: inferred["ok"] >= n_before + 3, 20)
        began_at = loop.time()
    finally:
        pipeline.stop()
        await asyncio.wait_for(run, 8)
    assert loop.time() - began_at < 5
    assert pipeline.pids() == {}


async def test_a_stop_before_the_worker_is_ready_gives_up_what_waits_for_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A fast source waits for its first window; nobody waits for the drain limit."""
    config = config_of(camera_config("c", scene(pace="fast")))
    async with running(config, "tests.fakes:load_hanging") as product:
        await product.until_state("c", "running")
        await product.until(lambda: product.camera("c").windows.get("submitted", 0) > 0)
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        product.pipeline.stop()
        await asyncio.wait_for(asyncio.shield(product.task), 8)
        assert loop.time() - began_at < 4
    assert "not drained" not in caplog.text
    product.assert_conserved()


async def test_an_event_lost_by_a_full_outbox_is_counted() -> None:
    """Nothing leaves unaccounted for, an event that no sink will ever see least of all."""
    pipeline = Pipeline(config_of(camera_config("c", scene())), SystemClock(), [CollectSink()])
    pipeline.metrics.add_sink("collect")
    outbox = pipeline._outboxes["collect"]
    for index in range(1025):
        outbox.put(event(event_id=f"e{index}"))
    samples = parse(pipeline.metrics.exposition(is_openmetrics=False)[0].decode())
    labels = frozenset([("sink", "collect"), ("outcome", "expired")])
    assert samples["bresnet_sink_deliveries_total", labels] == 1


def test_the_configuration_needs_a_camera() -> None:
    """An empty list is the operator's mistake."""
    with pytest.raises(ValueError, match="at least 1"):
        PipelineConfig.model_validate({"cameras": []})
