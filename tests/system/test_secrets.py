"""S1: no credential of any camera address is ever shown, whatever goes wrong (M22's shapes).

The real command runs at the DEBUG level against cameras that fail in every way; then everything it
wrote, answered and told the system about its processes is searched for the credentials: in clear,
percent-encoded and as HTTP Basic.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import psutil
import pytest
import yaml

from tests.camera import ScriptedCamera
from tests.camera_script import CameraOptions
from tests.conftest import eventually
from tests.product import EAGER, Command, run_to_end, write_config

# Address shapes of real cameras. Every one has a canary of its own.
SHAPES = {
    "pair": "rtsp://admin:{canary}@{host}/stream",
    "dot": "rtsp://first.last:{canary}@{host}/stream",
    "mail": "rtsp://a%40b:{canary}@{host}/stream",
    "nobody": "rtsp://:{canary}@{host}/stream",
    "alone": "rtsp://{canary}@{host}/stream",
    "usr-pwd": "rtsp://{host}/stream?usr=admin&pwd={canary}",
    "token": "rtsp://{host}/stream?token={canary}",
    "loginpas": "rtsp://{host}/stream?loginuse=admin&loginpas={canary}",
    "path": "rtsp://{host}/user=admin_password={canary}_channel=1_stream=0.sdp",
    "at": "rtsp://admin:{canary}@{canary}@{host}/stream",
    "percent": "rtsp://admin:%23{canary}%2F%3A@{host}/stream",
    "letters": "rtsp://admin:{canary}p\N{LATIN SMALL LETTER A WITH DIAERESIS}ss@{host}/stream",
    "mjpeg": "http://admin:{canary}@{host}/video.mjpg?token={canary}",
    "tls": "rtsps://admin:{canary}@{host}/stream",
}
# Not a scheme of ours: refused by its name, and shown without its secret.
REFUSED = {
    "srt": "srt://{host}?mode=caller&passphrase={canary}",
    "scheme": "admin:{canary}@{host}/stream",
    "port": "rtsp://admin:{canary}@127.0.0.1:99999/stream",
    "blank": "rtsp://admin:{canary} x@{host}/stream",
}


def canary_of(shape: str) -> str:
    """Return the secret of a shape; no part of it occurs anywhere else."""
    return f"c4nary{shape.replace('-', '')}Zq7"


def address_of(shape: str, host: str) -> str:
    """Return an address with its secret."""
    return (SHAPES | REFUSED)[shape].format(canary=canary_of(shape), host=host)


def spellings() -> list[bytes]:
    """Return everything that must not be found."""
    found = []
    for shape in SHAPES | REFUSED:
        canary = canary_of(shape)
        user_part = address_of(shape, "h").partition("://")[2].rpartition("@")[0]
        pairs = {user_part, unquote(user_part), f"admin:{canary}", f":{canary}"}
        found.append(canary.encode())
        # The last group of base64 depends on what follows; what comes before it tells enough.
        found += [base64.b64encode(pair.encode())[:-4] for pair in pairs if len(pair) > 8]
    return found


def hits_in(name: str, data: bytes) -> list[str]:
    """Return where a secret is shown."""
    decoded = unquote(data.decode(errors="replace")).encode()
    return [
        f"{name}: {data[max(0, at - 80) : at + 40]!r}"
        for spelling in spellings()
        if (at := data.find(spelling)) >= 0 or (at := decoded.find(spelling)) >= 0
    ]


def hits_in_processes(command: Command) -> list[str]:
    """Search the arguments of all processes, and the environment of the children."""
    hits = []
    for process in [psutil.Process(command.process.pid), *command.descendants()]:
        folder = Path(f"/proc/{process.pid}")
        hits += hits_in(f"arguments of {process.pid}", (folder / "cmdline").read_bytes())
        if process.pid != command.process.pid:
            hits += hits_in(f"environment of {process.pid}", (folder / "environ").read_bytes())
    return hits


async def hits_in_pages(command: Command) -> list[str]:
    """Search every page of the HTTP server."""
    hits = []
    for path in ("/metrics", "/api/v1/status", "/readyz", "/livez"):
        hits += hits_in(path, (await command.get(path))[1].encode())
    return hits


def environment() -> dict[str, str]:
    """Return an environment that holds secrets, also under names that children are given."""
    secret = canary_of("dot")
    return dict(os.environ) | {
        "CAMERA_WORD": secret,
        "TF_CAMERA_WORD": secret,
        "PYTHON_CAMERA": address_of("pair", "h"),
    }


def write_cameras(folder: Path, cameras: dict[str, str]) -> Path:
    """Write a configuration of these addresses and one scene."""
    addresses = cameras | (
        {"dot": cameras["dot"].replace(canary_of("dot"), "${CAMERA_WORD}")}
        if "dot" in cameras
        else {}
    )
    return write_config(
        folder / "x.yaml",
        cameras=[
            {"id": "scene", "source": "synthetic:street"},
            *({"id": name, "source": address} for name, address in addresses.items()),
        ],
        capture={"cameras_per_process": 20, "open_timeout_s": 1.0},
        sinks={"jsonl": {"path": str(folder / "events.jsonl")}},
        detector=EAGER,
    )


@contextlib.contextmanager
def failing_camera(fault: str) -> Iterator[str]:
    """Yield host and port of a camera that fails in one way."""
    if fault == "refused":
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            yield f"127.0.0.1:{closed.getsockname()[1]}"
        return
    options = CameraOptions(user="another", password="password")
    script: dict[str, dict[str, Any]] = {
        "wrong password": {},
        "404": {"mode": "status", "status": 404},
        "503": {"mode": "status", "status": 503},
        "garbage": {"mode": "garbage"},
        "no answer": {"mode": "accept_noreply"},
    }
    is_asking = fault == "wrong password"
    with ScriptedCamera(options if is_asking else None, **script[fault]) as camera:
        yield f"127.0.0.1:{camera.port}"


@pytest.mark.parametrize(
    "fault",
    [
        "refused",
        "wrong password",
        "404",
        "garbage",
        pytest.param("503", marks=pytest.mark.slow),
        pytest.param("no answer", marks=pytest.mark.slow),
    ],
)
async def test_a_camera_that_fails_shows_no_secret_anywhere(fault: str, tmp_path: Path) -> None:
    """Log at DEBUG, output, events, pages, arguments and environments: nothing in any shape."""
    hits: list[str] = []
    with failing_camera(fault) as host:
        config = write_cameras(tmp_path, {shape: address_of(shape, host) for shape in SHAPES})
        arguments = ("run", "--config", str(config), "--log-level", "debug")
        with Command(*arguments, folder=tmp_path, env=environment()) as command:
            await command.until_running("scene")
            told: dict[str, str] = {}
            async with asyncio.timeout(40):
                while set(told) != set(SHAPES):
                    hits += await hits_in_pages(command)
                    hits += hits_in_processes(command)
                    cameras = (await command.status())["cameras"]
                    told |= {c["id"]: c["detail"] for c in cameras if c["detail"]}
            await eventually(lambda: (tmp_path / "events.jsonl").stat().st_size > 0)
            hits += hits_in_processes(command)
            assert await command.end() == 0, command.logs()
    for path in (command.log_path, command.out_path, tmp_path / "events.jsonl"):
        assert path.stat().st_size > 0
        hits += hits_in(path.name, path.read_bytes())
    assert not hits, "\n".join(hits)
    # S15: whatever the camera said, a record of the log is one printable line.
    lines = command.logs().splitlines()
    assert all(line.startswith("timestamp=") and line.isprintable() for line in lines)
    print(f"{fault}: {told['pair']}; {told['token']}")


async def test_addresses_on_the_command_line_are_in_no_list_of_processes(tmp_path: Path) -> None:
    """What somebody typed is hidden from `ps` as soon as the program runs, children included."""
    with failing_camera("refused") as host:
        sources = [address_of(shape, host) for shape in SHAPES]
        arguments = ("run", *sources, "synthetic:street", "--port", "0", "--log-level", "debug")
        with Command(*arguments, folder=tmp_path) as command:
            await command.until_running("street")
            assert "rtsp://***@" in "".join(psutil.Process(command.process.pid).cmdline())
            hits = hits_in_processes(command) + await hits_in_pages(command)
            assert await command.end() == 0, command.logs()
    for path in (command.log_path, command.out_path):
        hits += hits_in(path.name, path.read_bytes())
    assert not hits, "\n".join(hits)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; its environment holds secrets."""
    return run_to_end(*arguments, env=environment())[0]


