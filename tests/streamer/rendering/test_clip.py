"""Clips: the same from the same seed, of every kind, with truth that fits."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.rendering import clip as clip_module
from streamer.rendering.clip import KINDS, ClipSpec, render_clip
from streamer.truth import LABELS, MOTION, RATES

SMALL = ClipSpec(frames=40, size_px=64)


def spec(kind: str | None, split: str = "train") -> ClipSpec:
    return ClipSpec(frames=40, size_px=64, split=split, kind=kind)


@pytest.mark.parametrize("split", ["train", "holdout"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_each_kind_renders_in_both_splits(kind: str, split: str) -> None:
    """uint8 pictures, labels of 0, 1 and NaN, boxes inside the picture."""
    for seed in range(3):
        clip = render_clip(seed, spec(kind, split))
        assert clip.pictures.shape == (40, 64, 64, 3)
        assert clip.pictures.dtype == np.uint8
        assert clip.labels.shape == (40, len(LABELS))
        assert clip.labels.dtype == np.float32
        assert (np.isnan(clip.labels) | np.isin(clip.labels, (0, 1))).all()
        assert clip.boxes.shape[1:] == (40, 4)
        assert clip.motions.shape == (len(clip.boxes), 40, len(MOTION))
        assert clip.rates.shape == (len(clip.boxes), 40, len(RATES))
        told = (clip.motions == 1).any(axis=0)
        assert np.array_equal(told, clip.labels[:, : len(MOTION)] == 1)
        seen = clip.boxes[~np.isnan(clip.boxes)]
        assert ((seen >= 0) & (seen <= 1)).all()
        assert clip.facts["kind"] == kind


def test_rates_tell_what_motions_say() -> None:
    """What goes left has a negative rate to the right, what comes nearer a positive growth."""
    signs = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1)}
    signs |= {"approach": (2, 1), "recede": (2, -1)}
    n_told = dict.fromkeys(signs, 0)
    for seed in range(30):
        clip = render_clip(seed, spec("opposed"))
        for label, (rate, sign) in signs.items():
            does = (clip.motions[..., MOTION.index(label)] == 1) & np.isfinite(clip.rates[..., 0])
            n_told[label] += int(does.sum())
            assert (clip.rates[does][:, rate] * sign > 0).all()
    assert min(n_told.values()) > 20


def test_a_clip_depends_on_seed_and_spec_alone() -> None:
    """Rendered again, after others, it is equal to the last bit; another seed or split is not."""
    first = render_clip(11, SMALL)
    render_clip(12, SMALL)
    again = render_clip(11, SMALL)
    assert np.array_equal(first.pictures, again.pictures)
    assert np.array_equal(first.labels, again.labels, equal_nan=True)
    assert not np.array_equal(first.pictures, render_clip(12, SMALL).pictures)
    held = render_clip(11, ClipSpec(frames=40, size_px=64, split="holdout"))
    assert not np.array_equal(first.pictures, held.pictures)


def test_without_objects_no_motion_is_told() -> None:
    """Lamps, rain and standing people are a clear no."""
    for kind in ("empty", "lighting", "background", "camera"):
        for seed in range(6):
            labels = render_clip(seed, spec(kind)).labels[:, : len(MOTION)]
            assert np.array_equal(labels, np.zeros_like(labels))


def test_plain_clips_come_only_where_asked_for_and_show_large_objects() -> None:
    """No seed gives one by chance; the largest object of most is over a quarter of the height."""
    kinds = {render_clip(seed, SMALL).facts["kind"] for seed in range(40)}
    assert kinds.isdisjoint({"plain", "growth", "opposed", "company"})
    heights = []
    for seed in range(12):
        boxes = render_clip(seed, spec("plain")).boxes
        heights.append(np.nanmax(boxes[..., 3] - boxes[..., 1]))
    assert np.median(heights) > 0.25


def test_opposed_clips_show_what_ordinary_ones_hardly_do() -> None:
    """Something comes nearer while something else goes away, several times as often."""
    shares = {}
    for kind in ("opposed", "object"):
        labels = np.stack([render_clip(seed, spec(kind)).labels for seed in range(60)])
        nearer, away = (labels[..., LABELS.index(label)] == 1 for label in ("approach", "recede"))
        shares[kind] = float((nearer & away).mean())
    assert shares["opposed"] > max(0.03, 3 * shares["object"]), shares


def test_company_shows_gestures_beside_what_travels() -> None:
    """Both at once, several times as often as ordinary clips do."""
    shares = {}
    column = LABELS.index("in_place")
    for kind in ("company", "object"):
        labels = np.stack([render_clip(seed, spec(kind)).labels for seed in range(60)]) == 1
        shares[kind] = float((labels[..., column] & labels[..., :column].any(axis=-1)).mean())
    assert shares["company"] > max(0.05, 3 * shares["object"]), shares


@pytest.mark.parametrize("kind", ["lighting", "camera", "tamper", "background"])
def test_a_nuisance_is_told_in_its_own_column(kind: str) -> None:
    """In most clips of its kind, and never another's but by exposure."""
    column = LABELS.index(kind)
    told = [(render_clip(seed, spec(kind)).labels[:, column] == 1).any() for seed in range(14)]
    assert np.mean(told) > 0.6


