"""From a window that raises an event to its place in the event and its picture in a folder.

Real capture and worker processes; the model is a fake whose map is hot in the upper left quarter.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.product import camera_config, config_of, running

SCENE = {"kind": "synthetic", "name": "street", "width": 160, "height": 120, "duration_s": 12.0}
EVERYTHING = {"score_on": 0.001, "score_off": 0.0, "min_duration_s": 0.0, "update_s": 3600}


async def test_events_of_scores_get_a_place_and_a_picture(tmp_path: Path) -> None:
    """As an update soon after the start; the end carries it; events of the gate have none."""
    config = config_of(
        camera_config("c", SCENE | {"pace": "fast"}),
        model={"embeddings": True},
        detector=EVERYTHING | {"overlays": {"folder": str(tmp_path), "keep": 10}},
    )
    async with running(config, "tests.fakes:load_fake") as product:
        await asyncio.wait_for(product.task, 40)
    of_scores = [event for event in product.sink.events if event.label == "last"]
    assert [event.phase for event in of_scores] == ["start", "update", "end"]
    start, update, end = of_scores
    assert start.region is None
    assert end.region == update.region
    region = update.region
    assert region is not None
    box = (region.left, region.top, region.right, region.bottom)
    assert box == pytest.approx((0, 0, 0.5, 0.5), abs=0.07)
    assert region.end_s == pytest.approx(start.detected_s)
    assert region.end_s - region.start_s == pytest.approx(1.55, abs=0.05)
    picture = tmp_path / region.overlay
    assert picture.name == f"c-{start.event_id}.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert all(e.region is None for e in product.sink.events if e.label == "motion")
    assert {prediction.embedding for prediction in product.predictions} == {(0.25,) * 4}


async def test_places_are_not_looked_for_where_nobody_wants_them() -> None:
    """One window less for the worker."""
    config = config_of(
        camera_config("c", SCENE | {"pace": "fast"}),
        detector=EVERYTHING | {"regions": False},
    )
    async with running(config, "tests.fakes:load_fake") as product:
        await asyncio.wait_for(product.task, 40)
    of_scores = [event for event in product.sink.events if event.label == "last"]
    assert [(event.phase, event.region) for event in of_scores] == [("start", None), ("end", None)]
    assert {prediction.embedding for prediction in product.predictions} == {()}
