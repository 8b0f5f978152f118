"""Claims about pipeline.report: snapshots are values, not windows into live state."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pydantic
import pytest

from pipeline.report import DELIVERING, Status
from pipeline.status import StatusBoard
from streamer.notes import CameraState
from tests.pipeline.factories import frame_note

if TYPE_CHECKING:
    from tests.conftest import FakeClock


def test_a_snapshot_does_not_change_and_survives_json(clock: FakeClock) -> None:
    """What was taken stays, whatever happens next; JSON gives it back equal."""
    board = StatusBoard(clock, "1")
    camera = board.add_camera("door", "synthetic:street")
    before = board.snapshot()
    camera.frame_note(frame_note())
    assert before.cameras[0].frames_decoded == 0
    assert board.snapshot().cameras[0].frames_decoded == 10
    assert Status.model_validate_json(before.model_dump_json()) == before
    with pytest.raises(pydantic.ValidationError):
        before.version = "2"  # type: ignore[misc] # that is the point


def test_the_states_that_deliver_are_camera_states() -> None:
    """Readiness asks for states that exist."""
    assert set(DELIVERING) <= set(get_args(CameraState))
