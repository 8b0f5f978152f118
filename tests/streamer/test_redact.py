"""No spelling of a credential survives, and what people need to read does."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.redact import HIDDEN, Redactor, host_of, redact_url, secrets_of

SECRET = "s3cr3t-Pw"

# Address shapes of real cameras that well-known redaction patterns leak (M22), and some more.
SHAPES = [
    f"rtsp://admin:{SECRET}@door/stream",
    f"rtsp://first.last:{SECRET}@door/stream",
    f"rtsp://a%40b:{SECRET}@door/stream",
    f"rtsp://:{SECRET}@door/stream",
    f"rtsp://{SECRET}@door/stream",
    f"rtsp://admin:{SECRET}@door/stream@1",
    f"rtsp://door/stream?usr=admin&pwd={SECRET}",
    f"rtsp://door/stream?token={SECRET}",
    f"rtsp://door/stream?loginuse=admin&loginpas={SECRET}",
    f"rtsp://door/user=admin_password={SECRET}_channel=1_stream=0",
    f"rtsp://door/user=admin&password={SECRET}&channel=1",
    f"srt://door:9000?passphrase={SECRET}&latency=200",
    f"http://door/cgi-bin/video?user=admin;pw={SECRET}",
    f"HTTP://admin:{SECRET}@DOOR/x",
    f"rtsps://admin:{SECRET}@[fd00::1]:322/x",
]
# Here it is a part of a longer password, which as a whole is remembered.
LONGER = [
    f"rtsp://admin:x@y:{SECRET}@door/stream",
    f"rtsp://admin:{SECRET}/x@door:554/stream",
]


@pytest.mark.parametrize("url", SHAPES + LONGER)
def test_an_address_is_shown_without_its_secrets(url: str) -> None:
    """By structure alone: nothing was configured before."""
    shown = redact_url(url)
    assert SECRET not in shown
    assert HIDDEN in shown
    assert redact_url(shown) == shown


@pytest.mark.parametrize("url", SHAPES + LONGER)
def test_an_address_within_a_text_is_found(url: str) -> None:
    """As libav and tracebacks print it: quoted, in the middle, several times."""
    text = f"[Errno 1] 401 Unauthorized: '{url}' while opening \"{url}\"\n{url}"
    assert SECRET not in Redactor()(text)


@pytest.mark.parametrize("url", SHAPES)
def test_a_known_secret_is_found_in_every_spelling(url: str) -> None:
    """Alone, percent-encoded, and as HTTP Basic would send it."""
    redactor = Redactor()
    redactor.remember_url(url)
    assert SECRET not in redactor(f"password is {SECRET}.")
    assert quote(SECRET, safe="") not in redactor(f"pw={quote(SECRET, safe='')}")


def test_http_basic_of_the_pair_is_a_secret() -> None:
    """A header in a debug log shows user and password as base64."""
    redactor = Redactor()
    redactor.remember_url("rtsp://ad%20min:p%40ss-word@door/x")
    for pair in ("ad%20min:p%40ss-word", "ad min:p@ss-word"):
        header = base64.b64encode(pair.encode()).decode()
        assert header not in redactor(f"Authorization: Basic {header}")
    assert "p@ss-word" not in redactor("decoded p@ss-word")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://door.example:8554/stream/1", "rtsp://door.example:8554/stream/1"),
        ("rtsp://u:p@10.0.0.2/x", "rtsp://***@10.0.0.2/x"),
        ("rtsp://10.0.0.2/x?channel=1&sub=2", "rtsp://10.0.0.2/x?channel=***&sub=***"),
        ("clips/door.mp4", "clips/door.mp4"),
        ("", ""),
    ],
)
def test_host_port_and_path_stay_readable(url: str, shown: str) -> None:
    """Otherwise nobody knows which camera it is."""
    assert redact_url(url) == shown


def test_short_values_are_not_replaced_everywhere() -> None:
    """A password "1" must not make every number a star; its address is hidden all the same."""
    redactor = Redactor()
    redactor.remember_url("rtsp://u:1@door/x")
    assert redactor("1 of 11 frames") == "1 of 11 frames"
    assert redactor("rtsp://u:1@door/x") == "rtsp://***@door/x"


def test_the_longest_secret_is_replaced_first() -> None:
    """A secret that contains another one leaves no rest."""
    assert Redactor(["pass", "password-long"])("password-long") == HIDDEN


@given(st.text(max_size=200))
def test_redacting_never_fails_and_twice_is_as_once(text: str) -> None:
    """Whatever libraries print."""
    redactor = Redactor([SECRET])
    once = redactor(text)
    assert redactor(once) == once
    assert SECRET not in once
    redact_url(text)
    secrets_of(text)


@given(
    user=st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8),
    password=st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=6),
)
def test_an_encoded_password_never_shows(user: str, password: str) -> None:
    """Any password, percent-encoded as it should be, in clear or encoded."""
    url = f"rtsp://{user}:{quote(password, safe='')}@door/x"
    redactor = Redactor()
    redactor.remember_url(url)
    assert redactor(url) == "rtsp://***@door/x"
    assert quote(password, safe="") not in redactor(f"<{quote(password, safe='')}>")
    if password.strip("*"):
        assert password not in redactor(f"<{password}>")


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("rtsp://door/x", "door", None),
        ("rtsp://door:8554/x", "door", 8554),
        ("rtsp://u:p@door:8554/x", "door", 8554),
        ("rtsp://u:p@q@door/x", "door", None),
        ("rtsp://u:p/w@door/x", "door", None),
        ("rtsp://door/cam@1", "door", None),
        ("rtsp://u:p@door/cam@1", "door", None),
        ("rtsp://u:p@door/x?mail=a@b", "door", None),
        ("rtsp://door?x=a@b", "door", None),
        ("rtsp://[fd00::1]:322/x", "fd00::1", 322),
        ("rtsp://[fd00::1]/x", "fd00::1", None),
        ("http://door", "door", None),
    ],
)
def test_the_host_is_found_in_every_shape(url: str, host: str, port: int | None) -> None:
    """It is what gets resolved; an @ in a password, path or query must not move it."""
    assert host_of(url) == (host, port)


@pytest.mark.parametrize("url", ["rtsp://", "rtsp:///x", "rtsp://u:p@/x", "rtsp://door:99999/x"])
def test_an_address_without_usable_host_is_refused(url: str) -> None:
    """As a ValueError, which the configuration turns into a sentence."""
    with pytest.raises(ValueError, match=r"."):
        host_of(url)
