"""Claims about pipeline.log: one line a record, no secrets, no terminal tricks, no flood."""

from __future__ import annotations

import base64
import io
import json
import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.log import BURST, MAX_BYTES, configure, escape
from streamer.redact import redact

if TYPE_CHECKING:
    from tests.conftest import FakeClock

PASSWORD = "pa$$ w\"ö\\rd=1'23"
URL = f"rtsp://admin:{quote(PASSWORD, safe='')}@cam.local:554/stream?token=tok3nvalue"
HOSTILE = (
    "first\r\nlevel=error event=forged\x1b[2J\x1b]0;title\x07\u202egpj\u2028\x85\x9b31m\x7f\x00"
)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def lines_of(stream: io.StringIO) -> list[str]:
    text = stream.getvalue()
    assert not text or text.endswith("\n")
    return text.split("\n")[:-1]


def spellings(secret: str) -> list[str]:
    pair = base64.b64encode(f"admin:{secret}".encode()).decode()
    return [secret, quote(secret, safe=""), pair, repr(secret)[1:-1], json.dumps(secret)[1:-1]]


def refuse() -> None:
    raise OSError(f"401 for {URL}")


def fail() -> None:
    try:
        refuse()
    except OSError as err:
        raise RuntimeError(f"password {PASSWORD} refused") from err


@pytest.mark.parametrize("is_json", [False, True])
def test_no_secret_passes_in_messages_values_or_tracebacks(
    stream: io.StringIO, clock: FakeClock, is_json: bool
) -> None:
    """Not in structlog's records, nor in foreign ones, nor through quoting of the renderer."""
    redact.remember_url(URL)
    configure("debug", stream, is_json=is_json, clock=clock)
    camera = structlog.get_logger("camera")
    camera.info("opening", url=URL, nested={"url": URL}, n=1)
    camera.warning(f"cannot open {URL} with {PASSWORD}")
    header = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
    logging.getLogger("uvicorn.error").warning("Authorization: Basic %s", header)
    try:
        fail()
    except RuntimeError:
        camera.exception("failed")
        logging.getLogger("asyncio").exception("task failed: %s", URL)
    logging.getLogger("x").info("stack of %s", PASSWORD, stack_info=True)
    assert len(lines_of(stream)) == 6
    for spelling in [*spellings(PASSWORD), "tok3nvalue"]:
        assert spelling not in stream.getvalue()
    assert "cam.local:554/stream" in stream.getvalue()
    assert "RuntimeError" in stream.getvalue()


def test_a_secret_number_is_hidden_too(stream: io.StringIO, clock: FakeClock) -> None:
    """A PIN logged as a number is a PIN."""
    redact.remember(["48151623"])
    configure("info", stream, clock=clock)
    structlog.get_logger("a").info("x", pin=48151623, other=4815)
    assert "48151623" not in stream.getvalue()
    assert "other=4815" in stream.getvalue()


@pytest.mark.parametrize("is_json", [False, True])
def test_hostile_text_stays_one_harmless_line(
    stream: io.StringIO, clock: FakeClock, is_json: bool
) -> None:
    """Line breaks, terminal sequences and direction marks arrive as escapes (S15)."""
    configure("info", stream, is_json=is_json, clock=clock)
    structlog.get_logger("camera").info(HOSTILE, banner=HOSTILE, **{"key\nwith=break": "v"})
    logging.getLogger("foreign").info("%s", HOSTILE)
    lines = lines_of(stream)
    assert len(lines) == 2
    for line in lines:
        assert line.isprintable()
        if is_json:
            assert json.loads(line)["event"] == HOSTILE


@given(st.text())
def test_escaped_text_is_printable_and_unchanged_where_it_was(text: str) -> None:
    """Whatever comes in."""
    assert escape(text).isprintable()
    if text.isprintable():
        assert escape(text) == text
    assert escape(escape(text)) == escape(text)


@pytest.mark.parametrize("is_json", [False, True])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    n=st.integers(0, 20000), n_fields=st.integers(0, 300), text=st.sampled_from(["x", "ö", "\n"])
)
def test_a_line_is_at_most_4_kib_and_still_parses(
    clock: FakeClock, is_json: bool, n: int, n_fields: int, text: str
) -> None:
    """Long values lose their ends, too many fields are dropped; the stamps stay."""
    stream = io.StringIO()
    configure("info", stream, is_json=is_json, clock=clock)
    clock.tick(10)
    fields = {f"field{k}": k for k in range(n_fields)}
    structlog.get_logger("camera").info("told", value=text * n, **fields)
    (line,) = lines_of(stream)
    assert len(line.encode()) <= MAX_BYTES
    if is_json:
        record = json.loads(line)
        assert (record["event"], record["level"], record["logger"]) == ("told", "info", "camera")
    else:
        assert line.startswith("timestamp=")
        assert "level=info logger=camera event=told" in line


