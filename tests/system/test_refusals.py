"""What cannot be used is refused in one sentence, and a full disk costs nothing but its lines:
RELIABILITY I3 and I5, and the issue's list of bad input.

Every test runs the real command in a process of its own; what is wrong with configuration files in
particular is in test_cli_bad_input.py.
"""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.camera import ScriptedCamera
from tests.conftest import require_tool
from tests.product import EAGER, Command, parse, run_to_end, write_config


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

        metrics = await command.until_answer("/metrics", lambda _, text: count(text, "failed") > 0)
        assert count(metrics, "retry") >= 2
        assert count(metrics, "ok") == 0
        status = (await command.status())["cameras"][0]
        assert status["state"] == "running"
        assert await command.end() == 0
    told = [line for line in command.logs().splitlines() if "takes no event" in line]
    print(told[0])
    assert "No space left on device" in told[0]
    assert "Traceback" not in command.logs()
