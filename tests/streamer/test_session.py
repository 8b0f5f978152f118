"""Claims about streamer.session: each frame is placed or dropped for a reason, runs stay apart."""

from __future__ import annotations

from itertools import pairwise

import pytest

from streamer.frame import Frame
from streamer.notes import Ended, FrameNote, FromCapture, RingSpec, StateNote
from streamer.ring import RingReader
from tests.conftest import FakeClock
from tests.streamer.reader_bench import LIVE, Bench, assert_conserved, pictures
from tests.streamer.scripted import picture_frame


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


def test_another_rate_begins_a_new_run_on_a_new_grid(ring: RingSpec, clock: FakeClock) -> None:
    """From 10 to 5 frames a second after a second, told as config; nothing is lost uncounted."""
    bench = Bench(ring, clock, pictures(60))
    send = bench.reader.send

    def slow_down(note: FromCapture) -> None:
        send(note)
        if isinstance(note, FrameNote) and note.seq == 9:
            bench.reader.set_rate(5.0)

    bench.reader.send = slow_down
    bench.run()
    resets = [(note.seq, note.reset, note.run) for note in bench.frames if note.reset]
    assert resets == [(0, "start", 0), (10, "config", 1)]
    slow = [note.media_s for note in bench.frames if note.run == 1]
    assert len(slow) == 25
    # The first two places are found while the source's own rate is not known yet.
    assert [b - a for a, b in pairwise(slow[2:])] == pytest.approx([0.2] * 22)
    assert_conserved(bench)
