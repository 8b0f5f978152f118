"""The facts a source states; what sources do is in tests/contract/test_source.py."""

from __future__ import annotations

import dataclasses

import pytest

from streamer.source import SourceInfo, SourceStatistics


def test_what_was_opened_cannot_change() -> None:
    """A change of size or codec comes with the frames, not behind the reader's back."""
    info = SourceInfo("h264", 640, 360, 25.0, is_live=True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        info.width = 1  # type: ignore[misc]


def test_a_source_is_paced_unless_it_says_otherwise() -> None:
    """Cameras are; only files and scenes can be read faster."""
    assert SourceInfo("h264", 640, 360, 25.0, is_live=True).is_paced


def test_totals_begin_at_zero() -> None:
    """A source that never opened has read nothing."""
    totals = dataclasses.asdict(SourceStatistics())
    assert totals == {"decode_errors": 0, "corrupt_packets": 0, "bytes": 0, "decode_cpu_s": 0.0}
