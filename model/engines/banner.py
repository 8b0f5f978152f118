"""Imports of native runtimes without the lines they write about themselves.

TensorFlow's libraries write half a dozen lines to file descriptor 2 while they are loaded, before
any setting of theirs counts. In: an import. Out: whatever else was written meanwhile.
Invariant: only lines of a known form are dropped, and if the import fails not even those.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

STDERR = 2
BANNER = re.compile(rb"[IW]\d{4} \d\d:\d\d:|WARNING: All log messages before absl::InitializeLog")
"""How a line begins that is no error: severity, date and time as absl writes them."""


@contextmanager
def without_banner() -> Iterator[None]:
    """Drop what a runtime says of itself on stderr while the body imports it.

    What other threads write meanwhile comes when the body is done.
    """
    if sys.stderr is None:  # closed by whoever started this program
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held, os.fdopen(os.dup(STDERR), "wb") as stderr:
        os.dup2(held.fileno(), STDERR)
        is_loaded = False
        try:
            yield
            is_loaded = True
        finally:
            sys.stderr.flush()
            os.dup2(stderr.fileno(), STDERR)
            held.seek(0)
            stderr.writelines(line for line in held if not (is_loaded and BANNER.match(line)))
