"""Tampering: the picture is lost when it is told, and untouched before."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.rendering.tamper import _KINDS, Kit, Tamper, mixed, tamper

TIMES = np.arange(60) / 10
SIZE = 64


def scene() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3)).astype(np.uint8)


@pytest.mark.parametrize("split", ["train", "holdout"])
def test_every_way_of_tampering_leaves_little_of_the_picture(split: str) -> None:
    """Done, the picture is hardly like the one before; at first it is the same."""
    done = np.clip(TIMES - 2, 0, 1)
    for index, (make, _) in enumerate(_KINDS):
        effect = Tamper(make(Kit(np.random.default_rng(index), split, SIZE)), done, TIMES)
        pictures = [effect.apply(scene(), frame) for frame in range(len(TIMES))]
        assert np.array_equal(pictures[10], scene())
        before, after = scene().ravel() - 127.0, pictures[40].ravel().astype(float)
        assert (before @ (after - after.mean())) / (before @ before) < 0.35


def told(done: np.ndarray, darkness: float = 1.0) -> np.ndarray:
    """States of a lens that gets darker."""

    def effect(picture: np.ndarray, done: float) -> np.ndarray:
        return (picture * (1 - done * darkness)).astype(np.uint8)

    made = Tamper(effect, done, TIMES)
    for frame in range(len(TIMES)):
        made.apply(scene(), frame)
    return made.states


def test_it_is_told_while_it_happens_and_a_second_after() -> None:
    """After that a covered lens is open: nobody can say whether it is night."""
    states = told(np.clip(TIMES - 1, 0, 1))
    assert states[:10].max() == 0
    assert (states[11:29] == 1).all()
    assert (states[32:] == 0.5).all()


def test_a_picture_that_stands_still_is_open_until_it_goes_black() -> None:
    """Nobody can tell it from a quiet room, however much happens in front of the camera."""
    done = np.minimum(np.clip((TIMES - 1) / 2, 0, 1), np.clip((6 - TIMES) / 1.5, 0, 1))
    effect = next(make for make, _ in _KINDS if make.__name__ == "_black_out")
    made = Tamper(effect(Kit(np.random.default_rng(0), "train", SIZE)), done, TIMES, is_freeze=True)
    live = np.random.default_rng(1).integers(0, 255, (len(TIMES), SIZE, SIZE, 3)).astype(np.uint8)
    seen = np.array([made.apply(live[frame], frame) for frame in range(len(TIMES))])
    assert (seen[11:30] == live[11]).all()
    assert made.states[:11].max() == 0
    assert (made.states[11:30] == 0.5).all()
    assert (made.states[30:41] == 1).all()
    assert (made.states[41:46] == 0.5).all()
    assert made.states[46] == 1  # The picture of before comes back, and stands still.
    assert (made.states[47:] == 0.5).all()


def test_what_freezes_is_drawn_with_that_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is chosen, frames that stand still before the first black one are open."""
    [freeze] = [kind for kind in _KINDS if kind[0].__name__ == "_black_out"]
    monkeypatch.setattr("streamer.rendering.tamper._KINDS", (freeze,))
    made = tamper(np.random.default_rng(1), TIMES, "train", SIZE)
    for frame in range(len(TIMES)):
        made.apply(np.roll(scene(), 7 * frame, axis=0), frame)
    black = int(np.argmax(made._done == 1))
    still = np.flatnonzero(made._done[:black] > 0)
    assert len(still) > 2
    assert (made.states[still] == 0.5).all()
    assert made.states[black] == 1


def test_what_hardly_changes_the_picture_is_open() -> None:
    """A lens a hundredth darker may be one or not."""
    assert set(told(np.clip(TIMES - 1, 0, 1), darkness=0.01)) == {0.0, 0.5}


def test_a_bad_camera_shows_less_of_it() -> None:
    """20 grey levels in the mean are clear to a good one, and open to one that swallows 50."""
    for faintest, most in ((8.0, 1.0), (50.0, 0.5)):
        made = tamper(np.random.default_rng(1), TIMES, "train", SIZE, faintest)
        for frame in range(len(TIMES)):
            made.apply(np.full((SIZE, SIZE, 3), 100, np.uint8), frame)
        assert made.states.max() == most


def test_a_camera_that_is_turned_away_moves() -> None:
    """While it is turned and a second after; no other way of tampering moves it."""
    done = np.clip(TIMES - 1, 0, 1)
    turned = Tamper(lambda picture, done: picture, done, TIMES, is_turn=True)
    assert turned.turns.nonzero()[0].tolist() == list(range(11, 31))
    assert not Tamper(lambda picture, done: picture, done, TIMES).turns.any()
    found = [tamper(np.random.default_rng(s), TIMES, "train", SIZE).turns.any() for s in range(40)]
    assert 0 < np.mean(found) < 0.4


def test_uncovering_ends_it() -> None:
    """When the lens is free again, nothing is told."""
    done = np.minimum(np.clip(TIMES - 1, 0, 1), np.clip(4 - TIMES, 0, 1))
    states = told(done)
    assert states[36] == 1
    assert states[42:].max() == 0


@pytest.mark.parametrize("split", ["train", "holdout"])
def test_a_choice_is_told_within_the_clip(split: str) -> None:
    """Each begins early enough to be seen."""
    for seed in range(20):
        made = tamper(np.random.default_rng(seed), TIMES, split, SIZE)
        for frame in range(len(TIMES)):
            made.apply(scene(), frame)
        assert (made.states == 1).any()


def test_mixing_weighs_by_the_share() -> None:
    """0 keeps, 255 replaces."""
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 200, np.uint8)
    share = np.array([[0, 128, 255, 0]] * 4, np.uint8)
    assert mixed(black, white, share)[0, :, 0].tolist() == pytest.approx([0, 100, 200, 0], abs=1)
