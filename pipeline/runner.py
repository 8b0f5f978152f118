"""`bresnet run`: one pipeline in the foreground, with its table, its signals and its exit code.

In: a configuration and how to show it. Out: live output, a summary, and 0, 1 or 2. The first SIGINT
or SIGTERM drains and ends with 0, the second cancels at once. Invariant: events go to stdout only
as JSON lines; everything else that is not the table goes to stderr.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from typing import Literal

from pipeline.app import Pipeline
from pipeline.config import PipelineConfig
from pipeline.log import configure
from pipeline.report import CameraReport
from pipeline.sinks.base import Sink
from pipeline.sinks.jsonl import JsonlSink
from pipeline.sinks.log import LogSink
from pipeline.sinks.stdout import StdoutSink
from pipeline.table import StatusTable, print_summary
from streamer.clock import SystemClock

Output = Literal["table", "json", "quiet"]


def run_pipeline(
    config: PipelineConfig,
    *,
    output: Output = "table",
    duration_s: float | None = None,
    log_level: str = "info",
) -> int:
    """Run a pipeline to its end.

    Args:
        config: what to run.
        output: a live table, events as JSON lines on stdout, or nothing.
        duration_s: seconds after which it stops by itself; None runs until the sources end.
        log_level: lowest level that is logged, to stderr.

    Returns:
        0 done; 2 no source could be used.

    Raises:
        ConfigError: the operator's input cannot be used.
    """
    configure(log_level)
    # A second signal cancels the main task, which asyncio.run shows as KeyboardInterrupt or cancel.
    with contextlib.suppress(asyncio.CancelledError):
        return asyncio.run(_main(config, output, duration_s))
    return 0


async def _main(config: PipelineConfig, output: Output, duration_s: float | None) -> int:
    pipeline = Pipeline(config, SystemClock(), _sinks(config, output))
    _listen(pipeline)
    loop = asyncio.get_running_loop()
    timer = loop.call_later(duration_s, pipeline.stop) if duration_s is not None else None
    try:
        if output == "table":
            async with StatusTable(pipeline.status):
                await pipeline.run()
        else:
            await pipeline.run()
    finally:
        if timer is not None:
            timer.cancel()
    summary = pipeline.status.summary()
    code = _exit_code(summary.cameras)
    # Where nothing came from any source, the sentence about each says it all.
    if output == "table" and code == 0:
        print_summary(summary)
    return code


def _sinks(config: PipelineConfig, output: Output) -> list[Sink]:
    sinks: list[Sink] = []
    if config.sinks.log and output != "json":
        sinks.append(LogSink())
    if config.sinks.jsonl is not None:
        sinks.append(JsonlSink(config.sinks.jsonl))
    if output == "json":
        sinks.append(StdoutSink(sys.stdout))
    return sinks


def _listen(pipeline: Pipeline) -> None:
    """First signal: drain. Second: cancel."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    n_signals = 0

    def on_signal() -> None:
        nonlocal n_signals
        n_signals += 1
        if n_signals == 1:
            pipeline.stop()
        elif task is not None:
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)


def _exit_code(cameras: Sequence[CameraReport]) -> int:
    """Return 2 with a sentence a source when not one usable frame came from any of them."""
    failed = [c for c in cameras if c.is_failed and c.frames_used == 0]
    if len(failed) < len(cameras):
        return 0
    for camera in failed:
        print(f"error: {camera.id}: {camera.detail}", file=sys.stderr)  # noqa: T201 - the sentence
    return 2
