"""Claims about rendered batches: pure in the step, mixed, balanced, labelled as their windows."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

from model.data.augment import Policy
from model.data.synthetic import Candidates, SyntheticBatches, SyntheticPlan
from model.labels import LABELS
from tests.model.data.stand_in import RENDERED, draw

PLAN = SyntheticPlan(n_clips=8, n_frames=8, size_px=8, clip_frames=24, policy=None)
LEFT = LABELS.index("left")


@dataclass(frozen=True)
class LateWindows:
    """Finds windows worth learning from that show something going left at their end."""

    n_clips: int = 3
    stride: int = 4

    def worth(self, candidates: Candidates) -> np.ndarray:
        assert len(candidates.first_frames) == len(candidates.targets) == len(candidates.weights)
        pictures = candidates.clip.pictures
        ends = pictures[candidates.first_frames + PLAN.n_frames - 1, -1, -1, 0]
        assert ((ends >= 20) == (candidates.targets[:, LEFT] == 1)).all()
        return np.where(candidates.targets[:, LEFT] == 1, 1.0, 1e-6).astype(np.float32)


@pytest.fixture(autouse=True)
def nothing_rendered_yet() -> Iterator[None]:
    RENDERED.clear()
    yield
    RENDERED.clear()


def batches(plan: SyntheticPlan = PLAN) -> SyntheticBatches:
    return SyntheticBatches(plan, draw)


def clip_ids(clips: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(int(value) for value in clip[0, 0, 0]) for clip in clips]


def test_a_batch_depends_on_its_step_alone() -> None:
    """Batches taken in order, in any order, alone or by another process's copy are the same."""
    plan = replace(PLAN, policy=Policy())
    in_order = [batches(plan).batch(step) for step in range(6)]
    other = copy.copy(batches(plan))
    for step in (5, 0, 3, 4):
        for own, again in zip(in_order[step], other.batch(step), strict=True):
            np.testing.assert_array_equal(own, again)


def test_a_batch_holds_each_clip_once_and_clips_return_in_later_batches() -> None:
    """No two windows of a batch are of one clip; a clip gives its windows to n_windows batches."""
    seen: dict[tuple[int, ...], list[int]] = {}
    made = batches()
    for step in range(0, 20, PLAN.n_lanes):
        ids = clip_ids(made.batch(step).clips)
        assert len(set(ids)) == PLAN.n_clips
        for clip_id in ids:
            seen.setdefault(clip_id, []).append(step)
    assert [0, 2, 4, 6] in seen.values()
    assert all(len(set(steps)) == len(steps) <= PLAN.n_windows for steps in seen.values())


def test_a_batch_renders_few_new_clips() -> None:
    """Taken in order, each batch after a lane's first renders n_clips / n_windows clips."""
    made = batches()
    for step in range(PLAN.n_lanes):
        made.batch(step)
    before = len(RENDERED)
    for step in range(PLAN.n_lanes, 12):
        made.batch(step)
    assert len(RENDERED) - before == (12 - PLAN.n_lanes) * PLAN.n_clips // PLAN.n_windows
    assert len(made._groups) <= PLAN.n_windows * PLAN.n_lanes


def test_repeated_windows_come_again_later_and_less_is_rendered() -> None:
    """Each is in two batches, n_windows turns of its lane apart; half the clips are rendered."""
    plan = replace(PLAN, n_repeats=2)
    made = batches(plan)
    seen: dict[tuple[int, ...], list[int]] = {}
    for step in range(0, 48, PLAN.n_lanes):
        clips = made.batch(step).clips
        ids = clip_ids(clips)
        assert len(set(ids)) == PLAN.n_clips
        for clip_id, first in zip(ids, clips[:, 0, -1, -1, 0].tolist(), strict=True):
            seen.setdefault((*clip_id, first), []).append(step)
    apart = PLAN.n_windows * PLAN.n_lanes
    whole = [steps for steps in seen.values() if apart <= steps[0] < 48 - apart]
    assert len(whole) > 40
    assert all(steps == [steps[0], steps[0] + apart] for steps in whole)
    # 24 turns have 12 groups of new clips; those before them show in the first turns.
    n_groups = 24 // 2 + PLAN.n_windows - 1
    assert len(RENDERED) == n_groups * PLAN.n_clips // PLAN.n_windows


