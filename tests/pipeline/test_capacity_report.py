"""Claims about pipeline.capacity_report: only what was served in time counts, all of it is told."""

from __future__ import annotations

import json
from dataclasses import replace

from model.machine import Machine
from pipeline.capacity_report import Capacity, CapacityReport, Probe
from pipeline.meter import ProcessCost
from pipeline.report import StageSummary

TOTAL = StageSummary(stage="total", n=900, p50_s=0.09, p95_s=0.2, p99_s=0.25)
INFER = StageSummary(stage="infer", n=900, p50_s=0.04, p95_s=0.05, p99_s=0.06)
GOOD = Probe(
    n_cameras=3,
    engine="tensorflow 2.21.0, bfloat16",
    seconds=40.0,
    wanted_hz=18.75,
    windows_hz=18.7,
    step_share=0.99,
    lost={},
    processes=[
        ProcessCost("control", 0.05, 60.0, 61.0),
        ProcessCost("capture:a", 0.1, 80.0, 81.0),
        ProcessCost("capture:b", 0.12, 80.0, 81.0),
        ProcessCost("worker", 1.2, 800.0, 900.0),
    ],
    decode_share=0.03,
    stages=[INFER, TOTAL],
    slo_s=0.3,
)


def test_a_number_counts_where_everything_was_in_time() -> None:
    """Late, lost or missing windows each disqualify it, with the reason."""
    assert GOOD.complaint == ""
    late = TOTAL.model_copy(update={"p99_s": 0.31})
    assert replace(GOOD, stages=[late]).complaint == "too late"
    assert replace(GOOD, lost={"rejected": 2, "expired": 1}).complaint == (
        "lost 1 expired, 2 rejected"
    )
    assert replace(GOOD, windows_hz=18.0).complaint == "windows are missing"
    assert replace(GOOD, stages=[]).complaint == "windows are missing"


def test_the_edges_of_the_span_may_cut_one_window_a_camera() -> None:
    """In one second 18.75 windows are due; 16 of three cameras are all that a cut explains."""
    assert replace(GOOD, seconds=1.0, windows_hz=16.0).complaint == ""
    assert replace(GOOD, seconds=1.0, windows_hz=14.0).complaint == "windows are missing"


def test_the_table_tells_cpu_by_process_and_why() -> None:
    """Captures together, decoding as a part of them."""
    lines = Capacity("exact", 3, [GOOD, replace(GOOD, n_cameras=4, lost={"expired": 9})]).lines()
    assert lines[0] == (
        "**3 cameras** with exact incremental windows (tensorflow 2.21.0, bfloat16)"
    )
    assert lines[-3] == (
        "| 3 | 18.7 of 18.8 | 99% | 90 / 250 ms | 40 / 60 ms | 0.05 | 0.22 | 0.03 | 1.20 | fits |"
    )
    assert lines[-2].endswith("| lost 9 expired |")
    assert "| - | - |" in replace(GOOD, stages=[]).line()


def test_the_report_has_both_modes_beside_each_other() -> None:
    """Machine and settings first; the JSON holds every try with its stages and its verdict."""
    machine = Machine("Some CPU", ("avx2",), 2, 8 << 30, "3.13.0", {})
    results = [Capacity("exact", 3, [GOOD]), Capacity("full", 0, [replace(GOOD, lost={"ok": 1})])]
    report = CapacityReport(machine, {"fps": 25.0, "slo_s": 0.3}, results)
    text = report.to_markdown()
    assert text.startswith("2 cores of Some CPU (avx2), 8 GiB, Python 3.13.0; fps 25.0, slo_s 0.3")
    assert text.index("**3 cameras** with exact") < text.index("**0 cameras** with full")
    values = json.loads(report.to_json())
    assert values["machine"]["processor"] == "Some CPU"
    assert [result["n_cameras"] for result in values["results"]] == [3, 0]
    probe = values["results"][1]["probes"][0]
    assert probe["complaint"] == "lost 1 ok"
    assert probe["processes"][3]["cpu_share"] == 1.2
    assert probe["stages"][1]["p99_s"] == 0.25
