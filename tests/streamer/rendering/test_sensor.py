"""Sensor and coder: they change looks, never order, number or size of pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamer.rendering.sensor import Look, changes, coded, developed, faint, look, lost, toned

TIMES = np.arange(12) / 10


def neutral() -> Look:
    tones = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    return Look(tones, False, None, 0.0, 0, 0.0, None, None, 10)


def ramp(n: int = 12, side: int = 64) -> np.ndarray:
    """Each frame has its own grey."""
    grey = (20 + 15 * np.arange(n)).astype(np.uint8)
    return np.broadcast_to(grey[:, None, None, None], (n, side, side, 3)).copy()


def test_a_neutral_look_changes_nothing() -> None:
    """Not a pixel, and the input stays."""
    clip = ramp()
    for out in (
        toned(clip, neutral()),
        developed(clip, neutral(), np.random.default_rng(0), TIMES),
    ):
        assert np.array_equal(out, clip)
        assert out is not clip


@pytest.mark.parametrize("side", [64, 57])
def test_the_coder_keeps_number_order_and_size(side: int) -> None:
    """Also for odd sides; greys stay near."""
    out = coded(ramp(side=side), 30, 5)
    assert out.shape == (12, side, side, 3)
    assert np.abs(out.mean(axis=(1, 2, 3)) - ramp().mean(axis=(1, 2, 3))).max() < 4


def test_a_low_bitrate_loses_detail() -> None:
    """Noise does not survive."""
    noisy = np.random.default_rng(0).integers(90, 130, (6, 64, 64, 3)).astype(np.uint8)
    assert coded(noisy, 45, 10).std() < 0.5 * noisy.std()


def test_noise_has_the_strength_asked_for_and_differs_in_each_frame() -> None:
    """Around an unchanged mean."""
    clip = np.full((12, 64, 64, 3), 120, np.uint8)
    out = developed(clip, replace(neutral(), noise=6.0), np.random.default_rng(0), TIMES)
    assert out.std() == pytest.approx(6.0, rel=0.2)
    assert out.mean() == pytest.approx(120, abs=1)
    assert (out[0] != out[1]).mean() > 0.5


def test_night_vision_is_grey() -> None:
    """All three channels alike."""
    clip = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3)).astype(np.uint8)
    out = toned(clip, replace(neutral(), is_grey=True))
    assert (out[..., 0] == out[..., 2]).all()


def test_the_clock_ticks_once_a_second() -> None:
    """Between ticks the text stands still."""
    clip = np.zeros((12, 96, 96, 3), np.uint8)
    shown = replace(neutral(), stamp=(0.05, 0, 100, 255))
    out = developed(clip, shown, np.random.default_rng(0), TIMES)
    changes = [bool((out[k] != out[k - 1]).any()) for k in range(1, 12)]
    assert sum(changes) == 1
    assert out[0].max() > 100


def test_looks_vary_and_nights_are_darker() -> None:
    """Over 60 seeds."""
    day, night = (
        [look(np.random.default_rng(seed), 64, is_night=is_night) for seed in range(60)]
        for is_night in (False, True)
    )
    assert np.mean([each.is_grey for each in night]) > 0.5 > np.mean([e.is_grey for e in day])
    assert np.mean([e.tones[128] for e in night]) < np.mean([e.tones[128] for e in day])
    assert {each.crf is None for each in day} == {True, False}


def test_dark_and_noisy_cameras_show_less() -> None:
    """An object must stand out more to be seen clearly."""
    dark = (np.arange(256) * 0.3).astype(np.uint8)
    assert faint(neutral()) == pytest.approx(5, rel=0.05)
    assert faint(replace(neutral(), noise=5.0)) > 8
    assert faint(replace(neutral(), tones=np.stack([dark] * 3, 1))) > 15


def test_grain_and_a_low_bitrate_swallow_more() -> None:
    """A good coder swallows nothing of its own."""
    assert lost(neutral()) == lost(replace(neutral(), crf=24)) == 5
    assert lost(replace(neutral(), noise=5.0)) == 9
    assert lost(replace(neutral(), crf=40)) == 11


def test_pixels_that_blink_are_found_whatever_their_period() -> None:
    """Also those that are the same again after 2, 4 or 8 frames; faint ones are not."""
    clip = np.full((24, 64, 64, 3), 100, np.uint8)
    for column, half in enumerate((1, 2, 4)):
        clip[(np.arange(24) // half) % 2 == 1, :, column] += 30
    clip[::2, :, 3] += 4
    found = changes(clip, 5.0)[4:-4]
    assert found.shape == (16, 64, 64)
    assert found[:, :, :2].all()
    assert found[:, :, 2].any(axis=0).all()
    assert not found[:, :, 3:].any()
