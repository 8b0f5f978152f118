"""The loop that every libav source shares: its watchdog and what it counts."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from pathlib import Path

import av
import pytest

from streamer.decoder import CONTAINERS, Decoder, Opening
from streamer.errors import SourceLostError, SourceOpenError
from streamer.libav import Subject
from streamer.source import SourceStatistics
from tests.camera_clip import ClipSpec, encode_clip
from tests.clip_file import write_clip, write_sound
from tests.conftest import FakeClock
from tests.frame_code import read_code


class RunningClock(FakeClock):
    """A clock that moves by a fixed step whenever it is read."""

    def __init__(self, step_s: float) -> None:
        super().__init__()
        self._step_s = step_s

    def now(self) -> float:
        return self.tick(self._step_s)


def opening(path: Path, *, is_live: bool = False, stall_s: float = 3.0) -> Opening:
    return Opening(
        url=f"file:{path}",
        subject=Subject(f"camera {path.name}", is_live=is_live),
        options={"format_whitelist": CONTAINERS},
        open_s=1e9,
        read_s=stall_s / 2,
        max_pixels=640 * 480,
    )


def without_key_frames(tmp_path: Path) -> Path:
    """Return raw H.264 whose only parameter sets and key frame have been cut out."""
    data = write_clip(tmp_path / "whole.h264", 9).read_bytes()
    units = data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]
    kept = [unit for unit in units if unit[0] & 31 == 1]
    # One set of parameters, so that it is recognised as H.264 at all.
    head = [unit for unit in units if unit[0] & 31 in (7, 8)][:2]
    path = tmp_path / "inter.h264"
    path.write_bytes(b"".join(b"\0\0\0\1" + unit for unit in head + kept * 40))
    return path


def test_packets_and_pictures_are_counted(tmp_path: Path) -> None:
    """Bytes are those of the video packets, errors those of refused ones."""
    clip = write_clip(tmp_path / "clip.mkv", 10)
    statistics = SourceStatistics()
    decoder = Decoder(opening(clip), FakeClock(), statistics)
    decoder.open()
    n_frames = sum(1 for _ in decoder.frames())
    decoder.close()
    assert n_frames == 10
    assert 0 < statistics.bytes < clip.stat().st_size
    assert statistics.decode_errors == 0


def test_decoding_is_paid_by_this_thread_alone(tmp_path: Path) -> None:
    """The CPU time that is told is all there is: libav decodes in no thread of its own."""
    statistics = SourceStatistics()
    decoder = Decoder(opening(write_clip(tmp_path / "clip.mkv", 100)), FakeClock(), statistics)
    decoder.open()
    process_s, thread_s = time.process_time(), time.thread_time()
    assert sum(1 for _ in decoder.frames()) == 100
    process_s, thread_s = time.process_time() - process_s, time.thread_time() - thread_s
    decoder.close()
    assert 0 < statistics.decode_cpu_s <= thread_s
    assert process_s - thread_s < 0.5 * statistics.decode_cpu_s


def test_frames_are_counted_on_from_a_given_index(tmp_path: Path) -> None:
    """A looping file goes on counting."""
    decoder = Decoder(
        opening(write_clip(tmp_path / "clip.mkv", 3)), FakeClock(), SourceStatistics()
    )
    decoder.open()
    assert [frame.index for frame in decoder.frames(100)] == [100, 101, 102]
    decoder.close()


def test_the_time_of_decoding_comes_with_the_frame(tmp_path: Path) -> None:
    """Every reading of this clock costs 10 ms, and one decode reads it twice."""
    decoder = Decoder(
        opening(write_clip(tmp_path / "clip.mkv", 3)), RunningClock(0.01), SourceStatistics()
    )
    decoder.open()
    # The encoder's first packets give their picture at once; flushing adds an empty decode.
    assert [frame.decode_s for frame in decoder.frames()] == pytest.approx([0.01] * 3, abs=0.011)
    decoder.close()


def test_a_live_stream_of_packets_without_pictures_is_lost_as_no_keyframe(tmp_path: Path) -> None:
    """Packets keep libav's time-outs quiet for ever (M9); 30 s without a picture is the end."""
    path = without_key_frames(tmp_path)
    clock = RunningClock(0.1)
    statistics = SourceStatistics()
    decoder = Decoder(opening(path, is_live=True), clock, statistics)
    decoder.open()
    began_at = clock.now()
    with pytest.raises(SourceLostError) as loss:
        list(decoder.frames())
    decoder.close()
    assert loss.value.kind == "no_keyframe"
    assert "key frame interval" in str(loss.value)
    assert 30.0 < clock.now() - began_at < 33.0
    # The bytes that tell "no key frame" from "no data" long before (reader's state).
    assert statistics.bytes > 1000


