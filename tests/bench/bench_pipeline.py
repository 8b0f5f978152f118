"""The figures of the README: `bresnet bench pipeline` on files and on a real RTSP server.

Run it on a quiet machine from the repository root: `python -m tests.bench.bench_pipeline
[--seconds 40] [--repeat 3] [--out FOLDER]`. In: the clips of ../shared/data. Out: bench-CASE-N.json
a run in FOLDER, and the medians as a Markdown table. Each run is a process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from tests.conftest import SHARED_DATA
from tests.system.conftest import CAMERA_CLIPS
from tests.system.gst import GstServer, is_gst_here, loopable

CLIP_FPS = 25
CLIP_SIZE = (640, 360)
N_CLIP_FRAMES = 750


def make_clip(path: Path) -> Path:
    """Write the campus clip as 640x360, 25 fps, a key frame a second; return its path."""
    with (
        av.open(str(SHARED_DATA / CAMERA_CLIPS[2]), timeout=(5, 5)) as source,
        av.open(str(path), "w", timeout=(5, 5)) as sink,
    ):
        options = {"preset": "veryfast", "crf": "23", "bf": "0"}
        coded = sink.add_stream("libx264", rate=CLIP_FPS, options=options)
        coded.width, coded.height, coded.pix_fmt = *CLIP_SIZE, "yuv420p"
        coded.codec_context.gop_size = CLIP_FPS
        for index, frame in zip(range(N_CLIP_FRAMES), source.decode(video=0), strict=False):
            picture = frame.reformat(width=CLIP_SIZE[0], height=CLIP_SIZE[1], format="yuv420p")
            picture.pts, picture.time_base = index, Fraction(1, CLIP_FPS)
            picture.pict_type = av.video.frame.PictureType.NONE
            sink.mux(coded.encode(picture))
        sink.mux(coded.encode(None))
    return path


@contextlib.contextmanager
def cases(folder: Path) -> Iterator[dict[str, list[str]]]:
    """Yield the arguments of each case by name; the RTSP server runs meanwhile."""
    clips = [str(make_clip(folder.absolute() / f"bench{i}.mp4")) for i in range(4)]
    grouped = folder / "grouped.yaml"
    sources = [{"kind": "file", "path": clip, "loop": True} for clip in clips]
    config = {
        "cameras": [{"id": f"c{i}", "source": source} for i, source in enumerate(sources)],
        "capture": {"cameras_per_process": len(clips)},
    }
    grouped.write_text(json.dumps(config))
    arguments = {
        "one-file": [clips[0], "--loop"],
        "four-files": [*clips, "--loop"],
        "four-files-one-process": ["--config", str(grouped)],
    }
    with contextlib.ExitStack() as stack:
        if is_gst_here():
            room = min((SHARED_DATA / "gmdcsa24_small_mit").rglob("*.mp4"))
            scenes = [*(SHARED_DATA / name for name in CAMERA_CLIPS), room]
            mounts = {f"/cam{i}": loopable(clip, folder) for i, clip in enumerate(scenes)}
            server = stack.enter_context(GstServer(mounts))
            arguments["four-rtsp"] = server.urls()
        yield arguments


def measure(arguments: list[str], seconds: float, path: Path) -> dict[str, Any]:
    """Run the bench once; return its figures."""
    load = os.getloadavg()[0]
    command = [sys.executable, "-m", "pipeline", "bench", "pipeline", *arguments]
    command += ["--seconds", str(seconds), "--json", str(path)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    figures: dict[str, Any] = json.loads(path.read_text())
    path.write_text(json.dumps(figures | {"load_before": load}, indent=2) + "\n")
    print(f"{path.stem}: load before {load:.2f}, {row(path.stem, [figures])}", flush=True)
    return figures


def row(name: str, runs: list[dict[str, Any]]) -> str:
    """Return a line of the table: medians over runs (largest memory of all)."""

    def median(key: str) -> float:
        return float(statistics.median(run[key] for run in runs))

    def memory(kind: str) -> float:
        processes = [p for run in runs for p in run["processes"] if p["name"].startswith(kind)]
        return max(float(p["pss_peak_mib"]) for p in processes)

    def total_ms(key: str) -> float:
        totals = [s[key] for run in runs for s in run["stages"] if s["stage"] == "total"]
        return 1e3 * float(statistics.median(totals))

    return (
        f"| {name} | {median('fps_in'):.1f} | {median('overhead_share'):.1%} | "
        f"{median('decode_share'):.1%} | {total_ms('p50_s'):.0f} / {total_ms('p95_s'):.0f} ms | "
        f"{median('windows_hz'):.1f} | {memory('control'):.0f} / {memory('capture'):.0f} / "
        f"{memory('worker'):.0f} MiB | {median('start_to_frames_s'):.2f} s |"
    )


def main() -> None:
    """Measure every case and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/bench-pipeline"))
    parser.add_argument("--only", default="", help="one case")
    options = parser.parse_args()
    lines = []
    options.out.mkdir(parents=True, exist_ok=True)
    with cases(options.out) as todo:
        for name, arguments in todo.items():
            if options.only in name:
                runs = [
                    measure(arguments, options.seconds, options.out / f"bench-{name}-{k}.json")
                    for k in range(options.repeat)
                ]
                lines.append(row(name, runs))
    print(
        "\n| case | fps a camera | own overhead a camera | decoding | capture -> score p50 / p95 | "
        "windows/s | peak PSS control / capture / worker | frames after |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
