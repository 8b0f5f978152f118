"""Pure: from frame notes to windows, every hop frames, gated by motion.

In: the notes of one camera, in order. Out: for every possible window its fate, with the `Window`
when it is to be classified. A possible window ends at every hop-th place of a run, and at the place
where the gate opens. Invariant: a window never spans two runs, and each possible window is told
exactly once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.records import Timeline, Window, WindowOutcome
from streamer.notes import FrameNote


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """When a window is worth the network.

    Attributes:
        is_on: skip windows without motion; otherwise every window is classified.
        threshold: motion score from which the gate opens.
        hold_s: seconds (capture time) it stays open after the last motion.
    """

    is_on: bool
    threshold: float
    hold_s: float


@dataclass(frozen=True, slots=True)
class Possible:
    """A possible window and its fate; `window` is there when it is submitted."""

    outcome: WindowOutcome
    coverage: float
    window: Window | None = None


@dataclass(slots=True)
class _Place:
    seq: int
    media_s: float
    motion: float
    is_held: bool
    is_degraded: bool


class Windowing:
    """The window policy of one camera.

    Args:
        camera: its id.
        n_frames: frames in a window.
        hop: frames between two windows.
        gate: which windows are worth inferring.
        window_ids: gives each window a number unique in this process.
        is_live: the camera's windows may expire (`fast` sources wait instead).
    """

    def __init__(
        self,
        *,
        camera: str,
        n_frames: int,
        hop: int,
        gate: GatePolicy,
        window_ids: Iterator[int],
        is_live: bool,
    ) -> None:
        self._camera = camera
        self._n_frames = n_frames
        self._hop = hop
        self._gate = gate
        self._ids = window_ids
        self._is_live = is_live
        self._places: deque[_Place] = deque(maxlen=n_frames)
        self._run = -1
        self._since = 0
        self._phase = 0
        self._open_until_s = float("-inf")
        self.is_gate_open = not gate.is_on

    @property
    def last_media_s(self) -> float:
        """Return the capture time of the newest frame, seconds; 0 before the first."""
        return self._places[-1].media_s if self._places else 0.0

    def set_hop(self, hop: int, phase: float = 0.0) -> None:
        """Change how often a window ends, from the next place on.

        Args:
            hop: frames between two possible windows; >= 1.
            phase: 0..1, this camera's place between two windows: cameras that began at once, or
                that saw the same light go on, would otherwise hand in all their windows at once.
        """
        self._phase = int(phase * hop)
        if hop > self._hop:
            self._since = hop - 1 - self._phase
        self._since %= hop
        self._hop = hop

    def take(self, note: FrameNote, ready_at: float) -> list[Possible]:
        """Digest one frame.

        Args:
            note: of the frame; in the order of the ring.
            ready_at: instant at which a window that ends here was formed.

        Returns:
            the possible windows that end in this note, oldest first.
        """
        first_seq = note.seq - note.n_places + 1
        is_break = note.run != self._run or (self._places and self._places[-1].seq + 1 != first_seq)
        if is_break:
            self._begin(note.run)
        has_opened = self._move_gate(note)
        found: list[Possible] = []
        previous_s = self._places[-1].media_s if self._places else note.media_s
        for index in range(note.n_places):
            is_last = index == note.n_places - 1
            self._places.append(
                _Place(
                    seq=first_seq + index,
                    media_s=note.media_s if is_last else previous_s,
                    motion=note.motion if note.is_motion_warm else 0.0,
                    is_held=index < note.n_held,
                    is_degraded=note.is_degraded,
                )
            )
            self._since += 1
            is_opening = has_opened and is_last and len(self._places) == self._n_frames
            if self._since >= self._hop or is_opening:
                self._since = self._phase if is_opening else 0
                found.append(self._possible(note, ready_at))
        return found

    def _begin(self, run: int) -> None:
        self._run = run
        self._places.clear()
        self._since = self._hop - ((self._n_frames + self._phase) % self._hop or self._hop)
        self._open_until_s = float("-inf")

    def _move_gate(self, note: FrameNote) -> bool:
        """Move the gate; return True when this frame opened it."""
        if not self._gate.is_on:
            return False
        was_open = self.is_gate_open
        # A gate that has not learned its background yet must not hide anything.
        if not note.is_motion_warm or note.motion >= self._gate.threshold:
            self._open_until_s = note.media_s + self._gate.hold_s
        self.is_gate_open = note.media_s <= self._open_until_s
        return self.is_gate_open and not was_open

    def _possible(self, note: FrameNote, ready_at: float) -> Possible:
        places = self._places
        coverage = sum(not place.is_held for place in places) / self._n_frames
        if len(places) < self._n_frames:
            return Possible("incomplete", coverage)
        if not self.is_gate_open:
            return Possible("gated", coverage)
        window = Window(
            window_id=next(self._ids),
            camera=self._camera,
            run=self._run,
            first_seq=places[0].seq,
            last_seq=places[-1].seq,
            media_start_s=places[0].media_s,
            media_end_s=places[-1].media_s,
            coverage=coverage,
            motion=max(place.motion for place in places),
            is_degraded=any(place.is_degraded for place in places),
            is_live=self._is_live,
            hop=self._hop,
            timeline=Timeline(note.captured_at, note.arrived_at, note.placed_at, ready_at),
        )
        return Possible("submitted", coverage, window)
