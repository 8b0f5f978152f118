"""What a scripted camera is (fixed) and how it behaves just now (changed at run time).

In: values from a test. Out: immutable records the camera's thread reads once a picture and once a
request.
Invariant: a `Script` is replaced as a whole, so that a picture is never sent by half of two
scripts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from tests.camera_clip import ClipSpec, Codec, Content

Mode = Literal["ok", "stall", "accept_noreply", "describe_hang", "play_nodata", "garbage", "status"]
Timestamps = Literal["true", "stuck", "swapped"]

REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    453: "Not Enough Bandwidth",
    454: "Session Not Found",
    461: "Unsupported Transport",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


@dataclass(frozen=True, slots=True)
class Script:
    """How the camera behaves now.

    Attributes:
        mode: ok; stall: half-open, not a byte on any connection; accept_noreply, describe_hang,
            garbage, status: what new requests meet (connections that play go on); play_nodata: PLAY
            is answered, no picture follows.
        status: the answer to DESCRIBE (453: to SETUP) in mode status.
        fps: pictures per second.
        size: width and height.
        content: what pictures show.
        is_frozen: the same coded picture again and again.
        repeat: times each picture is sent (each send counts as a picture of its own at `fps`).
        corrupt: probability that an RTP packet has flipped bytes.
        loss: probability that an RTP packet is missing.
        no_idr: neither keyframes nor parameter sets are sent.
        timestamps: true; stuck: every picture has the same; swapped: neighbours in pairs exchange
            theirs.
        jitter_s: each picture is sent up to this much late (its timestamp stays true).
    """

    mode: Mode = "ok"
    status: int = 404
    fps: float = 10.0
    size: tuple[int, int] = (320, 240)
    content: Content = "static"
    is_frozen: bool = False
    repeat: int = 1
    corrupt: float = 0.0
    loss: float = 0.0
    no_idr: bool = False
    timestamps: Timestamps = "true"
    jitter_s: float = 0.0

    @property
    def is_silent(self) -> bool:
        """Return whether no picture is sent."""
        return self.mode in ("stall", "play_nodata")


@dataclass(frozen=True, slots=True)
class CameraOptions:
    """What the camera is; never changes while it runs.

    Attributes:
        codec: h264 or hevc.
        gop_s: seconds from one keyframe to the next.
        n_gops: length of the loop of different pictures; 0 takes 12 (hevc, which encodes slowly:
            4).
        user: user name to ask for; empty for none.
        password: and its password.
        max_sessions: RTSP sessions at one time; further ones are answered 453.
        session_expiry_s: seconds a session counts on after its connection broke without TEARDOWN.
        seed: of all damage and numbers.
        path: of the stream.
    """

    codec: Codec = "h264"
    gop_s: float = 1.0
    n_gops: int = 0
    user: str = ""
    password: str = ""
    max_sessions: int = 1000
    session_expiry_s: float = 0.0
    seed: int = 1
    path: str = "/stream"

    def clip_spec(self, script: Script) -> ClipSpec:
        """Return what must be encoded to follow `script`."""
        width, height = script.size
        gop = max(1, round(script.fps * self.gop_s))
        n_gops = self.n_gops or (12 if self.codec == "h264" else 4)
        return ClipSpec(self.codec, width, height, gop, script.content, n_gops)

    def url(self, port: int) -> str:
        """Return the address on the loopback, with the right credentials."""
        pair = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@" if self.user else ""
        return f"rtsp://{pair}127.0.0.1:{port}{self.path}"