def assert_no_hit(done: subprocess.CompletedProcess[str]) -> None:
    """Search what the command printed."""
    hits = hits_in("stdout", done.stdout.encode()) + hits_in("stderr", done.stderr.encode())
    assert not hits, "\n".join(hits)


def test_config_show_hides_every_shape(tmp_path: Path) -> None:
    """And shows what people need: host, port and path."""
    config = write_cameras(tmp_path, {shape: address_of(shape, "door:554") for shape in SHAPES})
    done = run("config", "show", str(config))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("door:554") == len(SHAPES)
    assert_no_hit(done)


@pytest.mark.parametrize("command", ["check", "show", "run"])
def test_a_configuration_error_quotes_no_secret(command: str, tmp_path: Path) -> None:
    """Each shape in a place where it is wrong: as an address, an id, a key and a number."""
    everything = SHAPES | REFUSED
    cameras = [{"id": "a", "source": address_of(shape, "door:554")} for shape in everything]
    wrong = {
        "cameras": [*cameras, {"id": address_of("pair", "h"), "source": "synthetic:street"}],
        "http": {"port": address_of("token", "h"), address_of("path", "h"): 1},
        "model": {"bundle": address_of("at", "h"), "engine": address_of("mail", "h")},
        "sinks": {"jsonl": {"path": [address_of("alone", "h")]}},
    }
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(wrong, allow_unicode=True))
    arguments = ("run", "--config") if command == "run" else ("config", command)
    done = run(*arguments, str(path))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert_no_hit(done)


@pytest.mark.parametrize("shape", SHAPES | REFUSED)
def test_an_option_that_does_not_fit_quotes_no_secret(shape: str) -> None:
    """`--loop` with an address, or an address that is refused."""
    done = run("run", "--loop", address_of(shape, "door:554"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert_no_hit(done)


def test_the_search_finds_a_secret_in_every_spelling() -> None:
    """The test of the tests: clear, percent-encoded, Basic."""
    pair = f"first.last:{canary_of('dot')}"
    basic = base64.b64encode(pair.encode())
    for shown in (pair.encode(), quote(pair, safe="").encode(), b"Basic " + basic):
        assert hits_in("x", b"before " + shown + b" after")
    assert not hits_in("x", b"rtsp://***@door/stream?token=***")
