"""The metric families of the product, as data: names, meaning, labels and buckets.

Nothing flows here; `pipeline.series` builds the registry from these tables. A label with values
has exactly those; a label without takes the names of cameras, sinks, models or event classes of
the configuration. Invariant: base units, and no label whose values a stranger can choose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

from model.labels import NUISANCES
from pipeline.records import InferenceOutcome, WindowOutcome
from streamer.errors import LossKind
from streamer.notes import DropReason, ResetReason
from streamer.worker_notes import StateReset

STAGE = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.2,
    0.35,
    0.5,
    0.75,
    1,
    1.5,
    2.5,
    5,
    10,
)
E2E = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 30, 60)
AGE = (0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 2, 5, 10)
INTERVAL = (0.005, 0.01, 0.02, 0.034, 0.041, 0.05, 0.067, 0.1, 0.2, 0.5, 1, 2, 5, 10)
BATCH = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
RATIO = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1)
SCORE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)
DELIVER = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
EVENT = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
HTTP = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 5)

OTHER = "other"
"""Takes the place of a label value that is not in its set."""

STAGES = (
    "receive",
    "decode",
    "gate",
    "preprocess",
    "window",
    "batch_wait",
    "queue",
    "transfer",
    "infer",
    "postprocess",
    "decide",
    "publish",
)
DISCONNECTS = ("eof", "timeout", "error", "stalled", "reconfigured")
TRIGGERS = ("full", "timeout", "deadline", "idle", "drain")
RESTARTS = ("crash", "hang", "memory", "timeout")
DELIVERIES = ("ok", "retry", "failed", "expired")
STEPS = ("hop", "fps", "turns")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family.

    Attributes:
        name: without the ending its type adds (_total, _info).
        doc: one sentence, with the unit where the name does not say it.
        labels: values of each label; () where the configuration names them.
        buckets: upper bounds of a histogram.
        is_created_early: series exist, at zero, as soon as their labels are known.
    """

    name: str
    doc: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()
    is_created_early: bool = True


_CAMERA: Mapping[str, tuple[str, ...]] = {"camera": ()}
_MODEL: Mapping[str, tuple[str, ...]] = {"model": ()}
_SINK: Mapping[str, tuple[str, ...]] = {"sink": ()}
_HOST: Mapping[str, tuple[str, ...]] = {"camera": (), "clock": ("host",)}

COUNTERS = (
    Family("bresnet_source_frames", "Pictures the decoder returned.", _CAMERA),
    Family("bresnet_source_frames_used", "Pictures that were placed in the ring.", _CAMERA),
    Family("bresnet_source_bytes", "Compressed bytes read.", _CAMERA),
    Family("bresnet_source_decode_errors", "Packets or pictures the decoder refused.", _CAMERA),
    Family(
        "bresnet_source_connects",
        "Attempts to open a source, by outcome.",
        {"camera": (), "outcome": ("ok", *get_args(LossKind), OTHER)},
    ),
    Family(
        "bresnet_source_disconnects",
        "Losses of an open source, by reason.",
        {"camera": (), "reason": DISCONNECTS},
    ),
    Family("bresnet_source_down_seconds", "Seconds without frames, unless ended.", _CAMERA),
    Family("bresnet_source_duplicate_frames", "Successive pictures with equal content.", _CAMERA),
    Family(
        "bresnet_frames_dropped",
        "Decoded pictures that were not used, by reason.",
        {"camera": (), "reason": get_args(DropReason)},
    ),
    Family("bresnet_buffer_held_frames", "Places filled with the previous picture again.", _CAMERA),
    Family(
        "bresnet_windows",
        "Possible windows, by their fate at the camera.",
        {"camera": (), "outcome": get_args(WindowOutcome)},
    ),
    Family(
        "bresnet_window_resets",
        "Runs of frames that began anew, by reason.",
        {"camera": (), "reason": get_args(ResetReason)},
    ),
    Family("bresnet_gate_open_seconds", "Seconds the motion gate was open.", _CAMERA),
    Family(
        "bresnet_inference_windows",
        "Submitted windows, by their fate.",
        {"model": (), "outcome": get_args(InferenceOutcome)},
    ),
    Family(
        "bresnet_inference_batches",
        "Batches sent to the worker, by what made them due.",
        {"model": (), "trigger": TRIGGERS},
    ),
    Family(
        "bresnet_inference_busy_seconds",
        "Seconds the worker spent on batches.",
        {"model": (), "worker": ()},
    ),
    Family(
        "bresnet_inference_worker_restarts",
        "Workers that were replaced, by reason.",
        {"worker": (), "reason": (*RESTARTS, OTHER)},
    ),
    Family(
        "bresnet_incremental_steps",
        "Windows computed from their new frames and what the windows before left behind.",
        _MODEL,
    ),
    Family(
        "bresnet_incremental_resets",
        "Windows computed in full although their hop has steps, by reason.",
        {"model": (), "reason": get_args(StateReset)},
    ),
    Family(
        "bresnet_incremental_audits",
        "Steps computed a second time, in full, by what came out.",
        {"model": (), "outcome": ("equal", "different")},
    ),
    Family(
        "bresnet_events",
        "Events that started and ended.",
        {"camera": (), "event": (), "phase": ("start", "end")},
    ),
    Family(
        "bresnet_events_suppressed",
        "Events that would have started, by the nuisance that explains them, or unconfirmed.",
        {"camera": (), "event": (), "reason": (*NUISANCES, "unconfirmed", OTHER)},
        is_created_early=False,
    ),
    Family(
        "bresnet_sink_deliveries",
        "Deliveries of events to a sink, by outcome.",
        {"sink": (), "outcome": DELIVERIES},
    ),
    Family(
        "bresnet_http_requests",
        "Requests answered, by path template, method and status code.",
        {"route": (), "method": (*METHODS, OTHER), "code": ()},
        is_created_early=False,
    ),
)

