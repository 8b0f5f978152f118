"""The inference worker is killed, stopped and crashes while cameras are live (RELIABILITY E1, E2,
E4), and the real network serves within its limits of memory.

The whole product runs; the model of the fault tests reads the frame code, so that every prediction
names the pictures it is about.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest

from model.bundle import MANIFEST, UNTRAINED
from model.config import DEFAULT_BUNDLE
from pipeline.records import InferenceOutcome
from streamer.clock import SystemClock
from tests.camera import ScriptedCamera
from tests.code_reader import N_CRASHES, SLOW_BATCH_S
from tests.product import Command, Running, camera_config, config_of, parse, running
from tests.window_truth import LONG_LOOP, assert_unbroken, shown

SLOW_READER = "tests.code_reader:load_slow_code_reader"
CRASHING = "tests.code_reader:load_after_crashes"
CAMERAS = ("door", "yard")
QUICK = {"hang_s": 0.5, "backoff_initial_s": 0.1, "backoff_cap_s": 1.0}
MEGABYTE = 1e6
now = SystemClock().now


class Watch:
    """Looks at a running product as its users do, many times a second.

    Attributes:
        states: every state each camera was seen in.
        health: every answer of /livez and /readyz: instant, path, code.
    """

    def __init__(self, product: Running) -> None:
        self.states: dict[str, set[str]] = {}
        self.health: list[tuple[float, str, int]] = []
        self._product = product

    async def run(self) -> None:
        """Look until cancelled."""
        async with httpx.AsyncClient(base_url=self._product.pipeline.server.url) as client:
            while True:
                for name, status in self._product.pipeline.status.cameras.items():
                    self.states.setdefault(name, set()).add(status.state)
                for path in ("/livez", "/readyz"):
                    answer = await client.get(path)
                    self.health.append((now(), path, answer.status_code))
                await asyncio.sleep(0.02)

    def codes(self, path: str, since: float = 0.0) -> list[int]:
        """Return the answers of a page in order, without repetitions."""
        found = [code for at, asked, code in self.health if asked == path and at >= since]
        return [code for code, _ in itertools.groupby(found)]


@contextlib.asynccontextmanager
async def watched(product: Running) -> AsyncIterator[Watch]:
    """Watch a product that is ready."""
    watch = Watch(product)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.run(), name="watch")
        yield watch
        task.cancel()


@contextlib.asynccontextmanager
async def live(
    worker: dict[str, float], factory: str = SLOW_READER
) -> AsyncIterator[tuple[Running, dict[str, ScriptedCamera]]]:
    """Run two cameras and wait until both are classified; check their windows in the end."""
    async with contextlib.AsyncExitStack() as stack:
        cameras = {name: stack.enter_context(ScriptedCamera(LONG_LOOP)) for name in CAMERAS}
        config = config_of(
            *(camera_config(name, camera.url) for name, camera in cameras.items()),
            worker=worker,
            http={"port": 0},
        )
        product = await stack.enter_async_context(running(config, factory))
        for name in cameras:
            await product.until_next_window(name)
        yield product, cameras


def assert_undisturbed(product: Running, cameras: dict[str, ScriptedCamera], watch: Watch) -> None:
    """No camera noticed anything: one session, one state, every picture in its place."""
    assert watch.states == {name: {"running"} for name in cameras}
    assert watch.codes("/livez") == [200]
    for name, camera in cameras.items():
        windows = shown(product, name, camera.ledger)
        assert_unbroken(windows)
        for window in windows:
            assert window.told.largest_step == window.told.smallest_step == 1, window
        for before, after in itertools.pairwise(windows):
            assert (after.told.newest - before.told.newest) % 4 == 0, (before, after)
        assert len(camera.ledger.sessions) == 1
        report = product.camera(name)
        assert report.frames_dropped.keys() <= {"shutdown"}
        assert report.n_reconnects == 0


def inferred(product: Running, outcome: InferenceOutcome) -> int:
    """Return how many windows of all cameras had this fate."""
    return sum(c.inferred[outcome] for c in product.pipeline.status.cameras.values())


async def until_mid_batch(product: Running, rng: random.Random) -> int:
    """Wait for a random instant within a batch; return the worker's process id."""
    worker = product.pipeline._worker
    while True:
        # The instant between two batches is too short to be met; that another one began is not.
        before = worker._batch
        await product.until(lambda before=before: worker._batch not in (None, before))
        await asyncio.sleep(rng.uniform(0, 0.8 * SLOW_BATCH_S))
        if worker._batch is not None and worker.pid is not None:
            return worker.pid


def n_restarts(product: Running) -> int:
    """Return how often the worker was replaced."""
    return product.pipeline.status.worker.n_restarts