def test_a_file_without_pictures_is_read_to_its_end(tmp_path: Path) -> None:
    """Only live streams are watched."""
    decoder = Decoder(opening(without_key_frames(tmp_path)), RunningClock(10.0), SourceStatistics())
    decoder.open()
    assert len(list(decoder.frames())) >= 0
    decoder.close()


def test_hevc_pictures_that_the_decoder_leaves_out_are_told_with_the_next_one(
    tmp_path: Path,
) -> None:
    """libav raises nothing and marks nothing when a reference is missing."""
    clip = encode_clip(ClipSpec("hevc", gop=10, n_gops=3))
    path = tmp_path / "lossy.hevc"
    pictures = [nals for i, nals in enumerate(clip.predicted) if i != 14]
    path.write_bytes(b"".join(b"\0\0\0\1" + nal for nals in pictures for nal in nals))
    statistics = SourceStatistics()
    decoder = Decoder(opening(path, is_live=True), FakeClock(), statistics)
    decoder.open()
    frames = list(decoder.frames())
    decoder.close()
    codes = [read_code(frame.picture()) for frame in frames]
    assert codes == [*range(14), *range(20, 30)]
    assert [frame.n_lost for frame in frames] == [0] * 14 + [5] + [0] * 9
    assert statistics.decode_errors == 5


@pytest.mark.parametrize("is_held_back", [True, False])
def test_a_picture_the_demuxer_held_back_is_dated_to_when_its_data_came(
    tmp_path: Path, is_held_back: bool
) -> None:
    """RTSP: a picture comes out when the next one begins, so its own began with the one before."""
    clip = write_clip(tmp_path / "clip.mkv", 10)
    how = replace(opening(clip, is_live=True), is_held_back=is_held_back)
    decoder = Decoder(how, RunningClock(0.001), SourceStatistics())
    decoder.open()
    frames = list(decoder.frames())
    decoder.close()
    assert all(frame.received_at < frame.arrived_at for frame in frames)
    for before, frame in itertools.pairwise(frames):
        assert (frame.received_at < before.arrived_at) == is_held_back


def test_sound_does_not_hide_that_the_video_has_stopped(tmp_path: Path) -> None:
    """Packets of another stream come, the video's do not: a stall like any other."""
    clock = RunningClock(0.4)
    decoder = Decoder(opening(sound_after_video(tmp_path), is_live=True), clock, SourceStatistics())
    decoder.open()
    with pytest.raises(SourceLostError, match="sends no video any more") as loss:
        list(decoder.frames())
    decoder.close()
    assert loss.value.kind == "timeout"


def sound_after_video(tmp_path: Path) -> Path:
    import av

    path = tmp_path / "both.mkv"
    video = write_clip(tmp_path / "video.mkv", 2)
    sound = write_sound(tmp_path / "sound.mkv", seconds=10)
    with (
        av.open(str(path), "w", timeout=(5, 5)) as out,
        av.open(str(video), timeout=(5, 5)) as pictures,
        av.open(str(sound), timeout=(5, 5)) as tones,
    ):
        streams = [out.add_stream_from_template(c.streams[0]) for c in (pictures, tones)]
        for packet in itertools.chain(pictures.demux(), tones.demux()):
            if packet.dts is not None:
                packet.stream = streams[packet.stream.type == "audio"]
                out.mux(packet)
    return path


