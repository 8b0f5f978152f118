"""Events as JSON lines on standard output, for pipes and scripts.

In: events. Out: one JSON object a line, flushed at once. Invariant: nothing else is ever written
there.
"""

from __future__ import annotations

import json
from typing import TextIO

from pipeline.errors import SinkError
from pipeline.log import is_writable
from pipeline.records import Event
from pipeline.sinks.base import ReadySink, event_record


class StdoutSink(ReadySink):
    """Writes each event to a text stream.

    Args:
        stream: standard output; not closed here.
    """

    name = "stdout"

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    async def deliver(self, event: Event) -> None:
        """Write one line.

        Raises:
            SinkError: the reader of the pipe is gone.
        """
        if not is_writable(self._stream):
            # Writing would hold the event loop until somebody reads the pipe.
            raise SinkError("nobody reads standard output; the event waits or is lost")
        try:
            self._stream.write(json.dumps(event_record(event), separators=(",", ":")) + "\n")
            self._stream.flush()
        except OSError as err:
            raise SinkError(f"standard output is closed: {err.strerror}") from err
