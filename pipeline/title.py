"""What others see of this process: its arguments, as `ps` and `/proc/PID/cmdline` show them.

In: the arguments somebody typed, which may hold an address with a password. Out: the same memory
with the credentials replaced; the program's own copy stays as it is. Linux only: elsewhere the
arguments stay readable, and a configuration file with `${NAME}` is the way to hide them.
Invariant: nothing but the arguments is written, and never past their end.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

from streamer.redact import redact

# Fields 48 and 49 of /proc/self/stat, counted from the third, which follows the command's bracket.
_ARG_START, _ARG_END = 45, 46


def hide_arguments() -> bool:
    """Replace the credentials in the arguments of this process that others can read.

    Returns:
        False where the arguments cannot be changed.
    """
    try:
        shown = Path("/proc/self/cmdline").read_bytes()
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
    except (OSError, ValueError, IndexError):
        return False
    # What does not read back the same is not what we think it is.
    if not start or end - start != len(shown) or ctypes.string_at(start, len(shown)) != shown:
        return False
    hidden = redacted(shown)
    if hidden != shown:
        ctypes.memmove(start, hidden, len(hidden))
    return True


def redacted(arguments: bytes) -> bytes:
    """Return arguments, each ended by a NUL, without credentials and of the same length."""
    texts = arguments.decode(errors="surrogateescape").split("\0")
    hidden = "\0".join(redact(text) for text in texts).encode(errors="surrogateescape")
    return hidden[: len(arguments) - 1].ljust(len(arguments), b"\0")
