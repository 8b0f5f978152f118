"""Claims about streamer.connection: when a camera is opened, its state, when stuck."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from streamer.config import ReaderConfig
from streamer.connection import CaptureJob, Connection
from streamer.errors import LossKind, SourceOpenError
from streamer.notes import (
    Counters,
    Ended,
    FrameNote,
    FromCapture,
    Heartbeat,
    Lost,
    RingSpec,
    StateNote,
)
from tests.conftest import FakeClock, settle
from tests.records import frame_note, opened

RING = RingSpec(path="unused", n_slots=64, size_px=64)


class FixedBackoff:
    """Waits two seconds each time and remembers what it was asked."""

    def __init__(self) -> None:
        self.kinds: list[LossKind] = []
        self.uptimes: list[float] = []

    def next_delay_s(self, kind: LossKind) -> float:
        self.kinds.append(kind)
        return 2.0

    def healthy(self, uptime_s: float) -> None:
        self.uptimes.append(uptime_s)


class Bench:
    """A connection with a process that records the open orders."""

    def __init__(
        self, clock: FakeClock, source: Any = "rtsp://user:secret@cam.test/x", n_opens: int = 1
    ) -> None:
        self.clock = clock
        self.notes: list[FromCapture] = []
        self.orders: list[str] = []
        self.lookups: list[tuple[str, int]] = []
        self.dns_error: SourceOpenError | None = None
        self.backoff = FixedBackoff()
        self.opens = asyncio.Semaphore(n_opens)
        config = ReaderConfig(camera="door", source=source)
        job = CaptureJob(config=config, ring=RING, deliver=self.notes.append)
        self.connection = Connection(job, self.backoff, self.opens, self.resolve, clock)

    async def resolve(self, host: str, port: int, timeout_s: float) -> str:
        self.lookups.append((host, port))
        if self.dns_error is not None:
            raise self.dns_error
        return "192.0.2.7"

    def start(self) -> None:
        self.connection.process_started(self.orders.append)

    def states(self) -> list[str]:
        return [note.state for note in self.notes if isinstance(note, StateNote)]

    def pictures(self, n: int, **changes: Any) -> None:
        for seq in range(n):
            self.connection.take(frame_note(seq, **changes))

    def lose(self, kind: LossKind = "timeout") -> None:
        counters = Counters()
        self.connection.take(
            Lost(camera="door", kind=kind, message="gone", was_open=True, counters=counters)
        )


@pytest.fixture
async def bench(clock: FakeClock) -> AsyncIterator[Bench]:
    bench = Bench(clock)
    task = asyncio.ensure_future(bench.connection.run())
    yield bench
    bench.connection.end("closed", is_error=False)
    await clock.advance(60)
    await asyncio.wait_for(task, 1)


async def test_a_process_that_starts_is_ordered_to_open_at_the_resolved_address(
    bench: Bench, clock: FakeClock
) -> None:
    """The name is resolved in the control process, with the default port of RTSP."""
    bench.start()
    await settle()
    assert bench.lookups == [("cam.test", 554)]
    assert bench.orders == ["192.0.2.7"]
    assert bench.states() == ["connecting"]


async def test_pictures_make_it_warm_and_a_full_window_makes_it_running(
    bench: Bench, clock: FakeClock
) -> None:
    """connecting, warming until 32 frames of one run, running."""
    bench.start()
    await settle()
    bench.connection.take(opened())
    bench.pictures(31)
    assert bench.states() == ["connecting", "warming"]
    bench.connection.take(frame_note(31))
    assert bench.states()[-1] == "running"
    bench.connection.take(frame_note(32, run=1, reset="gap"))
    assert bench.states()[-1] == "warming", "a new run has to fill its window first"


async def test_a_loss_is_followed_by_a_wait_and_one_new_order(
    bench: Bench, clock: FakeClock
) -> None:
    """No order before the back-off, exactly one after it."""
    bench.start()
    await settle()
    bench.connection.take(opened())
    bench.pictures(3)
    await clock.advance(40)
    bench.lose()
    await clock.advance(1.9)
    assert len(bench.orders) == 1
    await clock.advance(0.2)
    assert len(bench.orders) == 2
    assert bench.backoff.uptimes == [40.0], "the uptime decides whether the back-off starts anew"


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("auth", "auth_failed"),
        ("not_found", "not_found"),
        ("rejected", "rejected"),
        ("timeout", "backoff"),
        ("refused", "backoff"),
        ("server", "backoff"),
    ],
)
async def test_the_state_names_the_class_of_loss(
    bench: Bench, clock: FakeClock, kind: LossKind, state: str
) -> None:
    """A wrong password is not a time-out."""
    bench.start()
    await settle()
    bench.lose(kind)
    assert bench.states()[-1] == state
    assert bench.backoff.kinds == [kind]


async def test_a_name_that_does_not_resolve_is_a_loss_of_kind_dns(
    bench: Bench, clock: FakeClock
) -> None:
    """No order is given, the state says dns, and it is tried again."""
    bench.dns_error = SourceOpenError("dns", "cam.test does not resolve")
    bench.start()
    await settle()
    assert (bench.orders, bench.states()[-1]) == ([], "dns")
    bench.dns_error = None
    await clock.advance(2.1)
    assert bench.orders == ["192.0.2.7"]


async def test_opens_in_flight_are_bounded(clock: FakeClock) -> None:
    """Two cameras, one open at a time: the second waits until the first has settled."""
    first, second = Bench(clock), Bench(clock)
    second.connection._opens = first.opens
    tasks = [asyncio.ensure_future(b.connection.run()) for b in (first, second)]
    first.start()
    second.start()
    await settle()
    assert (len(first.orders), len(second.orders)) == (1, 0)
    first.connection.take(opened())
    await settle()
    assert len(second.orders) == 1
    for one in (first, second):
        one.connection.end("closed", is_error=False)
    await asyncio.wait_for(asyncio.gather(*tasks), 1)


async def test_silence_is_stalled_after_3_s_and_stuck_after_4_5_s(
    bench: Bench, clock: FakeClock
) -> None:
    """Frames are watched, not bytes: a heartbeat without new bytes changes nothing."""
    bench.start()
    await settle()
    bench.connection.take(opened())
    bench.pictures(40)
    clock.tick(2.9)
    assert not bench.connection.is_stuck(clock.now())
    assert bench.states()[-1] == "running"
    clock.tick(0.2)
    bench.connection.take(Heartbeat(sent_at=0, cpu_s=0, counters={"door": Counters()}))
    assert not bench.connection.is_stuck(clock.now())
    assert bench.states()[-1] == "stalled"
    clock.tick(1.5)
    assert bench.connection.is_stuck(clock.now())


async def test_bytes_without_pictures_are_no_keyframe_and_never_stuck(
    bench: Bench, clock: FakeClock
) -> None:
    """The process lives and packets flow: killing it would not help."""
    bench.start()
    await settle()
    bench.connection.take(opened())
    for second in range(1, 20):
        clock.tick(1.0)
        counters = {"door": Counters(bytes=second * 10_000)}
        bench.connection.take(Heartbeat(sent_at=0, cpu_s=0, counters=counters))
        assert not bench.connection.is_stuck(clock.now())
    assert bench.states()[-1] == "no_keyframe"


async def test_a_picture_after_a_stall_makes_it_running_again(
    bench: Bench, clock: FakeClock
) -> None:
    """A pause shorter than the kill limit heals by itself."""
    bench.start()
    await settle()
    bench.connection.take(opened())
    bench.pictures(40)
    clock.tick(3.5)
    bench.connection.is_stuck(clock.now())
    bench.connection.take(frame_note(40))
    assert bench.states()[-2:] == ["stalled", "running"]


async def test_an_open_that_is_never_answered_is_stuck(bench: Bench, clock: FakeClock) -> None:
    """Twice the open limit and the grace of a hung process, then it is replaced."""
    bench.start()
    await settle()
    clock.tick(11.4)
    assert not bench.connection.is_stuck(clock.now())
    clock.tick(0.2)
    assert bench.connection.is_stuck(clock.now())


async def test_a_replaced_process_goes_on_with_the_next_run(bench: Bench, clock: FakeClock) -> None:
    """Run numbers never repeat, so no window can join frames from before and after."""
    bench.start()
    await settle()
    bench.connection.take(opened())
    bench.pictures(3, run=4)
    bench.connection.process_lost("killed by signal 9")
    assert bench.connection.next_run == 5
    assert bench.states()[-1] == "backoff"
    await clock.advance(5)
    assert len(bench.orders) == 1, "no order goes to a process that is gone"
    bench.start()
    await clock.advance(5)
    assert len(bench.orders) == 2


async def test_a_file_that_kills_its_decoder_again_and_again_is_given_up(clock: FakeClock) -> None:
    """A finite source is not tried for ever."""
    bench = Bench(clock, source="clip.mp4")
    task = asyncio.ensure_future(bench.connection.run())
    for _ in range(4):
        bench.start()
        await clock.advance(3)
        bench.connection.process_lost("killed by signal 11")
    await asyncio.wait_for(task, 1)
    assert len(bench.orders) == 4
    (end,) = [note for note in bench.notes if isinstance(note, Ended)]
    assert end.is_error
    assert "4 times" in end.reason
    assert "signal 11" in end.reason


async def test_a_process_that_is_replaced_during_the_back_off_is_opened_once(
    clock: FakeClock,
) -> None:
    """The open that was waited for serves the new process; its slot is free once it has settled."""
    bench = Bench(clock)
    task = asyncio.ensure_future(bench.connection.run())
    bench.start()
    await settle()
    bench.lose("refused")
    bench.connection.process_lost("killed by signal 9")
    bench.start()
    await clock.advance(2.1)
    bench.connection.take(opened())
    await clock.advance(60)
    assert len(bench.orders) == 2
    assert bench.states()[-1] == "warming"
    assert not bench.opens.locked()
    bench.connection.end("closed", is_error=False)
    await asyncio.wait_for(task, 1)


async def test_the_end_does_not_wait_for_the_back_off(clock: FakeClock) -> None:
    """A stop must not last as long as the wait after a refused password."""
    bench = Bench(clock)
    task = asyncio.ensure_future(bench.connection.run())
    bench.start()
    await settle()
    bench.lose("auth")
    await settle()
    bench.connection.end("closed", is_error=False)
    await asyncio.wait_for(task, 1)


async def test_a_tls_name_is_resolved_in_time_but_connected_to_by_name(clock: FakeClock) -> None:
    """A hung name server must not block the reader; the certificate needs the name."""
    bench = Bench(clock, source="rtsps://cam.test/x")
    task = asyncio.ensure_future(bench.connection.run())
    bench.start()
    await settle()
    assert bench.lookups == [("cam.test", 554)]
    assert bench.orders == [""]
    bench.connection.end("closed", is_error=False)
    await asyncio.wait_for(task, 1)


async def test_a_frozen_camera_stays_frozen_over_a_gap(bench: Bench, clock: FakeClock) -> None:
    """Only its content clears it, not that a window has filled again."""
    bench.start()
    await settle()
    bench.connection.take(opened())
    bench.pictures(40)
    bench.connection.take(StateNote(camera="door", state="frozen"))
    bench.connection.take(frame_note(40, run=1, reset="gap"))
    bench.pictures(40, run=1)
    assert bench.states()[-1] == "frozen"
    bench.connection.take(StateNote(camera="door", state="running"))
    assert bench.states()[-1] == "running"


async def test_a_camera_hears_of_its_own_counts_only(bench: Bench) -> None:
    """A process of many cameras beats once for all of them."""
    both = {"door": Counters(bytes=1), "yard": Counters(bytes=2)}
    bench.connection.take(Heartbeat(sent_at=0, cpu_s=0, counters=both))
    (beat,) = bench.notes
    assert isinstance(beat, Heartbeat)
    assert beat.counters == {"door": Counters(bytes=1)}


async def test_nothing_follows_the_end(bench: Bench) -> None:
    """Late notes of an ended camera are dropped, and it ends once."""
    bench.connection.end("end of stream", is_error=False)
    n_notes = len(bench.notes)
    bench.connection.end("closed", is_error=False)
    bench.connection.take(frame_note(0))
    assert len(bench.notes) == n_notes
    assert not any(isinstance(note, FrameNote) for note in bench.notes)
