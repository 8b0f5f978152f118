"""Nuisances: they change pixels when they say so, and only then."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.frame import Picture
from streamer.nuisance import Headlights, Lamps, Leaves, Noise, Vibration
from streamer.sprite import leaf_cluster

WIDTH, HEIGHT = 160, 90


def pattern() -> Picture:
    """A picture with edges everywhere."""
    return np.random.default_rng(0).integers(0, 200, (HEIGHT, WIDTH, 3), np.uint8)


@pytest.mark.parametrize(
    "nuisance",
    [Headlights(3, WIDTH, HEIGHT), Lamps(3, WIDTH, HEIGHT), Vibration(3)],
    ids=["headlights", "lamps", "vibration"],
)
def test_pixels_change_within_events_and_nowhere_else(
    nuisance: Headlights | Lamps | Vibration,
) -> None:
    """Over a minute at 20 fps, two pictures differ if and only if an event touches their
    interval."""
    events = list(nuisance.events(60.0))
    assert len(events) >= 4
    step_s = 0.05
    before = nuisance.apply(pattern(), 0.0)
    for index in range(1, 1200):
        t_s = index * step_s
        after = nuisance.apply(pattern(), t_s)
        touches = any(e.start_s < t_s and e.end_s > t_s - step_s for e in events)
        # The first and last moments of a beam are outside the picture.
        if not touches:
            assert np.array_equal(before, after), t_s
        before = after
    for event in events:
        during = nuisance.apply(pattern(), (event.start_s + event.end_s) / 2)
        assert not np.array_equal(during, nuisance.apply(pattern(), event.start_s - 0.01))


def test_lamps_keep_their_state_between_switchings() -> None:
    """Four switchings turn each lamp once around: the light of every four is the same again."""
    lamps = Lamps(1, WIDTH, HEIGHT)
    after = [lamps.apply(pattern(), event.end_s + 0.1) for event in lamps.events(8 * 8.0)]
    assert all(np.array_equal(after[i], after[i + 4]) for i in range(4))
    assert len({picture.tobytes() for picture in after}) == 4


def test_leaves_sway_and_stay_in_their_part_of_the_picture() -> None:
    """They move from frame to frame, and the lower half stays as it is."""
    rng = np.random.default_rng(1)
    leaves = Leaves(rng, [leaf_cluster(rng)])
    first, second = leaves.apply(pattern(), 10.0), leaves.apply(pattern(), 10.2)
    assert not np.array_equal(first, second)
    assert np.array_equal(first[HEIGHT * 2 // 3 :], pattern()[HEIGHT * 2 // 3 :])


def test_noise_has_the_strength_asked_for_and_no_bias() -> None:
    """The standard deviation is sigma, the mean zero, and two times differ."""
    noise = Noise(np.random.default_rng(0), WIDTH, HEIGHT, 4.0)
    grey = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    pictures = [noise.apply(grey.copy(), t / 25).astype(np.float32) - 128 for t in range(20)]
    assert np.mean([p.std() for p in pictures]) == pytest.approx(4.0, abs=0.2)
    assert abs(np.mean(pictures)) < 0.1
    assert len({p.tobytes() for p in pictures}) >= 19


def test_noise_at_a_time_is_always_the_same() -> None:
    """Seeded, like everything in a scene."""
    first, second = (Noise(np.random.default_rng(5), WIDTH, HEIGHT, 3.0) for _ in range(2))
    assert np.array_equal(first.apply(pattern(), 1.23), second.apply(pattern(), 1.23))