def restarts(product: Running) -> dict[str, float]:
    """Return the restarts by reason, as the metrics tell them."""
    return {
        dict(labels)["reason"]: n
        for (name, labels), n in product.samples().items()
        if name == "bresnet_inference_worker_restarts_total" and n
    }


def is_ready(product: Running) -> bool:
    """Tell what /readyz says."""
    return not product.pipeline.status.not_ready()


async def kill_again_and_again(n_kills: int, seed: int) -> None:
    """E1: every time noticed at once, at most one batch lost, serving again, nobody disturbed."""
    rng = random.Random(seed)
    noticed_s, serving_s = [], []
    async with live(QUICK) as (product, cameras), watched(product) as watch:
        for index in range(n_kills):
            pid = await until_mid_batch(product, rng)
            n_lost = inferred(product, "error")
            at = now()
            os.kill(pid, signal.SIGKILL)
            noticed = await product.until(lambda index=index: n_restarts(product) > index)
            assert not is_ready(product)
            await product.until(lambda: is_ready(product))
            served = max([await product.until_next_window(name) for name in CAMERAS])
            noticed_s.append(noticed - at)
            serving_s.append(served - at)
            assert inferred(product, "error") - n_lost <= len(CAMERAS)
            assert watch.codes("/readyz", at)[-2:] == [503, 200]
        assert_undisturbed(product, cameras, watch)
    product.assert_conserved()
    print(f"E1: noticed {max(noticed_s):.3f} s, serving {max(serving_s):.2f} s at the latest")
    assert max(noticed_s) <= 0.2
    # A cold start of this small model; its cameras then wait for their next window.
    assert max(serving_s) <= 4.0
    assert restarts(product) == {"crash": n_kills}


async def test_e1_a_killed_worker_costs_at_most_a_batch_and_no_camera_notices() -> None:
    """kill -9 within a batch, 5 times at random phases."""
    await kill_again_and_again(5, seed=1)


@pytest.mark.soak
async def test_e1_twenty_times() -> None:
    """The loop of the codes is long enough for a minute, and so is the test."""
    await kill_again_and_again(20, seed=2)


async def test_e1_a_source_that_can_wait_loses_nothing_at_all() -> None:
    """A file keeps its place: the batch that was lost is tried again, every window is answered."""
    scene = {"kind": "synthetic", "name": "street", "width": 160, "height": 120, "fps": 10.0}
    source = scene | {"duration_s": 10.0, "pace": "fast"}
    rng = random.Random(3)
    config = config_of(camera_config("clip", source), worker=QUICK)
    async with running(config, SLOW_READER) as product:
        for index in range(2):
            os.kill(await until_mid_batch(product, rng), signal.SIGKILL)
            await product.until(lambda index=index: n_restarts(product) > index)
            # Its second chance; the next kill then hits another window.
            await product.until_next_window("clip")
        await asyncio.wait_for(asyncio.shield(product.task), 30)
    first = [p.window.first_seq for p in product.predictions]
    assert first == list(range(0, 100 - 32 + 1, 4))
    assert inferred(product, "ok") == len(first)
    product.assert_conserved()


async def stop_within_a_batch(worker: dict[str, float], limit_s: float) -> None:
    """E2: SIGSTOP within a batch; killed in time, replaced, nobody disturbed."""
    async with live(worker) as (product, cameras), watched(product) as watch:
        pid = await until_mid_batch(product, random.Random(4))
        process = psutil.Process(pid)
        at = now()
        process.suspend()
        noticed = await product.until(lambda: n_restarts(product) == 1)
        assert not process.is_running()
        for name in CAMERAS:
            await product.until_next_window(name)
        assert watch.codes("/readyz", at) == [200, 503, 200]
        assert_undisturbed(product, cameras, watch)
    product.assert_conserved()
    print(f"E2: killed after {noticed - at:.2f} s")
    assert noticed - at <= limit_s
    assert restarts(product) == {"hang": 1}


async def test_e2_a_hanging_worker_is_killed_and_no_camera_notices() -> None:
    """Within max(hang_s, 5 x the batch's cost) + 1 s."""
    await stop_within_a_batch(QUICK, max(QUICK["hang_s"], 5 * (SLOW_BATCH_S + 0.02)) + 1.0)


@pytest.mark.slow
async def test_e2_with_what_users_have_a_hang_lasts_at_most_six_seconds() -> None:
    """The limits of a configuration that says nothing about them."""
    await stop_within_a_batch({}, 6.0)


