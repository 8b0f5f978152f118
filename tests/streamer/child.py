"""A child process for tests: does what it is told by the notes it gets (streamer.process)."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time

from streamer.link import enter_child
from streamer.notes import CloseCamera, OpenOrder, StateNote, Stop


def obey(order: str) -> None:
    """Do the odd thing the camera name of an OpenOrder asks for."""
    kind, _, value = order.partition("=")
    if kind == "exit":
        os._exit(int(value))
    if kind == "hang":
        time.sleep(3600)
    if kind == "stuck":
        ctypes.PyDLL(None).sleep(3600)  # keeps the interpreter lock: no other thread runs
    if kind == "leave":
        os.close(int(sys.argv[2]))
        time.sleep(0.1)
        os._exit(int(value))
    if kind == "print":
        for n in range(int(value)):
            sys.stderr.write(f"line {n} rtsp://admin:hunter2secret@cam/1 \x1b[31m\n")
        sys.stderr.flush()
    if kind == "garbage":
        os.write(int(sys.argv[2]), b"\x00\x00\x00\x05hello")


def main() -> None:
    with enter_child(CloseCamera | OpenOrder | Stop, sys.argv[1:]) as link:
        link.start_heartbeat("child", every_s=0.05)
        names = ",".join(sorted(thread.name for thread in threading.enumerate()))
        link.send(StateNote(camera="ready", state="running", detail=names))
        for note in link.receive():
            if isinstance(note, Stop):
                return
            if isinstance(note, CloseCamera):
                for n in range(int(note.camera)):
                    link.send(StateNote(camera=str(n), state="running", detail="x" * 1000))
            if isinstance(note, OpenOrder):
                if note.camera == "environment":
                    facts = {**os.environ, "argv": " ".join(sys.argv), "path0": sys.path[0]}
                    text = "\n".join(f"{key}={value}" for key, value in facts.items())
                    link.send(StateNote(camera="environment", state="running", detail=text))
                else:
                    obey(note.camera)


if __name__ == "__main__":
    main()
