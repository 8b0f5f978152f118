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
import socket
import subprocess
import sys
import termios
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
import yaml

from tests.camera import ScriptedCamera
from tests.conftest import eventually, require_tool
from tests.product import Command, parse

ROOT = Path(__file__).parents[2]
SCENE = {"kind": "synthetic", "name": "street", "width": 320, "height": 180}
EAGER = {"motion_on": 0.05, "motion_off": 0.02, "min_duration_s": 0.0}
STOP_S = 8.0


# ---- what the tests share ------------------------------------------------------------------------


def write_config(path: Path, **sections: Any) -> Path:
    """Write a configuration file with one rendered scene, unless the test says otherwise."""
    config = {"cameras": [{"id": "scene", "source": SCENE}], "http": {"port": 0}}
    path.write_text(yaml.safe_dump(config | sections))
    return path


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


def run_to_end(
    *arguments: str, launcher: tuple[str, ...] = ()
) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run the command to its end; return what it printed and how long it took."""
    began = time.monotonic()
    done = subprocess.run(
        [*launcher, sys.executable, "-m", "pipeline", *arguments],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        cwd=ROOT,
    )
    return done, time.monotonic() - began


def assert_one_sentence(done: subprocess.CompletedProcess[str], *expected: str) -> None:
    """Exit code 2, nothing on stdout, one sentence that names what is wrong and what to do."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("timestamp=")]
    print(lines)
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    for text in expected:
        assert text in lines[0]


# ---- I1: SIGTERM, Ctrl-C, --duration -------------------------------------------------------------


@pytest.mark.parametrize(
    "phase",
    [
        "at once",
        "the worker loads",
        "events go on",
        "all children hang",
        pytest.param("the worker is ready", marks=pytest.mark.slow),
        *(pytest.param(str(seed), marks=pytest.mark.slow) for seed in range(16)),
    ],
)
@pytest.mark.timeout(120)
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
            assert "Summary of" in command.output()
    found = read_events(events)
    assert_all_ended(found)
    assert found or phase != "events go on"
    print(f"I1: {phase}: ended after {took_s:.2f} s, {len(found)} lines")
    assert took_s <= STOP_S


async def until_answer(
    command: Command, path: str, is_good: Callable[[int, str], bool], timeout_s: float = 60.0
) -> str:
    """Ask the HTTP server until the answer (status, text) is good; return its text."""
    async with asyncio.timeout(timeout_s):
        while not is_good(*(answer := await command.get(path))):  # noqa: ASYNC110 - other process
            await asyncio.sleep(0.1)
    return answer[1]


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
        await until_answer(command, "/readyz", lambda code, _: code == 200)


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


# ---- I5, I3: refused at start --------------------------------------------------------------------


def test_i5_a_port_in_use_is_named_within_2_s_and_no_camera_is_opened() -> None:
    """Exit code 2; the camera never hears of it."""
    with socket.socket() as taken, ScriptedCamera() as camera:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done, took_s = run_to_end("run", camera.url, "--port", str(port))
        assert not camera.ledger.connects
    assert_one_sentence(done, f"127.0.0.1:{port} is in use", "choose another port")
    print(f"I5: {took_s:.2f} s")
    assert took_s <= 2.0


@pytest.mark.parametrize(
    ("broken", "key", "remedy"),
    [
        ({"htpp": {}}, "htpp", "did you mean 'http'?"),
        ({"model": {"engine": "torch"}}, "model.engine", "'tensorflow'"),
        ({"http": {"port": "eighty"}}, "http.port", "whole number"),
        ({"model": {"bundle": "no/such"}}, "model.bundle", "no/such"),
        ({"http": {"port": 0, "host": "no such host"}}, "http.host", "use 127.0.0.1"),
        (
            {"sinks": {"jsonl": {"path": "/sys/events.jsonl"}}},
            "sinks.jsonl.path",
            "may be written",
        ),
        ({"cameras": [{"id": "cam", "source": "webcam:77"}]}, "/dev/video77", "plug one in"),
    ],
)
def test_i3_a_configuration_that_cannot_run_is_refused_within_2_s(
    broken: dict[str, Any], key: str, remedy: str, tmp_path: Path
) -> None:
    """By the real command, before anything is started."""
    config = write_config(tmp_path / "x.yaml", **broken)
    done, took_s = run_to_end("run", "--config", str(config))
    assert_one_sentence(done, key, remedy)
    assert took_s <= 2.0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--loop", "rtsp://127.0.0.1/x"], "--loop is for files"),
        (["gopher://127.0.0.1/x"], "has scheme 'gopher'; use rtsp://"),
        (["synthetic:street", "--port", "70000"], "--port: must be at most 65535, not 70000"),
        (["webcam:77"], "no webcam at /dev/video77"),
    ],
)
def test_arguments_that_cannot_be_used_are_one_sentence(
    arguments: list[str], expected: str
) -> None:
    """By the real command."""
    done, took_s = run_to_end("run", *arguments)
    assert_one_sentence(done, expected)
    assert took_s <= 2.0


