"""Claims about pipeline.camera: notes in, windows and signals out, fast ones wait."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field

from pipeline.camera import Camera, Signal
from pipeline.mailbox import Mailbox
from pipeline.records import MotionSample, RunEnded, Window, WindowOutcome
from pipeline.windowing import GatePolicy, Windowing
from streamer.notes import Counters, Ended, FromCapture, Lost
from tests.conftest import FakeClock, settle
from tests.records import frame_note, opened


@dataclass
class Ear:
    """Remembers what the camera told."""

    notes: list[FromCapture] = field(default_factory=list)
    outcomes: list[WindowOutcome] = field(default_factory=list)

    def note(self, note: FromCapture) -> None:
        self.notes.append(note)

    def possible_window(self, camera: str, outcome: WindowOutcome, coverage: float) -> None:
        self.outcomes.append(outcome)

    def gate(self, camera: str, *, is_open: bool, media_s: float) -> None:
        """Not of interest here."""


class Bench:
    """A camera with open mailboxes around it."""

    def __init__(self, clock: FakeClock, *, is_fast: bool = False) -> None:
        self.ear = Ear()
        self.advanced: list[int] = []
        self.inbox: Mailbox[FromCapture] = Mailbox(1000)
        self.windows: Mailbox[Window] = Mailbox(1000)
        self.signals: Mailbox[Signal] = Mailbox(1000)
        gate = GatePolicy(is_on=False, threshold=0.25, hold_s=1)
        self.camera = Camera(
            camera="door",
            windowing=Windowing(
                camera="door",
                n_frames=32,
                hop=8,
                gate=gate,
                window_ids=itertools.count(),
                is_live=not is_fast,
            ),
            inbox=self.inbox,
            windows=self.windows,
            signals=self.signals,
            clock=clock,
            observer=self.ear,
            advance=self.advanced.append if is_fast else None,
            step=8,
        )

    def all_signals(self) -> list[Signal]:
        return [s for s in iter(self.signals.pop, None) if s is not None]


def ended(reason: str = "end of stream") -> Ended:
    return Ended(camera="door", reason=reason, is_error=False, counters=Counters())


async def test_every_frame_becomes_a_motion_sample_and_every_hop_a_window(clock: FakeClock) -> None:
    """40 frames at hop 8 are two windows and 40 samples; the run ends with the stream."""
    bench = Bench(clock)
    for seq in range(40):
        bench.inbox.put(frame_note(seq, motion=seq / 100))
    bench.inbox.put(ended())
    run = asyncio.ensure_future(bench.camera.run())
    await settle()
    assert bench.ear.outcomes == ["incomplete"] * 3 + ["submitted"] * 2
    assert not run.done(), "the end waits for the windows that are still being inferred"
    for window_id in (0, 1):
        bench.camera.resolved(window_id)
    await asyncio.wait_for(run, 1)
    signals = bench.all_signals()
    assert [s.score for s in signals if isinstance(s, MotionSample)] == [i / 100 for i in range(40)]
    assert signals[-1] == RunEnded("door", 3.9, "end_of_stream")


async def test_a_loss_ends_the_run_for_the_detector_once(clock: FakeClock) -> None:
    """Two losses in a row (a failed reconnect) end one run, not two."""
    bench = Bench(clock)
    bench.inbox.put(frame_note(0))
    for _ in range(2):
        lost = Lost(camera="door", kind="timeout", message="", was_open=True, counters=Counters())
        bench.inbox.put(lost)
    bench.inbox.put(ended("closed"))
    await asyncio.wait_for(bench.camera.run(), 1)
    reasons = [s.reason for s in bench.all_signals() if isinstance(s, RunEnded)]
    assert reasons == ["source_lost"]


async def test_a_new_run_ends_the_old_one_with_reset(clock: FakeClock) -> None:
    """A gap inside a stream is told before the first sample of the new run."""
    bench = Bench(clock)
    bench.inbox.put(frame_note(0))
    bench.inbox.put(frame_note(1, run=1, reset="gap"))
    bench.inbox.put(ended("closed"))
    await asyncio.wait_for(bench.camera.run(), 1)
    kinds = [s.reason if isinstance(s, RunEnded) else "sample" for s in bench.all_signals()]
    assert kinds == ["sample", "reset", "sample", "shutdown"]


async def test_a_fast_source_may_not_run_into_the_next_window_while_one_is_unresolved(
    clock: FakeClock,
) -> None:
    """Back-pressure: no advance between a window's submission and its outcome."""
    bench = Bench(clock, is_fast=True)
    bench.inbox.put(opened(is_live=False))
    for seq in range(32):
        bench.inbox.put(frame_note(seq))
    run = asyncio.ensure_future(bench.camera.run())
    await settle()
    assert max(bench.advanced) == 30 + 8, "the frame that completed the window gave no credit"
    bench.camera.resolved(0)
    assert bench.advanced[-1] == 31 + 8
    bench.inbox.put(ended())
    await asyncio.wait_for(run, 1)
