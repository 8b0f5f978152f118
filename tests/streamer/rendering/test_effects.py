"""Nuisances of a clip: told where the camera can show them, undecided where it cannot."""

from __future__ import annotations

import numpy as np

from streamer.rendering.effects import Effects
from streamer.truth import NUISANCES
from tests.streamer.rendering.staging import SIDE, TIMES, N, plain_stage

CLEAR = 5.0


def effects(*wanted: str, seed: int = 0, faintest: float = 8.0) -> Effects:
    return Effects(
        np.random.default_rng(seed), list(wanted), plain_stage(), TIMES, ("train", faintest)
    )


def told(made: Effects, level: int, share: float = 1.0) -> np.ndarray:
    """States for pictures that blink by so many grey levels in a share of their rows."""
    clean = np.full((N, SIDE, SIDE, 3), 100, np.uint8)
    clean[::2, : round(share * SIDE)] += np.uint8(level)
    changed = np.zeros((N, SIDE, SIDE), bool)
    changed[:, : round(share * SIDE)] = level > CLEAR
    return made.evident(clean, clean, changed, CLEAR)


def draw(made: Effects, seed: int = 0) -> None:
    """Let background and tampering see every frame."""
    picture = np.random.default_rng(seed).integers(0, 255, (SIDE, SIDE, 3)).astype(np.uint8)
    for frame in range(N):
        for each in made.stirs:
            each.apply(picture, frame)
        if made.tamper:
            made.tamper.apply(picture, frame)


def test_what_is_not_wanted_is_not_there() -> None:
    """All states are 0, and nothing is in doubt."""
    made = effects()
    assert told(made, 50).max() == 0
    assert not made.doubts().any()
    assert (made.light, made.shake, made.tamper, made.stirs) == (None, None, None, [])


def test_motion_of_the_camera_must_shift_grey_levels() -> None:
    """By more than a fifth of what is lost; before a blank wall nobody knows that it moves."""
    column = NUISANCES.index("camera")
    made = next(e for e in (effects("camera", seed=s) for s in range(9)) if e.states().max() == 1)
    moves = made.states()[:, column] == 1
    steady = np.full((N, SIDE, SIDE, 3), 100, np.uint8)
    nothing = np.zeros((N, SIDE, SIDE), bool)
    assert (made.evident(steady, steady, nothing, CLEAR)[moves, column] == 0.5).all()
    ramp = steady + np.arange(0, 5 * N, 5, dtype=np.uint8)[:, None, None, None]
    assert (made.evident(ramp, ramp, nothing, CLEAR)[moves, column] == 1).all()


def test_a_background_must_change_pixels_clearly() -> None:
    """0.6 % of them somewhere near; what a dark or noisy camera swallows is undecided."""
    column = NUISANCES.index("background")
    for seed in range(30):
        made = effects("background", seed=seed)
        draw(made)
        if (on := made.states()[:, column] == 1).any():
            break
    assert (told(made, 50)[on, column] == 1).all()
    assert (told(made, 4)[on, column] == 0.5).all()


def test_in_the_dark_leaves_must_move_more_to_count() -> None:
    """The light of a frame divides what this camera shows; brighter than usual changes nothing."""
    dimmed = []
    for seed in range(20):
        made = effects("lighting", "background", seed=seed, faintest=6.0)
        assert made.light is not None
        for each in made.stirs:
            np.testing.assert_allclose(each.clear * np.clip(made.light.levels, 0.1, 1), 6.0)
            dimmed.append(each.clear.max() > 7)
    assert any(dimmed)
    assert (effects("background", faintest=6.0).stirs[0].clear == 6.0).all()


def test_behind_a_covered_lens_light_is_undecided() -> None:
    """From the moment on that somebody covers it."""
    for seed in range(60):
        made = effects("lighting", "tamper", seed=seed)
        draw(made)
        states = told(made, 50)
        both = (made.states()[:, 0] == 1) & (states[:, 2] > 0)
        if both.any():
            break
    assert (states[both, 0] == 0.5).all()


def test_a_pan_far_away_puts_tampering_in_doubt_and_a_turn_the_camera() -> None:
    """Each only in the column of the other."""
    seen = {"camera": set(), "tamper": set()}
    for kind, columns in seen.items():
        for seed in range(60):
            columns.update(np.flatnonzero(effects(kind, seed=seed).doubts().any(axis=0)).tolist())
    assert seen == {"camera": {2}, "tamper": {1}}
