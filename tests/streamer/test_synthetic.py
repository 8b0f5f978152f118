"""The synthetic source: exact times, real time without delay, clean ends."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from streamer.config import SyntheticSource
from streamer.errors import SourceOpenError
from streamer.frame import Frame
from streamer.scenes import scene
from streamer.source import Source
from streamer.synthetic import SyntheticSourceReader
from tests.conftest import FakeClock


class SteppingStop(threading.Event):
    """A stop event whose waiting moves the fake clock, so that no test waits."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None, "a wait without limit would never see the end"
        self.waits.append(timeout)
        self._clock.tick(timeout)
        return self.is_set()


def config(**changes: object) -> SyntheticSource:
    small = {"name": "street", "width": 96, "height": 64, "fps": 25.0, "duration_s": 2.0}
    return SyntheticSource.model_validate({**small, **changes})


def opened(clock: FakeClock, stop: threading.Event, **changes: object) -> SyntheticSourceReader:
    source = SyntheticSourceReader(config(**changes), clock, stop)
    source.open()
    return source


def run(clock: FakeClock, **changes: object) -> list[Frame]:
    return list(opened(clock, SteppingStop(clock), **changes).frames())


@pytest.mark.parametrize("pace", ["realtime", "fast"])
def test_every_frame_comes_with_its_exact_time(clock: FakeClock, pace: str) -> None:
    """Two seconds at 25 fps are 50 frames, each at a multiple of 40 ms."""
    frames = run(clock, pace=pace)
    assert [frame.index for frame in frames] == list(range(50))
    assert [frame.pts_s for frame in frames] == [index / 25 for index in range(50)]
    assert all((frame.width, frame.height) == (96, 64) for frame in frames)


def test_a_frame_shows_the_scene_at_its_time(clock: FakeClock) -> None:
    """The pixels are those of the named scene with the configured seed and size."""
    frames = run(clock, pace="fast", seed=9, duration_s=8.0)
    same = scene("street", 9, 96, 64)
    for frame in (frames[0], frames[150]):
        assert frame.pts_s is not None
        assert np.array_equal(frame.picture(), same.render(frame.pts_s))


def test_real_time_waits_for_each_frame(clock: FakeClock) -> None:
    """A frame arrives when its time has come, not before."""
    began_at = clock.now()
    frames = run(clock)
    assert [frame.arrived_at - began_at for frame in frames] == pytest.approx(
        [index / 25 for index in range(50)]
    )


def test_fast_never_waits(clock: FakeClock) -> None:
    """As quickly as the consumer takes them."""
    stop = SteppingStop(clock)
    assert len(list(opened(clock, stop, pace="fast").frames())) == 50
    assert stop.waits == []


def test_a_slow_consumer_skips_frames_in_real_time(clock: FakeClock) -> None:
    """Frames are left out by time: what comes is never later than one frame interval."""
    began_at = clock.now()
    stop = SteppingStop(clock)
    frames = []
    for frame in opened(clock, stop).frames():
        frames.append(frame)
        clock.tick(0.1)
    lateness = [f.arrived_at - began_at - (f.pts_s or 0) for f in frames]
    assert max(lateness) <= 1 / 25 + 1e-9
    assert 19 <= len(frames) <= 21
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert frames[-1].pts_s is not None
    assert frames[-1].pts_s >= 1.8


def test_a_slow_consumer_gets_every_frame_when_fast(clock: FakeClock) -> None:
    """Nothing is left out where nothing is late."""
    n = 0
    for _ in opened(clock, SteppingStop(clock), pace="fast").frames():
        n += 1
        clock.tick(0.1)
    assert n == 50


@pytest.mark.parametrize("pace", ["realtime", "fast"])
def test_the_stop_event_ends_an_endless_scene(clock: FakeClock, pace: str) -> None:
    """Without duration it goes on until told to stop, and then within one frame."""
    stop = SteppingStop(clock)
    n = 0
    for _ in opened(clock, stop, pace=pace, duration_s=None).frames():
        n += 1
        if n == 300:
            stop.set()
    assert n == 300


def test_closing_ends_the_frames(clock: FakeClock) -> None:
    """close() is idempotent and the iteration ends."""
    source = opened(clock, SteppingStop(clock), duration_s=None)
    frames = source.frames()
    next(frames)
    source.close()
    source.close()
    assert list(frames) == []


@pytest.mark.parametrize(("pace", "is_paced"), [("realtime", True), ("fast", False)])
def test_it_says_what_it_is(clock: FakeClock, pace: str, is_paced: bool) -> None:
    """Rendered, never live; paced in real time only."""
    source: Source = SyntheticSourceReader(config(pace=pace), clock, threading.Event())
    info = source.open()
    assert (info.codec, info.width, info.height, info.fps) == ("rendered", 96, 64, 25.0)
    assert (info.is_live, info.is_paced) == (False, is_paced)
    assert source.statistics().decode_errors == 0


def test_rendering_counts_as_decoding_and_waiting_does_not(clock: FakeClock) -> None:
    """CPU seconds of rendering are the decoder's, so that nobody takes them for overhead."""
    source = opened(clock, SteppingStop(clock), pace="fast", width=640, height=360)
    assert source.statistics().decode_cpu_s == 0
    began_s = time.thread_time()
    for _ in source.frames():
        pass
    rendered_s = source.statistics().decode_cpu_s
    assert 0 < rendered_s <= time.thread_time() - began_s
    busy_until_s = time.thread_time() + 0.01
    while time.thread_time() < busy_until_s:
        pass
    assert source.statistics().decode_cpu_s == rendered_s


def test_an_unknown_scene_is_one_sentence(clock: FakeClock) -> None:
    """The message names the scene and the known ones."""
    source = SyntheticSourceReader(config(name="nowhere"), clock, threading.Event())
    with pytest.raises(SourceOpenError, match=r"synthetic:nowhere.*street, corridor") as caught:
        source.open()
    assert caught.value.kind == "not_found"


@pytest.mark.parametrize("fps", [29.97, 7.0, 0.5])
def test_odd_rates_end_exactly(clock: FakeClock, fps: float) -> None:
    """The last frame begins before the duration, the next one would not."""
    frames = run(clock, fps=fps, pace="fast", duration_s=4.0)
    last = frames[-1].pts_s
    assert last is not None
    assert last < 4.0 <= last + 1 / fps + 1e-6
