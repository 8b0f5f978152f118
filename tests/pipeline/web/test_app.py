"""Claims about pipeline.web.app: the port is taken first, slow clients go, the end is quick."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from pipeline.config import HttpConfig
from pipeline.errors import ConfigError
from pipeline.metrics import Metrics
from pipeline.status import StatusBoard
from pipeline.web import app as web
from pipeline.web.app import HttpServer
from streamer.clock import SystemClock

LOCAL = HttpConfig(port=0)


def make_server(config: HttpConfig = LOCAL, slow_s: float = web.SLOW_S) -> HttpServer:
    clock = SystemClock()
    return HttpServer(config, StatusBoard(clock), Metrics(clock), clock, slow_s)


@contextlib.asynccontextmanager
async def serving(
    config: HttpConfig = LOCAL, slow_s: float = web.SLOW_S
) -> AsyncIterator[HttpServer]:
    server = make_server(config, slow_s)
    server.bind()
    task = asyncio.create_task(server.run())
    try:
        yield server
    finally:
        server.close()
        await asyncio.wait_for(task, 5)


def address(server: HttpServer) -> tuple[str, int]:
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    return host.strip("[]"), int(port)


async def get(server: HttpServer, path: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        return await client.get(path)


async def test_a_real_server_answers_and_says_nothing_about_itself() -> None:
    """Over TCP, without a Server header."""
    async with serving() as server:
        answer = await get(server, "/livez")
        assert answer.status_code == 200
        assert "server" not in answer.headers
        assert (await get(server, "/metrics")).text.startswith("# HELP")


async def test_ipv6_is_served_under_its_address() -> None:
    """[::1] in the URL and as a host."""
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    async with serving(HttpConfig(host="::1", port=0)) as server:
        assert server.url.startswith("http://[::1]:")
        assert (await get(server, "/livez")).status_code == 200


async def test_a_disabled_server_does_nothing() -> None:
    """No port, no page, no task."""
    server = make_server(HttpConfig(enabled=False))
    server.bind()
    await server.run()
    server.close()
    assert server.url == ""


def test_a_port_in_use_is_one_sentence_before_anything_starts() -> None:
    """It names address and key and says what to do (I5)."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            make_server(HttpConfig(port=port)).bind()
    message = str(caught.value)
    assert message.startswith(f"http.port: 127.0.0.1:{port} is in use by another program; ")
    assert "\n" not in message


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "x" * 300])
def test_a_host_that_is_not_ours_is_one_sentence(host: str) -> None:
    """An address of another machine, a name that does not resolve, a name that cannot be one."""
    with pytest.raises(ConfigError, match=r"^http\.host: .* is no address of this machine; use"):
        make_server(HttpConfig(host=host, port=0)).bind()


def test_closing_before_running_gives_the_port_back() -> None:
    """A pipeline that fails to start leaves nothing behind."""
    server = make_server()
    server.bind()
    port = address(server)[1]
    server.close()
    server.close()
    socket.create_server(("127.0.0.1", port)).close()


async def test_running_after_closing_returns_at_once() -> None:
    """A stop that came during the start is kept."""
    server = make_server()
    server.bind()
    server.close()
    await asyncio.wait_for(server.run(), 1)


async def test_signals_are_left_alone() -> None:
    """They belong to the composition root."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    async with serving() as server:
        await get(server, "/livez")
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


async def test_closing_ends_within_two_seconds_with_clients_that_hang() -> None:
    """Idle, half a request: neither holds the end up."""
    async with serving() as server:
        idle = await asyncio.open_connection(*address(server))
        half = await asyncio.open_connection(*address(server))
        half[1].write(b"POST /livez HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nx")
        await get(server, "/livez")
        started = time.monotonic()
    assert time.monotonic() - started < 2.5
    for _, writer in (idle, half):
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_cancelling_gives_port_and_connections_back() -> None:
    """The drain deadline cancels: nothing is left (the leak fixture looks)."""
    server = make_server()
    server.bind()
    host, port = address(server)
    task = asyncio.create_task(server.run())
    reader, writer = await asyncio.open_connection(host, port)
    await get(server, "/livez")
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert await asyncio.wait_for(reader.read(), 2) == b""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    socket.create_server((host, port)).close()


async def drip(writer: asyncio.StreamWriter, first: bytes) -> None:
    writer.write(first)
    with contextlib.suppress(OSError):
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"GET /livez HTTP/1.1\r\nx-slow: ",
        b"POST /livez HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999\r\n\r\n",
    ],
    ids=["nothing", "headers", "body"],
)
async def test_a_client_that_drips_its_request_is_cut_off(first: bytes) -> None:
    """Each byte in time, the whole never: the deadline counts from the first (J3)."""
    async with serving(slow_s=0.2) as server:
        reader, writer = await asyncio.open_connection(*address(server))
        dripping = asyncio.ensure_future(drip(writer, first)) if first else None
        started = time.monotonic()
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(3):
                while await reader.read(1000):
                    pass
        assert 0.15 < time.monotonic() - started < 2
        if dripping is not None:
            dripping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await dripping
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_a_client_that_does_not_read_its_answers_is_cut_off() -> None:
    """It asks on and on; what it does not take is not kept for ever."""
    async with serving(slow_s=0.2) as server:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, address(server))
            request = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n" * 50
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(10):
                    while True:
                        await loop.sock_sendall(client, request)
                        await asyncio.sleep(0.01)


async def test_a_proper_request_is_answered_in_time_among_a_thousand_that_drip() -> None:
    """Their number is bounded, and the oldest of them make room (J3)."""
    async with serving() as server:
        drips = []
        try:
            for _ in range(1000):
                client = socket.create_connection(address(server))
                client.send(b"GET /livez HTTP/1.1\r\nx-slow: ")
                drips.append(client)
                if len(drips) % 50 == 0:
                    answer = await get(server, "/livez")
                    assert answer.status_code == 200
            state = server._server.server_state  # type: ignore[union-attr] # it runs
            assert len(state.connections) <= web.MAX_INCOMPLETE + 1
        finally:
            for client in drips:
                client.close()


async def test_a_slow_but_proper_client_keeps_its_connection() -> None:
    """Requests one after the other over one connection are not cut off between them."""
    async with (
        serving() as server,
        httpx.AsyncClient(base_url=server.url, trust_env=False) as client,
    ):
        for _ in range(3):
            assert (await client.get("/livez")).status_code == 200
            await asyncio.sleep(0.05)
        state = server._server.server_state  # type: ignore[union-attr] # it runs
        assert len(state.connections) == 1
        assert not state.incomplete


async def test_garbage_is_answered_with_400_and_closed() -> None:
    """Not with a traceback."""
    async with serving() as server:
        reader, writer = await asyncio.open_connection(*address(server))
        writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 400 ")
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