def test_a_secret_cut_by_the_length_limit_is_hidden_whole(
    stream: io.StringIO, clock: FakeClock
) -> None:
    """Redaction comes before cutting."""
    redact.remember_url(URL)
    configure("info", stream, clock=clock)
    for offset in range(0, 60, 7):
        clock.tick(1)
        structlog.get_logger("a").info("x" * (MAX_BYTES - 200 - offset) + PASSWORD * 20)
    assert PASSWORD[:6] not in stream.getvalue()


def test_the_same_message_passes_20_times_then_is_suppressed_and_counted(
    stream: io.StringIO, clock: FakeClock
) -> None:
    """A flood says once that it is one, and at its end how much was kept back."""
    configure("info", stream, clock=clock)
    log = structlog.get_logger("camera")
    for n in range(100):
        log.info("late", n=n)
    log.info("other")
    lines = lines_of(stream)
    assert len(lines) == BURST + 2
    assert "suppressed: more than 20 a second: late" in lines[-2]
    clock.tick(1)
    log.info("late", n=100)
    assert "n_suppressed=80" in lines_of(stream)[-1]
    log.info("late", n=101)
    assert "n_suppressed" not in lines_of(stream)[-1]


def test_foreign_messages_are_limited_by_their_template(
    stream: io.StringIO, clock: FakeClock
) -> None:
    """Different values do not make a flood a different message."""
    configure("info", stream, clock=clock)
    for n in range(100):
        logging.getLogger("foreign").warning("packet %d lost", n)
    assert len(lines_of(stream)) == BURST + 1


def test_ever_new_messages_do_not_grow_memory(stream: io.StringIO, clock: FakeClock) -> None:
    """The book of messages is bounded."""
    handler = configure("info", stream, clock=clock)
    for n in range(2000):
        structlog.get_logger("camera").info(f"message {n}")
    (limit,) = handler.filters
    assert len(limit._buckets) <= 512  # type: ignore[union-attr] # our own filter


def test_the_level_holds_for_both_libraries(stream: io.StringIO, clock: FakeClock) -> None:
    """warning silences info everywhere."""
    configure("warning", stream, clock=clock)
    structlog.get_logger("a").info("no")
    logging.getLogger("b").info("no")
    structlog.get_logger("a").warning("yes")
    assert [line.partition(" ")[2] for line in lines_of(stream)] == [
        "level=warning logger=a event=yes"
    ]


def test_configuring_twice_writes_once(stream: io.StringIO, clock: FakeClock) -> None:
    """The second call replaces the first."""
    configure("info", stream, clock=clock)
    configure("info", stream, clock=clock)
    logging.getLogger("a").info("once")
    assert len(lines_of(stream)) == 1


def test_a_record_that_cannot_be_written_is_named_without_its_message(
    stream: io.StringIO, clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """The library's own complaint would print the raw message with its secrets."""
    handler = configure("info", stream, clock=clock)
    logging.getLogger().handlers[:] = [handler]  # pytest's own would fail the test
    logging.getLogger("a").info("wrong %d arguments", URL)
    assert lines_of(stream) == ['level=error event="a record of a is unwritable"']
    stream.close()
    logging.getLogger("a").info("to %s", URL)
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_stops_reading_never_stops_the_loop(clock: FakeClock) -> None:
    """Records are dropped while the pipe is full; the first one after that says how many."""
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb", buffering=0) as reader, os.fdopen(write_end, "w") as writer:
        configure("info", writer, clock=clock)
        for n in range(200):
            clock.tick(1)
            logging.getLogger("a").info("%s", f"{n} " + "x" * 1000)
        n_read = len(reader.read(1_000_000).splitlines())
        logging.getLogger("a").info("here again")
        assert f"n_lost={200 - n_read}" in reader.read(1_000_000).decode()
    assert 0 < n_read < 200


def test_standard_error_is_found_when_it_is_needed(
    clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """A live table redirects it after logging was configured."""
    import sys

    configure("info", clock=clock)
    redirected, before = io.StringIO(), sys.stderr
    sys.stderr = redirected
    try:
        logging.getLogger("a").info("here")
    finally:
        sys.stderr = before
    assert "event=here" in redirected.getvalue()
    assert capsys.readouterr().err == ""
