"""NAL units to RTP packets inside RTSP (RFC 6184, RFC 7798, RFC 2326 §10.12), with seeded damage.

In: the NAL units of one picture. Out: the bytes for the TCP connection, and how many packets were
damaged or lost.
Invariant: sequence numbers also count packets that are lost on purpose, as on a real network.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass

from tests.camera_clip import Codec, Nals

MAX_PAYLOAD = 1380
N_FLIPPED = 8


@dataclass(frozen=True, slots=True)
class Damage:
    """Probabilities per RTP packet."""

    corrupt: float = 0.0
    loss: float = 0.0


@dataclass(frozen=True, slots=True)
class Packed:
    """One picture, ready to be written.

    Attributes:
        data: interleaved bytes (TCP); empty when every packet was lost.
        datagrams: the same as single RTP packets (UDP).
        n_corrupt: packets with flipped bytes.
        n_lost: packets that are missing.
    """

    data: bytes
    datagrams: tuple[bytes, ...]
    n_corrupt: int
    n_lost: int


class Packer:
    """The RTP side of one session: sequence numbers and damage."""

    def __init__(self, codec: Codec, channel: int, seed: int) -> None:
        self._codec: Codec = codec
        self._channel = channel
        self._rng = random.Random(seed)
        self._sequence = self._rng.randrange(1 << 16)
        self._ssrc = self._rng.randrange(1 << 32)

    def pack(self, nals: Nals, timestamp: int, damage: Damage) -> Packed:
        """Return the packets of one picture; the last one carries the marker bit."""
        payloads = [payload for nal in nals for payload in _fragments(self._codec, nal)]
        datagrams: list[bytes] = []
        n_corrupt = n_lost = 0
        for index, payload in enumerate(payloads):
            marker = 0x80 if index == len(payloads) - 1 else 0
            header = struct.pack(
                ">BBHII", 0x80, 96 | marker, self._sequence, timestamp & 0xFFFFFFFF, self._ssrc
            )
            self._sequence = self._sequence + 1 & 0xFFFF
            if self._rng.random() < damage.loss:
                n_lost += 1
                continue
            is_hit = len(payload) > 20 and self._rng.random() < damage.corrupt
            n_corrupt += is_hit
            datagrams.append(header + (self._flip(payload) if is_hit else payload))
        data = b"".join(struct.pack(">cBH", b"$", self._channel, len(d)) + d for d in datagrams)
        return Packed(data, tuple(datagrams), n_corrupt, n_lost)

    def _flip(self, payload: bytes) -> bytes:
        damaged = bytearray(payload)
        for _ in range(N_FLIPPED):
            damaged[self._rng.randrange(2, len(damaged))] ^= self._rng.randrange(1, 256)
        return bytes(damaged)


def _fragments(codec: Codec, nal: bytes) -> list[bytes]:
    if len(nal) <= MAX_PAYLOAD:
        return [nal]
    if codec == "h264":
        prefix, kind, body = bytes([nal[0] & 0xE0 | 28]), nal[0] & 31, nal[1:]
    else:
        prefix, kind, body = bytes([nal[0] & 0x81 | 49 << 1, nal[1]]), nal[0] >> 1 & 63, nal[2:]
    parts = [body[at : at + MAX_PAYLOAD] for at in range(0, len(body), MAX_PAYLOAD)]
    last = len(parts) - 1
    return [
        prefix + bytes([kind | (0x80 if i == 0 else 0) | (0x40 if i == last else 0)]) + part
        for i, part in enumerate(parts)
    ]
