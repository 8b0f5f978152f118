"""Claims about pipeline.overload: what a level does to each camera, and what people are told."""

from __future__ import annotations

import itertools
import logging

import pytest

from pipeline.degradation import FullQuality
from pipeline.overload import LiveCamera, Overload, Quality
from pipeline.windowing import GatePolicy, Windowing
from tests.conftest import FakeClock
from tests.pipeline.factories import ready
from tests.records import frame_note, window

REVIEW_S = 0.25


class Bench:
    """Two live cameras under an `Overload`."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.rates: dict[str, list[float]] = {"a": [], "b": []}
        ids, gate = itertools.count(), GatePolicy(is_on=False, threshold=0.25, hold_s=2.0)
        self.windowings = {
            camera: Windowing(
                camera=camera, n_frames=32, hop=8, gate=gate, window_ids=ids, is_live=True
            )
            for camera in self.rates
        }
        self.told: list[Quality] = []
        self.overload = Overload(
            [LiveCamera(self.windowings[c], self.rates[c].append) for c in self.rates],
            FullQuality(hop=8, n_frames=32, rates=(10.0, 6.0), min_fps=5.0, max_age_s=1.0),
            clock,
            self.told.append,
        )
        self.overload.model(ready(cost_s={1: 0.1}))

    async def go(self, seconds: float, n_lost: int, n_ok: int, busy: float) -> None:
        for _ in range(round(seconds / REVIEW_S)):
            await self.clock.advance(REVIEW_S)
            for index in range(n_lost + n_ok):
                outcome = "rejected" if index < n_lost else "ok"
                self.overload.resolved(window(), outcome)
            self.overload.served([window()], busy * REVIEW_S)
            self.overload.review(is_ready=True)

    def ends(self, camera: str, n: int = 100) -> list[int]:
        """Return where the windows of the next n frames end."""
        return [
            possible.window.last_seq
            for seq in range(n)
            for possible in self.windowings[camera].take(frame_note(seq), 0.0)
            if possible.window is not None
        ]


@pytest.fixture
def bench(clock: FakeClock) -> Bench:
    return Bench(clock)


async def test_cameras_follow_the_level_up_and_down(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """Hop, then rate, then turns; back in full quality everything is as configured."""
    caplog.set_level(logging.INFO)
    await bench.go(300, n_lost=9, n_ok=1, busy=1.0)
    assert [quality.level for quality in bench.told] == [2, 3, 4]
    assert bench.told[0].text == "level 2 of 4, a window every 32 frames instead of 8"
    assert bench.told[-1].text == "level 4 of 4, cameras take turns, 1/2 of the analysis frame rate"
    assert bench.told[-1].steps == {"hop": 2, "fps": 1, "turns": 1}
    assert bench.rates == {"a": [5.0], "b": [5.0]}
    await bench.go(300, n_lost=0, n_ok=1, busy=0.0)
    assert [quality.level for quality in bench.told[3:]] == [3, 2, 1, 0]
    assert bench.told[-1] == Quality(0, "", {"hop": 0, "fps": 0, "turns": 0})
    assert bench.rates == {"a": [5.0, 10.0], "b": [5.0, 6.0]}
    assert bench.ends("a") == bench.ends("b") == list(range(31, 100, 8))
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 3
    assert warnings[0].startswith("more work than this machine can do: level 2 of 4")
    assert caplog.messages[-1] == "less work again: back to full quality"


async def test_cameras_that_began_at_once_hand_in_their_windows_apart(bench: Bench) -> None:
    """At a wide hop all windows at one instant would leave most of them to expire."""
    for camera in bench.rates:
        bench.ends(camera, 40)
    await bench.go(3, n_lost=19, n_ok=1, busy=1.0)
    assert bench.told[-1].level == 2
    ends = {
        camera: [
            possible.window.last_seq
            for seq in range(40, 140)
            for possible in bench.windowings[camera].take(frame_note(seq, reset=None), 0.0)
            if possible.window is not None
        ]
        for camera in bench.rates
    }
    assert {b - a for a, b in itertools.pairwise(ends["a"])} == {32}
    assert abs(ends["b"][0] - ends["a"][0]) == 16


async def test_windows_of_files_count_neither_as_lost_nor_as_work(bench: Bench) -> None:
    """They wait; what they take of the worker must not slow down a live camera."""
    for _ in range(100):
        await bench.clock.advance(REVIEW_S)
        file = window(is_live=False)
        for _ in range(5):
            bench.overload.resolved(file, "rejected")
        bench.overload.served([file], REVIEW_S)
        bench.overload.review(is_ready=True)
    assert bench.told == []


async def test_without_live_cameras_there_is_nothing_to_lower(clock: FakeClock) -> None:
    """A run over files alone keeps its level whatever happens."""
    told: list[Quality] = []
    full = FullQuality(hop=8, n_frames=32, rates=(), min_fps=5.0, max_age_s=1.0)
    overload = Overload([], full, clock, told.append)
    for _ in range(100):
        await clock.advance(REVIEW_S)
        overload.resolved(window(), "rejected")
        overload.served([window()], REVIEW_S)
        overload.review(is_ready=True)
    assert told == []
