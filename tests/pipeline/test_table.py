"""Claims about pipeline.table: everything a user looks for, as text, on any terminal or none."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from pipeline.records import Nuisance, Suppressed
from pipeline.status import StatusBoard
from pipeline.table import StatusTable, Terminal, live_view, plain_line, print_summary
from streamer.notes import Counters
from tests.pipeline.factories import event, frame_note, opened, prediction, ready

if TYPE_CHECKING:
    from tests.conftest import FakeClock

HOSTILE = "[red]bold[/red]\x1b[2J\r\nforged"


@pytest.fixture
def board(clock: FakeClock) -> StatusBoard:
    board = StatusBoard(clock, "1")
    door = board.add_camera("door", "rtsp://cam/stream")
    door.opened(opened())
    for n in range(1, 11):
        clock.tick(0.1)
        dropped = {"rate_limit": n}
        counters = Counters(decoded=3 * n, used=2 * n, dropped=dropped)
        door.frame_note(frame_note(counters=counters))
    door.set_state("running")
    door.window("submitted")
    door.window("gated")
    door.inference("ok")
    door.prediction(prediction())
    door.event(event("start"))
    board.add_camera("yard", "webcam:0").set_state("backoff", HOSTILE)
    board.worker.ready(ready())
    return board


def console(*, is_terminal: bool = False, width: int = 160) -> Console:
    return Console(file=io.StringIO(), force_terminal=is_terminal, width=width, color_system=None)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_row_shows_what_a_user_looks_for(board: StatusBoard) -> None:
    """State, rates, windows, scores, events, latency, drops; the worker above."""
    output = console()
    output.print(live_view(board.snapshot()))
    text = printed(output)
    row = next(line for line in text.splitlines() if "door" in line)
    for part in ("running", "30.0/10.0", "gated=1 submitted=1", "fall=0.70", "motion=0.80 (1)"):
        assert part in row
    assert "300/300 ms" in row
    assert "rate_limit=10" in row
    assert "worker ready: untrained on tensorflow 2.21, bfloat16, cpu" in text
    assert "untrained: scores mean nothing" in text
    assert "1: 100 ms, 4: 300 ms" in text


@pytest.mark.parametrize("width", [40, 80, 200])
def test_what_cameras_and_servers_say_is_text_and_never_moves_the_cursor(
    board: StatusBoard, width: int
) -> None:
    """No markup, no escape sequence, no line break of theirs; it fits any width."""
    output = console(width=width)
    output.print(live_view(board.snapshot()))
    print_summary(board.summary(), output)
    text = printed(output)
    assert "\x1b" not in text
    assert "\r" not in text
    assert all(len(line) <= width for line in text.splitlines())
    if width == 200:
        assert "[red]bold[/red]\\u001b[2J" in text


def test_lowered_quality_is_told_and_full_quality_is_not(board: StatusBoard) -> None:
    """A user sees why there are fewer windows, in the table, the plain line and the page."""
    assert "too much work" not in plain_line(board.snapshot())
    board.degradation = 2, "level 2 of 4, a window every 32 frames instead of 8"
    status = board.snapshot()
    assert (status.degradation_level, status.degradation) == board.degradation
    output = console()
    output.print(live_view(status))
    for text in (printed(output), plain_line(status)):
        assert "too much work: level 2 of 4, a window every 32 frames" in text


def test_a_nuisance_stands_beside_the_state_and_the_summary_says_what_was_not_told(
    board: StatusBoard,
) -> None:
    """An operator sees that a camera is covered."""
    board.cameras["door"].nuisance(Nuisance("door", "tamper", True, 0.9, ""))
    board.cameras["door"].suppressed(Suppressed("door", "motion", "tamper"))
    output = console()
    output.print(live_view(board.snapshot()))
    print_summary(board.summary(), output)
    assert "running +tamper" in printed(output)
    assert "Events not told: tamper=1" in printed(output)


def test_a_plain_line_is_one_line(board: StatusBoard) -> None:
    """For logs and pipes."""
    line = plain_line(board.snapshot())
    assert line.isprintable()
    assert "door running 30.0 fps, windows 2, events 1, latency 300/300 ms" in line


async def test_without_a_terminal_lines_are_printed(board: StatusBoard) -> None:
    """No control sequences in a file, a line every five seconds, none before there is news."""
    output = console()
    async with StatusTable(board, output) as table:
        assert table._timer is not None
        assert printed(output) == ""
        table._tick()
        table._tick()
    lines = printed(output).splitlines()
    assert len(lines) == 2
    assert all(line.startswith("[1 s] worker ready") for line in lines)


async def test_on_a_terminal_the_table_is_live_and_leaves_it_clean(board: StatusBoard) -> None:
    """Drawn by our loop, without a thread of its own; the cursor comes back."""
    output = console(is_terminal=True)
    before = sys.stderr
    async with StatusTable(board, output) as table:
        table._tick()
        assert "door" in printed(output)
    assert printed(output).rstrip().endswith("\x1b[2K") or "\x1b[?25h" in printed(output)
    assert sys.stderr is before


@pytest.mark.parametrize("is_terminal", [False, True])
async def test_a_terminal_that_is_gone_does_not_stop_the_pipeline(
    board: StatusBoard, is_terminal: bool
) -> None:
    """The table ends, nothing else does."""

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    terminal = Terminal(file=Gone(), force_terminal=is_terminal)
    async with StatusTable(board, terminal) as table:
        table._tick()
        assert terminal.quiet
    print_summary(board.summary(), Terminal(file=Gone()))


@pytest.mark.parametrize("is_terminal", [False, True])
async def test_a_terminal_that_is_stopped_does_not_stop_the_pipeline(
    board: StatusBoard, is_terminal: bool
) -> None:
    """Ctrl-S, or a pipe nobody reads: redraws are left out, also at the end."""
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb"), os.fdopen(write_end, "w") as full:
        terminal = Terminal(file=full, force_terminal=is_terminal)
        async with asyncio.timeout(5), StatusTable(board, terminal) as table:
            fill(write_end)
            table._tick()
        print_summary(board.summary(), Terminal(file=full))


def fill(pipe: int) -> None:
    os.set_blocking(pipe, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe, b"x" * 4096)
    os.set_blocking(pipe, True)


def test_the_summary_has_totals_events_and_latency_by_stage(board: StatusBoard) -> None:
    """What DEMO_S=30 make demo ends with."""
    output = console()
    print_summary(board.summary(), output)
    text = printed(output)
    total = next(line for line in text.splitlines() if line.startswith("  all"))
    for part in ("30", "20", "rate_limit=10", "gated=1 submitted=1", "motion=1"):
        assert part in total
    for stage in ("receive", "ring", "window", "batch_wait", "queue", "infer", "total"):
        assert any(line.startswith(f"  {stage} ") for line in text.splitlines())
    assert "300.0" in text
    assert "Submitted windows: ok=1" in text


def test_a_summary_of_nothing_is_still_a_summary(clock: FakeClock) -> None:
    """Stopped before the first frame."""
    output = console()
    print_summary(StatusBoard(clock).summary(), output)
    assert "Summary of 0.0 s" in printed(output)
