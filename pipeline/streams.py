"""How the windows of a batch are computed: from their new frames where that is possible.

In: window references, then the frames each group asks for. Out: scores by window, and now and then
an audit: a window computed a second time, in full. Invariant: a state is kept only if every number
of its window was finite and its frames were intact; as soon as an audit differs, all windows are
computed in full for the rest of this process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model.classifier import TOLERANCE, Classifier, Clips, Embeddings, Scores, Stepper
from model.errors import EngineFailedError
from pipeline.slots import Found, Slots
from streamer.worker_notes import Audit, StateReset, WindowRef

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Group:
    """Windows that are computed in one call.

    Attributes:
        windows: of different cameras.
        stepper: computes them; None for full windows that leave nothing behind.
        states: what the windows before left behind, one a window; empty for full windows.
        resets: why each window is computed in full, None where it is not or was not asked.
        n_steps: hops from the windows before to these; more than one where some were left out.
    """

    windows: list[WindowRef] = field(default_factory=list)
    stepper: Stepper | None = None
    states: list[Any] = field(default_factory=list)
    resets: list[StateReset | None] = field(default_factory=list)
    n_steps: int = 1

    @property
    def is_step(self) -> bool:
        """Only the new frames are needed."""
        return bool(self.states)

    def n_frames(self, window: WindowRef) -> int:
        """How many of a window's newest frames are needed."""
        return self.n_steps * window.hop if self.is_step else window.ring.n_frames

    def only(self, indexes: Sequence[int]) -> Group:
        """The same group with some of its windows."""
        return Group(
            [self.windows[n] for n in indexes],
            self.stepper,
            [self.states[n] for n in indexes] if self.is_step else [],
            [self.resets[n] for n in indexes],
            self.n_steps,
        )


@dataclass(frozen=True, slots=True)
class Scored:
    """What came out for one window.

    Attributes:
        window: which.
        scores: float32 (K,); None where the engine refuses it even alone, or gives no number.
        is_step: computed from its new frames.
        reset: why not, where that was asked for.
        embedding: float32 (E,); None with the scores.
    """

    window: WindowRef
    scores: Scores | None
    is_step: bool
    reset: StateReset | None
    embedding: Embeddings | None = None


@dataclass(frozen=True, slots=True)
class _Due:
    window: WindowRef
    scores: Scores
    embedding: Embeddings


