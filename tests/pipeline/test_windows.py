"""Claims about pipeline.windows: windows of rendered clips and views of the operator's clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.classifier import Clips
from model.data.manifest import Manifest, Segment, save_manifest
from model.errors import DataError, EvaluationError
from model.evaluation.metric import Values
from pipeline.windows import CLIP_FRAMES, DatasetChoice, dataset_windows, rendered_windows
from tests.clip_file import write_clip
from tests.replay_kit import MANIFEST, N_FRAMES, SIZE_PX, rendered

LABELS = ("dark", "bright")
OWN = MANIFEST.model_copy(update={"labels": LABELS, "kinds": {}})


def test_rendered_windows_have_the_targets_of_their_ends() -> None:
    """At least as many as asked for; a window whose newest frames show something is positive."""
    pieces = list(rendered_windows(MANIFEST, 40, seed=0, use="test", render=rendered))
    assert sum(len(piece.clips) for piece in pieces) >= 40
    assert len(pieces) == -(-40 // len(pieces[0].clips))
    for piece in pieces:
        assert piece.clips.shape[1:] == (N_FRAMES, SIZE_PX, SIZE_PX, 3)
        assert piece.targets.shape == piece.weights.shape == (len(piece.clips), 11)
    left = np.concatenate([piece.targets[:, 0] for piece in pieces])
    assert 0 < left.mean() < 1
    assert CLIP_FRAMES >= N_FRAMES


def test_windows_of_another_use_are_others() -> None:
    """Calibration does not see what is tested."""
    seen: list[int] = []

    def draw(seed: int, kind: str | None, plan: object) -> object:
        seen.append(seed)
        return rendered(seed, kind, plan)  # type: ignore[arg-type]

    for use in ("test", "calibrate", "test"):
        list(rendered_windows(MANIFEST, 5, seed=0, use=use, render=draw))  # type: ignore[arg-type]
    assert seen[0] == seen[2] != seen[1]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three clips of 3 s; two of the same person."""
    for name in ("a", "b", "c"):
        write_clip(tmp_path / f"{name}.mp4", 30)
    segments = [
        Segment("a.mp4", ("dark",), group="ann", split="test"),
        Segment("b.mp4", ("bright",), group="bob", split="test"),
        Segment("c.mp4", ("bright",), group="ann", split="test"),
    ]
    save_manifest(Manifest(tmp_path, LABELS, segments), tmp_path / "data.json")
    return tmp_path / "data.json"


@pytest.mark.parametrize(("shape", "n_views"), [((1, 1), 1), ((10, 1), 10), ((10, 3), 30)])
def test_views_of_a_segment_are_averaged(
    dataset: Path, shape: tuple[int, int], n_views: int
) -> None:
    """One row a segment, whatever the batches; groups are people."""
    n_seen = 0

    def predict(clips: Clips) -> Values:
        nonlocal n_seen
        assert clips.shape[1:] == (N_FRAMES, SIZE_PX, SIZE_PX, 3)
        numbers = np.arange(n_seen, n_seen + len(clips))
        n_seen += len(clips)
        return np.stack([numbers, 1 - numbers], axis=1).astype(np.float32)

    found = dataset_windows(OWN, DatasetChoice(dataset, "test", shape), predict, 4)
    assert n_seen == 3 * n_views
    middle = (n_views - 1) / 2
    assert found.scores[:, 0] == pytest.approx([middle, middle + n_views, middle + 2 * n_views])
    assert found.targets.tolist() == [[1, 0], [0, 1], [0, 1]]
    assert found.groups.tolist() == [0, 1, 0]


def test_a_data_set_with_other_labels_is_one_sentence(dataset: Path) -> None:
    """Both lists are named."""

    def predict(clips: Clips) -> Values:
        raise AssertionError

    with pytest.raises(EvaluationError, match="labels are dark, bright; the bundle has left,"):
        dataset_windows(MANIFEST, DatasetChoice(dataset, None, (1, 1)), predict, 4)
    with pytest.raises(DataError, match="no segment is in split 'train'"):
        dataset_windows(OWN, DatasetChoice(dataset, "train", (1, 1)), predict, 4)
