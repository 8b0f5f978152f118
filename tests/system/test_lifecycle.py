"""`bresnet run` as a user starts and ends it: RELIABILITY I1, I2, I3 and I5, and bad input.

Every test runs the real command in a process of its own, with the real worker (TensorFlow) where it
runs for long enough.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import random
import signal
import subprocess
import sys
import termios
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.camera import ScriptedCamera
from tests.conftest import eventually
from tests.product import EAGER, Command, run_to_end, write_config

ROOT = Path(__file__).parents[2]
SCENE = {"kind": "synthetic", "name": "street", "width": 320, "height": 180}
STOP_S = 8.0


# ---- what the tests share ------------------------------------------------------------------------


def rings_of(pid: int) -> list[str]:
    """Return the shared memory of a control process."""
    return sorted(path.name for path in Path("/dev/shm").glob(f"bresnet-{pid}-*"))


def assert_nothing_is_left(command: Command, children: list[psutil.Process]) -> None:
    """No process, no shared memory."""
    left = [child for child in children if child.is_running()]
    assert not left, left
    assert rings_of(command.process.pid) == []


def read_events(path: Path) -> list[dict[str, Any]]:
    """Return the events of a file of JSON lines; every line must be whole."""
    text = path.read_text()
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def assert_all_ended(events: list[dict[str, Any]]) -> None:
    """Every event that started has ended, once."""
    phases = Counter((event["event_id"], event["phase"]) for event in events)
    ids = {event_id for event_id, _ in phases}
    assert all(phases[event_id, "start"] == phases[event_id, "end"] == 1 for event_id in ids)


# ---- I1: SIGTERM, Ctrl-C, --duration -------------------------------------------------------------


@pytest.mark.parametrize(
    "phase",
    [
        "at once",
        "the worker loads",
        "events go on",
        "all children hang",
        pytest.param("the worker is ready", marks=pytest.mark.slow),
        *(pytest.param(str(seed), marks=pytest.mark.soak) for seed in range(16)),
    ],
)
async def test_i1_sigterm_ends_everything_in_order(phase: str, tmp_path: Path) -> None:
    """Exit code 0 within 8 s whenever it comes, with one camera stalled; no process and no shared
    memory is left; the file of events is whole, and every event in it has ended."""
    events = tmp_path / "events.jsonl"
    with ScriptedCamera() as good, ScriptedCamera() as stalled:
        config = write_config(
            tmp_path / "x.yaml",
            cameras=[
                {"id": "scene", "source": SCENE},
                {"id": "good", "source": good.url},
                {"id": "stalled", "source": stalled.url},
            ],
            sinks={"jsonl": {"path": str(events)}},
            detector=EAGER,
        )
        with Command("run", "--config", str(config), folder=tmp_path) as command:
            await eventually(lambda: command.url != "")
            await until_phase(command, phase, stalled, events)
            children = command.descendants()
            began = time.monotonic()
            assert await command.end() == 0, command.logs()
            took_s = time.monotonic() - began
            assert_nothing_is_left(command, children)
            assert "Traceback" not in command.logs()
            assert phase == "all children hang" or "not drained" not in command.logs()
            assert "Summary of" in command.output()
    found = read_events(events)
    assert_all_ended(found)
    assert found or phase != "events go on"
    print(f"I1: {phase}: ended after {took_s:.2f} s, {len(found)} lines")
    assert took_s <= STOP_S


async def until_phase(command: Command, phase: str, stalled: ScriptedCamera, events: Path) -> None:
    """Wait for the phase; a number is a seed for a random one."""
    if phase.isdecimal():
        # The instant itself is the input of the test, not a wait for something.
        await asyncio.sleep(random.Random(int(phase)).uniform(0, 12))
    if phase == "at once":
        return
    await command.until_running("stalled")
    stalled.set(mode="stall")
    if phase == "events go on":
        await eventually(lambda: events.exists() and b'"start"' in events.read_bytes(), 30)
    if phase == "all children hang":
        for child in command.descendants():
            child.suspend()
    if phase == "the worker is ready":
        await command.until_answer("/readyz", lambda code, _: code == 200)


async def test_i1_a_second_sigterm_does_not_wait(tmp_path: Path) -> None:
    """While it waits for children that hang: ended within 1 s of the second signal."""
    config = write_config(tmp_path / "x.yaml", drain_s=30)
    with Command("run", "--config", str(config), folder=tmp_path) as command:
        await command.until_running("scene")
        children = command.descendants()
        for child in children:
            child.suspend()
        command.process.send_signal(signal.SIGTERM)
        await eventually(lambda: "stopping" in command.logs())
        began = time.monotonic()
        assert await command.end() == 0, command.logs()
        took_s = time.monotonic() - began
        assert_nothing_is_left(command, children)
    print(f"I1: second signal: {took_s:.2f} s")
    assert took_s <= 1.0


@contextlib.contextmanager
def terminal_of(*arguments: str, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run the command in a terminal of its own; yield it and the keyboard (and screen)."""
    keyboard, screen = pty.openpty()
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", *arguments],
            stdin=screen,
            stdout=screen,
            stderr=errors,
            cwd=ROOT,
            start_new_session=True,
            # No thread of ours is running here, and there is no other way to a terminal.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
    os.close(screen)
    os.set_blocking(keyboard, False)
    try:
        yield process, keyboard
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(keyboard)


