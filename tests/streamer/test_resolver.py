"""Names are looked up with a deadline, and a hung name server hurts nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Sequence

import pytest

from streamer.errors import SourceOpenError
from streamer.resolver import Resolver, look_up
from tests.conftest import eventually

SHORT_S = 0.05
LONG_S = 20.0


class Names:
    """A look-up: names that begin with "hang" answer when they are released."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.asked: list[str] = []
        self.threads: list[threading.Thread] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        self.threads.append(threading.current_thread())
        if host.startswith("hang"):
            self.release.wait(LONG_S)
        if host.startswith("none"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if host.startswith("empty"):
            return []
        return ["fd00::1", "192.0.2.5"] if host.startswith("both") else ["192.0.2.9"]


@pytest.fixture
async def names() -> AsyncIterator[Names]:
    names = Names()
    yield names
    names.release.set()
    for thread in names.threads:
        await asyncio.to_thread(thread.join)


async def overdue(resolver: Resolver, host: str) -> None:
    with contextlib.suppress(SourceOpenError):
        await resolver.resolve(host, 554, SHORT_S)


async def test_a_name_becomes_its_address(names: Names) -> None:
    """Looked up on a daemon thread of the resolver's own."""
    assert await Resolver(names).resolve("door", 554, LONG_S) == "192.0.2.9"
    assert names.threads[0].name == "resolver:door"
    assert names.threads[0].daemon


async def test_ipv4_is_preferred(names: Names) -> None:
    """Many cameras announce IPv6 and serve RTSP over IPv4 only."""
    assert await Resolver(names).resolve("both", 554, LONG_S) == "192.0.2.5"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "fe80::1%eth0", "localhost", "LOCALHOST"])
async def test_addresses_and_localhost_are_not_looked_up(names: Names, host: str) -> None:
    """They pass even when every thread hangs."""
    resolver = Resolver(names, n_threads=1)
    await overdue(resolver, "hang")
    assert await resolver.resolve(host, 554, SHORT_S) == host
    assert names.asked == ["hang"]


@pytest.mark.parametrize("host", ["none.example", "empty.example", "a" * 300, "a..b"])
async def test_a_name_without_address_is_one_sentence(names: Names, host: str) -> None:
    """Of kind dns, naming the host."""
    lookup = look_up if host.startswith("a") else names
    with pytest.raises(SourceOpenError, match="has no address") as failure:
        await Resolver(lookup).resolve(host, 554, LONG_S)
    assert failure.value.kind == "dns"
    assert host in str(failure.value)


async def test_a_hung_look_up_ends_at_its_deadline(names: Names) -> None:
    """The thread stays behind and is counted; the caller goes on."""
    resolver = Resolver(names)
    with pytest.raises(SourceOpenError, match=r"not resolved within 0\.05 s") as failure:
        await resolver.resolve("hang", 554, SHORT_S)
    assert failure.value.kind == "dns"
    assert resolver.n_overdue == 1


async def test_a_hung_look_up_does_not_delay_another_name(names: Names) -> None:
    """Two of two threads, one of them hung: the other one still answers."""
    resolver = Resolver(names, n_threads=2)
    await overdue(resolver, "hang")
    assert await resolver.resolve("door", 554, LONG_S) == "192.0.2.9"


async def test_a_name_that_hangs_never_takes_a_second_thread(names: Names) -> None:
    """Every retry of a dead camera shares the look-up that still runs."""
    resolver = Resolver(names, n_threads=2)
    for _ in range(5):
        await overdue(resolver, "hang")
    assert names.asked == ["hang"]
    assert await resolver.resolve("door", 554, LONG_S) == "192.0.2.9"


async def test_when_every_thread_hangs_the_next_name_fails_at_once(names: Names) -> None:
    """It does not wait for its own deadline first, and no further thread is made."""
    resolver = Resolver(names, n_threads=2)
    await asyncio.gather(overdue(resolver, "hang-1"), overdue(resolver, "hang-2"))
    with pytest.raises(SourceOpenError, match="2 look-ups hang"):
        await resolver.resolve("door", 554, LONG_S)
    assert len(names.threads) == 2


async def test_threads_are_free_again_when_their_answer_comes(names: Names) -> None:
    """After the name server is back, everything works as before."""
    resolver = Resolver(names, n_threads=1)
    await overdue(resolver, "hang")
    names.release.set()
    assert await resolver.resolve("hang", 554, LONG_S) == "192.0.2.9"
    assert resolver.n_overdue == 0
    assert await resolver.resolve("door", 554, LONG_S) == "192.0.2.9"


async def test_no_more_look_ups_run_at_once_than_allowed(names: Names) -> None:
    """A thousand cameras after a power cut are looked up a few at a time."""
    resolver = Resolver(names, n_threads=3)
    waiting = [asyncio.ensure_future(resolver.resolve(f"hang-{k}", 1, LONG_S)) for k in range(9)]
    await eventually(lambda: len(names.asked) >= 3)
    assert len(names.threads) == 3
    names.release.set()
    assert await asyncio.gather(*waiting) == ["192.0.2.9"] * 9


async def test_those_who_ask_for_the_same_name_share_one_look_up(names: Names) -> None:
    """Four streams of one recorder need one answer."""
    resolver = Resolver(names)
    waiting = [asyncio.ensure_future(resolver.resolve("hang", 554, LONG_S)) for _ in range(4)]
    await eventually(lambda: bool(names.asked))
    names.release.set()
    assert await asyncio.gather(*waiting) == ["192.0.2.9"] * 4
    assert names.asked == ["hang"]


async def test_a_cancelled_caller_leaves_the_look_up_to_the_others(names: Names) -> None:
    """Removing one camera does not fail its twin."""
    resolver = Resolver(names)
    first = asyncio.ensure_future(resolver.resolve("hang", 554, LONG_S))
    second = asyncio.ensure_future(resolver.resolve("hang", 554, LONG_S))
    await eventually(lambda: bool(names.asked))
    first.cancel()
    names.release.set()
    assert await second == "192.0.2.9"
    assert first.cancelled() or await asyncio.gather(first, return_exceptions=True)


async def test_the_default_executor_is_not_used(names: Names) -> None:
    """It has 6 threads on 2 cores; hung look-ups there would starve every `to_thread`."""
    resolver = Resolver(names)
    await asyncio.gather(*(overdue(resolver, f"hang-{k}") for k in range(12)))
    assert await asyncio.wait_for(asyncio.to_thread(lambda: 42), LONG_S) == 42


def test_an_answer_after_the_end_of_the_loop_is_dropped() -> None:
    """The process ends while a name server still hangs: no traceback from the thread."""
    names = Names()
    asyncio.run(overdue(Resolver(names), "hang"))
    names.release.set()
    for thread in names.threads:
        thread.join(LONG_S)
    assert not any(thread.is_alive() for thread in names.threads)