# ---- files that are none -------------------------------------------------------------------------


def write_audio(path: Path) -> None:
    """Write an MP4 file with a second of silence and no picture."""
    with av.open(str(path), "w", timeout=(5, 5)) as container:
        stream = container.add_stream("aac", rate=16_000)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        silence = np.zeros((1, 16_000), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("missing.mp4", "does not exist; check the path"),
        ("folder", "is a folder; name a video file in it"),
        ("empty.mp4", "is empty; copy or record it again"),
        ("text.mp4", "is damaged or holds no video; check that it plays elsewhere"),
        ("audio.mp4", "holds no video stream; name a source with video"),
    ],
)
def test_a_file_that_is_no_video_is_one_sentence(what: str, expected: str, tmp_path: Path) -> None:
    """Exit code 2; stdout stays empty; the file is named."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is no video\n" * 100)
    write_audio(tmp_path / "audio.mp4")
    path = tmp_path / what
    done, _ = run_to_end("run", str(path), "--port", "0")
    assert_one_sentence(done, str(path), expected)


def test_a_file_without_permission_is_one_sentence(tmp_path: Path) -> None:
    """Exit code 2; root, who may read everything, gives that right up for this."""
    path = tmp_path / "locked.mp4"
    path.write_bytes(b"x" * 100)
    path.chmod(0o000)
    launcher: tuple[str, ...] = ()
    if os.geteuid() == 0:
        launcher = (require_tool("setpriv"), "--bounding-set=-dac_override,-dac_read_search")
    done, _ = run_to_end("run", str(path), "--port", "0", launcher=launcher)
    assert_one_sentence(done, str(path), "permission")


def test_an_unknown_scene_names_those_there_are() -> None:
    """Exit code 2 and the list."""
    done, _ = run_to_end("run", "synthetic:moon", "--port", "0")
    assert_one_sentence(done, "no scene 'moon'", "street, corridor")


def test_two_sources_that_cannot_be_used_are_two_sentences(tmp_path: Path) -> None:
    """Each is named; one that can be used beside them makes the run a success."""
    missing = [str(tmp_path / name) for name in ("a.mp4", "b.mp4")]
    done, _ = run_to_end("run", *missing, "--port", "0")
    assert done.returncode == 2
    told = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert [path in line for path, line in zip(missing, told, strict=True)] == [True, True]
    assert done.stdout == ""
    done, _ = run_to_end("run", *missing, "synthetic:street", "--port", "0", "--duration", "4")
    assert done.returncode == 0, done.stderr


# ---- a full disk ---------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
async def test_a_full_disk_costs_lines_of_the_file_and_nothing_else(tmp_path: Path) -> None:
    """Each event is tried three times, counted as failed and told; the cameras go on; the end is
    in order."""
    disk = tmp_path / "disk"
    disk.mkdir()
    config = write_config(
        tmp_path / "x.yaml", sinks={"jsonl": {"path": str(disk / "e.jsonl")}}, detector=EAGER
    )
    mount = f"mount -t tmpfs -o size=16k tmpfs {disk} && touch {disk}/e.jsonl"
    fill = f"{{ dd if=/dev/zero of={disk}/full bs=4k 2>/dev/null || true; }}"
    launcher = (require_tool("unshare"), "-m", "sh", "-c", f'{mount} && {fill} && exec "$0" "$@"')
    arguments = ("run", "--config", str(config))
    with Command(*arguments, folder=tmp_path, launcher=launcher) as command:
        await command.until_running("scene")

        def count(metrics: str, outcome: str) -> float:
            labels = frozenset([("sink", "jsonl"), ("outcome", outcome)])
            return parse(metrics)["bresnet_sink_deliveries_total", labels]

        metrics = await until_answer(command, "/metrics", lambda _, text: count(text, "failed") > 0)
        assert count(metrics, "retry") >= 2
        assert count(metrics, "ok") == 0
        status = (await command.status())["cameras"][0]
        assert status["state"] == "running"
        assert await command.end() == 0
    told = [line for line in command.logs().splitlines() if "takes no event" in line]
    print(told[0])
    assert "No space left on device" in told[0]
    assert "Traceback" not in command.logs()
