"""What others see of this process: its arguments, as `ps` and `/proc/PID/cmdline` show them.

In: the arguments somebody typed, which may hold an address with a password. Out: the same title
without the credentials; the program's own copy of the arguments stays as it is.
Invariant: a command line without credentials is left alone.
"""

from __future__ import annotations

import setproctitle

from streamer.redact import redact


def hide_arguments() -> None:
    """Replace the credentials in the arguments of this process that others can read."""
    shown = setproctitle.getproctitle()
    hidden = redact(shown)
    if hidden != shown:
        setproctitle.setproctitle(hidden)