class Streams:
    """The streams of all cameras in one classifier.

    Args:
        classifier: warmed up.
        precision: of the classifier; says how equal equal is.
        budget_bytes: memory for what streams keep between windows.
        audit_every: one step in so many is computed a second time; 0: none.
    """

    def __init__(
        self, classifier: Classifier, precision: str, budget_bytes: int, audit_every: int
    ) -> None:
        self._classifier = classifier
        self._n_labels = len(classifier.labels)
        self._tolerance = TOLERANCE.get(precision, max(TOLERANCE.values()))
        self._audit_every = audit_every
        self._slots = Slots(budget_bytes)
        self._n_steps = 0
        self._due: _Due | None = None
        self._differs = False

    @property
    def n_bytes(self) -> int:
        """Memory of what streams keep now."""
        return self._slots.n_bytes

    def groups(self, windows: Sequence[WindowRef]) -> list[Group]:
        """Sort the windows of a batch by how they are computed: steps first, they are cheap."""
        groups: dict[tuple[int, int], Group] = {}
        seen: set[str] = set()
        for window in windows:
            stepper = self._stepper(window) if window.camera not in seen else None
            seen.add(window.camera)
            found = None if stepper is None else self._slots.find(window)
            reset = found if isinstance(found, str) else None
            n_steps = found.n_steps if isinstance(found, Found) else 0
            if reset == "memory" or (reset and not self._slots.is_worth_keeping(window)):
                stepper = None
            if stepper is None and self._differs:
                reset = "mismatch"
            key = (window.hop if stepper is not None else 0, n_steps)
            group = groups.setdefault(key, Group(stepper=stepper, n_steps=n_steps))
            group.windows.append(window)
            group.resets.append(reset)
            if isinstance(found, Found):
                group.states.append(found.state)
        return sorted(groups.values(), key=lambda group: not group.is_step)

    def run(self, group: Group, clips: Clips) -> list[Scored]:
        """Compute a group.

        Args:
            group: from `groups`.
            clips: uint8 (N, n_frames, S, S, 3), one for each of its windows; for a step only the
                new frames.

        Raises:
            EngineFailedError: the engine is unusable; this process must be replaced.
            ValueError: the engine refuses the clips, or answers in another shape.
        """
        stepper = group.stepper
        if stepper is None:
            scores, embeddings = self._classifier.predict(clips)
            return self._scored(group, scores, embeddings)
        try:
            scores, embeddings, states = _computed(stepper, group, clips)
        except EngineFailedError:
            raise
        except Exception:
            self.forget(group.windows)
            raise
        scored = self._scored(group, scores, embeddings)
        for index, (one, state) in enumerate(zip(scored, states, strict=True)):
            if one.scores is None:
                self._slots.drop(one.window.camera)
                continue
            self._slots.keep(one.window, state)
            if group.is_step and stepper.mode == "incremental":
                self._count(_Due(one.window, one.scores, embeddings[index]))
        return scored

    def forget(self, windows: Sequence[WindowRef]) -> None:
        """Drop the states of these windows' cameras: their frames turned out to be damaged."""
        for window in windows:
            self._slots.drop(window.camera)

    def audit(self, read: Callable[[WindowRef], Clips]) -> Audit | None:
        """Compute the window that is due a second time, in full, and compare.

        Args:
            read: returns a copy of a window's frames, uint8 (T, S, S, 3).

        Returns:
            None where nothing is due.

        Raises:
            RingError: the window is overwritten by now; the next one will do.
            EngineFailedError: the engine failed.
        """
        due, self._due = self._due, None
        if due is None:
            return None
        scores, embeddings = self._classifier.predict(read(due.window)[None])
        error = float(np.abs(scores[0] - due.scores).max())
        difference = float(np.abs(embeddings[0] - due.embedding).max())
        # Not-a-number is in no relation to anything, so it does not pass for equal.
        is_equal = difference <= self._tolerance * float(np.abs(embeddings[0]).max())
        if not is_equal:
            self._differs = True
            self._slots.clear()
            log.error(
                "a window of camera %s computed from its new frames differs from the full one by"
                " %.3g: all windows are computed in full from now on",
                due.window.camera,
                difference,
            )
        return Audit(max_abs_error=error, is_equal=is_equal)

    def _stepper(self, window: WindowRef) -> Stepper | None:
        if not window.camera or not window.hop or self._differs:
            return None
        return self._classifier.stepper(window.hop)

    def _scored(self, group: Group, scores: Scores, embeddings: Embeddings) -> list[Scored]:
        if scores.shape != (len(group.windows), self._n_labels):
            raise ValueError(f"{len(group.windows)} windows gave scores of shape {scores.shape}")
        rows = zip(group.windows, scores, group.resets, embeddings, strict=True)
        return [
            Scored(window, row, group.is_step, reset, embedding)
            if np.isfinite(row).all()
            else Scored(window, None, group.is_step, reset)
            for window, row, reset, embedding in rows
        ]

    def _count(self, step: _Due) -> None:
        self._n_steps += 1
        if self._audit_every and self._n_steps % self._audit_every == 0:
            self._due = step


def _computed(stepper: Stepper, group: Group, clips: Clips) -> tuple[Scores, Embeddings, list[Any]]:
    """Run a first window, or the steps from the windows before to these."""
    if not group.is_step:
        return stepper.init(clips)
    hop = stepper.hop
    found = stepper.step(clips[:, :hop], group.states)
    for at in range(hop, group.n_steps * hop, hop):
        found = stepper.step(clips[:, at : at + hop], found[2])
    return found
