"""What every sink promises, whatever its destination."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.config import JsonlConfig
from pipeline.sinks.base import Sink
from pipeline.sinks.jsonl import JsonlSink
from pipeline.sinks.log import LogSink
from pipeline.sinks.stdout import StdoutSink
from tests.pipeline.factories import event

SINKS: dict[str, Callable[[Path], Sink]] = {
    "log": lambda folder: LogSink(),
    "jsonl": lambda folder: JsonlSink(JsonlConfig(path=folder / "events.jsonl")),
    "stdout": lambda folder: StdoutSink(io.StringIO()),
}


@pytest.fixture(params=list(SINKS))
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> Sink:
    return SINKS[request.param](tmp_path)


async def test_it_takes_every_phase_of_an_event_and_leaves_nothing_behind(sink: Sink) -> None:
    """No thread, file or task outlives it (the leak fixture looks)."""
    async with sink as entered:
        assert entered is sink
        for phase in ("start", "update", "end"):
            await sink.deliver(event(phase))


async def test_its_name_is_a_label_and_known_before_it_is_entered(sink: Sink) -> None:
    """Metrics and logs use it."""
    assert isinstance(sink, Sink)
    assert sink.name.isidentifier()


def test_making_one_touches_nothing(sink: Sink, tmp_path: Path) -> None:
    """Files and connections are taken by entering."""
    assert list(tmp_path.iterdir()) == []


async def test_it_can_be_entered_again(sink: Sink) -> None:
    """A restarted pipeline may use the same one."""
    for _ in range(2):
        async with sink:
            await sink.deliver(event())
