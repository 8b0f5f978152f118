"""Four cameras that keep breaking off: nothing may grow, however often they are opened again.

Counted are threads, open files, child processes and shared memory of the control process and its
children, at quiet moments; memory is PSS of the whole process tree. Cameras and product are
processes of their own, so that nothing of the test is in the figures.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import pytest

from pipeline.report import Summary
from tests.camera_process import CameraProcess
from tests.camera_script import CameraOptions
from tests.product import camera_config

N_CAMERAS = 4
FPS = 20.0
"""A window is full after 1.6 s, so that there are some between two losses."""
WARM_UP_SHARE = 0.2
"""Share of the samples that is thrown away: libraries still fill their caches."""
KIB_PER_H = 3600 / 1024


@dataclass(frozen=True)
class Sample:
    """What the product holds at one instant.

    Attributes:
        at: monotonic seconds.
        counts: threads and files by role, children and shared memory of the control process.
        pss_bytes: memory of the control process, of all capture processes, and of the whole tree.
    """

    at: float
    counts: dict[str, int]
    pss_bytes: dict[str, int]


class Product:
    """The product as a process, seen from outside."""

    def __init__(self, config: dict[str, Any], folder: Path) -> None:
        self._orders = {"config": config, "factory": "tests.code_reader:load_code_reader"}
        self._log = folder / "stderr.log"
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.system.soak_run"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "MALLOC_ARENA_MAX": "2"},
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(self._orders) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "ready\n", self._log.read_text()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def end(self) -> Summary:
        """Stop it as a user does; return its summary."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        said, _ = self._process.communicate(timeout=20)
        assert self._process.returncode == 0, self._log.read_text()
        return Summary.model_validate_json(said)

    def sample(self) -> Sample:
        """Count and weigh everything."""
        assert self._process is not None
        control = psutil.Process(self._process.pid)
        children = control.children(recursive=True)
        counts = {"children": len(children), "segments": len(_segments(control.pid))}
        pss = {"control": 0, "capture": 0, "all": 0}
        for process, role in [(control, "control"), *((c, _role(c)) for c in children)]:
            with process.oneshot():
                for what, n in (("threads", process.num_threads()), ("files", process.num_fds())):
                    counts[f"{role} {what}"] = counts.get(f"{role} {what}", 0) + n
                size = process.memory_full_info().pss
            pss["all"] += size
            if role in pss:
                pss[role] += size
        return Sample(time.monotonic(), counts, pss)


def _role(process: psutil.Process) -> str:
    return "worker" if any("worker_process" in word for word in process.cmdline()) else "capture"


def _segments(pid: int) -> list[Path]:
    return list(Path("/dev/shm").glob(f"bresnet-{pid}-*"))


