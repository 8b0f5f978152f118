"""The whole product under test, in two forms.

`running` runs a `Pipeline` in the test's own event loop (real capture and worker processes, a model
that reads the frame code), so that a test can look at its books. `Command` runs `bresnet` as a user
does, as a process of its own. In: a configuration. Out: books, events, metrics, logs.
Invariant: leaving either ends every process it started.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import yaml
from prometheus_client.parser import text_string_to_metric_families

from pipeline.app import Pipeline
from pipeline.config import PipelineConfig
from pipeline.records import Event, Prediction
from pipeline.report import CameraReport
from pipeline.sinks.base import ReadySink
from streamer.clock import SystemClock

ROOT = Path(__file__).parents[1]
READER = "tests.code_reader:load_code_reader"
EAGER = {
    "motion_events": "always",
    "motion_on": 0.05,
    "motion_off": 0.02,
    "min_duration_s": 0.0,
}
"""Detector settings that turn the smallest motion into an event, whether a worker is ready or not.
"""


class CollectSink(ReadySink):
    """Keeps every event, in the order of delivery."""

    name = "collect"

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def deliver(self, event: Event) -> None:
        self.events.append(event)


@dataclass
class Running:
    """A pipeline that runs in the event loop of the test.

    Attributes:
        pipeline: the product.
        sink: its events.
        task: its life.
        predictions: every prediction the fan-out saw.
    """

    pipeline: Pipeline
    sink: CollectSink
    task: asyncio.Task[None]
    predictions: list[Prediction] = field(default_factory=list)

    def camera(self, camera: str) -> CameraReport:
        """Return what the status page says about a camera."""
        return self.pipeline.status.cameras[camera].report()

    def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Return every sample of the exposition, by name and labels."""
        return parse(self.pipeline.metrics.exposition(is_openmetrics=False)[0].decode())

    async def until(self, condition: Any, timeout_s: float = 20.0) -> float:
        """Wait for a condition on the running pipeline; return the monotonic instant."""
        clock = SystemClock()
        end = clock.now() + timeout_s
        while not condition():
            if self.task.done():
                self.task.result()
                raise AssertionError("the pipeline ended before that")
            if clock.now() > end:
                states = {n: (c.state, c.detail) for n, c in self.pipeline.status.cameras.items()}
                raise AssertionError(f"not within {timeout_s} s; cameras: {states}")
            await asyncio.sleep(0.01)
        return clock.now()

    async def until_state(self, camera: str, *states: str, timeout_s: float = 20.0) -> float:
        """Wait until a camera is in one of the states."""
        book = self.pipeline.status.cameras
        await self.until(lambda: camera in book, timeout_s)
        return await self.until(lambda: book[camera].state in states, timeout_s)

    def n_decoded(self, camera: str) -> int:
        """Return how many pictures of a camera were decoded so far."""
        return self.pipeline.status.cameras[camera].tally.total.decoded

    def n_windows(self, camera: str) -> int:
        """Return how many windows of a camera were classified so far."""
        return sum(p.window.camera == camera for p in self.predictions)

    async def until_next_frame(self, camera: str, timeout_s: float = 30.0) -> float:
        """Wait for one more decoded picture; return the monotonic instant."""
        n_before = self.n_decoded(camera)
        return await self.until(lambda: self.n_decoded(camera) > n_before, timeout_s)

    async def until_next_window(self, camera: str, timeout_s: float = 30.0) -> float:
        """Wait for one more classified window; return the monotonic instant."""
        n_before = self.n_windows(camera)
        return await self.until(lambda: self.n_windows(camera) > n_before, timeout_s)

    def assert_conserved(self) -> None:
        """Check that every frame and every window is accounted for, exactly (invariant I1)."""
        for name, status in self.pipeline.status.cameras.items():
            total = status.tally.total
            assert total.decoded == total.used + sum(total.dropped.values()), (name, total)
            assert status.windows["submitted"] == status.inferred.total(), (name, status)


def camera_config(camera: str, source: Any, **changes: Any) -> dict[str, Any]:
    """Return one camera of a configuration."""
    return {"id": camera, "source": source, **changes}


def config_of(*cameras: Mapping[str, Any], **changes: Any) -> PipelineConfig:
    """Return a configuration without HTTP server, gate off, small pictures hop 4."""
    values: dict[str, Any] = {
        "cameras": list(cameras),
        "analysis": {"gate": "off", "hop": 4, "fps": 10.0},
        "http": {"enabled": False},
        "sinks": {"log": False},
    }
    return PipelineConfig.model_validate(values | changes)


