"""A step on OpenVINO equals the full window, for every hop it has."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from model.bundle import UNTRAINED, Bundle, untrained_bundle
from model.classifier import TOLERANCE
from model.errors import EngineFailedError
from model.fuse import fuse

pytest.importorskip("openvino", reason="the extra openvino is not installed")

from model.cache import Cache
from model.engines.openvino_device import Device
from model.engines.openvino_graph import Head, Layers, frames_shape, full_model
from model.engines.openvino_incremental import PooledStepper
from model.pooled import PooledPlan


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """32 frames, random weights and random BatchNorm statistics."""
    return untrained_bundle(
        UNTRAINED.model_copy(update={"size_px": 32, "units": 16, "name": "sliding"})
    )


FUSED: dict[str, Any] = {}


def fused(key: str, bundle: Bundle) -> Any:
    """The same arrays for all tests."""
    if key not in FUSED:
        FUSED[key] = fuse(bundle.weights)
    return FUSED[key]


class Both:
    """Steps and full windows of one network."""

    def __init__(self, bundle: Bundle, hop: int, precision: str, frames: int, size: Any) -> None:
        layers = Layers(fused(bundle.sha256, bundle))
        parts = (bundle.weights["head/kernel"], bundle.weights["head/bias"])
        self.head = Head(*parts, bundle.score_kernel, bundle.score_bias)
        self.frames = frames
        device = Device(precision, 2, Cache(None), {})
        plan = PooledPlan(hop, frames)
        self.stepper = PooledStepper(
            plan, lambda: layers, self.head, size, precision, device.request
        )
        write = functools.partial(full_model, layers, frames, size, 1)
        self.request = device.request("full", write)
        self.shape = frames_shape(1, frames, size)

    def full(self, clips: Any) -> Any:
        features = []
        for clip in clips:
            self.request.inputs[0][:] = clip.reshape(self.shape)
            features.append(self.request.run()[0])
        return self.head(np.concatenate(features))

    def difference(self, video: Any, every: int = 1) -> float:
        """Run streams; of scores and embeddings, relative to the largest full-window value."""
        hop, frames, worst = self.stepper.hop, self.frames, 0.0
        *found, states = self.stepper.init(video[:, :frames])
        n_bytes = [state.n_bytes for state in states]
        for n, at in enumerate(range(0, video.shape[1] - frames + 1, hop)):
            if at:
                new = video[:, at + frames - hop : at + frames]
                *found, states = self.stepper.step(new, states)
            if n % every == 0:
                expected = self.full(video[:, at : at + frames])
                pairs = zip(found, expected, strict=True)
                worst = max(
                    worst, *(float(np.abs(f - e).max() / np.abs(e).max()) for f, e in pairs)
                )
        assert [state.n_bytes for state in states] == n_bytes
        return worst


def video(n: int, frames: int, height: int, width: int) -> Any:
    rng = np.random.default_rng(frames + height)
    return rng.integers(0, 256, (n, frames, height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("hop", "size"),
    [(4, (64, 64)), (4, (47, 33)), (8, (32, 48)), (12, (32, 32)), (16, (47, 33)), (20, (32, 32))],
)
def test_windows_of_two_streams_equal_the_full_ones(hop: int, size: Any, bundle: Bundle) -> None:
    """1e-5 in float32 on random frames; square and not, odd and even; each stream its own."""
    both = Both(bundle, hop, "float32", 32, size)
    assert both.difference(video(2, 32 + 6 * hop, *size)) <= 1e-5


@pytest.mark.parametrize(("frames", "hop"), [(16, 4), (20, 4), (20, 8), (40, 4)])
def test_windows_of_other_lengths_too(frames: int, hop: int, bundle: Bundle) -> None:
    """Down to where only the left slice is taken over."""
    both = Both(bundle, hop, "float32", frames, (32, 32))
    assert both.difference(video(1, frames + 6 * hop, 32, 32)) <= 1e-5


def test_100_steps_gather_no_error(bundle: Bundle) -> None:
    """Every value is computed once and never updated, so nothing drifts."""
    both = Both(bundle, 4, "float32", 32, (32, 32))
    assert both.difference(video(1, 32 + 100 * 4, 32, 32), every=10) <= 1e-5


@pytest.mark.parametrize("hop", [4, 8, 16])
def test_bfloat16_equals_its_own_full_window(hop: int, bundle: Bundle) -> None:
    """Far closer than bfloat16 is to the network: the state is what the full window computes."""
    both = Both(bundle, hop, "bfloat16", 32, (64, 64))
    assert both.difference(video(1, 32 + 6 * hop, 64, 64)) <= TOLERANCE["bfloat16"] / 4


@pytest.mark.parametrize(("hop", "limit_mb"), [(4, 8), (8, 6), (16, 4)])
def test_a_state_at_256_px_stays_small(hop: int, limit_mb: float, bundle: Bundle) -> None:
    """bfloat16, computed from a state at 64 px: slices and frames grow with the area alone."""
    both = Both(bundle, hop, "bfloat16", 32, (64, 64))
    *_, [state] = both.stepper.init(video(1, 32, 64, 64))
    assert state.n_bytes * 16 <= limit_mb * 1e6


@pytest.mark.parametrize("part", ["frames", "left", "pooled", "seam"])
def test_a_wrong_part_of_the_state_is_noticed(part: str, bundle: Bundle) -> None:
    """The comparison can fail: every part of a state is used."""
    both = Both(bundle, 4, "float32", 32, (32, 32))
    clip = video(1, 36, 32, 32)
    *_, [state] = both.stepper.init(clip[:, :32])
    _, right, _ = both.stepper.step(clip[:, 32:], [state])
    held = getattr(state, part)
    wrong = 0 * held if part == "seam" else (0 * held[0], *held[1:])
    _, found, _ = both.stepper.step(clip[:, 32:], [replace(state, **{part: wrong})])
    assert np.abs(found - right).max() > 1e-5 * np.abs(right).max()


def test_an_old_state_stays_valid(bundle: Bundle) -> None:
    """Steps share arrays with the states before them and change none."""
    both = Both(bundle, 4, "bfloat16", 32, (32, 32))
    clip = video(2, 44, 32, 32)
    *_, states = both.stepper.init(clip[:, :32])
    first = both.stepper.step(clip[:, 32:36], states)
    later = both.stepper.step(clip[:, 36:40], first[2])
    both.stepper.step(clip[:, 40:44], later[2])
    again = both.stepper.step(clip[:, 32:36], states)
    np.testing.assert_array_equal(first[1], again[1])
    alone = both.stepper.step(clip[1:, 36:40], [first[2][1]])
    np.testing.assert_allclose(alone[1][0], later[1][1], rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_is_refused(bundle: Bundle) -> None:
    """Frames of another shape or kind, and a count that is not that of the states."""
    stepper = Both(bundle, 4, "float32", 32, (32, 32)).stepper
    clip = video(1, 36, 32, 32)
    *_, states = stepper.init(clip[:, :32])
    for wrong in (clip[:, :3], clip[:0, :4], clip[:, :4, :16], clip[:, :4].astype(np.float32)):
        with pytest.raises(ValueError, match="frames must be uint8"):
            stepper.step(wrong, states)
    with pytest.raises(ValueError, match="clips must be uint8"):
        stepper.init(clip)
    with pytest.raises(ValueError, match="1 streams of frames need as many states: 2"):
        stepper.step(clip[:, 32:], states * 2)


def test_a_runtime_that_fails_says_so(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the engine's error."""
    both = Both(bundle, 4, "float32", 32, (32, 32))

    class Broken:
        def infer(self) -> None:
            raise RuntimeError("out of memory")

    monkeypatch.setattr(both.stepper._first, "_request", Broken())
    with pytest.raises(EngineFailedError, match="OpenVINO failed at inference: out of memory"):
        both.stepper.init(video(1, 32, 32, 32))
