"""Windows are computed from their new frames exactly where that gives the full window's result.

The classifier is that of `weighing`: each score depends on every frame.
"""

from __future__ import annotations

import logging

import numpy as np
import pytest

from model.classifier import Clips
from model.errors import EngineFailedError
from pipeline.streams import Scored, Streams
from streamer.errors import WindowOverwrittenError
from streamer.notes import RingSpec
from streamer.worker_notes import WindowRef
from tests.pipeline.weighing import HOP, N_FRAMES, Engine, weighed

RING = RingSpec(path="/r", n_slots=64, size_px=2, n_frames=N_FRAMES)

VIDEO = np.random.default_rng(0).integers(0, 256, 4000, np.uint8)


def ref(camera: str, first_seq: int, *, run: int = 0, hop: int = HOP) -> WindowRef:
    return WindowRef(
        window_id=first_seq, ring=RING, first_seq=first_seq, camera=camera, run=run, hop=hop
    )


def frames(window: WindowRef, n_frames: int = N_FRAMES) -> Clips:
    """The newest frames of a window; each camera and run sees its own part of the video."""
    start = 500 * "abcd".index(window.camera or "d") + 50 * window.run + window.first_seq
    values = VIDEO[start : start + N_FRAMES][-n_frames:]
    return np.broadcast_to(values[:, None, None, None], (n_frames, 2, 2, 3)).copy()


def classify(streams: Streams, *windows: WindowRef) -> list[Scored]:
    """Run a batch as the worker does; check that each result is that of the full window."""
    found = []
    for group in streams.groups(windows):
        clips = np.stack([frames(window, group.n_frames(window)) for window in group.windows])
        found += streams.run(group, clips)
    for scored in found:
        if scored.scores is not None:
            expected, _ = weighed(frames(scored.window)[None])
            np.testing.assert_array_equal(scored.scores, expected[0])
    return sorted(found, key=lambda scored: windows.index(scored.window))


def streams_of(engine: Engine, budget: int = 1000, audit_every: int = 0) -> Streams:
    return Streams(engine, "float32", budget, audit_every)


def test_the_first_window_is_full_and_those_that_follow_are_steps() -> None:
    """With the scores of full windows, from the new frames alone."""
    engine = Engine()
    streams = streams_of(engine)
    found = [classify(streams, ref("a", at))[0] for at in range(0, 40, HOP)]
    assert engine.calls == ["init 1"] + ["step 1"] * 9
    assert [scored.is_step for scored in found] == [False] + [True] * 9
    assert [scored.reset for scored in found] == ["first"] + [None] * 9
    assert streams.n_bytes == 100


def test_streams_share_calls_and_steps_go_first() -> None:
    """Three cameras of which one begins: two steps in one call, then one first window."""
    engine = Engine()
    streams = streams_of(engine)
    classify(streams, ref("a", 0), ref("b", 12))
    found = classify(streams, ref("c", 3), ref("b", 16), ref("a", 4))
    assert engine.calls == ["init 2", "step 2", "init 1"]
    assert [scored.is_step for scored in found] == [False, True, True]


@pytest.mark.parametrize(
    ("following", "reset"),
    [
        (ref("a", 16), "gap"),
        (ref("a", 0), "gap"),
        (ref("a", 4, run=1), "run"),
    ],
)
def test_what_does_not_follow_is_computed_in_full(following: WindowRef, reset: str) -> None:
    """And what follows that is a step again."""
    engine = Engine()
    streams = streams_of(engine)
    classify(streams, ref("a", 0))
    assert classify(streams, following)[0].reset == reset
    after = ref("a", following.first_seq + HOP, run=following.run)
    assert classify(streams, after)[0].is_step
    assert engine.calls == ["init 1", "init 1", "step 1"]


def test_a_window_that_was_left_out_is_stepped_over() -> None:
    """Two steps, one answer, the scores of the full window; apart from windows one step away."""
    engine = Engine()
    streams = streams_of(engine)
    classify(streams, ref("a", 0), ref("b", 0))
    found = classify(streams, ref("a", 8), ref("b", 4))
    assert engine.calls[0] == "init 2"
    assert sorted(engine.calls[1:]) == ["step 1"] * 3
    assert [scored.is_step for scored in found] == [True, True]
    assert classify(streams, ref("a", 12))[0].is_step


def test_where_windows_are_left_out_again_and_again_no_state_is_made() -> None:
    """Full windows alone, until two follow each other again."""
    engine = Engine()
    streams = streams_of(engine)
    found = [classify(streams, ref("a", at))[0] for at in (0, 4, 24, 44, 64, 68, 72)]
    assert engine.calls == [
        "init 1",
        "step 1",
        "init 1",
        "predict 1",
        "predict 1",
        "init 1",
        "step 1",
    ]
    assert [scored.reset for scored in found] == ["first", None, "gap", "gap", "gap", "first", None]


@pytest.mark.parametrize(
    "window", [ref("a", 0, hop=0), ref("a", 0, hop=8), ref("", 0)], ids=["none", "other", "nobody"]
)
def test_without_a_stepper_windows_are_full_and_leave_nothing(window: WindowRef) -> None:
    """A hop without one, an unknown hop, an unknown camera: nobody asked for a reason."""
    engine = Engine()
    streams = streams_of(engine)
    for _ in range(2):
        [scored] = classify(streams, window)
        assert (scored.is_step, scored.reset) == (False, None)
    assert engine.calls == ["predict 1"] * 2
    assert streams.n_bytes == 0


