"""The log: one line a record on stderr, structured, without secrets.

In: records of structlog and of the standard library (ours, uvicorn's, asyncio's). Out: `key=value`
or JSON lines. Invariants: one record is one line of at most 4 KiB, control characters are escaped,
and no remembered secret or URL credential passes, neither in messages nor in tracebacks.
"""

from __future__ import annotations

import contextlib
import logging
import re
import select
import sys
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, TextIO

import structlog

from streamer.clock import Clock, SystemClock
from streamer.redact import redact

MAX_BYTES = 4095
"""Longest line, without its newline: with it, a pipe takes it whole or not at all."""

BURST = 20
"""Records with the same message that pass at once, and per second after that."""

Fields = MutableMapping[str, Any]

_MAX_KEYS = 512
_SHORT = 64
_STAMPS = ("timestamp", "level", "logger", "event")
_KEY = re.compile(r"[^A-Za-z0-9_.]")


def is_writable(stream: TextIO) -> bool:
    """Tell whether writing up to 4 KiB now would return at once.

    A pipe nobody reads and a stopped terminal (Ctrl-S) would hold the whole event loop.
    """
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return True  # no descriptor, nothing to wait for
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))


def configure(
    level: str = "info",
    stream: TextIO | None = None,
    *,
    is_json: bool = False,
    clock: Clock | None = None,
) -> logging.Handler:
    """Send all logging of this process to one stream; a second call replaces the first.

    Args:
        level: lowest level that is written: debug, info, warning, error.
        stream: where to; standard error where absent.
        is_json: JSON objects instead of key=value.
        clock: time of the rate limit.

    Returns:
        the handler, for tests and for those who want it removed again.
    """
    stamps: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *stamps,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = _Handler(stream)
    handler.addFilter(_RateLimit(clock or SystemClock()))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=stamps,
            processors=[
                _suppressed,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _clean,
                _Line(is_json=is_json),
            ],
        )
    )
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    return handler


class _Handler(logging.StreamHandler[TextIO]):
    """Our handler; of a record it cannot write it says so, and no more.

    The standard library would print a traceback with the raw, unredacted message.

    Args:
        stream: where to; None is whatever sys.stderr is at that moment (a live table redirects it).
    """

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__(stream or sys.stderr)
        self._is_fixed = stream is not None
        self._n_lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, or drop it rather than wait; the next one tells how many."""
        if not self._is_fixed:
            self.stream = sys.stderr
        if not is_writable(self.stream):
            self._n_lost += 1
            return
        if self._n_lost:
            record.__dict__["n_lost"], self._n_lost = self._n_lost, 0
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Say whose record is missing, if that can be written."""
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(f'level=error event="a record of {record.name} is unwritable"\n')


class _Line:
    """Renders the fields as one line of at most `MAX_BYTES`.

    Too long a line loses the ends of its longest fields, so that it still parses.
    """

    def __init__(self, *, is_json: bool) -> None:
        self._render: Callable[[Any, str, Fields], str | bytes] = (
            structlog.processors.JSONRenderer()
            if is_json
            else structlog.processors.LogfmtRenderer(
                key_order=_STAMPS, drop_missing=True, bool_as_flag=False
            )
        )

    def __call__(self, logger: Any, method: str, fields: Fields) -> str:
        line = ""
        while not line or (len(line.encode()) > MAX_BYTES and _shorten(fields)):
            line = escape(str(self._render(logger, method, dict(fields))))
        return line


def _shorten(fields: Fields) -> bool:
    """Halve the longest text, or drop a field where all are short; False when that is no help."""
    name = max(fields, key=lambda key: len(str(fields[key])))
    text = str(fields[name])
    if len(text) > _SHORT:
        fields[name] = text[: len(text) // 2] + "..."
        return True
    extra = next((key for key in fields if key not in _STAMPS), None)
    if extra is not None:
        del fields[extra]
    return extra is not None


def _clean(logger: Any, method: str, fields: Fields) -> Fields:  # noqa: ARG001 - processor
    """Redact names and values while they are still plain text: rendering changes how they look."""
    return {_KEY.sub("_", redact(str(key)))[:_SHORT]: _plain(v) for key, v in fields.items()}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    text = str(value)
    shown = redact(text)
    if isinstance(value, int | float) and shown == text:
        return value
    return shown[:MAX_BYTES]


def _suppressed(logger: Any, method: str, fields: Fields) -> Fields:  # noqa: ARG001 - processor
    """Say what the rate limit kept back, and what could not be written."""
    facts = fields["_record"].__dict__
    if facts.get("is_suppressed"):
        return {**fields, "event": f"suppressed: more than {BURST} a second: {fields['event']}"}
    told = {name: facts[name] for name in ("n_suppressed", "n_lost") if facts.get(name)}
    return {**fields, **told}


def escape(text: str) -> str:
    """Return `text` with every character that is not printable (or moves the cursor) escaped."""
    return text if text.isprintable() else "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    # The four-digit form is an escape in JSON, too.
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@dataclass(slots=True)
class _Bucket:
    """What one message may still say."""

    tokens: float
    filled_at: float
    n_suppressed: int = 0


class _RateLimit(logging.Filter):
    """Lets 20 records a second of each message pass and says how many it kept back."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._buckets: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Decide on one record; mark the first that is held back and the first after that."""
        now = self._clock.now()
        bucket = self._bucket((record.name, _message(record)), now)
        bucket.tokens = min(BURST, bucket.tokens + (now - bucket.filled_at) * BURST)
        bucket.filled_at = now
        if bucket.tokens >= 1:
            bucket.tokens -= 1
            record.__dict__["n_suppressed"], bucket.n_suppressed = bucket.n_suppressed, 0
            return True
        bucket.n_suppressed += 1
        record.__dict__["is_suppressed"] = True
        record.is_suppressed = True
        return bucket.n_suppressed == 1

    def _bucket(self, key: tuple[str, str], now: float) -> _Bucket:
        bucket = self._buckets.pop(key, None) or _Bucket(BURST, now)
        self._buckets[key] = bucket
        if len(self._buckets) > _MAX_KEYS:
            self._buckets.popitem(last=False)
        return bucket


def _message(record: logging.LogRecord) -> str:
    """Return the message without its values: structlog's event, the standard library's template."""
    message = record.msg
    return str(message.get("event", "")) if isinstance(message, dict) else str(message)
