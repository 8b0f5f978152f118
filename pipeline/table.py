"""The live table in the terminal, plain lines where there is none, and the closing summary.

In: snapshots of the status. Out: text on one console. Invariant: what a camera, a file or a server
said is printed as text, never as markup, and never moves the cursor.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self, TextIO, cast

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline.log import escape, is_writable
from pipeline.report import CameraReport, Status, Summary, WorkerReport
from pipeline.status import StatusBoard
from streamer.notes import CameraState

LIVE_HZ = 4
"""Redraws a second on a terminal."""

PLAIN_S = 5.0
"""Seconds between two lines where output goes to a file or pipe."""

_STYLES: Mapping[CameraState, str] = {
    "running": "green",
    "warming": "cyan",
    "connecting": "cyan",
    "ended": "dim",
    "backoff": "yellow",
    "black": "yellow",
    "frozen": "yellow",
}


class Terminal(Console):
    """A console whose reader may go away; rich would end the process for that."""

    def on_broken_pipe(self) -> None:
        """Print nothing any more, also not what the interpreter flushes at its end."""
        self.quiet = True
        if self.file is sys.stdout:
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a name, not a path of ours
                os.dup2(nowhere.fileno(), sys.stdout.fileno())


class StatusTable:
    """Shows a running pipeline; enter it to show, leave it to stop.

    Args:
        board: the live state.
        console: where to; standard output where absent.
    """

    def __init__(self, board: StatusBoard, console: Console | None = None) -> None:
        self._board = board
        self._console = console or Terminal()
        # While the table is live, the console's own file may be rich's proxy of it.
        self._file = cast("TextIO", self._console.file)
        self._live: Live | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        if self._console.is_terminal and is_writable(self._file):
            # Redrawn by our own timer: rich would start a thread for it. Log lines appear above the
            # table, unless the log goes somewhere else.
            self._live = Live(
                self.render(),
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stderr=sys.stderr.isatty(),
            )
            self._live.start()
            self._tick()
        else:
            # Nothing is known yet; and a run that fails at once leaves its output empty.
            self._tick_in(PLAIN_S)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._live is not None:
            self._console.quiet |= not is_writable(self._file)
            self._live.stop()

    def render(self) -> RenderableType:
        """Return the table as it is now."""
        return live_view(self._board.snapshot())

    def _tick(self) -> None:
        # A stopped terminal misses some redraws; it must not stop the cameras.
        if is_writable(self._file):
            self._draw()
        self._tick_in(1 / LIVE_HZ if self._live is not None else PLAIN_S)

    def _tick_in(self, delay_s: float) -> None:
        if not self._console.quiet:
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._tick)

    def _draw(self) -> None:
        if self._live is not None:
            self._live.update(self.render(), refresh=True)
        else:
            self._console.print(Text(plain_line(self._board.snapshot())), soft_wrap=True)


def print_summary(summary: Summary, console: Console | None = None) -> None:
    """Print what a run amounted to, unless the terminal is stopped."""
    console = console or Terminal()
    if is_writable(cast("TextIO", console.file)):
        console.print(summary_view(summary))


def live_view(status: Status) -> RenderableType:
    """Return the worker's line above a table with a row a camera."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for heading in ("camera", "state", "fps in/\nanalysed"):
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    for heading in ("windows", "top scores", "events", "dropped"):
        table.add_column(heading, overflow="fold")
    table.add_column("capture\N{RIGHTWARDS ARROW}\nscore\np50/p95", justify="right", no_wrap=True)
    for camera in status.cameras:
        table.add_row(*_row(camera))
    details = (
        [_text(f"too much work: {status.degradation}", "yellow")] if status.degradation else []
    )
    details += [_text(f"{c.id}: {c.detail}", _style(c)) for c in status.cameras if c.detail]
    return Group(_text(_worker_line(status.worker), "bold"), table, *details)