def slope(points: list[tuple[float, float]]) -> float:
    """Return the Theil-Sen slope: the median of the slopes of all pairs of points."""
    pairs = itertools.combinations(points, 2)
    return statistics.median([(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in pairs])


def slope_range(points: list[tuple[float, float]], n_draws: int = 200) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the slope."""
    rng = random.Random(1)
    drawn = (sorted(set(rng.choices(points, k=len(points)))) for _ in range(n_draws))
    slopes = sorted(slope(points) for points in drawn if len(points) > 1)
    return slopes[round(0.025 * len(slopes))], slopes[round(0.975 * len(slopes)) - 1]


def soak(folder: Path, duration_s: float, every_s: float) -> tuple[list[Sample], Summary]:
    """Run the product on four cameras that all break off every `every_s` seconds.

    Returns:
        a sample before each break, when every camera runs; the summary of the run.
    """
    options = CameraOptions(n_gops=12)
    # Losses this frequent would otherwise be met with waits of up to 15 s.
    reconnect = {"initial_s": 0.2, "cap_s": 0.4}
    with contextlib.ExitStack() as stack:
        cameras = [stack.enter_context(CameraProcess(options, fps=FPS)) for _ in range(N_CAMERAS)]
        config = {
            "cameras": [camera_config(f"c{i}", c.url) for i, c in enumerate(cameras)],
            "analysis": {"gate": "off", "hop": 4, "fps": FPS},
            "capture": {"reconnect": reconnect},
            "http": {"port": 0},
            "sinks": {"log": False},
        }
        product = stack.enter_context(Product(config, folder))
        samples: list[Sample] = []
        began_at = time.monotonic()
        for turn in itertools.count(1):
            due = began_at + turn * every_s
            if due - began_at > duration_s:
                return samples, product.end()
            time.sleep(max(0.0, due - time.monotonic()))
            samples.append(product.sample())
            print(f"{samples[-1].at - began_at:.0f} s {samples[-1]}", flush=True)
            for camera in cameras:
                camera.do("rst")
    raise AssertionError


def growth(samples: list[Sample]) -> dict[str, tuple[int, int]]:
    """Return what there was more of in the end than ever in the first half, with both counts."""
    settled = samples[round(WARM_UP_SHARE * len(samples)) :]
    half = len(settled) // 2
    names = {name for sample in settled for name in sample.counts}
    most = {
        name: tuple(
            max(s.counts.get(name, 0) for s in part) for part in (settled[:half], settled[half:])
        )
        for name in sorted(names)
    }
    return {name: (early, late) for name, (early, late) in most.items() if late > early}


def told(samples: list[Sample]) -> str:
    """Return counts and slopes for people."""
    settled = samples[round(WARM_UP_SHARE * len(samples)) :]
    lines = [f"first {settled[0].counts}", f"last  {settled[-1].counts}"]
    for what in settled[0].pss_bytes:
        points = [(s.at, float(s.pss_bytes[what])) for s in settled]
        low, high = (bound * KIB_PER_H for bound in slope_range(points))
        lines.append(
            f"PSS {what}: {points[0][1] / 2**20:.1f} -> {points[-1][1] / 2**20:.1f} MiB, "
            f"{slope(points) * KIB_PER_H:+.0f} KiB/h (95 %: {low:+.0f} to {high:+.0f})"
        )
    return "\n".join(lines)


def assert_all_came_back(summary: Summary, n_breaks: int) -> None:
    """Check that every break was a reconnect of its own, and that no frame went uncounted."""
    for camera in summary.cameras:
        # The last break may fall together with the end.
        assert n_breaks - 1 <= camera.n_reconnects <= n_breaks, camera
        assert camera.frames_decoded == camera.frames_used + sum(camera.frames_dropped.values())
        assert not camera.is_failed
    assert sum(summary.inferred.values()) == summary.windows["submitted"]


@pytest.mark.slow
def test_thirty_reconnects_in_24_s_leave_nothing_behind(tmp_path: Path) -> None:
    """Threads, files, children and shared memory are what they were; no process was replaced."""
    samples, summary = soak(tmp_path, 24.0, 3.0)
    print(told(samples))
    assert growth(samples) == {}
    assert {s.counts["children"] for s in samples} == {N_CAMERAS + 1}
    assert {s.counts["segments"] for s in samples} == {N_CAMERAS}
    assert_all_came_back(summary, len(samples))


@pytest.mark.soak
@pytest.mark.timeout(700)
def test_ten_minutes_with_a_reconnect_every_20_s_leave_nothing_behind(tmp_path: Path) -> None:
    """As above for 120 reconnects in 10 minutes, and memory grows by less than 4 MB an hour."""
    samples, summary = soak(tmp_path, 600.0, 20.0)
    print(told(samples))
    assert growth(samples) == {}
    assert_all_came_back(summary, len(samples))
    settled = samples[round(WARM_UP_SHARE * len(samples)) :]
    points = [(s.at, float(s.pss_bytes["control"])) for s in settled]
    assert slope_range(points)[0] * 3600 < 4e6
