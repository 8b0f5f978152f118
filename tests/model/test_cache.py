"""What is kept comes back whole or not at all."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from model.cache import Cache, default_folder, processor

KEY = {"weights": "ab", "engine": "x 1"}


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def entry(folder: Path) -> Path:
    [path] = (folder / "cache").iterdir()
    return path


def test_content_comes_back_under_its_kind_and_key_alone(cache: Cache) -> None:
    """Any other weights, engine or kind is another entry."""
    cache.write("graph", KEY, b"compiled")
    assert cache.read("graph", KEY) == b"compiled"
    assert cache.read("graph", dict(reversed(KEY.items()))) == b"compiled"
    assert cache.read("choice", KEY) is None
    assert cache.read("graph", KEY | {"weights": "ac"}) is None
    cache.write("graph", KEY, b"newer")
    assert cache.read("graph", KEY) == b"newer"


@pytest.mark.parametrize("content", [b"", b"x" * 100_000])
def test_content_of_any_length_is_kept(cache: Cache, content: bytes) -> None:
    """An empty entry is not a missing one."""
    cache.write("graph", KEY, content)
    assert cache.read("graph", KEY) == content


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:10],
        lambda data: b"",
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: bytes([data[0] ^ 1]) + data[1:],
        lambda data: data + b"x",
    ],
    ids=["cut", "cut in the header", "empty", "flipped bit", "flipped header", "longer"],
)
def test_a_damaged_entry_is_missing_and_can_be_written_anew(
    tmp_path: Path, cache: Cache, damage, caplog: pytest.LogCaptureFixture
) -> None:
    """It is removed, and says so in the log."""
    cache.write("graph", KEY, b"compiled")
    path = entry(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert cache.read("graph", KEY) is None
    assert "damaged" in caplog.text
    assert not path.exists()
    cache.write("graph", KEY, b"compiled")
    assert cache.read("graph", KEY) == b"compiled"


def test_an_entry_can_be_forgotten(tmp_path: Path, cache: Cache) -> None:
    """Forgetting twice is fine."""
    cache.write("graph", KEY, b"compiled")
    cache.remove("graph", KEY)
    cache.remove("graph", KEY)
    assert cache.read("graph", KEY) is None


def test_entries_unused_for_the_longest_time_make_room(tmp_path: Path) -> None:
    """Reading counts as use; the newest entry stays whatever its size."""
    cache = Cache(tmp_path / "cache", limit_bytes=400)
    for index, name in enumerate("abc"):
        cache.write("graph", {"name": name}, b"x" * 60)
        path = max((tmp_path / "cache").iterdir(), key=lambda p: p.stat().st_mtime_ns)
        os.utime(path, (index, index))
    assert cache.read("graph", {"name": "a"}) is not None
    cache.write("graph", {"name": "d"}, b"x" * 60)
    left = {name for name in "abcd" if cache.read("graph", {"name": name}) is not None}
    assert left == {"a", "c", "d"}
    cache.write("graph", {"name": "e"}, b"x" * 1000)
    assert cache.read("graph", {"name": "e"}) is not None


def test_a_folder_that_cannot_be_written_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The work is done each time; nothing fails."""
    (tmp_path / "cache").write_text("a file where the folder should be")
    cache = Cache(tmp_path / "cache")
    with caplog.at_level(logging.WARNING):
        cache.write("graph", KEY, b"compiled")
        cache.write("graph", KEY, b"compiled")
        assert cache.read("graph", KEY) is None
    assert caplog.text.count("cannot be written") == 1


def test_without_a_folder_nothing_is_remembered() -> None:
    """And nothing is said about it."""
    cache = Cache(None)
    cache.write("graph", KEY, b"compiled")
    cache.remove("graph", KEY)
    assert cache.read("graph", KEY) is None


def test_nothing_is_left_over_by_a_write(tmp_path: Path, cache: Cache) -> None:
    """One file an entry: no temporary ones."""
    cache.write("graph", KEY, b"compiled")
    assert entry(tmp_path).name.startswith("graph-")


def test_the_default_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the rules of the system, XDG_CACHE_HOME here."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "bresnet-stream"


def test_the_processor_is_known_by_its_features(tmp_path: Path) -> None:
    """Another model or another feature is another processor; a missing file is one too."""
    info = tmp_path / "cpuinfo"
    found = set()
    for text in ("model name\t: A\nflags\t: x y\n", "model name\t: B\nflags\t: x y\n", "flags : x"):
        info.write_text(text)
        found.add(processor(info))
        assert processor(info) == processor(info)
    found.add(processor(tmp_path / "absent"))
    assert len(found) == 4
