"""Claims about places: which cells an object covers, when, and what stays undecided."""

from __future__ import annotations

import numpy as np
import pytest

from model.data.place import NO_OBJECTS, Objects, place_targets
from model.labels import LABELS, MOTION

SIZE, N = 64, 8
RIGHT, UP = MOTION.index("right"), MOTION.index("up")


def truth(**spans: slice) -> np.ndarray:
    """Nothing happens but what is named."""
    rows = np.zeros((N, len(LABELS)), np.float32)
    for label, span in spans.items():
        rows[span, LABELS.index(label)] = 1
    return rows


def going(box_px: tuple[float, float, float, float], label: int = RIGHT) -> Objects:
    """One object that does one thing all the time in one box."""
    boxes = np.tile(np.array(box_px, np.float32) / SIZE, (1, N, 1))
    motions = np.zeros((1, N, len(MOTION)), np.float32)
    motions[..., label] = 1
    return Objects(boxes, motions)


def cells(found: np.ndarray, value: float, moment: int = 0, label: int = RIGHT) -> set[tuple]:
    """Row and column of the cells that hold a value."""
    part = found[moment, :, :, label]
    chosen = np.isnan(part) if np.isnan(value) else part == value
    return {(int(row), int(column)) for row, column in np.argwhere(chosen)}


def test_an_object_is_where_its_box_holds_the_middle_of_cells() -> None:
    """x from 8 to 32 px and y from 16 to 24 px are columns 1 to 3 of row 2; around it is open."""
    found = place_targets(going((8, 16, 32, 24)), truth(), SIZE)
    assert found.shape == (2, 8, 8, len(MOTION))
    assert found.dtype == np.float32
    assert cells(found, 1.0) == {(2, 1), (2, 2), (2, 3)}
    ring = {(row, column) for row in (1, 2, 3) for column in range(5)}
    assert cells(found, np.nan) == ring - cells(found, 1.0)
    assert not found[..., UP].any()


def test_an_object_smaller_than_a_cell_is_in_the_cell_of_its_middle() -> None:
    """A box of 3 px beside the middles of all cells is not lost."""
    found = place_targets(going((17, 41, 20, 44)), truth(), SIZE)
    assert cells(found, 1.0) == {(5, 2)}


def test_half_of_the_frames_make_a_cell_true_and_fewer_leave_it_open() -> None:
    """Two of four frames are enough, one is not; the next position is its own."""
    objects = going((16, 16, 32, 32))
    for n_frames, value in ((1, np.nan), (2, 1.0)):
        motions = objects.motions.copy()
        motions[:, n_frames:] = 0
        found = place_targets(Objects(objects.boxes, motions), truth(), SIZE)
        np.testing.assert_equal(found[0, 2, 2, RIGHT], value)
        assert not found[1].any()


def test_undecided_motion_leaves_its_cells_open_and_others_decided() -> None:
    """NaN stays where the object is; a second object there that is sure outweighs it."""
    unsure, sure = going((0, 0, 24, 24)), going((0, 0, 16, 16))
    unsure.motions[..., RIGHT] = np.nan
    found = place_targets(unsure, truth(), SIZE)
    assert not cells(found, 1.0)
    assert (2, 2) in cells(found, np.nan)
    assert (5, 5) in cells(found, 0.0)
    both = Objects(*(np.concatenate(parts) for parts in zip(unsure, sure, strict=True)))
    assert cells(place_targets(both, truth(), SIZE), 1.0) == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_what_is_not_seen_is_in_no_cell() -> None:
    """A box of NaN, and no object at all, leave every cell at 0."""
    gone = going((8, 8, 24, 24))
    gone.boxes[:] = np.nan
    assert not place_targets(gone, truth(), SIZE).any()
    assert not place_targets(NO_OBJECTS, truth(), SIZE).any()


@pytest.mark.parametrize("label", ["camera", "tamper"])
def test_nothing_is_decided_while_the_camera_is_disturbed(label: str) -> None:
    """One such frame opens all cells of its position; those of the other stay."""
    for objects in (NO_OBJECTS, going((8, 8, 24, 24))):
        found = place_targets(objects, truth(**{label: slice(5, 6)}), SIZE)
        assert np.isnan(found[1]).all()
        assert (found[0] == place_targets(objects, truth(), SIZE)[0])[:, :, UP].all()


def test_an_undecided_tremble_hides_nothing_but_an_undecided_lens_does() -> None:
    """NaN of the camera leaves cells decided, NaN of tampering does not."""
    for label, is_open in (("camera", False), ("tamper", True)):
        rows = truth()
        rows[2, LABELS.index(label)] = np.nan
        found = place_targets(going((8, 8, 24, 24)), rows, SIZE)
        assert bool(np.isnan(found[0]).all()) == is_open


def test_the_grid_is_that_of_the_network() -> None:
    """112 px make 14 cells, 36 px make 5: a part of a cell counts."""
    for size, side in ((112, 14), (36, 5)):
        assert place_targets(NO_OBJECTS, truth(), size).shape == (2, side, side, len(MOTION))
