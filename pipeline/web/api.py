"""The routes, and the guard every request passes.

In: requests to /metrics, /livez, /readyz and /api/v1/status. Out: text for Prometheus, JSON for
everything else, errors included. Invariants: a request that names a foreign host is refused on
every route (DNS rebinding), and every answer carries the security headers.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.family import OTHER
from pipeline.metrics import Metrics
from pipeline.report import Status
from streamer.clock import Clock

SECURITY_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

_HOST = re.compile(r"^(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]/@\s]+))(?::[0-9]{1,5})?$")
_GET = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Books:
    """Where the answers come from.

    Attributes:
        status: returns the state of everything.
        not_ready: returns why the pipeline is not ready; empty when it is.
        metrics: the metrics.
    """

    status: Callable[[], Status]
    not_ready: Callable[[], Sequence[str]]
    metrics: Metrics


def create_router(books: Books) -> APIRouter:
    """Return the routes over these books."""
    router = APIRouter()

    async def livez() -> JSONResponse:
        """The event loop answers; nothing more is asked."""
        return JSONResponse({"status": "alive"})

    async def readyz() -> JSONResponse:
        """200 while the worker is ready and at least one camera delivers, else 503 and why."""
        if reasons := list(books.not_ready()):
            return JSONResponse({"status": "not ready", "reasons": reasons}, 503)
        return JSONResponse({"status": "ready", "reasons": []})

    async def metrics(request: Request) -> Response:
        """Return all metrics, as OpenMetrics where the client accepts it."""
        is_openmetrics = "application/openmetrics-text" in request.headers.get("accept", "")
        text, content_type = await books.metrics.scrape(is_openmetrics=is_openmetrics)
        return Response(text, headers={"content-type": content_type})

    async def status() -> Response:
        """Return cameras, worker, rates and latencies as they are now."""
        return Response(books.status().model_dump_json(), media_type="application/json")

    for path, answer in (
        ("/livez", livez),
        ("/readyz", readyz),
        ("/metrics", metrics),
        ("/api/v1/status", status),
    ):
        router.add_api_route(path, answer, methods=list(_GET), response_model=None)
    return router


class Guard:
    """Refuses foreign hosts, adds the security headers, counts requests.

    Any address is welcome as a host: only a name can be rebound to another address.

    Args:
        app: what is guarded.
        allowed_hosts: names besides localhost.
        metrics: where requests are counted.
        clock: time.
    """

    def __init__(
        self, app: ASGIApp, allowed_hosts: Sequence[str], metrics: Metrics, clock: Clock
    ) -> None:
        self._app = app
        self._names = {"localhost", *(name.lower().rstrip(".") for name in allowed_hosts)}
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return
        started_at, code = self._clock.now(), 500

        async def send_guarded(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
            await send(message)

        is_local = self.is_allowed(Headers(scope=scope).getlist("host"))
        app = self._app if is_local else _refuse
        try:
            await app(scope, receive, send_guarded)
        finally:
            route = getattr(scope.get("route"), "path", OTHER)
            self._metrics.http(route, scope["method"], code, self._clock.now() - started_at)

    def is_allowed(self, hosts: Sequence[str]) -> bool:
        """Tell whether a request with these Host headers is meant for us."""
        match = _HOST.match(hosts[0]) if len(hosts) == 1 else None
        if match is None:
            return False
        host = match[1] or match[2]
        return host.lower().rstrip(".") in self._names or _is_address(host)


_refuse = JSONResponse(
    {"detail": "this host name is not served here; add it to http.allowed_hosts"}, 421
)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
