"""Events in the log: one structured line each.

In: events. Out: a line at level info of logger `event`. Invariant: never fails.
"""

from __future__ import annotations

import structlog

from pipeline.records import Event
from pipeline.sinks.base import ReadySink, event_record

log = structlog.get_logger("event")

_SHOWN = ("event_id", "phase", "camera", "label", "onset_wall", "onset_s", "ended_s", "ended_by")


class LogSink(ReadySink):
    """Writes each event to the log."""

    name = "log"

    async def deliver(self, event: Event) -> None:
        """Write one line; facts that are not there (yet) are left out."""
        record = event_record(event)
        facts = {name: record[name] for name in _SHOWN if record[name] is not None}
        latency_s = record["latency"]["capture_to_decision_s"]
        if latency_s is not None:
            facts["capture_to_decision_s"] = round(latency_s, 3)
        log.info("event", score=round(event.score, 3), peak=round(event.peak, 3), **facts)
