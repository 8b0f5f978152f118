"""Claims about streamer.reader: each frame is placed or dropped for a reason, runs stay apart."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from streamer.config import ReaderConfig
from streamer.errors import SourceLostError, SourceOpenError
from streamer.frame import Frame
from streamer.notes import Ended, FrameNote, FromCapture, Lost, Opened, RingSpec, StateNote
from streamer.reader import Reader
from streamer.ring import RingReader, create_ring, remove_ring
from tests.conftest import FakeClock
from tests.streamer.scripted import ScriptedSource, picture_frame

LIVE, FILE = "rtsp://cam.test/x", "clip.mp4"
FAST = {"kind": "file", "path": "clip.mp4", "pace": "fast"}


@pytest.fixture
def ring() -> Iterator[RingSpec]:
    spec = create_ring("door", 64, 32, 32)
    yield spec
    remove_ring(spec)


class Bench:
    """A reader with scripted sources, run in the test's own thread."""

    def __init__(
        self,
        ring: RingSpec,
        clock: FakeClock,
        *sessions: Sequence[Frame | SourceLostError | SourceOpenError],
        source: object = FILE,
    ) -> None:
        self.notes: list[FromCapture] = []
        self.sources = [ScriptedSource(s, is_live=source == LIVE) for s in sessions]
        self._left = list(self.sources)
        config = ReaderConfig(camera="door", source=source, size_px=32, analysis_fps=10.0)
        self.reader = Reader(config, ring, self.take, clock, opener=self.open)

    def open(
        self, config: ReaderConfig, clock: object, stop: threading.Event, address: str
    ) -> ScriptedSource:
        return self._left.pop(0)

    def take(self, note: FromCapture) -> None:
        """Remember the note; order the next session after a loss, close after the last."""
        self.notes.append(note)
        if isinstance(note, Lost):
            if self._left:
                self.reader.order_open()
            else:
                self.reader.close()

    def run(self) -> None:
        self.reader.order_open()
        self.reader.run()

    @property
    def frames(self) -> list[FrameNote]:
        return [note for note in self.notes if isinstance(note, FrameNote)]


def pictures(n: int, first: int = 0, **changes: Any) -> list[Frame]:
    return [picture_frame(first + i, is_keyframe=i == 0, **changes) for i in range(n)]


def assert_conserved(bench: Bench) -> None:
    for note in (*bench.frames, bench.notes[-1]):
        assert isinstance(note, FrameNote | Ended)
        counters = note.counters
        assert counters.decoded == counters.used + sum(counters.dropped.values()), note


def test_a_file_at_the_analysis_rate_places_every_frame_in_order(
    ring: RingSpec, clock: FakeClock
) -> None:
    """40 frames, 40 places, and the ring holds the pictures themselves."""
    bench = Bench(ring, clock, pictures(40))
    bench.run()
    assert [note.seq for note in bench.frames] == list(range(40))
    assert bench.frames[0].reset == "start"
    assert all(note.reset is None for note in bench.frames[1:])
    with RingReader(ring) as reader:
        window = reader.window(8)
        assert [int(frame[0, 0, 0]) for frame in window] == list(range(8, 40))
        del window
    end = bench.notes[-1]
    assert isinstance(end, Ended)
    assert (end.reason, end.is_error) == ("end of stream", False)
    assert bench.sources[0].is_closed
    assert_conserved(bench)


def test_a_file_without_one_usable_picture_says_why(ring: RingSpec, clock: FakeClock) -> None:
    """Decoded but all dropped is a failure with its reasons, not the end of a stream."""
    script = [picture_frame(0, is_corrupt=True, is_keyframe=True)]
    script += [picture_frame(i, is_keyframe=False) for i in range(1, 4)]
    bench = Bench(ring, clock, script)
    bench.run()
    end = bench.notes[-1]
    assert isinstance(end, Ended)
    assert end.is_error
    assert "none of its 4 pictures could be used (3 no_keyframe, 1 corrupt)" in end.reason


