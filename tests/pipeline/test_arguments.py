"""Claims about pipeline.arguments: what is typed becomes values, or one sentence."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from pipeline.arguments import SECONDS, assemble, touch
from pipeline.errors import ConfigError


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon"])
def test_seconds_are_positive_and_finite(text: str) -> None:
    """Not-a-number and infinity pass comparisons, and are refused all the same."""
    assert SECONDS.convert("2.5", None, None) == 2.5
    with pytest.raises(click.BadParameter):
        SECONDS.convert(text, None, None)


def test_either_sources_or_a_file() -> None:
    """Both or neither is one sentence with the remedy."""
    with pytest.raises(ConfigError, match="exclude each other"):
        assemble(("a.mp4",), Path("x.yaml"), {})
    with pytest.raises(ConfigError, match="give a SOURCE"):
        assemble((), None, {})
    assert assemble(("synthetic:street",), None, {"hop": 4}).analysis.hop == 4


def test_a_result_that_cannot_be_written_is_found_out_first(tmp_path: Path) -> None:
    """The option, the path and what to do."""
    touch(tmp_path / "good.json")
    assert (tmp_path / "good.json").exists()
    with pytest.raises(ConfigError, match=r"--json .*bad/x\.json: No such file .*; give a file"):
        touch(tmp_path / "bad" / "x.json")
