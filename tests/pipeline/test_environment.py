"""${NAME} in configuration text, and what becomes of the secrets."""

from __future__ import annotations

import pytest

from pipeline.environment import substitute
from streamer.config import Url
from streamer.redact import redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain $A {A} $", "plain $A {A} $"),
        ("${A}${A}", "11"),
        ("${NO:-else}", "else"),
        ("${NO:-}", ""),
        ("${EMPTY:-else}", "else"),
        ("${A:-else}", "1"),
        ("$${A} and ${A}", "${A} and 1"),
        ("${NESTED}", "${A}"),
    ],
)
def test_placeholders_are_filled_in_once(text: str, expected: str) -> None:
    """Defaults count for unset and empty variables; a value is not looked at again."""
    assert substitute(text, {"A": "1", "EMPTY": "", "NESTED": "${A}"}) == expected


@pytest.mark.parametrize("text", ["${}", "${A B}", "${1}", "${A", "${A:=x}", "x ${-}"])
def test_a_broken_placeholder_is_refused(text: str) -> None:
    """Whatever is neither ${NAME} nor ${NAME:-default} is an error, not silent text."""
    with pytest.raises(ValueError, match=r"broken \$\{\.\.\.\}; write \$\{NAME\}"):
        substitute(text, {"A": "1"})


def test_an_unset_variable_is_named() -> None:
    """The message names the variable and the way to give a default."""
    with pytest.raises(
        ValueError, match=r"variable NO is not set; set it or write \$\{NO:-default\}"
    ):
        substitute("a${NO}", {})


@pytest.mark.parametrize(
    "password",
    [
        "p@ss-w0rd-1",
        "sl/ash-2",
        "qu?ry-3#x",
        "per%cent-4",
        "bl nk-5",
        "col:on-6",
        "pl%40in-7",
        "ümläut-8",
    ],
)
def test_any_password_fits_into_an_address_and_is_never_shown(password: str) -> None:
    """It is percent-encoded where it would end the user part, and hidden in every spelling."""
    address = substitute("rtsp://viewer:${PW}@10.0.0.7:554/live", {"PW": password})
    url = Url(address)
    assert str(url) == "rtsp://***@10.0.0.7:554/live"
    assert address.endswith("@10.0.0.7:554/live")
    assert address.count("@") == 1
    for text in (address, f"failed with {password}", url.reveal().split("@", maxsplit=1)[0]):
        assert password not in redact(text)


def test_a_token_in_path_or_query_is_hidden_and_a_host_is_not() -> None:
    """What stands behind the host may be a secret; the host itself helps to read a message."""
    environment = {"HOST": "camera-7.example", "TOKEN": "t0ken-in-path", "KEY": "k3y-in-query"}
    substitute("http://${HOST}/live/${TOKEN}?x=${KEY}", environment)
    shown = redact("camera-7.example said t0ken-in-path k3y-in-query")
    assert shown == "camera-7.example said *** ***"


def test_a_whole_address_from_a_variable_hides_its_own_secrets() -> None:
    """${CAMERA_URL} is treated like an address that stands in the file."""
    address = substitute("${CAMERA}", {"CAMERA": "rtsp://viewer:wh0le-secret@h/x"})
    assert address == "rtsp://viewer:wh0le-secret@h/x"
    assert redact("wh0le-secret") == "***"


def test_values_outside_addresses_stay_readable() -> None:
    """A port or a name from the environment does not vanish from messages."""
    assert substitute("${NAME}", {"NAME": "front-entrance"}) == "front-entrance"
    assert redact("front-entrance") == "front-entrance"


def test_an_address_without_scheme_is_learned_all_the_same() -> None:
    """The commonest slip must not be the one that leaks."""
    substitute("viewer:f0rgotten-scheme@10.0.0.8/x", {})
    assert redact("cannot open f0rgotten-scheme") == "cannot open ***"
