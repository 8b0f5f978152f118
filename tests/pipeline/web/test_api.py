"""Claims about pipeline.web.api: true answers, the right hosts only, safe headers on everything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from pipeline.metrics import Metrics
from pipeline.report import Status
from pipeline.status import StatusBoard
from pipeline.web.api import SECURITY_HEADERS
from pipeline.web.app import create_app
from tests.pipeline.factories import ready

if TYPE_CHECKING:
    from tests.conftest import FakeClock

ROUTES = ["/livez", "/readyz", "/metrics", "/api/v1/status"]
OPENMETRICS = {"accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
SECRET = "geheim99"


@pytest.fixture
def board(clock: FakeClock) -> StatusBoard:
    board = StatusBoard(clock, "1.2.3")
    board.add_camera("door", f"rtsp://admin:{SECRET}@cam/stream")
    return board


@pytest.fixture
def metrics(clock: FakeClock) -> Metrics:
    metrics = Metrics(clock)
    metrics.add_camera("door", "rtsp")
    return metrics


@pytest.fixture
async def client(
    board: StatusBoard, metrics: Metrics, clock: FakeClock
) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(board.snapshot, metrics, board.not_ready, ("cameras.example",), clock)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def test_alive_is_always_alive(client: httpx.AsyncClient) -> None:
    """Also while nothing works yet."""
    answer = await client.get("/livez")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


async def test_ready_is_503_with_reasons_until_worker_and_a_camera_are(
    client: httpx.AsyncClient, board: StatusBoard
) -> None:
    """And again when they no longer are."""
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == board.not_ready() != []
    board.worker.ready(ready())
    board.cameras["door"].set_state("running")
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "reasons": []})
    board.worker.set("restarting", "crash")
    assert (await client.get("/readyz")).status_code == 503


async def test_metrics_come_in_the_format_that_is_accepted(client: httpx.AsyncClient) -> None:
    """OpenMetrics by Accept, plain text otherwise, both with their content type."""
    plain = await client.get("/metrics")
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    open_metrics = await client.get("/metrics", headers=OPENMETRICS)
    content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert open_metrics.headers["content-type"] == content_type
    families = list(text_string_to_metric_families(open_metrics.text))  # type: ignore[no-untyped-call] # upstream
    assert any(family.name == "bresnet_source_frames" for family in families)


async def test_status_is_the_snapshot(client: httpx.AsyncClient, board: StatusBoard) -> None:
    """As JSON that reads back."""
    answer = await client.get("/api/v1/status")
    assert Status.model_validate_json(answer.text) == board.snapshot()


@pytest.mark.parametrize("route", [*ROUTES, "/", "/docs", "/openapi.json"])
async def test_no_answer_holds_a_credential(client: httpx.AsyncClient, route: str) -> None:
    """Whatever the camera's address holds (S1)."""
    assert SECRET not in (await client.get(route)).text


@pytest.mark.parametrize(
    "host",
    [
        "evil.test",
        "localhost.evil.test",
        "127.0.0.1.evil.test",
        "evil.test:8080",
        "",
        "a@localhost",
    ],
)
@pytest.mark.parametrize("route", [*ROUTES, "/nowhere"])
async def test_a_foreign_host_is_refused_everywhere(
    client: httpx.AsyncClient, route: str, host: str
) -> None:
    """A page of evil.test whose name now points here gets nothing (S9)."""
    answer = await client.get(route, headers={"host": host})
    assert answer.status_code == 421
    assert "http.allowed_hosts" in answer.json()["detail"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_two_host_headers_are_refused(client: httpx.AsyncClient) -> None:
    """Which one would count?"""
    hosts = [("host", "localhost"), ("host", "evil.test")]
    assert (await client.get("/livez", headers=hosts)).status_code == 421


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:8080", "LOCALHOST.", "127.0.0.1:8080", "[::1]", "[::1]:8080"),
        *("192.0.2.7", "cameras.example", "Cameras.Example:80"),
    ],
)
async def test_local_names_addresses_and_configured_names_are_served(
    client: httpx.AsyncClient, host: str
) -> None:
    """An address cannot be rebound, so every address is welcome."""
    assert (await client.get("/livez", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("route", [*ROUTES, "/nowhere"])
async def test_every_answer_carries_the_security_headers(
    client: httpx.AsyncClient, route: str
) -> None:
    """Errors included."""
    headers = (await client.get(route)).headers
    assert SECURITY_HEADERS.items() <= dict(headers).items()


@pytest.mark.parametrize("path", ["/nowhere", "/docs", "/redoc", "/openapi.json", "/api/v1"])
async def test_an_unknown_path_is_404_in_json(client: httpx.AsyncClient, path: str) -> None:
    """No documentation pages that load scripts from elsewhere."""
    answer = await client.get(path)
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("route", ROUTES)
async def test_a_wrong_method_is_405_in_json(
    client: httpx.AsyncClient, route: str, method: str
) -> None:
    """Nothing here can be changed, and no other origin is invited (no CORS)."""
    answer = await client.request(method, route, headers={"origin": "http://evil.test"})
    assert (answer.status_code, answer.json()) == (405, {"detail": "Method Not Allowed"})
    assert "access-control-allow-origin" not in answer.headers


async def test_our_bug_is_500_in_json_without_a_traceback(
    metrics: Metrics, clock: FakeClock
) -> None:
    """The client learns nothing about our insides."""

    def broken() -> Status:
        raise RuntimeError(f"rtsp://admin:{SECRET}@cam")

    app = create_app(broken, metrics, list, (), clock)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/api/v1/status")
    assert (answer.status_code, answer.json()) == (500, {"detail": "Internal Server Error"})


async def test_requests_are_counted_by_template_never_by_path(client: httpx.AsyncClient) -> None:
    """A scanner that asks for a thousand paths makes one series."""
    for n in range(20):
        await client.get(f"/scan{n}")
    await client.get("/livez")
    text = (await client.get("/metrics")).text
    assert 'bresnet_http_requests_total{code="404",method="GET",route="other"} 20.0' in text
    assert 'bresnet_http_requests_total{code="200",method="GET",route="/livez"} 1.0' in text
    assert "scan" not in text
