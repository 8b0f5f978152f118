"""Where events happen, as the control process asks for it: never a pixel, never a wait.

In: events that started and the windows that decided. Out: `Located` records, some time later or
never. Invariant: at most `MAX_PENDING` questions are open, so that a storm of events costs the
worker no more than so many windows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.config import OverlayConfig
from pipeline.records import Event, Located, Region, Window
from streamer.worker_notes import Locate, Placed, WindowRef

MAX_PENDING = 4
"""Open questions; each costs the worker a window in full."""


class Places:
    """Asks the worker, and turns its answers into records.

    Args:
        send: puts a question to the worker; False where there is none.
        reference: names a window in shared memory.
        deliver: takes the answers.
        overlays: where pictures are written; None for none.
    """

    def __init__(
        self,
        send: Callable[[Locate], bool],
        reference: Callable[[Window], WindowRef],
        deliver: Callable[[Located], None],
        overlays: OverlayConfig | None = None,
    ) -> None:
        self._send = send
        self._reference = reference
        self._deliver = deliver
        self._overlays = overlays
        self._pending: dict[str, Window] = {}

    def ask(self, event: Event, window: Window) -> None:
        """Have the place of an event looked for, unless too many are."""
        if len(self._pending) >= MAX_PENDING:
            return
        overlays = self._overlays
        path = "" if overlays is None else str(self._path(overlays.folder, event))
        note = Locate(
            event_id=event.event_id,
            window=self._reference(window),
            label=event.label,
            overlay=path,
            n_overlays=1 if overlays is None else overlays.keep,
        )
        if self._send(note):
            self._pending[event.event_id] = window

    def placed(self, note: Placed) -> None:
        """Take an answer."""
        window = self._pending.pop(note.event_id, None)
        if window is None or not note.box:
            return
        start_s, length_s = window.media_start_s, window.media_end_s - window.media_start_s
        begin, end = (start_s + share * length_s for share in note.span)
        left, top, right, bottom = note.box
        region = Region(left, top, right, bottom, begin, end, note.overlay)
        self._deliver(Located(window.camera, note.event_id, region))

    def forget(self) -> None:
        """The worker was lost: nobody answers any more."""
        self._pending.clear()

    @staticmethod
    def _path(folder: Path, event: Event) -> Path:
        return folder / f"{event.camera}-{event.event_id}.png"