GAUGES = (
    Family("bresnet_source_up", "1 while the camera is warming or running.", _CAMERA),
    Family(
        "bresnet_source_last_frame_timestamp_seconds",
        "Wall time at which the newest analysed frame was decoded.",
        _CAMERA,
        is_created_early=False,
    ),
    Family("bresnet_buffer_frames", "Frames the ring holds.", _CAMERA),
    Family("bresnet_buffer_bytes", "Bytes of shared memory the ring's frames take.", _CAMERA),
    Family("bresnet_gate_open", "1 while motion lets windows through.", _CAMERA),
    Family("bresnet_inference_queue_depth", "Windows submitted and not resolved.", _MODEL),
    Family("bresnet_inference_queue_capacity", "Most windows that can wait.", _MODEL),
    Family("bresnet_inference_worker_up", "1 while the worker takes batches.", {"worker": ()}),
    Family(
        "bresnet_inference_batch_wait_limit_seconds",
        "Longest time a window waits for company now.",
        _MODEL,
    ),
    Family(
        "bresnet_incremental_state_bytes",
        "Memory of what streams keep between windows.",
        _MODEL,
    ),
    Family(
        "bresnet_incremental_max_abs_error",
        "Largest difference of a score between a step and its full window, of all audits.",
        _MODEL,
    ),
    Family(
        "bresnet_events_active",
        "Events that started and have not ended.",
        {"camera": (), "event": ()},
    ),
    Family(
        "bresnet_nuisance_active",
        "1 while something that is no object disturbs the picture.",
        {"camera": (), "event": ()},
        is_created_early=False,
    ),
    Family(
        "bresnet_event_last_start_timestamp_seconds",
        "Wall time of the last start.",
        {"camera": (), "event": ()},
        is_created_early=False,
    ),
    Family("bresnet_sink_pending", "Events that wait for the sink.", _SINK),
    Family("bresnet_sink_up", "1 unless the last delivery failed.", _SINK),
    Family("bresnet_degradation_level", "How far quality is lowered now; 0 is full quality."),
    Family(
        "bresnet_degradation_steps",
        "Steps by which quality is lowered now, by kind; their sum is the level.",
        {"step": STEPS},
    ),
    Family("bresnet_ready", "1 while worker and at least one camera are ready."),
)

HISTOGRAMS = (
    Family(
        "bresnet_source_frame_interval_seconds",
        "Time between two decoded frames, sampled at analysed ones.",
        _CAMERA,
        INTERVAL,
    ),
    Family(
        "bresnet_window_coverage_ratio",
        "Share of distinct frames in submitted windows.",
        _CAMERA,
        RATIO,
    ),
    Family("bresnet_inference_batch_size", "Windows in a batch.", _MODEL, BATCH),
    Family(
        "bresnet_model_score",
        "Scores of a trained bundle's event classes.",
        {"model": (), "event": ()},
        SCORE,
        is_created_early=False,
    ),
    Family(
        "bresnet_stage_duration_seconds",
        "Time a frame, window or event spent in a stage.",
        {"stage": STAGES},
        STAGE,
    ),
    Family(
        "bresnet_frame_age_seconds",
        "Age of a window's newest frame when inference starts.",
        _CAMERA,
        AGE,
    ),
    Family(
        "bresnet_result_latency_seconds",
        "Newest frame captured to scores ready, by the clock that dates the capture.",
        _HOST,
        E2E,
    ),
    Family(
        "bresnet_alert_latency_seconds",
        "Onset captured to the first sink's acknowledgement.",
        _HOST,
        E2E,
    ),
    Family(
        "bresnet_alert_decision_delay_seconds",
        "Onset captured to the decision that an event started.",
        {"event": ()},
        E2E,
    ),
    Family("bresnet_event_loop_lag_seconds", "How late the event loop wakes a task.", {}, STAGE),
    Family("bresnet_event_duration_seconds", "Onset to end of an event.", {"event": ()}, EVENT),
    Family("bresnet_sink_delivery_seconds", "Event queued to acknowledged.", _SINK, DELIVER),
    Family(
        "bresnet_http_request_duration_seconds",
        "Time to answer a request.",
        {"route": (), "method": (*METHODS, OTHER)},
        HTTP,
        is_created_early=False,
    ),
)

INFOS = (
    Family("bresnet_source", "What an open source delivers.", _CAMERA, is_created_early=False),
    Family("bresnet_model", "The model the worker runs."),
    Family("bresnet_build", "The product and what it runs on."),
)

STATESET = Family("bresnet_source_state", "State of the camera; exactly one is 1.", _CAMERA)

FAMILIES = (*COUNTERS, *GAUGES, *HISTOGRAMS, *INFOS, STATESET)
