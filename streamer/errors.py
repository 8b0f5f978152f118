"""What can go wrong between a camera and the ring.

Every foreign exception (libav, OS, DNS) is translated into one of these in the file that imports
the foreign library. Messages say what failed, the value received and what to do; they never carry
credentials.
"""

from __future__ import annotations

from typing import Literal

LossKind = Literal[
    "timeout",
    "refused",
    "auth",
    "not_found",
    "dns",
    "tls",
    "codec",
    "rejected",
    "no_keyframe",
    "server",
    "unplugged",
    "busy",
    "permission",
    "error",
]
"""Why a source could not be opened or was lost; a bounded metric label."""


class StreamerError(Exception):
    """Base of everything this package raises on purpose."""


class SourceOpenError(StreamerError):
    """A source could not be opened.

    Attributes:
        kind: the class of failure, which decides the back-off and the camera's state.
    """

    def __init__(self, kind: LossKind, message: str) -> None:
        super().__init__(message)
        self.kind: LossKind = kind


class SourceLostError(StreamerError):
    """A source that was open stopped delivering (reset, read time-out, device unplugged).

    Attributes:
        kind: the class of failure.
    """

    def __init__(self, kind: LossKind, message: str) -> None:
        super().__init__(message)
        self.kind: LossKind = kind


class RingError(StreamerError):
    """The shared memory of a ring cannot be had or does not look as expected."""


class WindowOverwrittenError(RingError):
    """The window that was asked for has been (partly) overwritten by newer frames."""


class LinkError(StreamerError):
    """The other end of a process link sent something that is not a message, or is gone."""
