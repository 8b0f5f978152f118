"""The records that cross the border to the inference worker; see `streamer.notes` for the rules.

In: which model to load, then batches of windows named by ring and sequence number. Out: what runs,
and one result a batch. They live beside the capture process' notes because both speak of rings.
Invariant: no record holds a pixel.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from streamer.notes import Heartbeat, Note, RingSpec, Stop


class LoadModel(Note, frozen=True, kw_only=True):
    """Load a bundle into an engine and warm it up.

    Attributes:
        config: a `ModelConfig` as JSON.
        max_batch: most windows in a batch.
        factory: `module:function` that loads the model from a `ModelConfig`; empty for the bundle
            and engine of the configuration.
        hops: frames between windows that cameras may use.
    """

    config: bytes
    max_batch: int
    factory: str = ""
    hops: list[int] = msgspec.field(default_factory=list)


class WindowRef(msgspec.Struct, frozen=True, kw_only=True):
    """A window in a ring.

    Attributes:
        window_id: identifies the window in the answer.
        ring: where it lives.
        first_seq: sequence number of its oldest frame; it holds ring.n_frames consecutive ones.
        camera: whose stream it belongs to.
        run: unbroken run of its frames.
        hop: frames since the window before, as the camera forms them now; 0: unknown.
    """

    window_id: int
    ring: RingSpec
    first_seq: int
    camera: str = ""
    run: int = 0
    hop: int = 0


class Infer(Note, frozen=True, kw_only=True):
    """Classify these windows as one batch."""

    batch_id: int
    windows: list[WindowRef]


class Locate(Note, frozen=True, kw_only=True):
    """Find where a label is in a window, and draw it if a file is named.

    Attributes:
        event_id: comes back with the answer.
        window: that decided; its frames must still be in the ring.
        label: of the event.
        overlay: path of a PNG to write; empty for none.
        n_overlays: of these files that folder keeps.
    """

    event_id: str
    window: WindowRef
    label: str
    overlay: str = ""
    n_overlays: int = 1


class Placed(Note, frozen=True, kw_only=True):
    """The answer to `Locate`.

    Attributes:
        event_id: as asked.
        box: left, top, right, bottom in shares of the picture; empty where nothing can be said.
        span: begin and end in shares of the window's time.
        overlay: name of the file that was written; empty where none was.
    """

    event_id: str
    box: tuple[float, ...] = ()
    span: tuple[float, ...] = ()
    overlay: str = ""


class Ready(Note, frozen=True, kw_only=True):
    """The worker answers batches from now on.

    Attributes:
        model: bundle name.
        version: bundle version.
        sha256: of the weights, hexadecimal.
        is_trained: scores mean something.
        labels: K label names.
        engine: runtime name and version.
        precision: float32 or bfloat16.
        device: cpu or gpu.
        cost_s: measured seconds by batch size.
        load_s: seconds from start to ready.
        report: what was measured and verified, for logs and doctor.
        step_cost_s: measured seconds of a step by hop, then by batch size; empty where every window
            is computed in full.
        mode: how windows that follow each other are computed.
    """

    model: str
    version: str
    sha256: str
    is_trained: bool
    labels: list[str]
    engine: str
    precision: str
    device: str
    cost_s: dict[int, float]
    load_s: float
    report: dict[str, float] = msgspec.field(default_factory=dict)
    step_cost_s: dict[int, dict[int, float]] = msgspec.field(default_factory=dict)
    mode: Literal["full", "incremental", "causal"] = "full"


class ModelRefused(Note, frozen=True, kw_only=True):
    """The bundle or engine cannot be used; trying again would not help."""

    message: str


WindowOutcome = Literal["ok", "stale", "error"]
StateReset = Literal["first", "run", "gap", "hop", "ring", "memory", "error", "mismatch"]
"""Why a window was computed in full although its hop has steps: nothing of its camera is at hand;
another unbroken run; too many windows were left out; another hop; another ring (size, restart); no
memory left for it; the step failed; an audit found steps that differ."""


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one window.

    Attributes:
        window_id: as asked.
        outcome: ok; stale (overwritten in the ring before it was read); error (the engine refused
            it).
        scores: K values in 0..1; empty unless ok.
        embedding: float32 (E,), as this machine's bytes, where the model's configuration asks for
            it.
        is_step: computed from its new frames.
        reset: why it was not, where that was asked for.
    """

    window_id: int
    outcome: WindowOutcome
    scores: list[float] = []
    embedding: bytes = b""
    is_step: bool = False
    reset: StateReset | None = None


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """A window that was computed both ways.

    Attributes:
        max_abs_error: largest difference of its scores.
        is_equal: the embeddings agree within the tolerance of the precision.
    """

    max_abs_error: float
    is_equal: bool


class Result(Note, frozen=True, kw_only=True):
    """A batch is done.

    Attributes:
        batch_id: as asked.
        scores: one a window, in the order asked.
        started_at: instant the worker began with it.
        transfer_s: seconds to bring the windows from the rings to the engine.
        infer_s: seconds in the engine.
        finished_at: instant the scores were ready.
        state_bytes: memory of what streams keep between windows.
        audit: of an earlier window, when one has been finished since the last result.
    """

    batch_id: int
    scores: list[Score]
    started_at: float
    transfer_s: float
    infer_s: float
    finished_at: float
    state_bytes: int = 0
    audit: Audit | None = None


FromWorker = Ready | ModelRefused | Result | Placed | Heartbeat
ToWorker = LoadModel | Infer | Locate | Stop