def test_repeated_windows_are_augmented_anew() -> None:
    """The newest windows of a batch are those of two groups' age later, and look different then."""
    apart = PLAN.n_windows * PLAN.n_lanes
    for policy in (None, Policy()):
        made = batches(replace(PLAN, n_repeats=2, policy=policy))
        newest, again = made.batch(8).clips[6:8], made.batch(8 + apart).clips[2:4]
        assert np.array_equal(newest, again) == (policy is None)


def test_a_picker_decides_which_windows_are_learned_from() -> None:
    """Those it finds worthless come only where there are not enough others; targets stay true."""
    plan = replace(PLAN, policy=Policy())
    made = SyntheticBatches(plan, draw, LateWindows())
    in_order = [made.batch(step) for step in range(6)]
    # Three steps of each lane, and those before whose clips the first one still shows.
    n_groups = PLAN.n_lanes * (3 + PLAN.n_windows - 1)
    assert len(RENDERED) == n_groups * 3 * PLAN.n_clips // PLAN.n_windows
    assert len(made._groups) <= PLAN.n_windows * PLAN.n_lanes
    plain = [SyntheticBatches(PLAN, draw, LateWindows()).batch(step) for step in range(6)]
    alike = [batches().batch(step) for step in range(6)]
    share = np.mean([batch.targets[:, LEFT] for batch in plain])
    assert share > 1.5 * np.mean([batch.targets[:, LEFT] for batch in alike])
    other = copy.copy(SyntheticBatches(plan, draw, LateWindows()))
    for step in (5, 0, 3):
        for own, again in zip(in_order[step], other.batch(step), strict=True):
            np.testing.assert_array_equal(own, again)


def test_a_picked_batch_shows_different_clips() -> None:
    """Windows of a clip are spread over batches: hardly any batch has two of one."""
    made = SyntheticBatches(PLAN, draw, LateWindows())
    for step in range(8):
        ids = clip_ids(made.batch(step).clips)
        assert len(set(ids)) >= PLAN.n_clips - 2


def test_lanes_streams_and_seeds_share_no_clip() -> None:
    """Steps of two lanes, training and validation, and two seeds show different clips."""

    def ids(plan: SyntheticPlan, steps: range) -> set[tuple[int, ...]]:
        made = batches(plan)
        return {clip_id for step in steps for clip_id in clip_ids(made.batch(step).clips)}

    groups = [
        ids(PLAN, range(0, 10, 2)),
        ids(PLAN, range(1, 10, 2)),
        ids(replace(PLAN, stream="validation"), range(10)),
        ids(replace(PLAN, seed=1), range(10)),
    ]
    assert sum(len(group) for group in groups) == len(set.union(*groups))


def test_windows_are_cut_where_their_targets_say() -> None:
    """A window is n_frames frames in a row, and its target is that of its own end."""
    for step in range(8):
        batch = batches().batch(step)
        for clip, target, weight in zip(*batch[:3], strict=True):
            frames = clip[:, -1, -1, 0].astype(int)
            np.testing.assert_array_equal(np.diff(frames), 1)
            # "left" holds from frame 16 on: 5 of its frames make it sure.
            n_left = max(frames[-1] - 15, 0)
            assert (target[LEFT], weight[LEFT]) == (n_left >= 5, n_left >= 5 or n_left < 2)
        # Each moment is four frames, of which two make it true and one leaves it open.
        n_left_of = (batch.clips[:, :, -1, -1, 0].reshape(len(batch.clips), -1, 4) >= 16).sum(-1)
        known = np.where(n_left_of == 1, np.nan, n_left_of >= 2)
        np.testing.assert_array_equal(batch.moments[:, :, LEFT], known)


def test_rare_states_of_a_clip_are_as_welcome_as_frequent_ones() -> None:
    """3 of the 17 places are undecided or begun; they are chosen more often than that."""
    made = batches(replace(PLAN, clip_frames=24, n_windows=1))
    ends = [int(clip[-1, -1, -1, 0]) for step in range(120) for clip in made.batch(step).clips]
    share = np.mean([end in (17, 18, 19) for end in ends])
    assert share > 1.1 * 3 / 17
    assert set(ends) == set(range(7, 24))


def test_kinds_come_by_their_weights() -> None:
    """The renderer is asked for the kinds of the plan about as often as their weights say."""
    made = batches(replace(PLAN, kinds=(("empty", 1.0), (None, 3.0), ("night", 0.0))))
    for step in range(60):
        made.batch(step)
    asked = [kind for _, kind in RENDERED]
    assert asked.count("night") == 0
    assert 0.15 < asked.count("empty") / len(asked) < 0.35
    assert len({seed for seed, _ in RENDERED}) == len(RENDERED)