async def test_e4_a_crash_loop_is_slowed_down_and_cameras_and_sinks_live_on(
    tmp_path: Path,
) -> None:
    """Six starts fail: each wait is longer up to the cap, events are delivered meanwhile, the
    seventh start serves."""
    (tmp_path / MANIFEST).write_text(UNTRAINED.model_dump_json())
    starts = tmp_path / "starts"
    with ScriptedCamera(LONG_LOOP) as camera:
        config = config_of(
            camera_config("door", camera.url),
            camera_config("scene", {"kind": "synthetic", "name": "street", "width": 160}),
            model={"bundle": str(tmp_path)},
            worker=QUICK | {"backoff_cap_s": 0.8},
            detector={"motion_on": 0.1, "motion_off": 0.05, "min_duration_s": 0.0},
        )
        async with running(config, CRASHING) as product:
            await product.until_state("door", "running")
            await product.until(lambda: product.sink.events)
            assert not product.predictions
            assert not is_ready(product)
            await product.until_next_window("door")
            assert is_ready(product)
            assert n_restarts(product) == N_CRASHES
            assert product.camera("door").state == "running"
            assert product.camera("door").n_reconnects == 0
        windows = shown(product, "door", camera.ledger)
    assert_unbroken(windows)
    product.assert_conserved()
    at = [float(line) for line in starts.read_text().split()]
    gaps = [later - earlier for earlier, later in itertools.pairwise(at)]
    print(f"E4: gaps {[round(gap, 2) for gap in gaps]} s")
    waits = [0.1, 0.2, 0.4, 0.8, 0.8, 0.8]
    assert all(gap >= wait for gap, wait in zip(gaps, waits, strict=True))
    assert gaps[-1] <= waits[-1] + 3.0


# ---- the real network ---------------------------------------------------------------------------


def pss_mb(process: psutil.Process) -> float:
    """Return the memory a process really costs."""
    return float(process.memory_full_info().pss) / MEGABYTE


def mapped(process: psutil.Process) -> str:
    """Return the libraries a process has in its memory."""
    return Path(f"/proc/{process.pid}/maps").read_text()


def n_scored(metrics: str) -> float:
    """Return how many windows were classified."""
    labels = frozenset([("model", DEFAULT_BUNDLE), ("outcome", "ok")])
    return parse(metrics).get(("bresnet_inference_windows_total", labels), 0.0)


async def until_scored(command: Command, n_before: float = 0.0) -> None:
    """Wait until more windows were classified than before."""
    await command.until_answer("/metrics", lambda _, text: n_scored(text) > n_before, 100)


def children_of(command: Command) -> tuple[psutil.Process, psutil.Process]:
    """Return the capture process and the worker."""
    children = {p.cmdline()[3]: p for p in command.descendants()}
    return children["streamer.capture_process"], children["pipeline.worker_process"]


@pytest.mark.slow
async def test_the_real_network_scores_and_every_process_keeps_to_its_memory(
    tmp_path: Path,
) -> None:
    """/readyz goes from 503 to 200, scores come, no process holds what is not its own; after
    kill -9 the network serves again within 20 s."""
    arguments = ("run", "synthetic:street", "--gate", "off", "--port", "0")
    with Command(*arguments, folder=tmp_path) as command:
        await command.until_running("street")
        assert (await command.get("/readyz"))[0] == 503
        assert (await command.get("/livez"))[0] == 200
        began = now()
        await until_scored(command)
        first_s = now() - began
        assert (await command.get("/readyz"))[0] == 200
        top_scores = (await command.status())["cameras"][0]["top_scores"]
        assert all(0 <= top["score"] <= 1 for top in top_scores)
        control = psutil.Process(command.process.pid)
        capture, worker = children_of(command)
        assert_own_libraries(control, capture, worker)
        memory = [pss_mb(process) for process in (control, capture, worker)]
        worker.kill()
        began = now()
        await command.until_answer("/readyz", lambda code, _: code == 503)
        noticed_s = now() - began
        assert (await command.get("/livez"))[0] == 200
        await until_scored(command, n_scored((await command.get("/metrics"))[1]))
        again_s = now() - began
        assert (await command.get("/readyz"))[0] == 200
        assert capture.is_running()
        assert await command.end() == 0
    print(f"first score after {first_s:.1f} s; killed: noticed {noticed_s:.2f} s, {again_s:.1f} s")
    print("PSS of control, capture, worker: " + ", ".join(f"{mb:.0f} MB" for mb in memory))
    assert again_s <= 20.0
    assert all(mb <= limit for mb, limit in zip(memory, (150 + 2, 90, 1200), strict=True))


def assert_own_libraries(
    control: psutil.Process, capture: psutil.Process, worker: psutil.Process
) -> None:
    """Only the worker holds TensorFlow, only the capture process PyAV, the control process none."""
    for library in ("tensorflow", "libavcodec", "libavformat", "cv2"):
        assert library not in mapped(control)
    assert "tensorflow" not in mapped(capture)
    assert "tensorflow" in mapped(worker)
    # Keras brings OpenCV and its decoders along; PyAV, whose libraries aiortc shares, stays out.
    assert "/av.libs/" not in mapped(worker)
