"""Claims about model.breakdown: every operation is counted once, in its layer."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from model.breakdown import LAYERS, OTHER, Breakdown, Breakdowns, layer_of
from model.comparison import Row
from model.machine import this_machine
from model.trace import Node

GEMM = Row("GEMM", "tensorflow", "bfloat16", 1, (0.01,), {"matmul": 5 * 10**9})
FULL = Row("full", "openvino", "bfloat16", 1, (0.03, 0.05), {"stem1": 8 * 10**9})
STEP = Row("step", "openvino", "bfloat16", 1, (0.02,), {"stem1": 2 * 10**9, "block0": 10**9})
NODES = (
    Node("stem1/0", "Convolution", 0.008),
    Node("stem1/1_reorder", "Reorder", 0.002),
    Node("block0/average", "AvgPool", 0.003),
    Node("Slice_17", "Slice", 0.001),
)
WHOLE, TAKEN = Breakdown(FULL, NODES[:1]), Breakdown(STEP, NODES)


@pytest.fixture
def found() -> Breakdowns:
    gemm = [GEMM, replace(GEMM, engine="openvino", samples_s=(0.02,))]
    return Breakdowns(this_machine(), {"size_px": 256, "seed": 3}, [WHOLE, TAKEN], gemm)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("stem/Conv3D", "stem"),
        ("stem1/0_1", "stem1"),
        ("stem10/0", OTHER),
        ("pixels", "stem"),
        ("pool", "pool"),
        ("block3/merge/0", "block3"),
        ("Transpose_7", OTHER),
        ("", OTHER),
    ],
)
def test_the_first_part_of_a_name_is_the_layer(name: str, layer: str) -> None:
    """Bytes turned into numbers belong to the first one; what names no layer is `other`."""
    assert layer_of(name) == layer


def test_layers_add_up_to_all_operations() -> None:
    """In the order of the network; convolutions are told apart from what surrounds them."""
    layers = TAKEN.layers()
    assert [one.layer for one in layers] == [*LAYERS, OTHER]
    times = {one.layer: (one.seconds, one.arithmetic_s) for one in layers if one.seconds}
    assert times == {
        "stem1": (pytest.approx(0.010), pytest.approx(0.008)),
        "block0": (pytest.approx(0.003), 0),
        OTHER: (pytest.approx(0.001), 0),
    }
    total = TAKEN.total()
    assert total.seconds == pytest.approx(sum(one.seconds for one in layers))
    assert total.macs == 3 * 10**9


def test_the_peak_is_that_of_the_fastest_matrix_product(found: Breakdowns) -> None:
    """Of the same precision, on whichever runtime; none is no share."""
    assert found.peak_gflops("bfloat16") == pytest.approx(1000)
    assert found.peak_gflops("int8") is None


def test_ratios_are_to_the_full_window_of_the_engine(found: Breakdowns) -> None:
    """By medians, and by the fastest calls; the full window has none."""
    assert found.full_over(TAKEN) == pytest.approx(2.0)
    assert found.fastest_full_over(TAKEN) == pytest.approx(1.5)
    assert found.full_over(WHOLE) is found.fastest_full_over(WHOLE) is None


def test_the_tables_have_every_layer_with_its_share(found: Breakdowns) -> None:
    """2 GMACs in 10 ms are 400 GFLOP/s of 1000, in the 8 ms of the convolution 500."""
    text = found.to_markdown()
    assert "size_px 256, seed 3" in text
    assert "GEMM (tensorflow matmul) bfloat16: 1000 GFLOP/s" in text
    assert "full, openvino bfloat16: 40.0 ms a window\n" in text
    assert "step, openvino bfloat16: 20.0 ms a window, 2.00x the full window (1.50x" in text
    assert "| stem1 | 2.00 | 10.00 | 40% | 8.00 | 50% |" in text
    assert "| block0 | 1.00 | 3.00 | 67% |  |  |" in text
    assert "| other |  | 1.00 |  |  |  |" in text
    assert "| all operations | 3.00 | 14.00 | 43% | 8.00 | 75% |" in text


def test_the_json_has_the_operations_too(found: Breakdowns) -> None:
    """Machine, settings, samples, shares."""
    values = json.loads(found.to_json())
    assert values["settings"] == {"size_px": 256, "seed": 3}
    assert {"processor", "versions"} <= set(values["machine"])
    way = values["ways"][1]
    assert way["full_over"] == pytest.approx(2.0)
    assert way["way"]["samples_s"] == [0.02]
    assert way["operations"][0] == {"name": "stem1/0", "kind": "Convolution", "seconds": 0.008}
    shares = {one["layer"]: (one["share"], one["arithmetic_share"]) for one in way["layers"]}
    assert shares["stem1"] == (pytest.approx(0.4), pytest.approx(0.5))
    assert shares["pool"] == (None, None)
    assert values["gemm"][0]["gflops"] == pytest.approx(1000)