def test_without_memory_windows_are_full() -> None:
    """No room for a state: no state is made."""
    engine = Engine()
    streams = streams_of(engine, budget=150)
    for at in (0, 4, 8):
        found = classify(streams, ref("a", at), ref("b", at))
    assert [scored.is_step for scored in found] == [True, False]
    assert found[1].reset == "memory"
    assert engine.calls == ["init 2", "step 1", "predict 1", "step 1", "predict 1"]
    assert streams.n_bytes == 100


def test_two_windows_of_one_camera_in_a_batch_do_not_mix() -> None:
    """The first continues the stream, the other is computed for itself."""
    engine = Engine()
    streams = streams_of(engine)
    classify(streams, ref("a", 0))
    found = classify(streams, ref("a", 4), ref("a", 8))
    assert [scored.is_step for scored in found] == [True, False]
    assert classify(streams, ref("a", 8))[0].is_step


def test_frames_that_were_damaged_leave_no_state() -> None:
    """The caller found out after the run: the next window begins anew."""
    streams = streams_of(Engine())
    classify(streams, ref("a", 0))
    streams.forget([ref("a", 0)])
    assert classify(streams, ref("a", 4))[0].reset == "first"


@pytest.mark.parametrize("call", ["init", "step"])
def test_an_error_drops_the_states_of_its_windows(call: str) -> None:
    """It passes on to the caller, who tries the windows alone."""
    engine = Engine()
    streams = streams_of(engine)
    classify(streams, ref("a", 0), ref("b", 0))
    engine.failing[call] = ValueError("refused")
    windows = [ref("a", 4)] if call == "step" else [ref("a", 4, run=1)]
    with pytest.raises(ValueError, match="refused"):
        classify(streams, *windows)
    engine.failing.clear()
    assert classify(streams, ref("a", 8))[0].reset == "first"
    assert classify(streams, ref("b", 4))[0].is_step


def test_a_failed_engine_is_not_hidden() -> None:
    """The process must be replaced."""
    engine = Engine(failing={"init": EngineFailedError("gone")})
    with pytest.raises(EngineFailedError):
        classify(streams_of(engine), ref("a", 0))


def test_numbers_that_are_none_are_no_scores_and_leave_no_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not-a-number in a state would stay in it forever."""
    engine = Engine()
    streams = streams_of(engine)
    classify(streams, ref("a", 0))
    nothing = np.full((1, 2), np.nan, np.float32)
    whole = engine.steps.step
    monkeypatch.setattr(
        engine.steps, "step", lambda new, old: (nothing, nothing, whole(new, old)[2])
    )
    assert classify(streams, ref("a", 4))[0].scores is None
    assert streams.n_bytes == 0


def test_one_step_in_so_many_is_audited() -> None:
    """Both ways agree: the largest difference is told, and steps go on."""
    engine = Engine()
    streams = streams_of(engine, audit_every=3)
    audits = []
    for at in range(0, 40, HOP):
        classify(streams, ref("a", at))
        audits.append(streams.audit(frames))
    told = [audit for audit in audits if audit is not None]
    assert [audits.index(told[0]), len(told)] == [3, 3]
    assert all(audit.is_equal and audit.max_abs_error == 0 for audit in told)
    assert engine.calls.count("predict 1") == 3


def test_an_audit_that_differs_ends_the_steps(caplog: pytest.LogCaptureFixture) -> None:
    """From then on all windows are computed in full, and the log says why."""
    engine = Engine()
    engine.steps.error = 50.0
    streams = streams_of(engine, audit_every=1)
    classify(streams, ref("a", 0))
    classify(streams, ref("a", 4))
    with caplog.at_level(logging.ERROR):
        audit = streams.audit(frames)
    assert audit is not None
    assert not audit.is_equal
    assert "camera a" in caplog.text
    engine.calls.clear()
    [scored] = classify(streams, ref("a", 8))
    assert (scored.is_step, scored.reset) == (False, "mismatch")
    assert engine.calls == ["predict 1"]
    assert (streams.n_bytes, streams.audit(frames)) == (0, None)


def test_not_a_number_does_not_pass_an_audit() -> None:
    """It compares as neither larger nor smaller."""
    engine = Engine()
    engine.steps.error = float("nan")
    streams = streams_of(engine, audit_every=1)
    classify(streams, ref("a", 0))
    classify(streams, ref("a", 4))
    audit = streams.audit(frames)
    assert audit is not None
    assert not audit.is_equal


def test_a_window_that_is_gone_is_not_audited() -> None:
    """The next one will do."""
    streams = streams_of(Engine(), audit_every=1)
    classify(streams, ref("a", 0))
    classify(streams, ref("a", 4))

    def gone(window: WindowRef) -> Clips:
        raise WindowOverwrittenError("gone")

    with pytest.raises(WindowOverwrittenError):
        streams.audit(gone)
    assert streams.audit(frames) is None
    classify(streams, ref("a", 8))
    assert streams.audit(frames) is not None


def test_a_causal_stream_is_not_compared_with_its_window() -> None:
    """Its scores come from more than one window by design."""
    engine = Engine()
    engine.steps.mode = "causal"
    streams = streams_of(engine, audit_every=1)
    for at in (0, 4, 8):
        classify(streams, ref("a", at))
        assert streams.audit(frames) is None


def test_scores_of_another_shape_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that answers for another number of windows or labels is not believed."""
    engine = Engine()
    streams = streams_of(engine)
    monkeypatch.setattr(engine, "labels", ("one",))
    broken = streams_of(engine)
    with pytest.raises(ValueError, match="gave scores of shape"):
        classify(broken, ref("a", 0))
    assert classify(streams, ref("a", 0))
