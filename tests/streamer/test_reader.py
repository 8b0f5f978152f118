"""Claims about streamer.reader: losses are told and waited out, a fast source waits."""

from __future__ import annotations

import threading

from streamer.errors import SourceLostError, SourceOpenError
from streamer.notes import Ended, Lost, Opened, RingSpec
from tests.conftest import FakeClock
from tests.streamer.reader_bench import FAST, LIVE, Bench, assert_conserved, pictures
from tests.streamer.scripted import picture_frame


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
    """Not one frame is placed beyond the last sequence number it was given, nor counted.

    A heartbeat comes at any time: counts read by another thread add up while a frame is in hand.
    """
    bench = Bench(ring, clock, pictures(20), source=FAST)
    bench.reader.order_open()
    thread = threading.Thread(target=bench.reader.run)
    bench.reader.advance(4)
    thread.start()
    while len(bench.frames) < 5:
        thread.join(0.01)
    thread.join(0.05)
    assert len(bench.frames) == 5
    counters = bench.reader.counters()
    assert counters.decoded == counters.used == 5
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
