"""Every exception of libav and of the system has one meaning and one safe sentence."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import av
import pytest

from streamer.errors import SourceLostError, SourceOpenError
from streamer.libav import Subject, loss_error, open_error

CAMERA = Subject("camera rtsp://***@door/x", is_live=True)
SECURE = Subject("camera rtsps://***@door/x", is_live=True, is_tls=True)
FILE = Subject("file clip.mp4", is_live=False)
WEBCAM = Subject("webcam /dev/video0", is_live=True, is_device=True)


def foreign(name: str, code: int = 1) -> BaseException:
    """Return an exception as PyAV makes it: with the full address in its text (M6)."""
    error = getattr(av.error, name)(code, "text of libav", "rtsp://me:pass-word-1@door/x")
    assert isinstance(error, BaseException)
    return error


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("HTTPUnauthorizedError", "auth"),
        ("HTTPForbiddenError", "auth"),
        ("HTTPNotFoundError", "not_found"),
        ("HTTPTooManyRequestsError", "server"),
        ("HTTPBadRequestError", "server"),
        ("HTTPOtherClientError", "server"),
        ("HTTPServerError", "server"),
        ("ConnectionRefusedError", "refused"),
        ("TimeoutError", "timeout"),
        ("ExitError", "timeout"),
        ("InvalidDataError", "timeout"),
        ("DecoderNotFoundError", "codec"),
        ("DemuxerNotFoundError", "codec"),
        ("PatchWelcomeError", "codec"),
        ("ProtocolNotFoundError", "rejected"),
        ("UnknownError", "error"),
        ("ExternalError", "error"),
        ("BugError", "error"),
    ],
)
def test_a_failure_to_open_a_camera_has_its_kind(name: str, kind: str) -> None:
    """The kind decides state and back-off; the sentence names the camera and never its password."""
    error = open_error(foreign(name), CAMERA)
    assert isinstance(error, SourceOpenError)
    assert error.kind == kind
    assert str(error).startswith("camera rtsp://***@door/x ")
    assert "pass-word-1" not in str(error)
    assert "text of libav" not in str(error)


def test_every_error_class_of_this_libav_is_translated() -> None:
    """A newer libav may add classes; none may reach the reader as itself."""
    names = [name for name in dir(av.error) if name.endswith("Error")]
    assert len(names) > 40
    for name in names:
        for subject in (CAMERA, SECURE, FILE, WEBCAM):
            assert str(open_error(foreign(name), subject)).startswith(subject.name)
            assert str(loss_error(foreign(name), subject)).startswith(subject.name)


@pytest.mark.parametrize(
    ("number", "subject", "kind"),
    [
        (errno.ENODEV, WEBCAM, "unplugged"),
        (errno.ENXIO, WEBCAM, "unplugged"),
        (errno.EBUSY, WEBCAM, "busy"),
        (errno.ENOTTY, WEBCAM, "rejected"),
        (errno.EACCES, WEBCAM, "permission"),
        (errno.EPERM, FILE, "permission"),
        (errno.EISDIR, FILE, "rejected"),
        (errno.ENOENT, FILE, "not_found"),
        (errno.ENOTDIR, FILE, "not_found"),
        (errno.EMFILE, CAMERA, "error"),
        (errno.EHOSTUNREACH, CAMERA, "refused"),
        (errno.ENETUNREACH, CAMERA, "refused"),
        (errno.ETIMEDOUT, CAMERA, "timeout"),
        (errno.ECONNRESET, CAMERA, "error"),
        (errno.EPIPE, CAMERA, "error"),
        (errno.EPROTONOSUPPORT, CAMERA, "server"),
        (errno.EIO, CAMERA, "dns"),
        (errno.EIO, SECURE, "tls"),
        (errno.EIO, FILE, "error"),
        (errno.EXDEV, FILE, "error"),
    ],
)
def test_an_error_number_has_its_kind(number: int, subject: Subject, kind: str) -> None:
    """The same whether PyAV or Python raised it."""
    text = os.strerror(number)
    assert open_error(OSError(number, text), subject).kind == kind
    with pytest.raises(av.error.FFmpegError) as raised:
        av.error.err_check(-number)
    assert open_error(raised.value, subject).kind == kind


@pytest.mark.parametrize(
    ("error", "subject", "kind"),
    [
        (foreign("TimeoutError"), CAMERA, "timeout"),
        (foreign("ExitError"), CAMERA, "timeout"),
        (foreign("InvalidDataError"), CAMERA, "codec"),
        (foreign("InvalidDataError"), FILE, "codec"),
        (OSError(errno.ENODEV, "No such device"), WEBCAM, "unplugged"),
        (OSError(errno.EIO, "Input/output error"), CAMERA, "error"),
        (OSError(errno.ECONNRESET, "reset"), CAMERA, "error"),
    ],
)
def test_a_loss_while_reading_has_its_kind(
    error: BaseException, subject: Subject, kind: str
) -> None:
    """Once a source was open, unreadable data is no late answer any more."""
    loss = loss_error(error, subject)
    assert isinstance(loss, SourceLostError)
    assert loss.kind == kind


def test_invalid_data_means_late_for_a_camera_and_damaged_for_a_file() -> None:
    """A camera that accepts and stays silent is invalid data to libav (1a)."""
    assert open_error(foreign("InvalidDataError"), CAMERA).kind == "timeout"
    assert open_error(foreign("InvalidDataError"), FILE).kind == "codec"


def test_a_refused_setting_is_the_users_to_change_on_devices_only() -> None:
    """For a file the same error is a container that is not allowed."""
    assert open_error(foreign("ArgumentError"), WEBCAM).kind == "rejected"
    assert open_error(foreign("ArgumentError"), FILE).kind == "codec"


def test_errors_of_our_own_pass_unchanged() -> None:
    """Nothing is translated twice."""
    ours, lost = SourceOpenError("codec", "x"), SourceLostError("codec", "y")
    assert open_error(ours, FILE) is ours
    assert loss_error(lost, FILE) is lost


def test_a_path_in_a_message_is_the_users_own(tmp_path: Path) -> None:
    """People recognise the file by what they typed."""
    error = open_error(FileNotFoundError(errno.ENOENT, "x"), Subject(f"file {tmp_path}", False))
    assert str(error) == f"file {tmp_path} does not exist; check the path"
