"""Claims about augmentation: the same for every frame, labels follow, nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.data.augment import RECORDED, Policy, Shot, augment
from model.data.place import Objects, place_targets
from model.labels import LABELS, MOTION

SIDE = 32
UNCHANGED = Policy(0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0)


def scene(n_frames: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """A bright square that goes right over a textured ground; its truth in the last 4 frames."""
    rng = np.random.default_rng(3)
    clip = np.tile(rng.integers(40, 120, (SIDE, SIDE, 3), dtype=np.uint8), (n_frames, 1, 1, 1))
    for at, frame in enumerate(clip):
        frame[10:18, 2 + at : 10 + at] = (250, 200, 150)
    truth = np.zeros((n_frames, len(LABELS)), np.float32)
    truth[-4:, LABELS.index("right")] = 1
    truth[-4:, LABELS.index("up")] = np.nan
    truth[:, LABELS.index("lighting")] = 1
    return clip, truth


def changed(seed: int = 0, **chances: float) -> tuple[np.ndarray, np.ndarray]:
    policy = replace(UNCHANGED, **chances)
    return augment(Shot(*scene()), np.random.default_rng(seed), policy)[:2]


def column(truth: np.ndarray, label: str) -> list[float]:
    return truth[:, LABELS.index(label)].tolist()


def test_nothing_is_changed_where_nothing_is_asked() -> None:
    """The empty policy gives the same pictures and truth."""
    clip, truth = scene()
    same = augment(Shot(clip, truth), np.random.default_rng(0), UNCHANGED)
    np.testing.assert_array_equal(same[0], clip)
    np.testing.assert_array_equal(same[1], truth)


def test_mirrored_clips_move_the_other_way() -> None:
    """Left and right change places in pictures and truth; nothing else does."""
    clip, truth = scene()
    pictures, renamed = changed(mirror=1.0)
    np.testing.assert_array_equal(pictures, clip[:, :, ::-1])
    assert column(renamed, "left") == column(truth, "right")
    assert column(renamed, "right") == column(truth, "left")
    assert column(renamed, "lighting") == column(truth, "lighting")
    np.testing.assert_array_equal(column(renamed, "up"), column(truth, "up"))


def test_upended_clips_fall_where_they_rose() -> None:
    """Up and down change places in pictures and truth, undecided frames included."""
    clip, truth = scene()
    pictures, renamed = changed(upend=1.0)
    np.testing.assert_array_equal(pictures, clip[:, ::-1])
    np.testing.assert_array_equal(column(renamed, "down"), column(truth, "up"))
    assert column(renamed, "right") == column(truth, "right")


def test_reversed_clips_go_back() -> None:
    """Frames and truth run backwards, and every direction is the opposite one."""
    clip, truth = scene()
    truth[0, LABELS.index("approach")] = 1
    policy = replace(UNCHANGED, reverse=1.0)
    pictures, renamed, _ = augment(Shot(clip, truth), np.random.default_rng(0), policy)
    np.testing.assert_array_equal(pictures, clip[::-1])
    assert column(renamed, "left") == column(truth, "right")[::-1]
    assert column(renamed, "recede") == column(truth, "approach")[::-1]
    np.testing.assert_array_equal(column(renamed, "down"), column(truth, "up")[::-1])


def test_labels_of_the_users_own_keep_their_names() -> None:
    """Where the labels name no directions, mirroring leaves the truth alone."""
    clip, _ = scene()
    truth = np.tile(np.array([0.0, 1.0], np.float32), (len(clip), 1))
    policy = replace(UNCHANGED, mirror=1.0, reverse=1.0)
    renamed = augment(Shot(clip, truth), np.random.default_rng(0), policy, ("fall", "daily"))[1]
    np.testing.assert_array_equal(renamed, truth)
    assert RECORDED.reverse == 0


@pytest.mark.parametrize("kind", ["crop", "colour", "grey", "gamma", "blur"])
def test_a_still_picture_stays_still(kind: str) -> None:
    """Each frame is changed alike: what did not move before does not move afterwards."""
    still = np.repeat(scene()[0][:1], 12, axis=0)
    policy = replace(UNCHANGED, **{kind: 1.0, "crop_least": 0.8, "blur_px": 8.0})
    pictures, *_ = augment(Shot(still, scene()[1]), np.random.default_rng(1), policy)
    assert (pictures == pictures[:1]).all()
    assert (pictures != still).mean() > 0.3


def test_noise_is_new_in_each_frame_and_of_the_strength_asked() -> None:
    """Sensor noise differs from frame to frame and has no mean."""
    still = np.full((12, SIDE, SIDE, 3), 128, np.uint8)
    policy = replace(UNCHANGED, noise=1.0, noise_levels=12.0)
    pictures, *_ = augment(Shot(still, scene()[1]), np.random.default_rng(1), policy)
    difference = pictures.astype(float) - 128
    assert abs(difference.mean()) < 0.2
    assert 1 <= difference.std() <= 12.5
    assert (pictures[0] != pictures[1]).mean() > 0.5


def test_grey_has_no_colour() -> None:
    """As under infrared light the three channels are the same, give or take rounding."""
    pictures = changed(grey=1.0)[0].astype(int)
    assert np.ptp(pictures, axis=-1).max() <= 1


def test_the_input_stays_and_the_choice_is_the_generators() -> None:
    """The clip that is given is not written to; one seed gives one result, another another."""
    clip, truth = scene()
    before = clip.copy(), truth.copy()
    results = [
        augment(Shot(clip, truth), np.random.default_rng(s), Policy())[0] for s in (7, 7, 8, 9)
    ]
    np.testing.assert_array_equal(clip, before[0])
    np.testing.assert_array_equal(truth, before[1])
    np.testing.assert_array_equal(results[0], results[1])
    assert any((results[0] != other).any() for other in results[2:])
    assert all(result.flags.c_contiguous and result.dtype == np.uint8 for result in results)


def test_a_large_clip_gets_noise_in_all_its_parts() -> None:
    """Clips larger than the stored noise are covered to their end."""
    still = np.full((8, 256, 256, 3), 128, np.uint8)
    truth = np.zeros((8, len(LABELS)), np.float32)
    policy = replace(UNCHANGED, noise=1.0, noise_levels=20.0)
    pictures, *_ = augment(Shot(still, truth), np.random.default_rng(1), policy)
    assert all((frame != 128).mean() > 0.5 for frame in pictures)


def test_what_does_not_fit_is_refused() -> None:
    """Truth of another length and chances above one are named."""
    clip, truth = scene()
    with pytest.raises(ValueError, match="do not fit"):
        augment(Shot(clip, truth[1:]), np.random.default_rng(0))
    with pytest.raises(ValueError, match="mirror is 2"):
        Policy(mirror=2)
    with pytest.raises(ValueError, match="crop_least"):
        Policy(crop_least=0.01)


def walked() -> Shot:
    """A white box that goes right and up over black, with its boxes and motions."""
    side, n = 64, 8
    clip = np.zeros((n, side, side, 3), np.uint8)
    boxes = np.empty((1, n, 4), np.float32)
    motions = np.zeros((1, n, len(MOTION)), np.float32)
    motions[..., [MOTION.index("right"), MOTION.index("up")]] = 1
    # Ten frames a second: 30 px to the right and 20 px up.
    rates = np.tile(np.array([30 / side, -20 / side, 0.2, 0.1], np.float32), (1, n, 1))
    for frame in range(n):
        x, y = 9 + 3 * frame, 42 - 2 * frame
        clip[frame, y : y + 12, x : x + 20] = 255
        boxes[0, frame] = np.array([x, y, x + 20, y + 12]) / side
    return Shot(clip, np.zeros((n, len(LABELS)), np.float32), Objects(boxes, motions, rates))


@pytest.mark.parametrize(
    ("chances", "motions"),
    [
        ({}, {"right", "up"}),
        ({"mirror": 1.0}, {"left", "up"}),
        ({"upend": 1.0}, {"right", "down"}),
        ({"reverse": 1.0}, {"left", "down"}),
        ({"crop": 1.0, "crop_least": 0.6}, {"right", "up"}),
        ({"crop": 1.0, "crop_least": 0.6, "mirror": 1.0, "reverse": 1.0}, {"right", "down"}),
    ],
)
def test_objects_stay_where_their_pixels_are(chances: dict[str, float], motions: set[str]) -> None:
    """In every frame the box holds the white pixels and no others; cells agree with them."""
    for seed in range(4):
        shot = augment(walked(), np.random.default_rng(seed), replace(UNCHANGED, **chances))
        for picture, box in zip(shot.clip, shot.objects.boxes[0], strict=True):
            rows, columns = np.nonzero(picture[..., 0] > 127)
            edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            np.testing.assert_allclose(edges, np.clip(box * 64, 0, 64), atol=1.0)
        done = shot.objects.motions[0].astype(bool)
        assert all({MOTION[k] for k in np.flatnonzero(frame)} == motions for frame in done)
        rates, centres = shot.objects.rates[0], shot.objects.boxes[0].reshape(-1, 2, 2).mean(1)
        np.testing.assert_allclose(rates[1:, :2], np.diff(centres, axis=0) * 10, atol=1e-5)
        assert (rates[:, 2] == np.float32(-0.2 if "reverse" in chances else 0.2)).all()
        assert (rates[:, 3] >= np.float32(0.1)).all()
        cells = place_targets(shot.objects, shot.truth, 64)[0] == 1
        middles = shot.clip[:4, 4::8, 4::8, 0] > 127
        for label in motions:
            found = cells[..., MOTION.index(label)]
            assert found[middles.all(axis=0)].all()
            assert not found[(middles.sum(axis=0) == 0) & ~_near(middles)].any()


def _near(middles: np.ndarray) -> np.ndarray:
    """Cells beside one that is white in some frame."""
    padded = np.pad(middles.any(axis=0), 1)
    steps = [(row, column) for row in (0, 1, 2) for column in (0, 1, 2)]
    return np.any([padded[r : r + 8, c : c + 8] for r, c in steps], axis=0)


def test_the_objects_that_are_given_stay() -> None:
    """Every change makes new arrays."""
    shot, wanted = walked(), walked()
    augment(
        shot, np.random.default_rng(1), replace(UNCHANGED, mirror=1, upend=1, reverse=1, crop=1)
    )
    np.testing.assert_array_equal(shot.objects.boxes, wanted.objects.boxes)
    np.testing.assert_array_equal(shot.objects.motions, wanted.objects.motions)
