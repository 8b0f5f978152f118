"""Claims about batches from videos: pure in the step, each segment once, views in their place."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.data.augment import Policy
from model.data.dataset import DatasetBatches, DatasetPlan, EvaluationViews
from model.data.loader import BatchLoader
from model.data.manifest import Manifest, Segment
from model.data.sampler import Sampling
from model.errors import DataError
from tests.clip_file import write_clip
from tests.frame_code import read_code
from tests.model.data.test_loader import tracker_of_the_standard_library

__all__ = ["tracker_of_the_standard_library"]

SAMPLING = Sampling(fps=10.0, size_px=160)
PLAN = DatasetPlan(n_clips=4, n_frames=8, sampling=SAMPLING, split="train", policy=None)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a.mp4 shows codes 0 to 99 in 10 s, b.mp4 100 to 129 in 3 s, short.mp4 5 pictures."""
    root = tmp_path_factory.mktemp("videos")
    write_clip(root / "a.mp4", 100)
    write_clip(root / "b.mp4", 30, first=100)
    write_clip(root / "short.mp4", 5, first=200)
    return root


def dataset(root: Path) -> Manifest:
    return Manifest(
        root,
        ("fall", "left", "right"),
        [
            Segment(path="a.mp4", labels=("fall",), start_s=2.0, end_s=5.0, split="train"),
            Segment(path="a.mp4", labels=("left",), start_s=4.0, end_s=9.0, split="train"),
            Segment(path="b.mp4", labels=("right",), split="train"),
            Segment(path="b.mp4", split="test"),
            Segment(path="short.mp4", labels=("fall",), split="validation"),
        ],
    )


def ends(clips: np.ndarray) -> list[int]:
    found = [read_code(clip[-1]) for clip in clips]
    assert None not in found
    return [code for code in found if code is not None]


# ---- training -------------------------------------------------------------------------------


def test_a_batch_depends_on_its_step_alone(videos: Path) -> None:
    """Any order, another object and another process give the same batches."""
    plan = replace(PLAN, policy=Policy())
    made = DatasetBatches(dataset(videos), plan)
    in_order = [made.batch(step) for step in range(4)]
    again = DatasetBatches(dataset(videos), plan)
    for step in (3, 1):
        for one, other in zip(in_order[step], again.batch(step), strict=True):
            np.testing.assert_array_equal(one, other)
    with BatchLoader(made, first_step=2, n_workers=1, n_steps=2) as loader:
        for step, batch in zip((2, 3), loader, strict=True):
            np.testing.assert_array_equal(batch.clips, in_order[step].clips)


def test_windows_end_within_their_segment_and_are_labelled_by_it(videos: Path) -> None:
    """The last picture lies in the segment's later part; every segment that holds it counts."""
    made = DatasetBatches(dataset(videos), PLAN)
    seen = set()
    for step in range(12):
        batch = made.batch(step)
        for end, target in zip(ends(batch.clips), batch.targets, strict=True):
            names = {n for n, value in zip(("fall", "left", "right"), target, strict=True) if value}
            if end >= 100:
                expected = {"right"}
                assert 107 <= end <= 129
            else:
                # At the very ends of a segment a picture belongs to either side.
                assert 23 <= end <= 90
                expected = {"fall"} if end <= 39 else {"left"} if end >= 51 else names
                assert end in (40, 50) or names == expected or names == {"fall", "left"}
            assert names == expected
            seen |= names
    assert seen == {"fall", "left", "right"}
    assert (made.batch(0).weights == 1).all()


def test_an_epoch_has_each_segment_once(videos: Path) -> None:
    """Without balancing, the windows of an epoch are one of each segment, in changing order."""
    made = DatasetBatches(dataset(videos), replace(PLAN, n_clips=3))
    orders = []
    for step in range(6):
        found = ["b" if end >= 100 else "a" for end in ends(made.batch(step).clips)]
        assert Counter(found) == {"a": 2, "b": 1}
        orders.append(tuple(found))
    assert len(set(orders)) > 1


def test_balanced_batches_have_each_label_as_often(videos: Path) -> None:
    """With nine falls for each other label, each label is a third of the windows."""
    many = [
        *(Segment(path="a.mp4", labels=("fall",), split="train") for _ in range(9)),
        *dataset(videos).segments[2:3],
        Segment(path="short.mp4", labels=("left",), split="train"),
    ]
    manifest = Manifest(videos, ("fall", "left", "right"), many)
    made = DatasetBatches(manifest, replace(PLAN, is_balanced=True))
    batches = [made.batch(step) for step in range(15)]
    shares = np.concatenate([batch.targets for batch in batches]).mean(axis=0)
    assert shares.sum() == pytest.approx(1.0)
    assert (abs(shares - 1 / 3) < 0.15).all()


