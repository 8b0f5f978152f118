"""A real Prometheus scrapes the running product with the configuration and rules of configs/.

Only the port and the intervals differ from configs/prometheus/prometheus.yml: what is waited for a
minute in production is waited for a few seconds here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY, require_tool
from tests.product import camera_config, config_of, running

FOLDER = REPOSITORY / "configs" / "prometheus"
CAMERAS = {
    "street": {"kind": "synthetic", "name": "street", "width": 320, "height": 180},
    "hall": {"kind": "synthetic", "name": "corridor", "width": 320, "height": 180},
}


class Prometheus:
    """A running server, asked over its HTTP API.

    Args:
        binary: of the server.
        target: host:port of the product.
        folder: for configuration, rules and data.
    """

    def __init__(self, binary: str, target: str, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._address = f"127.0.0.1:{free.getsockname()[1]}"
        self.log_path = folder / "prometheus.log"
        config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
        config["global"] = {
            "scrape_interval": "1s",
            "scrape_timeout": "900ms",
            "evaluation_interval": "1s",
        }
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        shutil.copy(FOLDER / "rules.yml", folder)
        self._command = [
            binary,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={self._address}",
            "--log.level=warn",
        ]

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Run the server; end it and wait for it in the end."""
        with self.log_path.open("wb") as log:
            process = subprocess.Popen(self._command, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(20)

    async def get(self, path: str, **parameters: str) -> Any:
        """Return `data` of an answer; None while the server does not answer."""
        url = f"http://{self._address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"

        def ask() -> Any:
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    return json.load(answer)["data"]
            except urllib.error.HTTPError as err:
                err.close()
                return None
            except urllib.error.URLError:
                return None

        return await asyncio.to_thread(ask)

    async def values(self, expression: str) -> dict[str, float]:
        """Return the value of an expression by camera."""
        found = await self.get("query", query=expression)
        series = found["result"] if found else []
        return {one["metric"].get("camera", ""): float(one["value"][1]) for one in series}

    async def until_scraped(self, n_scrapes: int) -> None:
        """Wait until the product was scraped so often."""
        n_so_far = 0.0
        for _ in range(150):
            n_so_far = (await self.values("count_over_time(up[1h])")).get("", 0.0)
            if n_so_far >= n_scrapes:
                return
            await asyncio.sleep(0.2)
        raise AssertionError(f"{n_so_far} of {n_scrapes} scrapes: {self.log_path.read_text()}")


@pytest.fixture
def prometheus() -> str:
    return require_tool("prometheus")


@contextlib.asynccontextmanager
async def scraped(binary: str, folder: Path) -> AsyncIterator[tuple[Prometheus, str]]:
    """Run the product with two cameras and a Prometheus that has scraped it five times."""
    cameras = [camera_config(name, source) for name, source in CAMERAS.items()]
    async with running(config_of(*cameras, http={"port": 0})) as product:
        for name in CAMERAS:
            await product.until_state(name, "running")
        await product.until(lambda: len(product.predictions) >= 2)
        url = product.pipeline.server.url
        server = Prometheus(binary, urllib.parse.urlsplit(url).netloc, folder)
        with server.serving():
            await server.until_scraped(5)
            yield server, url


@pytest.mark.slow
async def test_prometheus_scrapes_and_evaluates_what_the_product_tells(
    prometheus: str, tmp_path: Path
) -> None:
    """The target is up without an error, frames are counted, every rule evaluates, no alert
    fires."""
    async with scraped(prometheus, tmp_path) as (server, _):
        (target,) = (await server.get("targets"))["activeTargets"]
        assert (target["health"], target["lastError"]) == ("up", "")
        assert (await server.values("min_over_time(up[1h])")) == {"": 1.0}

        frames = await server.values("bresnet_source_frames_total")
        assert frames.keys() == CAMERAS.keys()
        increase = await server.values("increase(bresnet_source_frames_total[1m])")
        assert all(increase[name] > 20 for name in CAMERAS), increase

        groups = (await server.get("rules"))["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert len(rules) == sum(
            len(group["rules"])
            for group in yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"]
        )
        for rule in rules:
            assert (rule["health"], rule.get("lastError", "")) == ("ok", ""), rule
            assert rule.get("state", "inactive") != "firing", rule

        recorded = await server.values("bresnet:source_fps:rate1m")
        assert all(0 < recorded[name] < 30 for name in CAMERAS), recorded
        fps = await server.values("rate(bresnet_source_frames_total[4s])")
        assert all(20 < fps[name] < 30 for name in CAMERAS), fps
        assert await server.values("bresnet:source_quality") == dict.fromkeys(CAMERAS, 3.0)
        latency = await server.values("bresnet:result_latency:p95_5m")
        assert all(0 < latency[name] < 2.5 for name in CAMERAS), latency
    told = server.log_path.read_text()
    assert "Error on ingesting" not in told, told
    assert "level=error" not in told, told


async def test_promtool_accepts_the_metrics_of_the_running_product(tmp_path: Path) -> None:
    """Not a word about names, units or help, with every family filled."""
    promtool = require_tool("promtool")
    cameras = [camera_config(name, source) for name, source in CAMERAS.items()]
    async with running(config_of(*cameras, http={"port": 0})) as product:
        await product.until(lambda: len(product.predictions) >= 2)

        def ask() -> bytes:
            with urllib.request.urlopen(f"{product.pipeline.server.url}/metrics") as answer:
                return bytes(answer.read())

        exposition = await asyncio.to_thread(ask)
    done = await asyncio.to_thread(
        subprocess.run,
        [promtool, "check", "metrics"],
        input=exposition,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout.decode()) == (0, "")
