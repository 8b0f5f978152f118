"""What a user may say about cameras, and that no credential shows in any of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from streamer.config import (
    AnySource,
    CaptureConfig,
    FileSource,
    HttpSource,
    ReaderConfig,
    ReconnectConfig,
    RtspSource,
    SourceConfig,
    SyntheticSource,
    Url,
    WebcamSource,
    parse_source,
)
from streamer.redact import redact

ADAPTER: TypeAdapter[AnySource] = TypeAdapter(SourceConfig)
CLEAR = "rtsp://door-user:Canary-Pw-2@door.example/x?token=Canary-Tok-2"
SECRETS = ("Canary-Pw-2", "Canary-Tok-2", "door-user")


# ---- SOURCE strings ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://door/x", RtspSource(url=Url("rtsp://door/x"))),
        ("RTSP://door/x", RtspSource(url=Url("RTSP://door/x"))),
        ("rtsps://door/x", RtspSource(url=Url("rtsps://door/x"))),
        ("http://door/x", HttpSource(url=Url("http://door/x"))),
        ("https://door/x.m3u8", HttpSource(url=Url("https://door/x.m3u8"))),
        ("webcam:0", WebcamSource(device="/dev/video0")),
        ("webcam:12", WebcamSource(device="/dev/video12")),
        ("/dev/video3", WebcamSource(device="/dev/video3")),
        ("synthetic:street", SyntheticSource(name="street")),
        ("clips/door.mp4", FileSource(path=Path("clips/door.mp4"))),
        ("a:b.mp4", FileSource(path=Path("a:b.mp4"))),
        ("/dev/videos/x.mp4", FileSource(path=Path("/dev/videos/x.mp4"))),
    ],
)
def test_a_source_string_names_its_kind(text: str, expected: AnySource) -> None:
    """One word on the command line says what to open."""
    assert ADAPTER.validate_python(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ftp://door/x", "use rtsp://"),
        ("concat:a|b", None),
        ("srt://u:Canary-Pw-2@door/x", "use rtsp://"),
        ("webcam:", "webcam:0"),
        ("webcam:front", "webcam:0"),
        ("", "empty"),
        ("   ", "empty"),
        ("rtsp://", "no usable address"),
        ("rtsp://door:99999/x", "no usable address"),
        ("rtsp://do or/x", "percent-encode"),
    ],
)
def test_a_source_string_that_cannot_be_is_refused_with_a_remedy(
    text: str, words: str | None
) -> None:
    """Schemes that libav would follow (concat, subfile, ftp) are no sources."""
    if words is None:
        # No scheme with "//": it can only ever be a file of that name.
        assert isinstance(ADAPTER.validate_python(text), FileSource)
        return
    with pytest.raises(ValidationError, match=words) as refusal:
        ADAPTER.validate_python(text)
    assert "Canary-Pw-2" not in redact(str(refusal.value.errors(include_input=False)))


def test_loop_and_pace_reach_files_only() -> None:
    """A camera cannot be looped."""
    assert parse_source("x.mp4", loop=True, pace="fast")["loop"] is True
    assert parse_source("synthetic:street", pace="fast")["pace"] == "fast"
    assert "loop" not in parse_source("rtsp://door/x", loop=True)


@given(st.text(max_size=60))
def test_no_string_makes_parsing_fail_in_another_way(text: str) -> None:
    """A sentence or a source, never another exception."""
    try:
        mapping = parse_source(text)
    except ValueError:
        return
    assert mapping["kind"] in ("rtsp", "http", "file", "webcam", "synthetic")


# ---- models --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (RtspSource, {"url": "http:/door"}),
        (RtspSource, {"url": "rtsp://door/x", "transport": "sctp"}),
        (RtspSource, {"url": "rtsp://door/x", "trasport": "tcp"}),
        (FileSource, {"path": "x.mp4", "pace": "slow"}),
        (WebcamSource, {"width": 640}),
        (WebcamSource, {"height": 480}),
        (WebcamSource, {"fps": 0}),
        (SyntheticSource, {"name": "street", "width": 1}),
        (CaptureConfig, {"stall_s": 0.1}),
        (CaptureConfig, {"open_timeout_s": 0}),
        (CaptureConfig, {"max_pixels": 10}),
        (ReconnectConfig, {"cap_s": -1}),
        (ReaderConfig, {"camera": "../x", "source": "x.mp4"}),
        (ReaderConfig, {"camera": "", "source": "x.mp4"}),
        (ReaderConfig, {"camera": "a" * 33, "source": "x.mp4"}),
        (ReaderConfig, {"camera": "door", "source": "x.mp4", "analysis_fps": 0}),
    ],
)
def test_unknown_keys_and_values_out_of_range_are_refused(model: Any, values: Any) -> None:
    """A typing error never means "the default"."""
    with pytest.raises(ValidationError):
        model.model_validate(values)


def test_configuration_cannot_change() -> None:
    """What was validated is what runs."""
    with pytest.raises(ValidationError):
        CaptureConfig().stall_s = 1.0


def test_every_value_has_a_docstring_with_its_meaning() -> None:
    """They become the schema people edit with."""
    for model in (RtspSource, FileSource, WebcamSource, SyntheticSource, CaptureConfig):
        for name, field in model.model_fields.items():
            assert name == "kind" or field.description, f"{model.__name__}.{name}"


def test_the_kind_is_found_by_its_name() -> None:
    """A mapping from a file goes to the model it names."""
    source = ADAPTER.validate_python({"kind": "file", "path": "x.mp4", "loop": True})
    assert source == FileSource(path=Path("x.mp4"), loop=True)
    with pytest.raises(ValidationError, match="kind"):
        ADAPTER.validate_python({"kind": "tape", "path": "x"})


# ---- credentials ---------------------------------------------------------------------------------


def test_no_repr_text_or_json_shows_a_credential() -> None:
    """Of the address itself and of every model around it."""
    config = ReaderConfig.model_validate({"camera": "door", "source": CLEAR})
    source = config.source
    assert isinstance(source, RtspSource)
    shown = (
        *(str(source.url), repr(source.url), f"{source.url}"),
        *(repr(config), str(config), config.model_dump_json(), str(config.model_dump(mode="json"))),
    )
    for text in shown:
        assert "door.example" in text
        assert not any(secret in text for secret in SECRETS)


def test_the_clear_text_travels_to_the_capture_process_only() -> None:
    """`reveal_json` is what the link carries; it comes back as the same configuration."""
    config = ReaderConfig.model_validate({"camera": "door", "source": CLEAR})
    raw = config.reveal_json()
    assert json.loads(raw)["source"]["url"] == CLEAR
    assert ReaderConfig.model_validate_json(raw) == config


def test_a_configured_secret_is_remembered_for_every_log() -> None:
    """Where a library prints it without its address, it is still hidden."""
    Url(CLEAR)
    assert "Canary-Pw-2" not in redact("login with Canary-Pw-2 failed")


def test_a_refused_address_is_not_shown_in_clear() -> None:
    """The sentence names what is wrong, without the password."""
    for clear in ("rtsp://u:Canary-Pw-2@door:99999/x", "rtsp://u:Canary-Pw-2@do or/x"):
        with pytest.raises(ValueError, match=r"door|do or") as refusal:
            Url(clear)
        assert "Canary-Pw-2" not in str(refusal.value)


def test_equal_addresses_are_equal_and_hash_alike() -> None:
    """Models that hold them can be compared at a reload."""
    assert Url("rtsp://door/x") == Url("rtsp://door/x") != Url("rtsp://door/y")
    assert len({Url("rtsp://door/x"), Url("rtsp://door/x")}) == 1
    assert Url("RTSPS://door/x").scheme == "rtsps"
