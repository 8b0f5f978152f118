"""What streams keep between windows: one slot a camera, within a memory budget; pure.

In: window references as they come. Out: the state the window before left behind, or why there is
none that fits. A state is handed out only to a window that begins one hop later, or a few, in the
same unbroken run of the same ring: sequence numbers make a wrong reuse impossible. When memory is
short, slots nobody has used for long make room, and else the newcomer gets none: pushing out a
camera that is being served would only have both computed in full.
Invariant: the bytes of all slots never exceed the budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from model.classifier import StreamState
from pipeline.patience import Patience
from streamer.worker_notes import StateReset, WindowRef

IDLE_TURNS = 4
"""A slot is idle when each other slot could have been used this often since."""

MAX_STEPS = 3
"""Windows further apart than so many hops are computed in full: that is cheaper, and a state from
it too. Up to there all steps are run, so that a window left out now and then costs no more than if
it had been computed; with full windows instead, a worker that once falls behind stays behind."""

PATIENCE = 1
"""Windows in a row that followed a gap, after which a camera's states are not worth making."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a window can continue from.

    Attributes:
        state: of the camera's last window.
        n_steps: hops from that window to this one.
    """

    state: StreamState
    n_steps: int


@dataclass(slots=True)
class _Slot:
    window: WindowRef
    state: StreamState
    used_at: int


class Slots:
    """States by camera.

    Args:
        budget_bytes: memory all states together may take.
        step_share: cost of a step relative to a full window, by hop; 0 where it is not known.
    """

    def __init__(self, budget_bytes: int, step_share: Mapping[int, float] | None = None) -> None:
        self._budget_bytes = budget_bytes
        self._step_share = dict(step_share or {})
        self._patience = Patience()
        self._slots: dict[str, _Slot] = {}
        self._last: dict[str, WindowRef] = {}
        self._n_gaps: dict[str, int] = {}
        self._n_used = 0
        self._largest_bytes = 0
        self.n_bytes = 0

    def __len__(self) -> int:
        """Cameras that have a state."""
        return len(self._slots)

    def find(self, window: WindowRef) -> Found | StateReset:
        """Return the state of the camera's last window, or why there is none that fits.

        A state that does not fit this window never fits a later one, and is dropped. So is one
        that is reached over more steps than a full window is worth, where that has become a habit.
        """
        self._count_gaps(window)
        if self._patience.is_over(window.camera):
            self.drop(window.camera)
        slot = self._slots.get(window.camera)
        if slot is None:
            if not self._room_for(self._largest_bytes):
                return "memory"
            return "first" if self.is_worth_keeping(window) else "gap"
        if (reason := _mismatch(slot.window, window)) is not None:
            self.drop(window.camera)
            return reason
        return Found(slot.state, (window.first_seq - slot.window.first_seq) // window.hop)

    def is_worth_keeping(self, window: WindowRef) -> bool:
        """Tell whether what this window leaves behind is likely to be used.

        Where windows are left out again and again, because there is too much work, no state is
        ever used, and making one costs two thirds more than a full window.
        """
        is_habit = self._n_gaps.get(window.camera, 0) > PATIENCE
        return not is_habit and not self._patience.is_over(window.camera)

    def keep(self, window: WindowRef, state: StreamState) -> bool:
        """Keep what a window left behind; False where no memory is left for it."""
        self.drop(window.camera)
        self._largest_bytes = max(self._largest_bytes, state.n_bytes)
        if not self._room_for(state.n_bytes):
            return False
        while self.n_bytes + state.n_bytes > self._budget_bytes:
            self.drop(self._idle()[0])
        self._n_used += 1
        self._slots[window.camera] = _Slot(window, state, self._n_used)
        self.n_bytes += state.n_bytes
        return True

    def drop(self, camera: str) -> None:
        """Forget a camera's state; idempotent."""
        slot = self._slots.pop(camera, None)
        if slot is not None:
            self.n_bytes -= slot.state.n_bytes

    def clear(self) -> None:
        """Forget all states."""
        self._slots.clear()
        self._last.clear()
        self._n_gaps.clear()
        self._patience.clear()
        self.n_bytes = 0

    def _count_gaps(self, window: WindowRef) -> None:
        last, self._last[window.camera] = self._last.get(window.camera), window
        reason = "first" if last is None else _mismatch(last, window)
        is_gap = reason == "gap"
        self._n_gaps[window.camera] = self._n_gaps.get(window.camera, 0) + 1 if is_gap else 0
        if last is None or reason not in (None, "gap"):
            self._patience.forget(window.camera)
        else:
            n_hops = -(-(window.first_seq - last.first_seq) // window.hop)
            share = self._step_share.get(window.hop, 0.0)
            self._patience.take(window.camera, n_hops, share)

    def _room_for(self, n_bytes: int) -> bool:
        idle_bytes = sum(self._slots[camera].state.n_bytes for camera in self._idle())
        return self.n_bytes - idle_bytes + n_bytes <= self._budget_bytes

    def _idle(self) -> list[str]:
        """Cameras whose slot nobody has used for long, longest first."""
        limit = self._n_used - IDLE_TURNS * len(self._slots)
        idle = [camera for camera, slot in self._slots.items() if slot.used_at <= limit]
        return sorted(idle, key=lambda camera: self._slots[camera].used_at)


def _mismatch(last: WindowRef, window: WindowRef) -> StateReset | None:
    """Why what `last` left behind is of no use to a window."""
    reasons: tuple[tuple[bool, StateReset], ...] = (
        (last.ring != window.ring, "ring"),
        (last.run != window.run, "run"),
        (last.hop != window.hop, "hop"),
        (not _is_near(window.first_seq - last.first_seq, window), "gap"),
    )
    return next((reason for is_met, reason in reasons if is_met), None)


def _is_near(distance: int, window: WindowRef) -> bool:
    """A few whole hops, whose frames the window still holds."""
    farthest = min(MAX_STEPS * window.hop, window.ring.n_frames)
    return window.hop <= distance <= farthest and distance % window.hop == 0
