"""Claims about pipeline.sinks.log: one structured line an event."""

from __future__ import annotations

import structlog
from structlog.testing import capture_logs

from pipeline.sinks.log import LogSink
from tests.pipeline.factories import event


async def test_an_event_is_one_line_with_its_facts() -> None:
    """Who, what, since when, how sure, how fast; what is not known yet is left out."""
    structlog.reset_defaults()
    with capture_logs() as lines:
        async with LogSink() as sink:
            await sink.deliver(event("start"))
            await sink.deliver(event("end"))
    start, end = lines
    assert start["event"] == "event"
    assert (start["camera"], start["label"], start["phase"]) == ("door", "motion", "start")
    assert start["capture_to_decision_s"] == 0.31
    assert "ended_by" not in start
    assert (end["phase"], end["ended_by"], end["ended_s"]) == ("end", "quiet", 6.0)
