"""Reads one open libav container: packets in, decoded `Frame`s out.

Every source that libav can read (camera, file, device) shares this loop, so that training and live
use see the same pictures. Owns the container. One thread.
Invariant: a live stream that delivers no picture ends in `SourceLostError`, whatever else it
delivers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamer.clock import Clock
from streamer.errors import SourceLostError, SourceOpenError
from streamer.frame import Frame
from streamer.libav import FOREIGN, Subject, loss_error, open_error
from streamer.picture import Converter, upright_deg
from streamer.source import SourceInfo, SourceStatistics

# Demuxers that may be found by content. Left out are those that open other addresses (concat, image
# sequences).
CONTAINERS: Final = (
    "mov,matroska,webm,mpegts,mpeg,mpegvideo,avi,flv,asf,ogg,ivf,obu,av1,h264,hevc,h263,vc1,m4v,mjpeg,mpjpeg,"
    "gif,mxf,nut,rm,wtv,dv,yuv4mpegpipe"
)
# A rate outside of this is a container's clock (90000) or nonsense, not frames per second.
_FPS_RANGE: Final = (0.01, 240.0)
# A camera whose encoder was asked for no key frame for so long will not send one on this
# connection. Longer than any usual key frame interval, because opening it again also costs the wait
# for one.
_NO_KEYFRAME_FACTOR: Final = 10
_NO_KEYFRAME_MIN_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Opening:
    """How a container is to be opened.

    Attributes:
        url: what libav opens; may hold credentials.
        subject: how messages call it.
        options: libav options of demuxer and protocol.
        open_s: time-out of each of the two phases of opening (connecting, finding the streams).
        read_s: time-out of one read; libav needs up to two of them to report a stall.
        max_pixels: larger pictures are refused before they are decoded.
        format_name: demuxer or device; found by content where empty.
        is_held_back: the demuxer gives out a picture of H.264 or H.265 only when the next one
            begins to arrive, as libav's parser does for RTSP.
    """

    url: str
    subject: Subject
    options: Mapping[str, str]
    open_s: float
    read_s: float
    max_pixels: int
    format_name: str = ""
    is_held_back: bool = False


class Decoder:
    """The video stream of one container as frames.

    Args:
        opening: what to open.
        clock: time.
        statistics: counted into; survives this object.
    """

    def __init__(self, opening: Opening, clock: Clock, statistics: SourceStatistics) -> None:
        self._opening = opening
        self._subject = opening.subject
        self._clock = clock
        self._statistics = statistics
        self._container: InputContainer | None = None
        self._stream: VideoStream | None = None
        self._format = ""
        self._decode_s = 0.0
        self._has_hidden_keyframe = False
        self._n_lost = 0
        self._is_held_back = False
        self._packet_at = self._received_at = 0.0

    # ---- opening ---------------------------------------------------------------------------------

    def open(self) -> SourceInfo:
        """Open the container and find its video stream.

        Raises:
            SourceOpenError: with the class of failure.
        """
        began_at = self._clock.now()
        try:
            self._container = self._connect()
            self._stream = _video_stream(self._container)
            info = self._prepare(self._stream)
        except FOREIGN as err:
            self.close()
            raise open_error(err, self._subject) from None
        except SourceOpenError:
            self.close()
            raise
        if self._subject.is_live and self._is_mute(began_at):
            self.close()
            raise SourceOpenError(
                "timeout", f"{self._subject.name} was opened but sends no video; check the camera"
            )
        return info

    def _connect(self) -> InputContainer:
        opening = self._opening
        # The limit must be known to the demuxer's own decoder while it looks for the streams, too
        # (M13).
        options = {"max_pixels": str(opening.max_pixels), **opening.options}
        return av.open(
            opening.url,
            mode="r",
            format=opening.format_name or None,
            options=options,
            timeout=(opening.open_s, opening.read_s),
            metadata_errors="replace",
        )

    def _prepare(self, stream: VideoStream | None) -> SourceInfo:
        name = self._subject.name
        if stream is None:
            raise SourceOpenError(
                "codec", f"{name} holds no video stream; name a source with video"
            )
        context = stream.codec_context
        if context is None:
            raise SourceOpenError(
                "codec", f"{name} holds video that has no decoder here; choose H.264 or H.265"
            )
        if context.width * context.height > self._opening.max_pixels:
            raise SourceOpenError("rejected", self._too_large(context.width, context.height))
        context.options = {"max_pixels": str(self._opening.max_pixels)}
        # Frame threads would hold pictures back: 123 ms against 44 ms at 25 fps (1c).
        context.thread_type = "SLICE"
        context.thread_count = 1
        is_parsed = context.codec.canonical_name in ("h264", "hevc")
        self._is_held_back = self._opening.is_held_back and is_parsed
        is_live = self._subject.is_live
        return SourceInfo(
            context.codec.canonical_name, context.width, context.height, _fps(stream), is_live
        )

    def _too_large(self, width: int, height: int) -> str:
        return (
            f"{self._subject.name} has pictures of {width}x{height}, above capture.max_pixels="
            f"{self._opening.max_pixels}; raise the limit or choose a smaller stream"
        )

    def _is_mute(self, began_at: float) -> bool:
        """Tell whether libav gave up waiting for a packet, which it does not report as an error."""
        is_late = self._clock.now() - began_at >= self._opening.open_s
        context = self._stream.codec_context if self._stream is not None else None
        return is_late and (context is None or context.pix_fmt is None)

    @property
    def duration_s(self) -> float | None:
        """Return the announced length in seconds; None where there is none, as with cameras."""
        duration = self._container.duration if self._container is not None else None
        return duration / av.time_base if duration is not None and duration > 0 else None

    @property
    def start_s(self) -> float | None:
        """Return the time of the first picture as the container states it; None where it does not.

        Read it after `open`.
        """
        stream = self._stream
        if stream is None or stream.start_time is None or stream.time_base is None:
            return None
        return float(stream.start_time * stream.time_base)

    def seek(self, at_s: float) -> bool:
        """Let `frames` begin at the last key frame that is not after `at_s`; call it before that.

        Args:
            at_s: presentation time as the stream states it, seconds.

        Returns:
            False where the container cannot; open it again then, its position is undefined. True
            promises nothing: indexes are often wrong, so look at the first frame's time.
        """
        stream = self._stream
        if self._container is None or stream is None or not stream.time_base:
            return False
        try:
            self._container.seek(round(at_s / stream.time_base), stream=stream, backward=True)
        except FOREIGN:
            return False
        return True

    # ---- reading ---------------------------------------------------------------------------------

    def frames(self, first_index: int = 0) -> Iterator[Frame]:
        """Yield every decoded picture until the stream ends.

        Raises:
            SourceLostError: reading failed, or a live stream sends no pictures.
        """
        index = first_index
        last_frame_at = self._clock.now()
        n_packets_since = 0
        for packet in self._packets():
            is_video = packet.stream is self._stream
            if is_video:
                n_packets_since += packet.size > 0
                self._receive()
                for picture in self._decode(packet):
                    yield self._frame(picture, index)
                    index += 1
                    n_packets_since, last_frame_at = 0, self._clock.now()
            if self._subject.is_live:
                self._watch(self._clock.now() - last_frame_at, has_packets=n_packets_since > 0)

    def _receive(self) -> None:
        """Note when the data of this packet came: one that was held back, with the one before."""
        before_at, self._packet_at = self._packet_at, self._clock.now()
        is_late = self._is_held_back and before_at > 0.0
        self._received_at = before_at if is_late else self._packet_at

    def _packets(self) -> Iterator[Packet[Any]]:
        if self._container is None:
            return
        # All streams are read, because a packet of another one (sound) must not hide that the video
        # has stopped.
        packets = self._container.demux()
        while True:
            try:
                packet = next(packets, None)
            except FOREIGN as err:
                raise loss_error(err, self._subject) from None
            if packet is None:
                return
            yield packet

    def _decode(self, packet: Packet[Any]) -> list[VideoFrame]:
        self._statistics.bytes += packet.size
        self._statistics.corrupt_packets += packet.is_corrupt
        # Files cut without encoding anew begin with a key frame that is decoded but not shown.
        self._has_hidden_keyframe |= packet.is_keyframe and packet.is_discard
        began_at, cpu_began_s = self._clock.now(), time.thread_time()
        is_refused = False
        try:
            pictures = packet.decode()
        except EOFError:
            return []
        except FOREIGN:
            # One damaged packet: the decoder goes on with the next one.
            pictures, is_refused = [], True
        finally:
            self._decode_s += self._clock.now() - began_at
            # The CPU of this thread is all of it: `_prepare` asks for no other.
            self._statistics.decode_cpu_s += time.thread_time() - cpu_began_s
        if is_refused or (not pictures and packet.size and self._is_silent_loss()):
            self._statistics.decode_errors += 1
            # What fails before the first picture, as when joining a stream, is no damage to it.
            self._n_lost += bool(self._format)
        return pictures

    def _is_silent_loss(self) -> bool:
        """Tell whether a packet without a picture is one the decoder has thrown away."""
        context = self._stream.codec_context if self._stream is not None else None
        # libav does not report it: at 10 % lost RTP packets 20 of 60 pictures were just missing.
        is_hevc = context is not None and context.codec.canonical_name == "hevc"
        return is_hevc and self._subject.is_live and bool(self._format)

    def _watch(self, silence_s: float, *, has_packets: bool) -> None:
        # libav's read time-out is half the stall limit, see `Opening.read_s`.
        limit_s = 2 * self._opening.read_s
        if not has_packets and silence_s > limit_s:
            raise SourceLostError(
                "timeout", f"{self._subject.name} sends no video any more; check the camera"
            )
        if silence_s > max(_NO_KEYFRAME_MIN_S, _NO_KEYFRAME_FACTOR * limit_s):
            raise SourceLostError(
                "no_keyframe",
                f"{self._subject.name} sent no picture that can be decoded for {silence_s:.0f} s; "
                "set a key frame interval of 1 to 4 s on the camera",
            )

    def _frame(self, picture: VideoFrame, index: int) -> Frame:
        if picture.width * picture.height > self._opening.max_pixels:
            # Uncompressed devices do not pass through a decoder that knows the limit.
            raise SourceLostError("rejected", self._too_large(picture.width, picture.height))
        decode_s, self._decode_s = self._decode_s, 0.0
        is_keyframe = picture.key_frame or self._has_hidden_keyframe
        self._has_hidden_keyframe = False
        n_lost, self._n_lost = self._n_lost, 0
        return Frame(
            index=index,
            pts_s=picture.time,
            arrived_at=self._clock.now(),
            width=picture.width,
            height=picture.height,
            picture=self._converter(picture),
            is_corrupt=picture.is_corrupt,
            is_keyframe=is_keyframe,
            decode_s=decode_s,
            rotation_deg=upright_deg(picture.rotation),
            n_lost=n_lost,
            received_at=self._received_at,
        )

    def _converter(self, picture: VideoFrame) -> Converter:
        converter = Converter(picture)
        if picture.format.name != self._format:
            # The first picture of each pixel format is converted at once: formats that swscale
            # cannot read end the source here with a sentence, not later in the reader.
            try:
                converter()
            except FOREIGN as err:
                raise SourceLostError(
                    "codec",
                    f"{self._subject.name} has pixel format {picture.format.name}, which cannot be "
                    "converted to RGB; choose an 8 or 10 bit YUV format",
                ) from err
            self._format = picture.format.name
        return converter

    def close(self) -> None:
        """Free container and decoder; idempotent; never raises."""
        container, self._container, self._stream = self._container, None, None
        if container is not None:
            container.close()


def _video_stream(container: InputContainer) -> VideoStream | None:
    """Return the first moving video stream; the cover art of a sound file is a still one."""
    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    return moving[0] if moving else None


def _fps(stream: VideoStream) -> float:
    rates = (stream.average_rate, stream.guessed_rate, stream.codec_context.framerate)
    low, high = _FPS_RANGE
    return next((float(rate) for rate in rates if rate and low <= rate <= high), 0.0)
