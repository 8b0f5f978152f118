"""Claims about model.comparison: every figure follows from the samples, and all are told."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from model.comparison import BASELINE, Absent, Comparison, Row
from model.machine import this_machine

EAGER = Row(BASELINE, "tensorflow", "float32", 1, (0.4, 0.5, 0.3), {"stem": 3 * 10**9})
STEP = Row(
    "exact incremental, hop 4",
    "tensorflow",
    "bfloat16",
    4,
    (0.2, 0.2, 0.4, 0.16, 0.2),
    {"stem": 10**9, "block0": 5 * 10**8},
    state_bytes=17_200_000,
    difference=0.0058,
)
GEMM = Row("GEMM", "tensorflow", "bfloat16", 1, (0.01,), {"matmul": 5 * 10**9})
ABSENT = Absent(
    "unfused, converted as is", "onnxruntime", "float32", "not installed: pip install x"
)


@pytest.fixture
def comparison() -> Comparison:
    settings = {"frames": 32, "hops": [4, 8], "seed": 3}
    return Comparison(this_machine(), settings, [EAGER, STEP], [ABSENT], [GEMM])


def test_times_are_a_camera_s_share_of_a_call() -> None:
    """A batch of four that takes 0.2 s is 50 ms a window; so are quartiles and the fastest."""
    assert STEP.median_s == pytest.approx(0.05)
    assert STEP.fastest_s == pytest.approx(0.04)
    assert EAGER.iqr_s == pytest.approx(0.1)
    assert replace(EAGER, samples_s=(0.4,)).iqr_s == 0.0


def test_ratios_refer_to_the_eager_network(comparison: Comparison) -> None:
    """By medians, and by the fastest calls."""
    assert comparison.ratio(EAGER) == 1.0
    assert comparison.ratio(STEP) == pytest.approx(0.4 / 0.05)
    assert comparison.fastest_ratio(STEP) == pytest.approx(0.3 / 0.04)


def test_the_share_of_the_peak_is_that_of_the_same_precision(comparison: Comparison) -> None:
    """1.5 GMACs in 50 ms are 60 GFLOP/s; the matrix product runs at 1000."""
    assert STEP.gflops == pytest.approx(60.0)
    assert comparison.peak_share(STEP) == pytest.approx(0.06)
    assert comparison.peak_share(EAGER) is None


def test_the_json_has_everything(comparison: Comparison) -> None:
    """Machine, settings with the seed, raw samples and what follows from them, absent ways."""
    values = json.loads(comparison.to_json())
    assert {"processor", "flags", "n_cores", "memory_bytes", "versions"} <= set(values["machine"])
    assert values["settings"]["seed"] == 3
    step = values["rows"][1]
    assert step["samples_s"] == [0.2, 0.2, 0.4, 0.16, 0.2]
    assert step["ratio"] == pytest.approx(8.0)
    assert step["gmacs"] == 1.5
    assert step["macs"] == {"stem": 10**9, "block0": 5 * 10**8}
    assert step["state_bytes"] == 17_200_000
    assert {"median_s", "iqr_s", "fastest_s", "peak_share", "difference"} <= set(step)
    assert values["absent"][0]["reason"] == "not installed: pip install x"
    assert values["gemm"][0]["gflops"] == pytest.approx(1000.0)


def test_the_table_has_a_line_a_way(comparison: Comparison) -> None:
    """Measured ones with figures, absent ones with the reason, all with as many cells."""
    text = comparison.to_markdown()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    assert (
        "| exact incremental, hop 4 | tensorflow | bfloat16 | 4 | 50.0 | 0.0 | 8.00 | 7.50 | 1.50"
        " | 6% | 17.2 MB | 5.8e-03 |"
    ) in lines
    assert any("onnxruntime" in line and "pip install x" in line for line in lines)
    assert "hops 4, 8" in text
    assert "bfloat16: 1000 GFLOP/s" in text