def test_frames_beyond_the_analysis_rate_are_dropped_as_rate_limit(
    ring: RingSpec, clock: FakeClock
) -> None:
    """30 fps to 10 fps: a third is used, the rest has its reason."""
    bench = Bench(ring, clock, [picture_frame(i, fps=30.0) for i in range(90)])
    bench.run()
    counters = bench.notes[-1].counters  # type: ignore[union-attr]
    assert counters.decoded == 90
    assert abs(counters.used - 30) <= 1
    assert counters.dropped == {"rate_limit": 90 - counters.used}
    assert_conserved(bench)


def test_a_slow_source_holds_its_pictures_so_that_time_stays_true(
    ring: RingSpec, clock: FakeClock
) -> None:
    """5 fps to 10 fps: every place is filled, half of them with a repetition."""
    bench = Bench(ring, clock, [picture_frame(i, fps=5.0) for i in range(20)])
    bench.run()
    n_places = sum(note.n_places for note in bench.frames)
    assert abs(n_places - 39) <= 1
    assert sum(note.n_held for note in bench.frames) == n_places - 20
    assert bench.frames[-1].seq == n_places - 1
    assert_conserved(bench)


def test_a_gap_begins_a_new_run(ring: RingSpec, clock: FakeClock) -> None:
    """Three seconds without a frame are never papered over."""
    bench = Bench(ring, clock, pictures(10) + pictures(10, first=40))
    bench.run()
    resets = [(note.seq, note.reset, note.run) for note in bench.frames if note.reset]
    assert resets == [(0, "start", 0), (10, "gap", 1)]
    assert_conserved(bench)


def test_no_frame_from_after_a_jump_of_the_stream_belongs_to_the_run_before(
    ring: RingSpec, clock: FakeClock
) -> None:
    """Whether it was a jump is known one frame later: the first one is dropped and counted."""
    script = [
        *pictures(20),
        *(picture_frame(i, pts_s=1000 + i / 10, is_keyframe=False) for i in range(20, 40)),
    ]
    bench = Bench(ring, clock, script, source=LIVE)
    bench.run()
    runs = [note.run for note in bench.frames]
    assert runs == [0] * 20 + [1] * 19
    assert [note.reset for note in bench.frames if note.reset] == ["start", "discontinuity"]
    assert bench.notes[-1].counters.dropped == {"discontinuity": 1}  # type: ignore[union-attr]
    assert_conserved(bench)


def test_a_lasting_change_of_size_begins_a_new_run_and_its_first_frames_never_reach_the_model(
    ring: RingSpec, clock: FakeClock
) -> None:
    """Off-size frames are dropped until the new size has proved itself."""
    small = pictures(10)
    big = pictures(20, first=10, width=128, height=96)
    bench = Bench(ring, clock, small + big)
    bench.run()
    resets = [note.reset for note in bench.frames if note.reset]
    assert resets == ["start", "resolution"]
    dropped = bench.frames[-1].counters.dropped
    assert dropped["off_size"] >= 1
    assert_conserved(bench)


def test_damaged_pictures_and_those_before_a_keyframe_never_reach_the_ring(
    ring: RingSpec, clock: FakeClock
) -> None:
    """Each is dropped under its own reason."""
    script = [picture_frame(i, is_keyframe=i == 5, is_corrupt=i == 12) for i in range(20)]
    bench = Bench(ring, clock, script)
    bench.run()
    dropped = bench.notes[-1].counters.dropped  # type: ignore[union-attr]
    assert dropped["no_keyframe"] == 5
    assert dropped["corrupt"] == 1
    assert bench.frames[0].media_s == pytest.approx(bench.frames[0].media_s)
    assert bench.frames[-1].is_degraded or any(note.is_degraded for note in bench.frames)
    assert_conserved(bench)


