"""Claims about model.layer_bench: real engines are taken apart, and every layer is found.

TensorFlow is taken apart by the command itself, in tests/pipeline/test_benches.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.engines import available_engines
from model.layer_bench import bench_layers, best_precisions
from model.spec import BLOCKS, STEM
from model.ways import Subject

CONVOLVED = {*(stage.name for stage in STEM), *(block.name for block in BLOCKS)}


@pytest.mark.parametrize("engine", [e for e in available_engines() if e != "tensorflow"])
def test_full_windows_and_steps_of_an_engine_are_taken_apart(engine: str, tmp_path: Path) -> None:
    """Each layer that multiplies has convolutions; engines that are not wanted are left out."""
    path, told = tmp_path / "layers.json", []
    subject = Subject(size_px=32, frames=16, hops=(4,), gemm_side=256)
    text = bench_layers(subject, families=(engine,), rounds=1, json_path=path, tell=told.append)
    values = json.loads(path.read_text())
    names = {
        (way["way"]["engine"], way["way"]["precision"], way["way"]["name"])
        for way in values["ways"]
    }
    ways = ("fused, full window", "exact incremental, hop 4")
    assert names == {(engine, one, way) for one in best_precisions(engine) for way in ways}
    for way in values["ways"]:
        layers = {one["layer"]: one for one in way["layers"]}
        assert {name for name, one in layers.items() if one["arithmetic_s"]} >= CONVOLVED
        assert {name for name in CONVOLVED if layers[name]["share"]} == CONVOLVED
        assert layers["pool"]["seconds"] > 0
        assert way["way"]["difference"] <= (0.2 if way["way"]["precision"] == "int8" else 3e-2)
    assert all(f"| {name} |" in text for name in (*CONVOLVED, "pool", "head", "other"))
    assert "GEMM (tensorflow matmul) float32" in text
    assert told[-1] == f"taking {len(values['ways'])} ways apart"
