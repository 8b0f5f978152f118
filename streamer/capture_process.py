"""The capture process: hosts the readers of one or more cameras.

In: AddCamera, OpenOrder, Advance, SetRate, CloseCamera and Stop over the link. Out: the readers'
notes and a heartbeat with all counters. Started as `python -m streamer.capture_process --fd N`; its
configuration, credentials included, comes over the link alone. Invariant: it dies with its parent.
"""

from __future__ import annotations

import sys
import threading

import cv2

from streamer.clock import SystemClock
from streamer.config import ReaderConfig
from streamer.notes import (
    AddCamera,
    Advance,
    CloseCamera,
    Counters,
    OpenOrder,
    SetRate,
    Stop,
    ToCapture,
)
from streamer.process import ParentLink, enter_child
from streamer.reader import Reader

# A reader blocked in a native call does not come back; the process ends without it.
_JOIN_S = 1.5


class CaptureHost:
    """The readers of this process.

    Args:
        link: to the control process.
    """

    def __init__(self, link: ParentLink[ToCapture]) -> None:
        self._link = link
        self._readers: dict[str, Reader] = {}
        self._threads: list[threading.Thread] = []

    def serve(self) -> None:
        """Follow the orders until Stop or the end of the link."""
        for note in self._link.receive():
            match note:
                case AddCamera():
                    self._add(note)
                case OpenOrder():
                    self._readers[note.camera].order_open(note.address)
                case Advance():
                    self._readers[note.camera].advance(note.until_seq)
                case SetRate():
                    self._readers[note.camera].set_rate(note.analysis_fps)
                case CloseCamera():
                    self._readers[note.camera].close()
                case Stop():
                    break
        self._close()

    def counters(self) -> dict[str, Counters]:
        """Return the cumulative counts of each camera."""
        return {camera: reader.counters() for camera, reader in list(self._readers.items())}

    def _add(self, note: AddCamera) -> None:
        config = ReaderConfig.model_validate_json(note.config)
        reader = Reader(config, note.ring, self._link.send, SystemClock(), first_run=note.first_run)
        thread = threading.Thread(target=reader.run, name=f"reader:{note.camera}", daemon=True)
        self._readers[note.camera] = reader
        self._threads.append(thread)
        thread.start()

    def _close(self) -> None:
        for reader in self._readers.values():
            reader.close()
        for thread in self._threads:
            thread.join(_JOIN_S)


def main() -> None:
    """Serve until the parent says stop or is gone."""
    # OpenCV's thread pool would take the worker's cores for work that lasts less than a
    # millisecond.
    cv2.setNumThreads(1)
    with enter_child(ToCapture, sys.argv[1:]) as link:
        host = CaptureHost(link)
        link.start_heartbeat("capture", counters=host.counters)
        host.serve()


if __name__ == "__main__":
    main()
