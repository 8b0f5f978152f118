"""Claims about pipeline.sinks.stdout: one JSON object a line, at once."""

from __future__ import annotations

import contextlib
import io
import json
import os

import pytest

from pipeline.errors import SinkError
from pipeline.sinks.stdout import StdoutSink
from tests.records import event


async def test_each_event_is_one_line_of_json() -> None:
    """Two events, two lines, the ids in order."""
    stream = io.StringIO()
    async with StdoutSink(stream) as sink:
        await sink.deliver(event(event_id="a"))
        await sink.deliver(event(event_id="b", label='quo"te\nline'))
    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [record["event_id"] for record in records] == ["a", "b"]
    assert records[1]["label"] == 'quo"te\nline'


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


async def test_a_closed_pipe_is_a_sink_error() -> None:
    """The reader of a pipe may leave; the pipeline goes on."""
    async with StdoutSink(Broken()) as sink:
        with pytest.raises(SinkError, match="Broken pipe"):
            await sink.deliver(event())


async def test_a_pipe_that_nobody_reads_does_not_hold_the_event_loop() -> None:
    """A full pipe refuses the event instead of blocking everything else."""
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "w") as stream:
            os.set_blocking(writing, False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(writing, b"x" * 4096)
            os.set_blocking(writing, True)
            async with StdoutSink(stream) as sink:
                with pytest.raises(SinkError, match="nobody reads"):
                    await sink.deliver(event())
    finally:
        os.close(reading)
