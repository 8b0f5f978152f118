"""Claims about recipes: what they refuse, and what makes two of them different runs."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from model.training.recipe import FREEZABLE, Recipe
from tests.model.training.stand_in import tiny_recipe


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"optimizer": {"warmup_steps": 18}}, "must be below the 18 steps of all phases"),
        ({"head": {"labels": ["a", "a"]}}, "must not name a label twice"),
        (
            {
                "head": {"labels": ["a"], "activation": "softmax"},
                "data": {"kind": "manifest", "path": "x"},
                "place_share": 0.0,
            },
            "must be at least two",
        ),
        ({"head": {"labels": ["a", "b"]}}, "given by data.kind synthetic"),
        ({"data": {"kind": "synthetic", "windows": 3}}, "batch must be a multiple"),
        ({"data": {"kind": "synthetic", "clip_frames": 8}}, "must be at least"),
        ({"init": {"bundle": "x", "freeze": ["stem1"]}}, "must be the first stages in order"),
        ({"phases": []}, "at least 1 item"),
        (
            {"place_share": 1.0, "data": {"kind": "manifest", "path": "x"}},
            "place_share must be 0 with data.kind manifest",
        ),
        (
            {"place_share": 1.0, "phases": [{"size_px": 32, "frames": 6, "steps": 9}]},
            r"phases\[0\].frames must be a multiple of 4 with .*_share or rate_share, not 6",
        ),
        (
            {"place_share": 0.0, "rate_share": 1.0, "data": {"kind": "manifest", "path": "x"}},
            "rate_share must be 0 with data.kind manifest",
        ),
        ({"rate_share": 1.0, "mixup_alpha": 0.2}, "rate_share must be 0 with mixup_alpha"),
        (
            {
                "place_share": 0.0,
                "moment_share": 0.0,
                "rate_share": 1.0,
                "mixup_alpha": 0.0,
                "phases": [{"size_px": 32, "frames": 6, "steps": 9}],
            },
            r"phases\[0\].frames must be a multiple of 4",
        ),
        (
            {
                "place_share": 0.0,
                "data": {"kind": "manifest", "path": "x"},
                "phases": [{"size_px": 32, "steps": 19, "kinds": {"plain": 1.0}}],
            },
            "phases.kinds must be empty with data.kind manifest",
        ),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_a_recipe_that_cannot_be_run_is_refused(changes: dict[str, Any], complaint: str) -> None:
    """Each mistake is named."""
    with pytest.raises(ValidationError, match=complaint):
        tiny_recipe(**changes)


def test_stages_are_frozen_from_the_first_on() -> None:
    """A prefix of the stages is accepted."""
    recipe = tiny_recipe(init={"bundle": "x", "freeze": FREEZABLE[:4]})
    assert recipe.init is not None
    assert recipe.init.freeze == ("stem", "stem1", "stem2", "block0")


def test_phases_follow_each_other() -> None:
    """Each step belongs to one phase; after the last there is none."""
    recipe = tiny_recipe()
    assert recipe.steps == 18
    found = [recipe.phase_at(step)[::2] for step in (0, 7, 8, 17)]
    assert found == [(0, 0), (0, 0), (1, 8), (1, 8)]
    with pytest.raises(ValueError, match="step 18 is after the last of 18"):
        recipe.phase_at(18)


def test_the_fingerprint_follows_what_decides_the_weights() -> None:
    """Another seed is another run; other workers or checkpoints are not."""
    same = tiny_recipe(
        workers=5, checkpoint_s=9.0, statistics_batches=7, description="x", licence="y"
    )
    assert tiny_recipe().fingerprint() == same.fingerprint()
    assert tiny_recipe().fingerprint() != tiny_recipe(seed=4).fingerprint()
    begun = tiny_recipe(init={"bundle": "x"})
    assert begun.fingerprint() == tiny_recipe(init={"bundle": "x", "kept": 0.5}).fingerprint()
    assert begun.fingerprint() != tiny_recipe(init={"bundle": "y"}).fingerprint()
    assert begun.fingerprint() != tiny_recipe().fingerprint()
    assert Recipe.model_validate(same.model_dump()) == same
