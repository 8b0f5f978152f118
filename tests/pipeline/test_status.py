"""Claims about pipeline.status: true rates, bounded memory, no secrets, honest readiness."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from pipeline.records import Nuisance, Suppressed
from pipeline.status import StatusBoard, WorkerStatus
from streamer.notes import Counters, Ended
from tests.pipeline.factories import (
    TIMELINE,
    event,
    frame_note,
    lost,
    opened,
    prediction,
    ready,
)

if TYPE_CHECKING:
    from pipeline.status import CameraStatus
    from tests.conftest import FakeClock


@pytest.fixture
def board(clock: FakeClock) -> StatusBoard:
    return StatusBoard(clock, "1.2.3")


@pytest.fixture
def door(board: StatusBoard) -> CameraStatus:
    return board.add_camera("door", "rtsp://admin:geheim99@cam/stream?token=abcdef")


def run_frames(door: CameraStatus, clock: FakeClock, n: int, start: int = 0) -> None:
    """n analysed frames at 10 a second of a 25 fps camera."""
    for k in range(start, start + n):
        clock.tick(0.1)
        decoded = int(2.5 * k)
        door.frame_note(frame_note(seq=k, counters=Counters(decoded=decoded, used=decoded)))


def test_rates_are_those_of_the_last_two_seconds(door: CameraStatus, clock: FakeClock) -> None:
    """25 fps in, 10 fps analysed; two seconds after the last frame both are 0."""
    run_frames(door, clock, 100)
    report = door.report()
    assert report.fps_in == pytest.approx(25, abs=0.5)
    assert report.fps_analysed == pytest.approx(10, abs=0.1)
    clock.tick(2.01)
    assert (door.report().fps_in, door.report().fps_analysed) == (0.0, 0.0)


def test_places_filled_with_a_held_picture_count_as_analysed(
    door: CameraStatus, clock: FakeClock
) -> None:
    """A 5 fps camera still fills 10 places a second."""
    for k in range(10):
        clock.tick(0.2)
        door.frame_note(frame_note(seq=2 * k, n_places=2, n_held=1))
    assert door.report().fps_analysed == pytest.approx(10)


def test_memory_is_bounded_over_a_million_frames_worth_of_notes(
    door: CameraStatus, clock: FakeClock
) -> None:
    """Rates keep two seconds, latencies 512 samples."""
    run_frames(door, clock, 3000)
    for _ in range(3000):
        door.prediction(prediction())
    assert len(door._rates) <= 22
    assert len(door._latencies) == 512


def test_the_source_and_every_detail_are_shown_without_credentials(
    board: StatusBoard, door: CameraStatus
) -> None:
    """Whatever a message quotes, the snapshot shows no password."""
    door.set_state("auth_failed", "401 for rtsp://admin:geheim99@cam/stream?token=abcdef")
    board.worker.set("restarting", "crash while reading rtsp://admin:geheim99@cam/")
    text = board.snapshot().model_dump_json() + board.summary().model_dump_json()
    assert "geheim99" not in text
    assert "abcdef" not in text
    assert "cam" in door.report().source


def test_totals_survive_a_new_capture_process(door: CameraStatus) -> None:
    """Counts that start again at zero are added to what was."""
    door.counters(Counters(decoded=50, used=40, dropped={"corrupt": 10}))
    door.capture_restarted()
    door.counters(Counters(decoded=60, used=60))
    report = door.report()
    assert (report.frames_decoded, report.frames_used) == (110, 100)
    assert report.frames_dropped == {"corrupt": 10}


def test_each_open_after_the_first_is_a_reconnect(door: CameraStatus) -> None:
    """The first open is none."""
    door.opened(opened())
    assert door.report().n_reconnects == 0
    door.lost(lost(counters=Counters(decoded=3, used=3)))
    door.opened(opened())
    assert door.report().n_reconnects == 1
    assert (door.report().codec, door.report().frames_decoded) == ("h264", 3)


def test_an_ended_source_says_why_and_whether_it_failed(door: CameraStatus) -> None:
    """A file that cannot be read ends with its sentence."""
    door.ended(Ended(camera="door", reason="no video stream", is_error=True, counters=Counters()))
    report = door.report()
    assert (report.state, report.detail, report.is_failed) == ("ended", "no video stream", True)


def test_the_top_scores_are_the_three_highest_in_order(door: CameraStatus) -> None:
    """With their labels."""
    door.prediction(prediction())
    top = [(score.label, score.score) for score in door.report().top_scores]
    assert top == [("fall", 0.7), ("sit", 0.15), ("walk", 0.1)]


def test_latency_is_from_capture_to_score(door: CameraStatus) -> None:
    """p50 and p95 of a known spread."""
    for n in range(100):
        line = dataclasses.replace(TIMELINE, scored_at=TIMELINE.captured_at + 1 + n / 100)
        door.prediction(prediction(timeline=line))
    report = door.report()
    assert report.latency_p50_s == pytest.approx(1.50)
    assert report.latency_p95_s == pytest.approx(1.95)


def test_events_are_active_from_start_to_end(door: CameraStatus) -> None:
    """With their current score; what ended counts on."""
    door.event(event("start"))
    door.event(event("update", score=0.33))
    (active,) = door.report().active_events
    assert (active.event_id, active.score) == ("e1", 0.33)
    door.event(event("end"))
    assert door.report().active_events == []
    assert door.report().n_events == 1


def test_a_covered_camera_is_shown_until_it_is_free(door: CameraStatus, board: StatusBoard) -> None:
    """With since when; what was not told because of it is counted by reason."""
    covered = Nuisance("door", "tamper", True, 0.93, "2026-01-01T00:00:00+00:00")
    door.nuisance(covered)
    for reason in ("tamper", "tamper", "unconfirmed"):
        door.suppressed(Suppressed("door", "motion", reason))
    report = door.report()
    assert [(n.label, n.score, n.onset_wall) for n in report.nuisances] == [
        ("tamper", 0.93, "2026-01-01T00:00:00+00:00")
    ]
    assert report.suppressed == board.summary().suppressed == {"tamper": 2, "unconfirmed": 1}
    door.nuisance(dataclasses.replace(covered, is_active=False))
    assert door.report().nuisances == []


def test_ready_means_a_ready_worker_and_a_camera_that_delivers(
    board: StatusBoard, door: CameraStatus
) -> None:
    """Each missing half is named."""
    assert board.not_ready() == [
        "worker: starting",
        "cameras: none delivers frames (1 connecting)",
    ]
    board.worker.ready(ready())
    door.set_state("stalled")
    assert board.not_ready() == ["cameras: none delivers frames (1 stalled)"]
    door.set_state("running")
    assert board.not_ready() == []
    board.worker.set("restarting", "crash")
    assert board.not_ready() == ["worker: restarting"]


def test_the_worker_keeps_its_facts_while_it_restarts() -> None:
    """What ran last is what will run again; each restart counts once."""
    worker = WorkerStatus()
    worker.ready(ready())
    worker.set("restarting", "crash")
    worker.set("restarting", "crash again")
    worker.set("warming")
    report = worker.report()
    assert (report.n_restarts, report.engine, report.state) == (1, "tensorflow 2.21", "warming")


def test_the_summary_adds_up_all_cameras(
    board: StatusBoard, door: CameraStatus, clock: FakeClock
) -> None:
    """Totals equal the sum of the rows."""
    yard = board.add_camera("yard", "synthetic:street")
    door.counters(Counters(decoded=10, used=4, dropped={"rate_limit": 6}))
    yard.counters(Counters(decoded=5, used=4, dropped={"rate_limit": 1}))
    for camera in (door, yard):
        camera.window("submitted")
        camera.inference("ok")
    door.event(event("start"))
    door.prediction(prediction())
    clock.tick(30)
    summary = board.summary()
    assert summary.duration_s == 30
    assert (summary.frames_decoded, summary.frames_used) == (15, 8)
    assert summary.frames_dropped == {"rate_limit": 7}
    assert (summary.windows, summary.inferred) == ({"submitted": 2}, {"ok": 2})
    assert summary.events == {"motion": 1}
    assert [row.stage for row in summary.stages][-2:] == ["total", "decision"]


def test_a_removed_camera_is_gone(board: StatusBoard, door: CameraStatus) -> None:
    """Also when it was never there."""
    board.remove_camera(door.id)
    board.remove_camera("never")
    assert board.snapshot().cameras == []