def test_directions_follow_the_mirror(videos: Path) -> None:
    """A mirrored window of "left" is one of "right"."""
    mirror = Policy(1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0)
    plain = DatasetBatches(dataset(videos), PLAN).batch(0)
    mirrored = DatasetBatches(dataset(videos), replace(PLAN, policy=mirror)).batch(0)
    np.testing.assert_array_equal(mirrored.targets, plain.targets[:, [0, 2, 1]])
    np.testing.assert_array_equal(mirrored.clips, plain.clips[:, :, :, ::-1])


def test_a_video_shorter_than_a_window_is_led_in_by_its_first_picture(videos: Path) -> None:
    """Five pictures fill a window of eight behind their first one, held still."""
    made = DatasetBatches(dataset(videos), replace(PLAN, split="validation", n_clips=1))
    found = [read_code(picture) for picture in made.batch(0).clips[0]]
    assert found[0] == found[1] == 200
    assert found == sorted(found)


def test_what_cannot_be_had_is_raised(videos: Path, tmp_path: Path) -> None:
    """A missing file, a segment behind the end and an empty split are named, and not skipped."""
    for segment, named in (
        (Segment(path="none.mp4", labels=()), r"none\.mp4"),
        (Segment(path="a.mp4", start_s=20, end_s=24), r"a\.mp4: ends .* correct the segment"),
    ):
        made = DatasetBatches(Manifest(videos, (), [segment]), replace(PLAN, split=None, n_clips=1))
        with pytest.raises(DataError, match=named):
            made.batch(0)
    with pytest.raises(DataError, match="no segment is in split 'train'"):
        DatasetBatches(Manifest(videos, (), [Segment(path="a.mp4")]), PLAN)
    with pytest.raises(ValueError, match="step is -1"):
        DatasetBatches(dataset(videos), PLAN).batch(-1)


# ---- evaluation -----------------------------------------------------------------------------


def views(root: Path, shape: tuple[int, int], n_clips: int = 4) -> EvaluationViews:
    return EvaluationViews(dataset(root), "train", SAMPLING, 8, shape, n_clips)


def test_one_view_looks_at_the_middle(videos: Path) -> None:
    """1 x 1: one window a segment, its middle at the segment's, or as near as whole windows are."""
    made = views(videos, (1, 1))
    assert (made.n_steps, len(made.views)) == (1, 3)
    batch = made.batch(0)
    # 2 to 5 s: a window of 0.7 s about 3.5 s; 4 to 9 s: about 6.5 s; 0 to 3 s: about 1.5 s.
    assert np.abs(np.array(ends(batch.clips)) - [38, 68, 118]).max() <= 1
    assert batch.targets.argmax(axis=1).tolist() == [0, 1, 2]


def test_ten_views_are_spread_over_the_segment(videos: Path) -> None:
    """10 x 1: ten times from the first possible to the last, in order; the last batch is short."""
    made = views(videos, (10, 1), n_clips=7)
    assert made.n_steps == 5
    found = [end for step in range(5) for end in ends(made.batch(step).clips)]
    assert len(found) == 30
    assert found[:10] == sorted(found[:10])
    assert found[0] == pytest.approx(24, abs=1)
    assert found[9] == pytest.approx(50, abs=1)
    assert len(made.batch(4).clips) == 2
    assert made.views_of(4)[-1] == (2, 9, 0)


def test_thirty_views_look_left_centre_and_right(videos: Path) -> None:
    """10 x 3: three cut-outs of the same window side by side, 85 % of the whole, in order."""
    made = views(videos, (10, 3), n_clips=3)
    whole = views(videos, (10, 1), n_clips=1).batch(0).clips[0]
    left, centre, right = made.batch(0).clips
    assert made.views_of(0) == ((0, 0, 0), (0, 0, 1), (0, 0, 2))
    for cut in (left, centre, right):
        assert cut.shape == whole.shape
    # The code of the picture is at its left: it moves out of the cut-outs to the right.
    assert (left != centre).any()
    assert (centre != right).any()
    assert len(made._kept) == 1


def test_views_can_be_loaded_ahead(videos: Path) -> None:
    """A worker makes the same views; what was decoded here is not sent to it."""
    made = views(videos, (1, 1), n_clips=2)
    expected = [made.batch(step).clips for step in range(made.n_steps)]
    assert not copy.copy(made)._kept
    with BatchLoader(made, n_workers=1, n_steps=made.n_steps) as loader:
        for own, batch in zip(expected, loader, strict=True):
            np.testing.assert_array_equal(own, batch.clips)


def test_views_that_do_not_exist_are_refused(videos: Path) -> None:
    """Two cut-outs and steps behind the last one are errors."""
    with pytest.raises(ValueError, match="cut-outs 1 or 3"):
        views(videos, (10, 2))
    with pytest.raises(ValueError, match="there are 1"):
        views(videos, (1, 1)).batch(1)
