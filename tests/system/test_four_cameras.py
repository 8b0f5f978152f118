"""Real cameras: four real scenes over a real RTSP server at once, and events against real labels.

The server is GStreamer's, the scenes are those of ../shared/data, every setting of the product that
decides about events is at its default. Labels are clip seconds, made by eye.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from streamer.clock import SystemClock
from tests.product import READER, Running, camera_config, config_of, running
from tests.system.gst import GstServer

PERSON = "one-by-one-person-detection"
CAR = "car-detection"
REAL_MODEL = ""
now = SystemClock().now


@dataclass(frozen=True)
class Span:
    """What an event covers, seconds of the clip."""

    start_s: float
    end_s: float

    def overlaps(self, start_s: float, end_s: float) -> bool:
        return self.start_s < end_s and self.end_s > start_s


def motion_spans(product: Running, camera: str, clip_began_s: float = 0.0) -> list[Span]:
    """Return what the motion events of a camera cover, in the clip's own time."""
    return [
        Span(event.onset_s - clip_began_s, (event.ended_s or event.onset_s) - clip_began_s)
        for event in product.sink.events
        if (event.camera, event.label, event.phase) == (camera, "motion", "end")
    ]


def labels_of(shared_data: Path, clip: str) -> dict[str, Any]:
    return dict(json.loads((shared_data / "labels" / f"{clip}.json").read_text()))


def assert_events_match(spans: list[Span], truth: dict[str, Any]) -> None:
    """Check that every labelled interval is hit and that nothing happens where nobody is."""
    slack = truth["tolerance_s"]
    segments = [event["segment"] for event in truth["events"]]
    missed = [
        (start, end)
        for start, end in segments
        if not any(span.overlaps(start - slack, end + slack) for span in spans)
    ]
    false = [
        span
        for span in spans
        if any(span.overlaps(start + slack, end - slack) for start, end in truth["empty"])
    ]
    print(f"{len(segments) - len(missed)} of {len(segments)} hit, {len(false)} false, {spans}")
    assert missed == []
    assert false == []


# ---- accuracy -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("clip", [PERSON, CAR])
async def test_motion_events_of_a_clip_match_its_labels(shared_data: Path, clip: str) -> None:
    """12 of 12 people who come or go and 4 of 4 cars are hit, none in an empty interval."""
    path = shared_data / "camera_intel_ccby" / f"{clip}.mp4"
    source = {"kind": "file", "path": str(path), "pace": "fast"}
    async with running(config_of(camera_config("clip", source), analysis={})) as product:
        await asyncio.wait_for(asyncio.shield(product.task), 50)
    product.assert_conserved()
    assert product.camera("clip").detail == "end of stream"
    assert_events_match(motion_spans(product, "clip"), labels_of(shared_data, clip))


@pytest.mark.soak
async def test_motion_events_of_a_live_camera_match_the_labels(
    shared_data: Path, start_rtsp_server: Callable[..., GstServer]
) -> None:
    """The same clip in real time over RTSP: the server begins it when the first client plays."""
    server = start_rtsp_server()
    truth = labels_of(shared_data, PERSON)
    config = config_of(camera_config("clip", server.url()))
    async with running(config) as product:
        await product.until(lambda: bool(product.predictions), 30)
        first = product.predictions[0].window
        assert first.first_seq == 0
        last_s = first.media_start_s + truth["duration_s"]
        await product.until(lambda: product.predictions[-1].window.media_end_s >= last_s - 1, 200)
    product.assert_conserved()
    assert product.camera("clip").n_reconnects == 0
    assert_events_match(motion_spans(product, "clip", first.media_start_s), truth)


# ---- four at once -------------------------------------------------------------------------------


async def watch(server: GstServer, seconds: float, factory: str) -> Running:
    """Watch four cameras for some seconds, counted from when all run and the model is ready."""
    urls = server.urls()
    names = [f"cam{i}" for i in range(len(urls))]
    cameras = [camera_config(*pair) for pair in zip(names, urls, strict=True)]
    async with running(config_of(*cameras, analysis={}), factory) as product:
        for name in names:
            await product.until_state(name, "running")
        board = product.pipeline.status
        await product.until(lambda: board.worker.state == "ready", 90)
        before = {name: board.cameras[name].tally.total.decoded for name in names}
        ends_at = now() + seconds
        await product.until(lambda: now() >= ends_at, seconds + 10)
        for name in names:
            report = product.camera(name)
            assert report.state == "running", report
            fps = (report.frames_decoded - before[name]) / seconds
            assert fps > 0.9 * board.cameras[name].report().fps_in, (name, fps)
        print(board.summary().model_dump_json(exclude={"cameras"}))
    return product


def assert_untroubled(product: Running) -> None:
    """Check that nothing was lost, restarted or left uncounted."""
    product.assert_conserved()
    assert not any(capture.n_restarts for capture in product.pipeline._captures)
    assert product.pipeline.status.worker.n_restarts == 0
    for name, camera in product.pipeline.status.cameras.items():
        assert camera.n_reconnects == 0, name
        # Pictures above analysis_fps are left out on purpose; one may be under way at the end.
        assert camera.tally.total.dropped.keys() <= {"rate_limit", "shutdown"}, camera.tally
        assert camera.tally.total.dropped.get("shutdown", 0) <= 1
        assert product.n_windows(name) > 0, name
    assert any(event.label == "motion" for event in product.sink.events)


@pytest.mark.slow
async def test_four_cameras_run_side_by_side(rtsp_server: GstServer) -> None:
    """20 s of four real scenes: all run, none is opened twice, windows and events from them."""
    product = await watch(rtsp_server, 20.0, READER)
    assert_untroubled(product)


@pytest.mark.soak
async def test_four_cameras_run_side_by_side_for_a_minute_with_the_network(
    rtsp_server: GstServer,
) -> None:
    """60 s with TensorFlow in the worker: it may be too slow for all windows, never for frames."""
    product = await watch(rtsp_server, 60.0, REAL_MODEL)
    assert_untroubled(product)
