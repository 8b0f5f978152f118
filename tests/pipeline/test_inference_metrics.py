"""Claims about pipeline.inference_metrics: how windows were computed, and if it was right."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pipeline.inference_metrics import InferenceMetrics
from pipeline.series import Series
from streamer.worker_notes import Audit, Result, Score
from tests.pipeline.factories import ready, result


@pytest.fixture
def series() -> Series:
    made = Series()
    made.create({"model": ("m",), "worker": ("local",)})
    return made


@pytest.fixture
def metrics(series: Series) -> InferenceMetrics:
    return InferenceMetrics(series, "m")


def answer(*scores: Score, **changes: Any) -> Result:
    return msgspec.structs.replace(result(), scores=list(scores), **changes)


def lines(series: Series, prefix: str) -> dict[str, float]:
    text = series.exposition(is_openmetrics=False)[0].decode()
    found = [line.rpartition(" ") for line in text.splitlines() if line.startswith(prefix)]
    return {name: float(value) for name, _, value in found if float(value)}


def test_steps_and_resets_are_counted_apart(metrics: InferenceMetrics, series: Series) -> None:
    """What was computed from new frames, and why something was not; others are neither."""
    metrics.result(
        answer(
            Score(window_id=1, outcome="ok", is_step=True),
            Score(window_id=2, outcome="ok", is_step=True),
            Score(window_id=3, outcome="ok", reset="gap"),
            Score(window_id=4, outcome="ok"),
            Score(window_id=5, outcome="stale"),
            state_bytes=17_000_000,
        )
    )
    assert lines(series, "bresnet_incremental_") == {
        'bresnet_incremental_steps_total{model="m"}': 2,
        'bresnet_incremental_resets_total{model="m",reason="gap"}': 1,
        'bresnet_incremental_state_bytes{model="m"}': 17_000_000,
    }


def test_the_largest_error_of_all_audits_is_shown(
    metrics: InferenceMetrics, series: Series
) -> None:
    """A later audit that went well does not hide an earlier one that did not."""
    for error, is_equal in ((1e-6, True), (0.5, False), (1e-7, True)):
        metrics.result(answer(audit=Audit(max_abs_error=error, is_equal=is_equal)))
    assert lines(series, "bresnet_incremental_") == {
        'bresnet_incremental_audits_total{model="m",outcome="equal"}': 2,
        'bresnet_incremental_audits_total{model="m",outcome="different"}': 1,
        'bresnet_incremental_max_abs_error{model="m"}': 0.5,
    }


def test_the_model_tells_how_it_computes(metrics: InferenceMetrics, series: Series) -> None:
    """full, incremental or causal."""
    metrics.model(msgspec.structs.replace(ready(), mode="incremental"))
    assert 'mode="incremental"' in next(iter(lines(series, "bresnet_model_info")))