def plain_line(status: Status) -> str:
    """Return one line about everything, for logs and pipes."""
    cameras = "; ".join(
        f"{c.id} {c.state} {c.fps_in:.1f} fps, windows {sum(c.windows.values())}, "
        f"events {c.n_events}, latency {_pair(c.latency_p50_s, c.latency_p95_s)}"
        for c in status.cameras
    )
    lowered = f" | too much work: {status.degradation}" if status.degradation else ""
    return escape(f"[{status.uptime_s:.0f} s] {_worker_line(status.worker)}{lowered} | {cameras}")


def summary_view(summary: Summary) -> RenderableType:
    """Return totals, a row a camera and a row a stage."""
    totals = _table(f"Summary of {summary.duration_s:.1f} s")
    for heading in ("camera", "end", "frames", "used", "dropped", "windows", "events"):
        totals.add_column(heading, overflow="fold")
    for camera in summary.cameras:
        totals.add_row(
            _text(camera.id),
            _text(f"{camera.state}: {camera.detail}" if camera.detail else camera.state),
            str(camera.frames_decoded),
            str(camera.frames_used),
            _counts(camera.frames_dropped),
            _counts(camera.windows),
            str(camera.n_events),
        )
    totals.add_section()
    totals.add_row(
        "all",
        "",
        str(summary.frames_decoded),
        str(summary.frames_used),
        _counts(summary.frames_dropped),
        _counts(summary.windows),
        _counts(summary.events),
    )
    stages = _table("Latency by stage (ms)")
    stages.add_column("stage")
    for heading in ("n", "p50", "p95", "p99"):
        stages.add_column(heading, justify="right")
    for stage in summary.stages:
        times = (f"{seconds * 1000:.1f}" for seconds in (stage.p50_s, stage.p95_s, stage.p99_s))
        stages.add_row(stage.stage, str(stage.n), *times)
    inferred = _text(f"Submitted windows: {_counts(summary.inferred).plain or 'none'}")
    parts: list[RenderableType] = [totals, inferred]
    if summary.suppressed:
        parts.append(_text(f"Events not told: {_counts(summary.suppressed).plain}"))
    return Group(*parts, stages) if summary.stages else Group(*parts)


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)


def _row(camera: CameraReport) -> Iterable[RenderableType]:
    scores = " ".join(f"{top.label}={top.score:.2f}" for top in camera.top_scores)
    events = " ".join(f"{event.label}={event.score:.2f}" for event in camera.active_events)
    return (
        _text(camera.id),
        _text(_state(camera), _style(camera)),
        f"{camera.fps_in:.1f}/{camera.fps_analysed:.1f}",
        _counts(camera.windows),
        _text(scores),
        _text(f"{events} ({camera.n_events})" if events else f"({camera.n_events})"),
        _counts(camera.frames_dropped),
        _pair(camera.latency_p50_s, camera.latency_p95_s),
    )


def _state(camera: CameraReport) -> str:
    """The state, and what disturbs the picture."""
    return " ".join([camera.state, *(f"+{nuisance.label}" for nuisance in camera.nuisances)])


def _worker_line(worker: WorkerReport) -> str:
    told = f"worker {worker.state}"
    if worker.engine:
        told += f": {worker.model} on {worker.engine}, {worker.precision}, {worker.device}"
        told += "" if worker.is_trained else " (untrained: scores mean nothing)"
    if worker.cost_s:
        costs = ", ".join(f"{n}: {s * 1000:.0f} ms" for n, s in sorted(worker.cost_s.items()))
        told += f" [{costs}]"
    if worker.n_restarts:
        told += f", restarted {worker.n_restarts}x"
    return f"{told}, {worker.detail}" if worker.detail else told


def _style(camera: CameraReport) -> str:
    return _STYLES.get(camera.state, "red")


def _counts(counts: Mapping[str, int]) -> Text:
    return _text(" ".join(f"{name}={n}" for name, n in sorted(counts.items()) if n))


def _pair(p50_s: float | None, p95_s: float | None) -> str:
    if p50_s is None or p95_s is None:
        return "-"
    return f"{p50_s * 1000:.0f}/{p95_s * 1000:.0f} ms"


def _text(text: str, style: str = "") -> Text:
    return Text(escape(text), style)