def test_labels_are_neither_rare_nor_everywhere() -> None:
    """Share of frames in which a label is 1, over 150 clips: 2 % to 30 % each."""
    clips = [render_clip(seed, ClipSpec(frames=40, size_px=48)) for seed in range(150)]
    shares = (np.stack([clip.labels for clip in clips]) == 1).mean(axis=(0, 1))
    assert {
        name: float(share)
        for name, share in zip(LABELS, shares, strict=True)
        if not 0.02 < share < 0.3
    } == {}


def test_motion_is_where_pixels_change() -> None:
    """Frames that tell of motion change more than those that tell of nothing."""
    busy, quiet = [], []
    for seed in range(30):
        clip = render_clip(seed, spec("object"))
        change = np.abs(np.diff(clip.pictures.astype(int), axis=0)).mean(axis=(1, 2, 3))
        labels = clip.labels[1:, : len(MOTION)]
        busy += change[(labels == 1).any(axis=1)].tolist()
        quiet += change[(labels == 0).all(axis=1)].tolist()
    assert np.mean(busy) > 1.3 * np.mean(quiet)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (ClipSpec(split="test"), "split"),
        (ClipSpec(kind="party"), "kind"),
        (ClipSpec(size_px=8), "8 px"),
        (ClipSpec(frames=1), "1 frames"),
    ],
)
def test_a_wrong_spec_is_refused_with_what_was_given(wrong: ClipSpec, named: str) -> None:
    """Before anything is drawn."""
    with pytest.raises(ValueError, match=named):
        render_clip(0, wrong)


def test_behind_a_covered_lens_nothing_else_is_told() -> None:
    """Rain that nobody can see is open, and so is motion."""
    column = LABELS.index("tamper")
    for seed in range(60):
        labels = render_clip(seed, spec("mixed")).labels
        covered = labels[labels[:, column] == 1]
        others = np.delete(covered, column, axis=1)
        assert not (others == 1).any()


def test_a_gesture_that_changes_no_pixel_is_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one camera shows as a gesture is undecided before a camera that swallows any change."""
    in_place = LABELS.index("in_place")
    spec = ClipSpec(frames=40, size_px=64, kind="gesture")
    seen = [render_clip(seed, spec).labels[:, in_place] for seed in range(6)]
    monkeypatch.setattr(clip_module, "lost", lambda _: 1000.0)
    blind = [render_clip(seed, spec).labels[:, in_place] for seed in range(6)]
    n_told = sum(int((labels == 1).sum()) for labels in seen)
    assert n_told > 20
    for labels, others in zip(seen, blind, strict=True):
        assert np.isnan(others[labels == 1]).all()
        assert not (others == 1).any()


def test_pans_and_turns_are_never_a_clear_no_of_each_other() -> None:
    """A camera that is turned away moves, and one that pans far may be turned away."""
    camera, tamper = LABELS.index("camera"), LABELS.index("tamper")
    doubted = {"camera": 0, "tamper": 0}
    for kind, other in (("camera", tamper), ("tamper", camera)):
        for seed in range(40):
            labels = render_clip(seed, ClipSpec(frames=72, size_px=48, kind=kind)).labels
            doubted[kind] += int(np.isnan(labels[:, other]).any())
            assert not (labels[:, other] == 1).any()
    assert 0 < doubted["camera"] < 40
    assert 0 < doubted["tamper"] < 40
