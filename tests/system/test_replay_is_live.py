"""A replay against the running product: the same windows, the same motion, the same events."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from model.bundle import load_manifest
from pipeline.records import Event, Prediction, Window
from pipeline.replay import Replayer
from pipeline.sweep import Tracks
from streamer.config import SyntheticSource
from tests.product import READER, camera_config, config_of, running
from tests.replay_kit import PixelClassifier

SCENE = {"kind": "synthetic", "name": "street", "width": 160, "height": 90, "seed": 3}


def facts_of(window: Window) -> tuple[Any, ...]:
    """What a window is, without when and where it was computed."""
    return (
        window.run,
        window.first_seq,
        window.last_seq,
        window.media_start_s,
        window.media_end_s,
        window.coverage,
        window.motion,
        window.is_degraded,
    )


def spans_of(events: list[Event]) -> list[tuple[str, float, float | None]]:
    return [(e.label, e.onset_s, e.ended_s) for e in events if e.phase == "end"]


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.parametrize("gate", ["off", "skip"])
async def test_a_replay_sees_what_the_product_sees(gate: str) -> None:
    """Every window with its frames, times and motion, and every event of the motion gate; sampled
    at 10 of 25 frames a second."""
    source = SCENE | {"duration_s": 14.0, "pace": "fast"}
    config = config_of(camera_config("street", source), analysis={"gate": gate, "hop": 4})
    async with running(config, READER) as product:
        await asyncio.wait_for(asyncio.shield(product.task), 60)
    live = [facts_of(prediction.window) for prediction in product.predictions]

    manifest = load_manifest(config.model.bundle)
    replayer = Replayer(config, manifest, PixelClassifier())
    found = replayer.replay("street", SyntheticSource.model_validate(source))
    assert [facts_of(i.window) for i in found.items if isinstance(i, Prediction)] == live
    assert len(live) > 10
    alarms = Tracks(found, config.detector, manifest).motion()
    told = spans_of(product.sink.events)
    assert [("motion", a.span.start_s, a.span.end_s) for a in alarms] == told
    assert len(told) >= 1