def test_augmentation_renames_before_the_targets_are_judged() -> None:
    """With every clip mirrored, what moved left moves right in the targets."""
    plain = batches().batch(0)
    policy = Policy(1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0)
    mirrored = batches(replace(PLAN, policy=policy)).batch(0)
    right = LABELS.index("right")
    np.testing.assert_array_equal(mirrored.targets[:, right], plain.targets[:, LEFT])
    np.testing.assert_array_equal(mirrored.clips, plain.clips[:, :, :, ::-1])


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"n_clips": 6}, "n_clips is 6"),
        ({"seed": -1}, "seed is -1"),
        ({"clip_frames": 9}, "clip_frames is 9"),
        ({"n_repeats": 0}, "n_repeats is 0"),
        ({"kinds": ((None, 0.0),)}, "weights of kinds"),
    ],
)
def test_plans_that_cannot_be_are_refused(changed: dict[str, object], named: str) -> None:
    """A plan names what is wrong with it; a step is not negative."""
    with pytest.raises(ValueError, match=named):
        replace(PLAN, **changed)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="step is -1"):
        batches().batch(-1)


def test_the_renderer_fills_batches_as_planned() -> None:
    """Clips of the real renderer come in the planned shape, and most labels are decided."""
    made = SyntheticBatches(replace(PLAN, n_clips=4, size_px=32, clip_frames=16))
    batch, again = made.batch(3), copy.copy(made).batch(3)
    assert batch.clips.shape == (4, 8, 32, 32, 3)
    assert batch.targets.shape == batch.weights.shape == (4, len(LABELS))
    assert set(np.unique(batch.targets)) <= {0.0, 1.0}
    assert batch.weights.mean() > 0.5
    assert batch.clips.std() > 5
    np.testing.assert_array_equal(batch.clips, again.clips)


def test_looks_that_are_held_out_are_others() -> None:
    """The same seeds render other pictures in the split that training never sees."""
    plan = replace(PLAN, n_clips=4, size_px=32, clip_frames=16)
    train = SyntheticBatches(plan).batch(0)
    held_out = SyntheticBatches(replace(plan, split="holdout")).batch(0)
    assert (train.clips != held_out.clips).mean() > 0.5


def test_places_belong_to_the_window_and_follow_its_augmentation() -> None:
    """What goes left in the left cells goes right in the right ones when mirrored."""
    plan = replace(PLAN, size_px=32)
    policy = Policy(1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0)
    plain = [batches(plan).batch(step) for step in range(6)]
    mirrored = [batches(replace(plan, policy=policy)).batch(step) for step in range(6)]
    right, n_true = LABELS.index("right"), 0
    for one, other in zip(plain, mirrored, strict=True):
        assert one.places.shape == (8, 2, 4, 4, 7)
        is_left = one.moments[..., LEFT] == 1
        in_first = one.places[..., 0, LEFT] == 1
        np.testing.assert_array_equal(in_first, np.repeat(is_left[..., None], 4, axis=-1))
        flipped = one.places[:, :, :, ::-1, LEFT]
        np.testing.assert_array_equal(other.places[..., right], flipped)
        n_true += int(is_left.sum())
    assert n_true


def test_rendered_objects_are_found_in_their_cells() -> None:
    """With the real renderer, pictures change more in cells where something moves."""
    made = SyntheticBatches(
        SyntheticPlan(n_clips=12, n_windows=2, size_px=64, kinds=(("object", 1.0),), policy=None)
    )
    batch = made.batch(0)
    change = np.abs(np.diff(batch.clips.astype(np.int16), axis=1)).mean(axis=-1)
    per_frame = change.reshape(12, 31, 8, 8, 8, 8).mean(axis=(3, 5))
    inner = np.stack([per_frame[:, 4 * p : 4 * p + 3].mean(axis=1) for p in range(8)], axis=1)
    travels = (batch.places[..., :4] == 1).any(axis=-1)
    still = (batch.places == 0).all(axis=-1)
    assert travels.sum() > 50
    assert inner[travels].mean() > 2 * inner[still].mean()
    assert batch.rates.shape == (12, 8, 8, 8, 4)
    is_left = (batch.places[..., LEFT] == 1) & np.isfinite(batch.rates[..., 0])
    assert is_left.sum() > 10
    assert (batch.rates[is_left][:, 0] < 0).all()