def read_screen(screen: int) -> str:
    """Return what was printed since the last look."""
    found = b""
    # The end of a terminal is an error of input and output on Linux.
    with contextlib.suppress(BlockingIOError, OSError):
        while data := os.read(screen, 65536):
            found += data
    return found.decode(errors="replace")


async def test_ctrl_c_in_a_terminal_ends_with_the_summary(tmp_path: Path) -> None:
    """The terminal sends SIGINT to the whole group: exit code 0, a summary, no traceback of any
    process, the cursor visible again."""
    log = tmp_path / "stderr.log"
    shown = ""
    with terminal_of("run", "synthetic:street", "--port", "0", log=log) as (process, keyboard):
        children: list[psutil.Process] = []

        def is_running() -> bool:
            nonlocal shown, children
            shown += read_screen(keyboard)
            children = psutil.Process(process.pid).children()
            return "running" in shown and len(children) == 2

        await eventually(is_running, 30)
        os.write(keyboard, b"\x03")
        began = time.monotonic()

        def has_ended() -> bool:
            nonlocal shown
            shown += read_screen(keyboard)
            return process.poll() is not None

        await eventually(has_ended, 15)
        took_s = time.monotonic() - began
        shown += read_screen(keyboard)
    print(f"Ctrl-C: {took_s:.2f} s")
    assert process.returncode == 0
    assert took_s <= STOP_S
    assert "Summary of" in shown
    assert "Traceback" not in shown + log.read_text()
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l")
    assert not any(child.is_running() for child in children)


def test_json_prints_events_and_nothing_else_and_duration_ends_by_itself(tmp_path: Path) -> None:
    """Every line on stdout is an event; it ends when it was told to, with exit code 0."""
    config = write_config(tmp_path / "x.yaml", detector=EAGER)
    done, took_s = run_to_end("run", "--config", str(config), "--json", "--duration", "5")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {event["camera"] for event in events} == {"scene"}
    assert_all_ended(events)
    assert 5 <= took_s <= 5 + STOP_S
    assert "Traceback" not in done.stderr


# ---- I2: SIGKILL ---------------------------------------------------------------------------------


async def test_i2_children_die_with_their_parent_and_the_next_start_cleans_up(
    tmp_path: Path,
) -> None:
    """kill -9 of the control process: no child after 2 s; the next run removes the rings."""
    with Command("run", "synthetic:street", "--port", "0", folder=tmp_path) as command:
        await command.until_running("street")
        children: list[psutil.Process] = []

        def are_there() -> bool:
            nonlocal children
            children = command.descendants()
            return len(children) == 2

        await eventually(are_there)
        pid = command.process.pid
        assert len(rings_of(pid)) == 1
        command.process.kill()
        began = time.monotonic()
        # init reaps them, or nobody does: a zombie is as dead.
        await eventually(lambda: not any(is_alive(child) for child in children))
        took_s = time.monotonic() - began
    print(f"I2: children gone after {took_s:.2f} s")
    assert took_s <= 2.0
    assert len(rings_of(pid)) == 1
    arguments = ("run", "synthetic:street", "--port", "0", "--duration", "0.5")
    done, _ = await asyncio.to_thread(run_to_end, *arguments)
    assert done.returncode == 0, done.stderr
    assert rings_of(pid) == []


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process still runs."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
