"""One RTSP/1.0 connection of a scripted camera, as far as clients such as libav need it.

In: requests, and pictures from the camera's clock. Out: answers and interleaved (or UDP) RTP.
Invariant: runs in the camera's loop; a session is in the ledger from SETUP until the camera forgets
it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Final

from tests.camera_clip import Clip, Nals, encode_clip, is_key, is_parameter_set
from tests.camera_ledger import Ending, FrameSent, Ledger, Request, Session
from tests.camera_rtp import Damage, Packer
from tests.camera_script import REASONS, CameraOptions, Script

# A client that does not read loses pictures rather than the camera its memory.
MAX_UNSENT_BYTES: Final = 4 << 20


@dataclass(slots=True)
class CameraState:
    """What the connections of one camera share."""

    options: CameraOptions
    script: Script
    ledger: Ledger = field(default_factory=Ledger)
    connections: set[Connection] = field(default_factory=set)
    port: int = 0


@dataclass(frozen=True, slots=True)
class Shot:
    """The picture the camera takes now."""

    serial: int
    clip: Clip
    index: int
    is_frozen: bool
    needs_intra: bool
    rtp_timestamp: int


class Connection:
    """One TCP connection and at most one RTSP session on it."""

    def __init__(
        self, state: CameraState, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._state = state
        self._reader = reader
        self._writer = writer
        self._number = len(state.ledger.connects)
        self._session: Session | None = None
        self._packer: Packer | None = None
        self._udp: socket.socket | None = None
        self._chain: tuple[Clip, int] | None = None
        self._ending: Ending = "peer"
        self.is_playing = False

    async def serve(self) -> None:
        """Answer requests until either side ends the connection."""
        self._state.ledger.connects.append(time.monotonic())
        self._state.connections.add(self)
        try:
            with contextlib.suppress(
                OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
            ):
                await self._serve()
        finally:
            self.is_playing = False
            self._state.connections.discard(self)
            self._forget_session(self._ending)
            if self._udp is not None:
                self._udp.close()
            self._writer.close()

    def end(self, ending: Ending) -> None:
        """Break the connection from the camera's side: rst aborts, everything else closes."""
        self._ending = ending
        self.is_playing = False
        if ending == "fin":
            self._writer.close()
            return
        if ending == "rst":
            raw = self._writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    # ---- pictures --------------------------------------------------------------------------------

    def send(self, shot: Shot) -> None:
        """Send one picture to the client, if it plays and reads."""
        if not self.is_playing or self._packer is None or self._session is None:
            return
        if self._writer.transport.is_closing():
            return
        if self._writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self._chain = None
            return
        script, codec = self._state.script, self._state.options.codec
        nals = self._choose(shot, script.no_idr)
        if not nals:
            return
        packed = self._packer.pack(nals, shot.rtp_timestamp, Damage(script.corrupt, script.loss))
        if self._udp is not None:
            for datagram in packed.datagrams:
                with contextlib.suppress(OSError):
                    self._udp.send(datagram)
        elif packed.data:
            self._writer.write(packed.data)
        now = self._state.ledger.last_byte_at = time.monotonic()
        spec = shot.clip.spec
        self._state.ledger.frames.append(
            FrameSent(
                serial=shot.serial,
                counter=None if spec.content == "black" else shot.index,
                sent_at=now,
                session=self._session.id,
                rtp_timestamp=shot.rtp_timestamp,
                size=(spec.width, spec.height),
                content="frozen" if shot.is_frozen else spec.content,
                is_key=any(is_key(codec, nal) for nal in nals),
                n_corrupt=packed.n_corrupt,
                n_lost=packed.n_lost,
            )
        )

    def _choose(self, shot: Shot, no_idr: bool) -> Nals:
        """Return the form of the picture this client can decode: predicted while the chain holds,
        else intra."""
        clip, index, codec = shot.clip, shot.index, self._state.options.codec
        if no_idr:
            self._chain = None
            return tuple(
                nal
                for nal in clip.predicted[index]
                if not (is_key(codec, nal) or is_parameter_set(codec, nal))
            )
        starts_gop = index % clip.spec.gop == 0
        if not shot.needs_intra and (starts_gop or self._chain == (clip, index)):
            self._chain = (clip, (index + 1) % clip.spec.n_frames)
            return clip.predicted[index]
        self._chain = None
        return clip.intra[index]

    # ---- requests --------------------------------------------------------------------------------

    async def _serve(self) -> None:
        mode = self._state.script.mode
        if mode == "garbage":
            self._write(bytes((i * 197 + 31) & 0xFF for i in range(4096)))
            await self._writer.drain()
            return
        while True:
            first = await self._reader.readexactly(1)
            if first == b"$":
                (length,) = struct.unpack(">xH", await self._reader.readexactly(3))
                await self._reader.readexactly(length)
                continue
            head = (first + await self._reader.readuntil(b"\r\n\r\n")).decode(errors="replace")
            lines = head.split("\r\n")
            headers = dict(re.findall(r"(?m)^([\w-]+): *(.*?)\r$", head.lower()))
            # Header names are compared in lower case; the values that matter keep theirs.
            headers |= {k.lower(): v for k, v in re.findall(r"(?m)^([\w-]+): *(.*?)\r$", head)}
            await self._reader.readexactly(int(headers.get("content-length", "0")))
            method = lines[0].split(" ")[0]
            status, answer = self._answer(method, lines[0], headers)
            # Recorded first: a client that has the answer finds it in the ledger.
            self._state.ledger.requests.append(
                Request(time.monotonic(), self._number, method, status, "authorization" in headers)
            )
            self._write(answer)
            await self._writer.drain()
            if method == "TEARDOWN" and status == 200:
                return

    def _answer(self, method: str, line: str, headers: dict[str, str]) -> tuple[int, bytes]:
        """Return status and bytes of the answer; (0, b"") where the camera keeps silent."""
        mode = self._state.script.mode
        if mode in ("stall", "accept_noreply") or (
            mode == "describe_hang" and method == "DESCRIBE"
        ):
            return 0, b""
        status = self._refusal(method, line, headers)
        extra, body = "", ""
        if status == 401:
            extra = 'WWW-Authenticate: Basic realm="camera"\r\n'
        elif status == 200:
            handler = {
                "OPTIONS": self._options,
                "DESCRIBE": self._describe,
                "SETUP": self._setup,
                "PLAY": self._play,
                "TEARDOWN": self._teardown,
            }.get(method, self._other)
            status, extra, body = handler(headers)
        extra += f"Content-Length: {len(body)}\r\n" if body else ""
        head = f"RTSP/1.0 {status} {REASONS.get(status, 'OK')}\r\nCSeq: {headers.get('cseq', '0')}"
        return status, f"{head}\r\n{extra}\r\n{body}".encode()

    def _refusal(self, method: str, line: str, headers: dict[str, str]) -> int:
        """Return the error this request meets, or 200."""
        script, options = self._state.script, self._state.options
        pair = base64.b64encode(f"{options.user}:{options.password}".encode()).decode()
        is_known = not options.user or headers.get("authorization") == f"Basic {pair}"
        is_full = len(self._state.ledger.open_sessions()) >= options.max_sessions
        status_at = "SETUP" if script.status == 453 else "DESCRIBE"
        # In this order: what the script wants, then the password, then what it protects.
        refusals = (
            (script.status, script.mode == "status" and method == status_at),
            (401, not is_known and method != "OPTIONS"),
            (404, method == "DESCRIBE" and options.path not in line),
            (453, method == "SETUP" and is_full),
        )
        return next((status for status, is_met in refusals if is_met), 200)

    def _options(self, headers: dict[str, str]) -> tuple[int, str, str]:
        return 200, "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER\r\n", ""

    def _describe(self, headers: dict[str, str]) -> tuple[int, str, str]:
        options = self._state.options
        clip = encode_clip(options.clip_spec(self._state.script))
        sets = [base64.b64encode(nal).decode() for nal in clip.parameter_sets]
        if options.codec == "h264":
            name, parameters = "H264", f"packetization-mode=1;sprop-parameter-sets={','.join(sets)}"
        else:
            vps, sps, pps = sets
            name, parameters = "H265", f"sprop-vps={vps};sprop-sps={sps};sprop-pps={pps}"
        sdp = (
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=video 0 RTP/AVP 96\r\na=rtpmap:96 {name}/90000\r\n"
            f"a=fmtp:96 {parameters}\r\na=control:track1\r\n"
        )
        base = f"Content-Base: rtsp://127.0.0.1:{self._state.port}{options.path}/\r\n"
        return 200, f"{base}Content-Type: application/sdp\r\n", sdp

    def _setup(self, headers: dict[str, str]) -> tuple[int, str, str]:
        transport = headers.get("transport", "")
        number = len(self._state.ledger.sessions) + 1
        channel, answer = 0, ""
        if tcp := re.search(r"interleaved=(\d+)-(\d+)", transport):
            channel = int(tcp[1])
            answer = f"RTP/AVP/TCP;unicast;interleaved={tcp[1]}-{tcp[2]}"
        elif udp := re.search(r"client_port=(\d+)-(\d+)", transport):
            self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._udp.setblocking(False)
            self._udp.bind(("127.0.0.1", 0))
            self._udp.connect(("127.0.0.1", int(udp[1])))
            port = self._udp.getsockname()[1]
            answer = f"RTP/AVP;unicast;client_port={udp[1]}-{udp[2]};server_port={port}-{port + 1}"
        else:
            return 461, "", ""
        self._packer = Packer(
            self._state.options.codec, channel, self._state.options.seed * 1000 + number
        )
        self._session = Session(f"{self._state.options.seed:04d}{number:06d}", time.monotonic())
        self._state.ledger.sessions.append(self._session)
        return 200, f"Transport: {answer}\r\nSession: {self._session.id};timeout=60\r\n", ""

    def _play(self, headers: dict[str, str]) -> tuple[int, str, str]:
        if self._session is None:
            return 454, "", ""
        self.is_playing = True
        return 200, f"Session: {self._session.id}\r\n", ""

    def _teardown(self, headers: dict[str, str]) -> tuple[int, str, str]:
        self.is_playing = False
        self._forget_session("teardown")
        return 200, "", ""

    def _other(self, headers: dict[str, str]) -> tuple[int, str, str]:
        return 200, f"Session: {self._session.id}\r\n" if self._session else "", ""

    def _write(self, data: bytes) -> None:
        if not data:
            return
        self._writer.write(data)
        self._state.ledger.last_byte_at = time.monotonic()

    def _forget_session(self, ending: Ending) -> None:
        session, self._session = self._session, None
        if session is None or session.closed_at is not None:
            return
        expiry_s = self._state.options.session_expiry_s
        if ending == "peer" and expiry_s > 0:
            asyncio.get_running_loop().call_later(expiry_s, _close_session, session, "expired")
        else:
            _close_session(session, ending)


def _close_session(session: Session, ending: Ending) -> None:
    if session.closed_at is None:
        session.closed_at, session.ending = time.monotonic(), ending
