"""Overload with the real network: several times the work this machine can do, from video files.

Run it from the repository root: `python -m tests.bench.bench_overload [--engine openvino]
[--factor 4] [--seconds 60] [--out FILE]`. In: a rendered clip, 640x360 H.264 at 25 frames a second,
shown by as many cameras as it takes. Out: what was asked for, the 99th percentile of the age of the
newest frame at inference, the fairness, every loss, as a line and as JSON. The ladder of quality is
on, as for users.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.capacity import CLIP_SIZE
from pipeline.config import PipelineConfig
from streamer.clock import SystemClock
from streamer.encode import write_video
from streamer.scenes import scene
from tests.load import Load, asked, load_since
from tests.product import camera_config, config_of, running

FPS = 25
CLIP_S = 20
REAL = ""


def config(clip: Path, n_cameras: int, hop: int, model: dict[str, Any]) -> PipelineConfig:
    """Cameras that all show the clip, without end."""
    source = {"kind": "file", "path": str(clip), "loop": True}
    return config_of(
        *(camera_config(f"c{k}", source) for k in range(n_cameras)),
        analysis={"gate": "off", "hop": hop, "fps": float(FPS)},
        capture={"cameras_per_process": 4},
        model=model,
    )


async def measure(
    clip: Path, hop: int, model: dict[str, Any], factor: float, seconds: float
) -> Load:
    """Learn from one camera how many are too many, and run so many."""
    clock = SystemClock()
    async with running(config(clip, 1, hop, model), REAL) as product:
        await product.until(lambda: product.pipeline._worker.ready is not None, 120)
        n_cameras = math.ceil(factor / asked(product))
    async with running(config(clip, n_cameras, hop, model), REAL) as product:
        await product.until(lambda: len(product.predictions) >= n_cameras, 120)
        began_at = clock.now()
        await clock.sleep(seconds)
        load = load_since(product, began_at, clock.now())
    product.assert_conserved()
    return load


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="tensorflow")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--hop", type=int, default=2)
    parser.add_argument("--factor", type=float, default=4.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    model = {name: getattr(options, name) for name in ("engine", "precision", "mode")}
    model["bundle"] = "untrained"  # 256 px: work enough to be too much
    with tempfile.TemporaryDirectory(prefix="bresnet-bench-") as folder:
        clip, street = Path(folder) / "street.mp4", scene("street", 0, *CLIP_SIZE)
        write_video(clip, (street.render(k / FPS) for k in range(CLIP_S * FPS)), FPS)
        load = asyncio.run(measure(clip, options.hop, model, options.factor, options.seconds))
    print(f"{options.engine}, {len(load.by_camera)} cameras, hop {options.hop}: {load}")
    if options.out is not None:
        options.out.write_text(json.dumps(asdict(load), indent=2) + "\n")


if __name__ == "__main__":
    main()