@contextlib.asynccontextmanager
async def running(config: PipelineConfig, factory: str = READER) -> AsyncIterator[Running]:
    """Run the product in this event loop; stop and drain it in the end."""
    sink = CollectSink()
    pipeline = Pipeline(config, SystemClock(), [sink], factory)
    task = asyncio.get_running_loop().create_task(pipeline.run(), name="pipeline")
    product = Running(pipeline, sink, task)
    pipeline.listen(product.predictions.append)
    try:
        yield product
    finally:
        pipeline.stop()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, 20)


def parse(exposition: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return the samples of a Prometheus text exposition."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    }


def write_config(path: Path, **sections: Any) -> Path:
    """Write a configuration file with one rendered scene, unless the test says otherwise."""
    scene = {"kind": "synthetic", "name": "street", "width": 320, "height": 180}
    config = {"cameras": [{"id": "scene", "source": scene}], "http": {"port": 0}}
    path.write_text(yaml.safe_dump(config | sections, allow_unicode=True))
    return path


def run_to_end(
    *arguments: str, launcher: tuple[str, ...] = (), env: Mapping[str, str] | None = None
) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run `bresnet ...` to its end; return what it printed and how many seconds it took."""
    began = time.monotonic()
    done = subprocess.run(
        [*launcher, sys.executable, "-m", "pipeline", *arguments],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        cwd=ROOT,
        env=env,
    )
    return done, time.monotonic() - began


class Command:
    """`bresnet ...` as a process of its own; its logs are read from a file.

    Args:
        arguments: of the command.
        folder: for its logs.
        env: its whole environment; that of the tests where absent.
        launcher: a command that starts `bresnet` in its own process, such as `unshare -m`.
    """

    def __init__(
        self,
        *arguments: str,
        folder: Path,
        env: Mapping[str, str] | None = None,
        launcher: tuple[str, ...] = (),
    ) -> None:
        self.arguments = arguments
        self._launcher = launcher
        self.log_path = folder / "stderr.log"
        self.out_path = folder / "stdout.log"
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log_path.open("wb") as log, self.out_path.open("wb") as out:
            self._process = subprocess.Popen(
                [*self._launcher, sys.executable, "-m", "pipeline", *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env=dict(self._env) if self._env is not None else None,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        children = self.descendants()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        psutil.wait_procs(children, timeout=5)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process."""
        assert self._process is not None
        return self._process

    def descendants(self) -> list[psutil.Process]:
        """Return the children of the process and theirs."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def logs(self) -> str:
        """Return everything written to stderr so far."""
        return self.log_path.read_text(errors="replace")

    def output(self) -> str:
        """Return everything written to stdout so far."""
        return self.out_path.read_text(errors="replace")

    @property
    def url(self) -> str:
        """Return the address of the HTTP server, once it is logged."""
        found = re.search(r"http://127\.0\.0\.1:\d+", self.logs())
        return found.group(0) if found else ""

    async def get(self, path: str) -> tuple[int, str]:
        """Ask its HTTP server."""

        def ask() -> tuple[int, str]:
            try:
                with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as err:
                with err:
                    return err.code, err.read().decode()

        return await asyncio.to_thread(ask)

    async def until_answer(
        self, path: str, is_good: Callable[[int, str], bool], timeout_s: float = 60.0
    ) -> str:
        """Ask its HTTP server until the answer (status, text) is good; return the text."""
        async with asyncio.timeout(timeout_s):
            while not is_good(*(answer := await self.get(path))):  # noqa: ASYNC110 - not our loop
                await asyncio.sleep(0.02)
        return answer[1]

    async def status(self) -> dict[str, Any]:
        """Return /api/v1/status."""
        return dict(json.loads((await self.get("/api/v1/status"))[1]))

    async def until_running(self, camera: str, timeout_s: float = 30.0) -> None:
        """Wait until the status page says a camera delivers."""
        async with asyncio.timeout(timeout_s):
            while not self.url:
                assert self.process.poll() is None, self.logs()
                await asyncio.sleep(0.05)
            while True:
                cameras = {c["id"]: c for c in (await self.status())["cameras"]}
                if camera in cameras and cameras[camera]["frames_decoded"] > 0:
                    return
                await asyncio.sleep(0.05)

    async def end(self, number: int = signal.SIGTERM, timeout_s: float = 15.0) -> int:
        """Send a signal and wait for the exit; return the exit code."""
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, timeout_s)
