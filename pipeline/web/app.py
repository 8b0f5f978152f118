"""The HTTP server: bound before anything else starts, run as one task of the pipeline.

In: connections. Out: the answers of `pipeline.web.api`. Invariants: a taken port is told before a
camera is opened; a client that sends or reads too slowly is cut off after 5 s, and however many of
them there are, a proper request is answered; closing ends within about a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import math
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from pipeline.config import HttpConfig
from pipeline.errors import ConfigError
from pipeline.metrics import Metrics
from pipeline.report import Status
from pipeline.status import StatusBoard
from pipeline.web.api import Books, Guard, create_router
from streamer.clock import Clock

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 256
"""Connections above which requests are answered with 503."""

MAX_INCOMPLETE = 128
"""Connections without a complete request; the oldest is cut off for the next one."""

SLOW_S = 5.0
"""Seconds for sending a request, for idling between two, and for taking a piece of an answer."""


def create_app(
    status: Callable[[], Status],
    metrics: Metrics,
    not_ready: Callable[[], Sequence[str]],
    allowed_hosts: Sequence[str],
    clock: Clock,
) -> FastAPI:
    """Return the application: routes, guard, JSON errors, no documentation pages.

    Args:
        status: returns the state of everything.
        metrics: served, and told of each request.
        not_ready: returns why the pipeline is not ready; empty when it is.
        allowed_hosts: host names besides localhost under which it may be addressed.
        clock: time of the request durations.
    """
    app = FastAPI(title="bresnet-stream", openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(create_router(Books(status, not_ready, metrics)))
    app.add_exception_handler(Exception, _internal_error)
    app.add_middleware(Guard, allowed_hosts=allowed_hosts, metrics=metrics, clock=clock)
    return app


async def _internal_error(request: Request, error: Exception) -> JSONResponse:  # noqa: ARG001 - hook
    """Answer our bug in JSON; the traceback goes to the log only."""
    return JSONResponse({"detail": "Internal Server Error"}, 500)


class HttpServer:
    """Serves the application in the running event loop.

    Args:
        config: where to listen.
        board: the live state.
        metrics: the metrics.
        clock: time.
        slow_s: seconds after which a client counts as too slow.
    """

    def __init__(
        self,
        config: HttpConfig,
        board: StatusBoard,
        metrics: Metrics,
        clock: Clock,
        slow_s: float = SLOW_S,
    ) -> None:
        self._config = config
        self._slow_s = slow_s
        self._app = create_app(
            board.snapshot, metrics, board.not_ready, config.allowed_hosts, clock
        )
        self._socket: socket.socket | None = None
        self._server: _Server | None = None
        self._is_closed = False

    @property
    def url(self) -> str:
        """Return the address to open in a browser; empty before `bind` or when disabled."""
        if self._socket is None:
            return ""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def bind(self) -> None:
        """Take the port.

        Raises:
            ConfigError: the port is in use or not allowed, or the host is not ours.
        """
        if not self._config.enabled:
            return
        host, port = self._config.host, self._config.port
        try:
            self._socket = _listen(host, port)
        except (OSError, UnicodeError) as err:
            raise ConfigError(_remedy(err, host, port)) from err
        if not ipaddress.ip_address(self._socket.getsockname()[0]).is_loopback:
            log.warning("http.host: %s: unprotected pages are open to the network", host)

    async def run(self) -> None:
        """Answer requests until `close`."""
        if self._socket is None or self._is_closed:
            return
        log.info("serving %s", self.url)
        config = uvicorn.Config(
            self._app,
            http=_Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=math.ceil(self._slow_s),
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config, self._slow_s)
        try:
            await self._server.serve([self._socket])
        finally:
            self._server.cut_off()
            self._release()

    def close(self) -> None:
        """Ask for the end; safe at any time, also before `run` and twice."""
        self._is_closed = True
        if self._server is not None:
            self._server.should_exit = True
        else:
            self._release()

    def _release(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _listen(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.create_server(address[:2], family=family)
    listener.setblocking(False)
    return listener


def _remedy(err: Exception, host: str, port: int) -> str:
    number = err.errno if isinstance(err, OSError) else None
    if number == errno.EADDRNOTAVAIL or isinstance(err, socket.gaierror | UnicodeError):
        return (
            f"http.host: {host!r} is no address of this machine; use 127.0.0.1 or one of its "
            "addresses"
        )
    told = f"http.port: {host}:{port}"
    if number == errno.EADDRINUSE:
        remedy = "stop it, or choose another port (0 takes a free one)"
        return f"{told} is in use by another program; {remedy}"
    if number == errno.EACCES:
        return f"{told} may only be taken by root; choose a port above 1023"
    return f"{told} cannot be taken: {err}"


class _State(ServerState):
    """What the connections of one server share."""

    def __init__(self, slow_s: float) -> None:
        super().__init__()
        self.slow_s = slow_s
        # In the order in which they began to wait for a request; a dict is an ordered set.
        self.incomplete: dict[_Connection, None] = {}


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: signals belong to the composition root."""

    def __init__(self, config: uvicorn.Config, slow_s: float) -> None:
        super().__init__(config)
        self.server_state: _State = _State(slow_s)
        self.servers: list[asyncio.base_events.Server] = []

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    def cut_off(self) -> None:
        """End at once whatever the graceful end, or a cancellation, left open."""
        for listener in self.servers:
            listener.close()
        for task in list(self.server_state.tasks):
            task.cancel()
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class _Connection(H11Protocol):
    """A connection with deadlines; uvicorn has one only for idling between two requests."""

    def __init__(
        self, config: uvicorn.Config, server_state: _State, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(config, server_state, *args, **kwargs)
        self._incomplete = server_state.incomplete
        self._slow_s = server_state.slow_s
        self._request_timer: asyncio.TimerHandle | None = None
        self._answer_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request; make room where too many connections do."""
        super().connection_made(transport)
        self._watch_request()
        if len(self._incomplete) > MAX_INCOMPLETE:
            next(iter(self._incomplete)).cut_off()

    def data_received(self, data: bytes) -> None:
        """Take a piece of a request."""
        super().data_received(data)
        self._watch_request()

    def pause_writing(self) -> None:
        """The client does not take what it asked for."""
        super().pause_writing()
        self._answer_timer = self.loop.call_later(self._slow_s, self.cut_off)

    def resume_writing(self) -> None:
        """The client takes it."""
        super().resume_writing()
        _cancel(self._answer_timer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines."""
        self._forget_request()
        _cancel(self._answer_timer)
        super().connection_lost(exc)

    def cut_off(self) -> None:
        """End the connection without a word."""
        self._forget_request()
        self.transport.abort()

    def _watch_request(self) -> None:
        is_incomplete = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        if not is_incomplete or self.transport.is_closing():
            self._forget_request()
        elif self._request_timer is None:
            self._incomplete[self] = None
            self._request_timer = self.loop.call_later(self._slow_s, self.cut_off)

    def _forget_request(self) -> None:
        self._incomplete.pop(self, None)
        _cancel(self._request_timer)
        self._request_timer = None


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
