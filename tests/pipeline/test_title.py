"""Claims about pipeline.title: nobody reads a password in the list of processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

PRINT = """
import os, sys
from pipeline.title import hide_arguments
hide_arguments()
print(sys.argv[1], os.environ['HOME'], flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://operator:c4nary@192.0.2.1/live", "rtsp://***@192.0.2.1/live --loop"),
        ("clip.mp4", "clip.mp4 --loop"),
    ],
)
def test_the_list_of_processes_shows_the_command_without_the_password(
    address: str, shown: str
) -> None:
    """The program itself still knows its arguments and its environment."""
    with subprocess.Popen(
        [sys.executable, "-c", PRINT, address, "--loop"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={"HOME": "/nowhere"},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{address} /nowhere\n"
        title = " ".join(text for text in psutil.Process(process.pid).cmdline() if text)
        process.communicate("")
    assert title.rstrip().endswith(shown)
    assert "c4nary" not in title
