"""Claims about recipe files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.recipefile import load_recipe
from tests.conftest import REPOSITORY

RECIPES = sorted((REPOSITORY / "configs" / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_is_good(path: Path) -> None:
    """Each recipe is read, and is named as its file."""
    assert load_recipe(path).name == path.stem


def test_the_default_bundle_has_a_recipe() -> None:
    """motion-events is among them."""
    assert "motion-events" in {path.stem for path in RECIPES}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "r.yaml: must be a mapping with `name:` and `phases:`"),
        (
            "name: a\nphases: [{size_px: 64, steps: 9}]\nseeds: 1",
            "r.yaml:3: seeds: is not a known key; did you mean 'seed'?",
        ),
        (
            "name: a\nphases:\n- {size_px: 64, steps: 0}",
            "r.yaml:3: phases[0].steps: must be at least 1, not 0 (and 0 more)",
        ),
        (
            "name: a\ndata: {kind: web}\nphases: [{size_px: 64, steps: 900}]",
            "data.kind: must be one of",
        ),
        (
            "name: a\nphases: [{size_px: 64, steps: 9}]",
            "optimizer.warmup_steps (300) must be below",
        ),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, text: str, complaint: str) -> None:
    """File, line and key are named."""
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_recipe(path)
    assert complaint.replace(" (and 0 more)", "") in str(caught.value)
    assert "\n" not in str(caught.value)
