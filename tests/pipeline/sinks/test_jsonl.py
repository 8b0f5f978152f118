"""Claims about pipeline.sinks.jsonl: whole lines only, whatever happens to disk or process."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import JsonlConfig
from pipeline.errors import ConfigError, SinkError
from pipeline.sinks.jsonl import JsonlSink
from tests.pipeline.factories import event

MAX_BYTES = 10_000


def config(path: Path, **changes: Any) -> JsonlConfig:
    return JsonlConfig(path=path, **({"max_bytes": MAX_BYTES, "keep": 3} | changes))


def ids(path: Path) -> list[str]:
    text = path.read_text()
    assert not text or text.endswith("\n")
    return [json.loads(line)["event_id"] for line in text.splitlines()]


def folder_of(path: Path) -> set[str]:
    return {file.name for file in path.parent.iterdir()}


async def deliver(sink: JsonlSink, *names: str) -> None:
    for name in names:
        await sink.deliver(event(event_id=name))


async def test_events_are_appended_in_order_also_by_the_next_run(tmp_path: Path) -> None:
    """A second run goes on where the first ended."""
    path = tmp_path / "events.jsonl"
    async with JsonlSink(config(path)) as sink:
        await deliver(sink, "a", "b")
    async with JsonlSink(config(path)) as sink:
        await deliver(sink, "c")
    assert ids(path) == ["a", "b", "c"]


async def test_a_full_file_is_rotated_and_only_so_many_are_kept(tmp_path: Path) -> None:
    """No file above its size, no line in two, the oldest go first, the newest are all there."""
    path = tmp_path / "events.jsonl"
    names = [f"event{n:03}" for n in range(100)]
    async with JsonlSink(config(path)) as sink:
        await deliver(sink, *names)
    files = [path.with_name(f"{path.name}.{n}") for n in (3, 2, 1)] + [path]
    assert folder_of(path) == {file.name for file in files}
    assert all(len(file.read_bytes()) <= MAX_BYTES for file in files)
    kept = [name for file in files for name in ids(file)]
    assert kept == names[-len(kept) :]
    assert len(kept) > 50


@pytest.mark.parametrize("torn", [b'{"event_id": "to', b"x" * 200_000])
async def test_a_torn_last_line_is_cut_off_at_the_start(tmp_path: Path, torn: bytes) -> None:
    """What a crash left of a line does not spoil the next one."""
    path = tmp_path / "events.jsonl"
    async with JsonlSink(config(path)) as sink:
        await deliver(sink, "a")
    with path.open("ab") as file:
        file.write(torn)
    async with JsonlSink(config(path)) as sink:
        await deliver(sink, "b")
    assert ids(path) == ["a", "b"]


async def test_a_file_without_any_newline_begins_anew(tmp_path: Path) -> None:
    """Nothing of it was a line."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"torn")
    async with JsonlSink(config(path)) as sink:
        await deliver(sink, "a")
    assert ids(path) == ["a"]


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: folder / "missing" / "events.jsonl",
        lambda folder: folder,
        lambda folder: folder / ("x" * 300),
    ],
)
async def test_a_path_that_cannot_be_written_is_the_operators_to_fix(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    """One sentence naming the key, the path and the remedy."""
    path = make(tmp_path)
    with pytest.raises(ConfigError, match=r"^sinks\.jsonl\.path: .* cannot be written .*; name a"):
        async with JsonlSink(config(path)):
            pass


async def test_a_folder_without_permission_is_the_operators_to_fix() -> None:
    """Permission denied at start, not at the first event; in /sys not even root may."""
    with pytest.raises(ConfigError, match=r"sinks\.jsonl\.path: .* \(Permission denied\)"):
        async with JsonlSink(config(Path("/sys/events.jsonl"))):
            pass


async def test_two_runs_cannot_write_the_same_file(tmp_path: Path) -> None:
    """Their rotations would tear each other's lines."""
    path = tmp_path / "events.jsonl"
    async with JsonlSink(config(path)):
        with pytest.raises(ConfigError, match="written by another process"):
            async with JsonlSink(config(path)):
                pass


async def test_a_full_disk_fails_the_event_and_not_the_sink() -> None:
    """ENOSPC is a SinkError, each time."""
    async with JsonlSink(config(Path("/dev/full"), fsync="never")) as sink:
        for _ in range(2):
            with pytest.raises(SinkError, match="No space left on device"):
                await deliver(sink, "a")


async def test_an_event_whose_sync_fails_leaves_no_part_and_can_be_delivered_again(
    tmp_path: Path,
) -> None:
    """SinkError promises that nothing was taken: no line twice after the retry."""
    path = tmp_path / "events.jsonl"
    failures = [OSError(errno.ENOSPC, "No space left on device")]

    def sync(fd: int) -> None:
        if failures:
            raise failures.pop()
        os.fsync(fd)

    async with JsonlSink(config(path, fsync="always"), sync) as sink:
        with pytest.raises(SinkError, match="No space left"):
            await deliver(sink, "a")
        assert path.read_bytes() == b""
        await deliver(sink, "a", "b")
    assert ids(path) == ["a", "b"]


@pytest.mark.parametrize(("policy", "n_syncs"), [("always", 4), ("interval", 1), ("never", 0)])
async def test_the_sync_policy_is_kept(tmp_path: Path, policy: str, n_syncs: int) -> None:
    """always: each event and the end; interval: at the end here; never: not at all."""
    calls: list[int] = []
    path = tmp_path / "events.jsonl"
    async with JsonlSink(config(path, fsync=policy), calls.append) as sink:
        await deliver(sink, "a", "b", "c")
    assert len(calls) == n_syncs


async def test_with_interval_a_lonely_event_is_synced_soon(tmp_path: Path) -> None:
    """Not only when the next event comes."""
    calls: list[int] = []
    async with JsonlSink(config(tmp_path / "events.jsonl"), calls.append) as sink:
        await deliver(sink, "a")
        assert sink._timer is not None
        sink._timer.cancel()
        sink._sync_later()  # what the timer does after a second
        await deliver(sink, "b")
        assert len(calls) == 1


async def test_a_slow_disk_does_not_hold_the_event_loop(tmp_path: Path) -> None:
    """The loop runs on while a sync hangs."""
    import threading

    release = threading.Event()

    def sync(fd: int) -> None:
        release.wait(10)

    async with JsonlSink(config(tmp_path / "events.jsonl", fsync="always"), sync) as sink:
        delivery = asyncio.ensure_future(deliver(sink, "a"))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not delivery.done()
        release.set()
        await delivery


async def test_a_rotation_that_failed_half_way_is_finished_by_the_next_event(
    tmp_path: Path,
) -> None:
    """The folder vanished and came back: the sink goes on."""
    folder = tmp_path / "events"
    folder.mkdir()
    path = folder / "events.jsonl"
    async with JsonlSink(config(path)) as sink:
        names = [f"event{n:03}" for n in range(18)]
        await deliver(sink, *names)
        folder.rename(tmp_path / "away")
        with pytest.raises(SinkError):
            await deliver(sink, *names)
        folder.mkdir()
        await deliver(sink, "after")
    assert ids(path) == ["after"]