def test_a_lost_camera_is_told_and_opened_again_on_order_with_a_new_run(
    ring: RingSpec, clock: FakeClock
) -> None:
    """The reader itself never retries; the counters go on."""
    lost = SourceLostError("timeout", "no data from rtsp://user:secret@cam.test/x")
    bench = Bench(ring, clock, [*pictures(5), lost], [*pictures(5, first=100), lost], source=LIVE)
    bench.run()
    losses = [note for note in bench.notes if isinstance(note, Lost)]
    assert [loss.kind for loss in losses] == ["timeout", "timeout"]
    assert all("secret" not in loss.message for loss in losses)
    assert [loss.counters.decoded for loss in losses] == [5, 10]
    assert [note.reset for note in bench.frames if note.reset] == ["start", "reconnect"]
    assert len([note for note in bench.notes if isinstance(note, Opened)]) == 2
    end = bench.notes[-1]
    assert isinstance(end, Ended)
    assert end.reason == "closed"
    assert_conserved(bench)


def test_a_live_stream_that_just_ends_is_a_loss(ring: RingSpec, clock: FakeClock) -> None:
    """A killed server looks like the end of a file; a camera has no end."""
    bench = Bench(ring, clock, pictures(3), source=LIVE)
    bench.run()
    assert any(isinstance(note, Lost) and note.was_open for note in bench.notes)


def test_a_file_that_cannot_be_opened_ends_with_its_reason(
    ring: RingSpec, clock: FakeClock
) -> None:
    """A finite source is not tried again."""
    bench = Bench(ring, clock, [SourceOpenError("not_found", "clip.mp4 does not exist")])
    bench.run()
    end = bench.notes[-1]
    assert isinstance(end, Ended)
    assert (end.is_error, end.reason) == (True, "clip.mp4 does not exist")
    assert bench.sources[0].is_closed


def test_a_fast_source_waits_for_its_credit(ring: RingSpec, clock: FakeClock) -> None:
    """Not one frame is placed beyond the last sequence number it was given."""
    bench = Bench(ring, clock, pictures(20), source=FAST)
    bench.reader.order_open()
    thread = threading.Thread(target=bench.reader.run)
    bench.reader.advance(4)
    thread.start()
    while len(bench.frames) < 5:
        thread.join(0.01)
    thread.join(0.05)
    assert len(bench.frames) == 5
    bench.reader.advance(19)
    thread.join(10)
    assert len(bench.frames) == 20
    assert_conserved(bench)


def test_closing_a_waiting_fast_source_ends_it_and_accounts_for_the_frame_in_hand(
    ring: RingSpec, clock: FakeClock
) -> None:
    """The frame that waited for credit is dropped as shutdown."""
    bench = Bench(ring, clock, pictures(20), source=FAST)
    bench.reader.order_open()
    thread = threading.Thread(target=bench.reader.run)
    bench.reader.advance(0)
    thread.start()
    while not bench.frames:
        thread.join(0.01)
    bench.reader.close()
    thread.join(10)
    assert not thread.is_alive()
    assert bench.notes[-1].counters.dropped == {"shutdown": 1}  # type: ignore[union-attr]
    assert_conserved(bench)


def test_our_own_bug_is_told_to_the_control_process_instead_of_hanging(
    ring: RingSpec, clock: FakeClock
) -> None:
    """A reader thread that dies silently would look like a camera that connects for ever."""
    broken = picture_frame(0, picture=lambda: 1 / 0)
    bench = Bench(ring, clock, [broken])
    bench.run()
    end = bench.notes[-1]
    assert isinstance(end, Ended)
    assert end.is_error
    assert "ZeroDivisionError" in end.reason


def test_identical_pictures_are_counted_and_a_live_camera_that_repeats_itself_is_frozen(
    ring: RingSpec, clock: FakeClock
) -> None:
    """Ten seconds of the same picture are `frozen`; one new picture clears it."""
    same = picture_frame(99).picture
    script: list[Frame] = []
    for index in range(130):
        changes = {"picture": same} if index < 120 else {}
        script.append(picture_frame(index, **changes))

    bench = Bench(ring, clock, script, source=LIVE)
    take = bench.take

    def tick(note: FromCapture) -> None:
        clock.tick(0.1 if isinstance(note, FrameNote) else 0.0)
        take(note)

    bench.reader.send = tick
    bench.run()
    states = [note.state for note in bench.notes if isinstance(note, StateNote)]
    assert states == ["frozen", "running"]
    assert bench.frames[-1].counters.duplicates == 119
