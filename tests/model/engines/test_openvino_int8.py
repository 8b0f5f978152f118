"""int8 is close to the network, by ranges that NNCF found and that survive the cache."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from model.bundle import UNTRAINED, Bundle, untrained_bundle
from model.fuse import fuse
from streamer.scenes import scene_names

pytest.importorskip("openvino", reason="the extra openvino is not installed")
pytest.importorskip("nncf", reason="the extra openvino is not installed")

from model.engines.openvino_graph import Layers, Ranges
from model.engines.openvino_int8 import (
    calibrate,
    calibration_clips,
    decoded,
    encoded,
    held_out_clips,
)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return untrained_bundle(UNTRAINED.model_copy(update={"frames": 8, "size_px": 32, "units": 16}))


@pytest.fixture(scope="module")
def ranges(bundle: Bundle) -> Ranges:
    return calibrate(Layers(fuse(bundle.weights)), calibration_clips(bundle.manifest)[:3])


def test_calibration_sees_motion(bundle: Bundle) -> None:
    """Every scene, seen over time; the judge's clips are others."""
    clips = calibration_clips(bundle.manifest)
    assert clips.dtype == np.uint8
    assert clips.shape == (len(scene_names()), 8, 32, 32, 3)
    assert all((clip[0] != clip[-1]).any() for clip in clips)
    others = held_out_clips(bundle.manifest, 32)
    assert all((one != other).mean() > 0.5 for one, other in zip(clips, others, strict=True))


def test_everything_between_two_convolutions_has_a_range(ranges: Ranges) -> None:
    """What comes out of a ReLU starts at zero; biases exist for each convolution."""
    names = set(ranges.activations)
    assert {"pixels", "stem", "stem1", "stem2", "block0/average", "block3/merge"} <= names
    assert {"stem", "stem2", "block0/feature", "block3/merge"} <= set(ranges.biases)
    assert len(ranges.biases) == 3 + 4 * 3
    for name in ("stem", "stem2", "block2/merge"):
        low, high = ranges.activations[name]
        assert low == 0 < high
    low, high = ranges.activations["block0/feature/0/out"]
    assert low < 0 < high


def test_ranges_survive_the_cache(ranges: Ranges) -> None:
    """To the bit, with nothing executable in between."""
    again = decoded(encoded(ranges))
    assert again.activations == ranges.activations
    assert set(again.biases) == set(ranges.biases)
    for name, bias in ranges.biases.items():
        np.testing.assert_array_equal(again.biases[name], bias)
        assert again.biases[name].dtype == np.float32


def test_calibration_is_silent(bundle: Bundle, capfd: Any) -> None:
    """stdout belongs to the events."""
    calibrate(Layers(fuse(bundle.weights)), calibration_clips(bundle.manifest)[:1])
    assert capfd.readouterr().out == ""
