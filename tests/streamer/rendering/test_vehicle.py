"""Vehicles: sizes, wheels on the ground, and no gestures."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.rendering.vehicle import SHAPES, bicycle, crate, joined, vehicle
from tests.streamer.rendering.staging import straight


@pytest.mark.parametrize("split", ["train", "holdout"])
def test_a_vehicle_is_as_large_as_vehicles_are(split: str) -> None:
    """3 to 12 m long, 1 to 3.5 m tall, on the ground, whichever way it goes."""
    for seed in range(12):
        points = vehicle(np.random.default_rng(seed), straight((3.0, 0.0)), split).points[0]
        size = np.ptp(points, axis=0)
        assert 3 < size[0] < 12
        assert 1 < size[1] < 3.5
        assert 0 <= points[:, 1].min() < 0.7


def test_nothing_on_a_vehicle_gestures() -> None:
    """Where it stands, nothing is in place."""
    rng = np.random.default_rng(0)
    assert not len(vehicle(rng, straight(), "train").parts)
    assert not len(bicycle(rng, straight((2.0, 0.0)), "train").parts)


def test_the_splits_share_no_shape() -> None:
    """The holdout drives hatchbacks, pickups and buses."""
    assert not set(SHAPES["train"]) & set(SHAPES["holdout"])


def test_a_rider_sits_on_the_bicycle() -> None:
    """Both are one figure of one name, the rider above the wheels."""
    figure = bicycle(np.random.default_rng(0), straight((2.0, 0.0)), "train")
    assert figure.name == "bicycle"
    assert figure.points[0, figure.core, 1].mean() > 0.7
    assert figure.capsules.max() < figure.points.shape[1]


def test_joining_keeps_every_part_of_both() -> None:
    """Numbers of the second are shifted."""
    rng = np.random.default_rng(0)
    first, second = crate(rng, straight(), 1.0), crate(rng, straight(), 1.0)
    both = joined(first, second)
    assert len(both.faces) == len(first.faces) + len(second.faces)
    assert both.faces[len(first.faces) :].min() == first.points.shape[1]
