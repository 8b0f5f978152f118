"""Claims about dividing: no group on two sides, shares by label, the same for the same seed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.data.division import divide
from model.data.manifest import Manifest, Segment
from model.errors import DataError

SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}


def people(n_groups: int, seed: int = 0) -> Manifest:
    """People with 3 to 8 segments each of two labels."""
    rng = np.random.default_rng(seed)
    segments = [
        Segment(
            path=f"p{person}/{k}.mp4",
            labels=("fall",) if rng.random() < 0.3 else ("walk",),
            group=f"p{person}",
        )
        for person in range(n_groups)
        for k in range(int(rng.integers(3, 9)))
    ]
    return Manifest(Path("x"), ("fall", "walk"), segments)


def sides(manifest: Manifest) -> dict[str, set[str | None]]:
    found: dict[str, set[str | None]] = {}
    for segment in manifest.segments:
        found.setdefault(segment.group_or_path, set()).add(segment.split)
    return found


@given(n_groups=st.integers(3, 40), seed=st.integers(0, 5))
def test_no_group_is_torn(n_groups: int, seed: int) -> None:
    """Whatever the groups, each is in exactly one split, and no segment is lost."""
    before = people(n_groups, seed)
    after = divide(before, SHARES, seed)
    assert all(len(splits) == 1 and None not in splits for splits in sides(after).values())
    assert [s.path for s in after.segments] == [s.path for s in before.segments]


def test_shares_hold_for_each_label() -> None:
    """With many groups each label is shared out as asked, within 5 %."""
    after = divide(people(60), SHARES)
    for label in after.labels:
        counts = Counter(s.split for s in after.segments if label in s.labels)
        for split, share in SHARES.items():
            assert counts[split] / counts.total() == pytest.approx(share, abs=0.05)  # type: ignore[index]


def test_the_seed_chooses() -> None:
    """The same seed gives the same split, another one another."""
    first, again, other = (divide(people(30), SHARES, seed).segments for seed in (1, 1, 2))
    assert first == again != other


def test_groups_can_be_put_where_they_shall_be() -> None:
    """A fixed group is in its split; the others fill what is left."""
    after = divide(people(5), {"train": 1.0}, fixed={"p3": "test"})
    assert sides(after)["p3"] == {"test"}
    assert all(splits == {"train"} for name, splits in sides(after).items() if name != "p3")
    with pytest.raises(DataError, match="group 'p9' does not exist; groups are p0, p1"):
        divide(people(5), SHARES, fixed={"p9": "test"})


def test_groups_of_one_video_stay_together() -> None:
    """Two people in one video cannot be parted, and are not put into two splits by hand."""
    segments = [
        Segment(path="both.mp4", group="anna"),
        Segment(path="both.mp4", group="bert"),
        *(Segment(path=f"{k}.mp4", group=f"g{k}") for k in range(6)),
    ]
    both = Manifest(Path("x"), (), segments)
    for seed in range(8):
        found = sides(divide(both, {"train": 1, "test": 1}, seed))
        assert found["anna"] == found["bert"]
    with pytest.raises(DataError, match="anna, bert share videos"):
        divide(both, SHARES, fixed={"anna": "train", "bert": "test"})


def test_videos_without_a_group_are_divided_one_by_one() -> None:
    """Segments of one video stay together, videos of no group need not."""
    segments = [Segment(path=f"{k // 2}.mp4", start_s=k % 2) for k in range(20)]
    after = divide(Manifest(Path("x"), (), segments), {"train": 1, "test": 1})
    assert Counter(s.split for s in after.segments) == {"train": 10, "test": 10}
    assert all(len(splits) == 1 for splits in sides(after).values())


def test_too_few_groups_are_told() -> None:
    """Two people cannot fill three splits."""
    with pytest.raises(DataError, match="2 groups cannot fill 3 splits"):
        divide(people(2), SHARES)
