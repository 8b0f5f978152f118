"""What libav's exceptions mean: the one place that translates them into this package's errors.

In: an exception of PyAV or of the operating system, and the name of the source as people may read
it. Out: a `SourceOpenError` or `SourceLostError` with its class of failure and one sentence that
says what to do.
Invariant: nothing of the exception's own text is used, because it carries the address with its
password (M6).
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Final

import av
import av.error

from streamer.errors import LossKind, SourceLostError, SourceOpenError
from streamer.redact import redact

FOREIGN: Final = (av.error.FFmpegError, OSError, ValueError, MemoryError)
"""What PyAV raises; its plain ValueErrors are options and formats that it does not know."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The source an error message talks about.

    Attributes:
        name: how people call it, credentials already removed (a path, a device, a redacted
            address).
        is_live: a camera, for which unreadable data while opening means that it did not answer in
            time.
        is_tls: the connection is encrypted, so that an unspecified I/O error is most likely the
            handshake.
        is_device: a driver was asked for a size and a rate, and may refuse them.
    """

    name: str
    is_live: bool
    is_tls: bool = False
    is_device: bool = False


# Most special first: PyAV's classes inherit from each other and from the built-in ones.
_BY_CLASS: Final[tuple[tuple[type[Exception], LossKind, str], ...]] = (
    (
        av.error.HTTPUnauthorizedError,
        "auth",
        "refused the user name or password; check both in its address",
    ),
    (
        av.error.HTTPForbiddenError,
        "auth",
        "forbids this user the stream; check the user's rights on the camera",
    ),
    (
        av.error.HTTPNotFoundError,
        "not_found",
        "knows no stream of this path; check the path of its address",
    ),
    (
        av.error.HTTPTooManyRequestsError,
        "server",
        "asks for fewer requests; fewer clients may help",
    ),
    (
        av.error.HTTPBadRequestError,
        "server",
        "did not understand the request; check path and query",
    ),
    (
        av.error.HTTPClientError,
        "server",
        "rejected the request; it may have too many viewers or not offer this transport",
    ),
    (
        av.error.HTTPServerError,
        "server",
        "reports an error of its own (5xx); see the camera's log or restart it",
    ),
    (
        av.error.ConnectionRefusedError,
        "refused",
        "refuses connections; check that it is on and the port is right",
    ),
    (av.error.TimeoutError, "timeout", "did not answer in time; check address, network and power"),
    (av.error.ExitError, "timeout", "did not answer in time; check address, network and power"),
    (
        av.error.DecoderNotFoundError,
        "codec",
        "uses a codec without decoder here; choose H.264 or H.265",
    ),
    (
        av.error.DemuxerNotFoundError,
        "codec",
        "is of no format that can be read; use MP4, MKV, MPEG-TS or RTSP",
    ),
    (
        av.error.PatchWelcomeError,
        "codec",
        "uses a variant of its codec that cannot be decoded; choose another",
    ),
    (
        av.error.ProtocolNotFoundError,
        "rejected",
        "leads to a protocol that is not allowed; use a direct address",
    ),
)

_BY_ERRNO: Final[dict[int, tuple[LossKind, str]]] = {
    errno.ENOENT: ("not_found", "does not exist; check the path"),
    errno.ENOTDIR: ("not_found", "does not exist; check the path"),
    errno.ENAMETOOLONG: ("not_found", "does not exist; check the path"),
    errno.EMFILE: ("error", "needs more open files than allowed; raise the limit (ulimit -n)"),
    errno.EISDIR: ("rejected", "is a folder; name a file in it"),
    errno.EACCES: (
        "permission",
        "may not be read by this user; change its permissions or the user's groups",
    ),
    errno.EPERM: (
        "permission",
        "may not be read by this user; change its permissions or the user's groups",
    ),
    errno.ENODEV: ("unplugged", "is not there; plug it in"),
    errno.ENXIO: ("unplugged", "is not there; plug it in"),
    errno.EBUSY: ("busy", "is in use by another program; close that program"),
    errno.ENOTTY: ("rejected", "is no video capture device; name another"),
    errno.ECONNREFUSED: (
        "refused",
        "refuses connections; check that it is on and the port is right",
    ),
    errno.EHOSTUNREACH: ("refused", "cannot be reached; check network and address"),
    errno.ENETUNREACH: ("refused", "cannot be reached; check network and address"),
    errno.ETIMEDOUT: ("timeout", "did not answer in time; check address, network and power"),
    errno.ECONNRESET: ("error", "closed the connection; it may be restarting"),
    errno.ECONNABORTED: ("error", "closed the connection; it may be restarting"),
    errno.EPIPE: ("error", "closed the connection; it may be restarting"),
    errno.EIO: ("error", "broke off; check cable, disk and network"),
    errno.ELOOP: ("not_found", "is a link that leads to itself; check the path"),
    errno.EPROTONOSUPPORT: (
        "server",
        "does not offer this transport; set transport to the other of tcp and udp",
    ),
    errno.ENOMEM: ("rejected", "needs more memory than there is; choose a smaller picture"),
}


# A demuxer that is not on our list is an invalid argument to libav.
_NO_VIDEO: Final = (av.error.InvalidDataError, av.error.ArgumentError, EOFError, ValueError)


def open_error(err: BaseException, subject: Subject) -> SourceOpenError:
    """Return what it means that opening `subject` raised `err`."""
    if isinstance(err, SourceOpenError):
        return err
    kind, text = _meaning(err, subject, is_open=False)
    return SourceOpenError(kind, redact(f"{subject.name} {text}"))


def loss_error(err: BaseException, subject: Subject) -> SourceLostError:
    """Return what it means that reading from the open `subject` raised `err`."""
    if isinstance(err, SourceLostError):
        return err
    kind, text = _meaning(err, subject, is_open=True)
    return SourceLostError(kind, redact(f"{subject.name} {text}"))


def _meaning(err: BaseException, subject: Subject, *, is_open: bool) -> tuple[LossKind, str]:
    if is_open and isinstance(err, av.error.TimeoutError | av.error.ExitError):
        return "timeout", "sends no more data; check network and power"
    for error_class, kind, text in _BY_CLASS:
        if isinstance(err, error_class):
            return kind, text
    return _by_number(err, subject, is_open=is_open) or _by_data(err, subject, is_open=is_open)


def _by_number(
    err: BaseException, subject: Subject, *, is_open: bool
) -> tuple[LossKind, str] | None:
    number = err.errno if isinstance(err, OSError) else None
    if number is None:
        return None
    if number == errno.EIO and subject.is_live and not is_open:
        return _io_error_at_open(subject)
    return _BY_ERRNO.get(number)


def _io_error_at_open(subject: Subject) -> tuple[LossKind, str]:
    """A failed name look-up and a failed handshake are both EIO."""
    if subject.is_tls:
        return (
            "tls",
            "could not be reached over TLS; check host name, port and that it speaks TLS there",
        )
    return "dns", "could not be reached: the host name has no address; check it"


def _by_data(err: BaseException, subject: Subject, *, is_open: bool) -> tuple[LossKind, str]:
    if subject.is_device and isinstance(err, av.error.ArgumentError):
        return "rejected", "does not accept the settings asked for; check size and frame rate"
    if not isinstance(err, _NO_VIDEO):
        return "error", f"failed ({type(err).__name__}); it is opened again"
    if subject.is_live and not is_open:
        # A camera that accepts and stays silent is "invalid data" once the time-out fires (1a).
        return "timeout", "sent no readable answer in time; check address, network and power"
    return "codec", "is damaged or holds no video; check that it plays elsewhere"
