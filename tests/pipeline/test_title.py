"""Claims about pipeline.title: nobody reads a password in the list of processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.title import redacted

PRINT = """
import sys
from pathlib import Path
from pipeline.title import hide_arguments
hidden = hide_arguments()
shown = Path('/proc/self/cmdline').read_text().split(chr(0))
print(hidden, sys.argv[1], [text for text in shown if text][-2:])
print(Path('/proc/self/environ').read_bytes().count(bytes(1)) > 2)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux shows arguments so")
def test_the_list_of_processes_shows_no_password() -> None:
    """The program itself still knows it, and its environment is untouched."""
    address = "rtsp://operator:c4nary@10.0.0.1/live"
    done = subprocess.run(
        [sys.executable, "-c", PRINT, address, "--loop"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    arguments, environment = done.stdout.splitlines()
    assert arguments.startswith(f"True {address} ")
    assert arguments.endswith(" ['rtsp://***@10.0.0.1/live', '--loop']")
    assert environment == "True"


@pytest.mark.parametrize(
    ("arguments", "hidden"),
    [
        (b"run\0a.mp4\0", b"run\0a.mp4\0"),
        (b"run\0rtsp://user:word@h/\0--loop\0", b"run\0rtsp://***@h/\0--loop\0" + bytes(6)),
        (b"rtsp://a:@h/\0", b"rtsp://***@h\0"),
        (b"\xff\xfe\0", b"\xff\xfe\0"),
    ],
)
def test_what_is_shown_is_as_long_as_before_and_ends_in_nul(
    arguments: bytes, hidden: bytes
) -> None:
    """Shorter is filled up, longer is cut off; bytes that are no text stay."""
    found = redacted(arguments)
    assert found == hidden
    assert len(found) == len(arguments)
