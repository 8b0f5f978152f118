"""Claims about rates: which cells have one, whose, and what stays unknown."""

from __future__ import annotations

import numpy as np
import pytest

from model.data.place import NO_OBJECTS, Objects, place_targets
from model.data.rate import SCALES, rate_targets
from model.labels import LABELS, MOTION

SIZE, N = 64, 8
STILL = np.zeros((N, len(LABELS)), np.float32)
RATES = (0.3, -0.06, 0.12, 0.0)
WANTED = np.arcsinh(np.array(RATES, np.float32) / SCALES)


def moving(*boxes_px: tuple[float, float, float, float]) -> Objects:
    """Objects that do the same all the time."""
    boxes = np.repeat(np.array(boxes_px, np.float32)[:, None] / np.float32(SIZE), N, axis=1)
    rates = np.tile(np.array(RATES, np.float32), (len(boxes), N, 1))
    motions = np.zeros((len(boxes), N, len(MOTION)), np.float32)
    motions[..., 1] = 1
    return Objects(boxes, motions, rates)


def test_cells_that_an_object_covers_have_its_rates() -> None:
    """The same cells that are 1 in `place_targets`; those at its edge are unknown, others 0."""
    objects = moving((8, 16, 32, 24))
    found, places = rate_targets(objects, STILL, SIZE), place_targets(objects, STILL, SIZE)
    assert found.shape == (2, 8, 8, 4)
    assert found.dtype == np.float32
    is_on = (places == 1).any(axis=-1)
    assert is_on.sum() == 2 * 3
    np.testing.assert_allclose(found[is_on], np.tile(WANTED, (6, 1)), rtol=1e-6)
    is_open = np.isnan(places).any(axis=-1)
    assert is_open.any()
    assert np.isnan(found[is_open]).all()
    assert not found[~is_on & ~is_open].any()
    assert not rate_targets(NO_OBJECTS, STILL, SIZE).any()


def test_a_cell_of_two_objects_has_no_rate() -> None:
    """Where one touches what the other covers nobody knows whose it is."""
    found = rate_targets(moving((8, 16, 32, 24), (24, 16, 56, 24)), STILL, SIZE)
    row = found[0, 2, :, 0]
    np.testing.assert_allclose(row[[1, 5, 6]], WANTED[0], rtol=1e-6)
    assert np.isnan(row[2:5]).all()


@pytest.mark.parametrize(("n_unknown", "is_known"), [(2, True), (3, False)])
def test_half_of_the_frames_give_a_rate(n_unknown: int, is_known: bool) -> None:
    """The mean of those that are known; fewer leave the object's cells unknown."""
    objects = moving((16, 16, 32, 32))
    objects.rates[:, :n_unknown] = np.nan
    objects.rates[:, 3, 0] += 0.2
    found = rate_targets(objects, STILL, SIZE)
    mean = 0.3 + 0.2 / (4 - n_unknown)
    if is_known:
        assert found[0, 2, 2, 0] == pytest.approx(np.arcsinh(mean / SCALES[0]), rel=1e-5)
    else:
        assert np.isnan(found[0, 2, 2]).all()
    np.testing.assert_allclose(found[1, 2, 2], WANTED, rtol=1e-6)


def test_behind_a_disturbed_camera_nothing_is_known() -> None:
    """Of the position in which it moves, or the lens may be covered."""
    for label, value in (("camera", 1.0), ("tamper", np.nan)):
        truth = STILL.copy()
        truth[6, LABELS.index(label)] = value
        found = rate_targets(moving((8, 16, 32, 24)), truth, SIZE)
        assert np.isnan(found[1]).all()
        assert np.isfinite(found[0, 2, 1]).all()


def test_objects_of_unknown_rates_leave_their_cells_unknown() -> None:
    """Boxes alone, as other sources may have them."""
    [boxes, motions, _] = moving((8, 16, 32, 24))
    found = rate_targets(Objects(boxes, motions), STILL, SIZE)
    assert np.isnan(found[:, 2, 1:4]).all()
    assert not found[:, 5:].any()