def cut_without_encoding(whole: Path, path: Path, cut_s: float) -> Path:
    """Copy the packets of a clip so that playing begins after its only key frame."""
    with (
        av.open(str(whole), timeout=(5, 5)) as source,
        av.open(str(path), "w", timeout=(5, 5)) as out,
    ):
        video = source.streams.video[0]
        copy = out.add_stream_from_template(video)
        for packet in source.demux(video):
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            ticks = round(cut_s / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts - ticks, packet.dts - ticks, copy
            out.mux(packet)
    return path


def test_pictures_after_a_key_frame_that_is_not_shown_can_be_used(tmp_path: Path) -> None:
    """A cut file hides its key frame behind an edit list; what follows is decoded from it."""
    whole = write_clip(tmp_path / "whole.mkv", 8)
    decoder = Decoder(
        opening(cut_without_encoding(whole, tmp_path / "cut.mp4", 0.25)),
        FakeClock(),
        SourceStatistics(),
    )
    decoder.open()
    frames = list(decoder.frames())
    decoder.close()
    assert [read_code(frame.picture()) for frame in frames] == [3, 4, 5, 6, 7]
    assert [frame.is_keyframe for frame in frames] == [True, False, False, False, False]


def test_a_container_without_video_is_refused(tmp_path: Path) -> None:
    """The reason says what is missing."""
    decoder = Decoder(opening(write_sound(tmp_path / "sound.mp4")), FakeClock(), SourceStatistics())
    with pytest.raises(SourceOpenError, match="holds no video stream"):
        decoder.open()


def test_closing_is_idempotent_and_ends_reading(tmp_path: Path) -> None:
    """Also before opening."""
    decoder = Decoder(
        opening(write_clip(tmp_path / "clip.mkv", 3)), FakeClock(), SourceStatistics()
    )
    decoder.close()
    decoder.open()
    decoder.close()
    decoder.close()
    assert list(decoder.frames()) == []
    assert decoder.duration_s is None


def test_a_container_is_entered_at_a_key_frame_before_the_time_asked_for(tmp_path: Path) -> None:
    """After `seek` the first picture is the last key frame that is not later; its time is true."""
    decoder = Decoder(
        opening(write_clip(tmp_path / "clip.mkv", 60)), FakeClock(), SourceStatistics()
    )
    decoder.open()
    assert decoder.start_s == pytest.approx(0.0, abs=0.01)
    assert decoder.seek(3.75)
    first = next(decoder.frames())
    # The encoder may have put one between those it was told to make every second.
    assert first.is_keyframe
    assert first.pts_s is not None
    assert 3.0 <= first.pts_s <= 3.75
    assert read_code(first.picture()) == round(first.pts_s * 10)
    decoder.close()
    assert not decoder.seek(1.0)
    assert decoder.start_s is None


def test_packets_that_the_container_knows_to_be_damaged_are_counted(tmp_path: Path) -> None:
    """A transport stream that lost packets says so, even where the decoder conceals it."""
    path = write_clip(tmp_path / "clip.ts", 60)
    data = bytearray(path.read_bytes())
    middle = len(data) * 55 // 100
    for at in range(middle, middle + 1500, 7):
        data[at] ^= 0xFF
    path.write_bytes(data)
    statistics = SourceStatistics()
    decoder = Decoder(opening(path), FakeClock(), statistics)
    decoder.open()
    n_frames = sum(1 for _ in decoder.frames())
    decoder.close()
    assert n_frames > 50
    assert statistics.corrupt_packets >= 1
    assert statistics.n_damaged == statistics.decode_errors + statistics.corrupt_packets
