"""Claims about pipeline.runner: exit codes, JSON on stdout, a sentence when unusable."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from pipeline import runner
from pipeline.config import PipelineConfig
from pipeline.report import CameraReport
from tests.product import camera_config, config_of

SCENE = {"kind": "synthetic", "name": "street", "width": 320, "height": 180, "pace": "fast"}


@pytest.fixture(autouse=True)
def logging_is_restored() -> Iterator[None]:
    """`run_pipeline` configures the logging of the whole process."""
    import logging

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def quick(*cameras: dict[str, object]) -> PipelineConfig:
    """Return a configuration whose worker never gets a window: no TensorFlow is waited for."""
    return config_of(*cameras, analysis={"gate": "skip", "gate_threshold": 1.0, "fps": 10.0})


def test_a_run_to_the_end_of_its_sources_is_0_and_prints_events_as_json_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """stdout holds JSON events and nothing else."""
    config = config_of(
        camera_config("c", SCENE | {"duration_s": 3.0}),
        analysis={"gate": "skip", "fps": 10.0},
    )
    assert runner.run_pipeline(config, output="json", duration_s=20.0, log_level="error") == 0
    for line in capsys.readouterr().out.splitlines():
        assert json.loads(line)["camera"] == "c"


def test_sources_that_cannot_be_used_are_exit_2_with_a_sentence_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing came from any of them."""
    config = quick(camera_config("a", "no-such.mp4"), camera_config("b", "/nowhere/x.mp4"))
    assert runner.run_pipeline(config, output="table", log_level="critical") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    sentences = printed.err.splitlines()
    assert [s.split(":")[0:2] for s in sentences] == [["error", " a"], ["error", " b"]]
    assert "no-such.mp4" in sentences[0]


def report(**changes: object) -> CameraReport:
    values: dict[str, object] = dict.fromkeys(CameraReport.model_fields, 0)
    values |= {"id": "c", "source": "x", "state": "ended", "detail": "", "codec": ""}
    values |= {"frames_dropped": {}, "windows": {}, "top_scores": [], "active_events": []}
    values |= {"latency_p50_s": None, "latency_p95_s": None, "nuisances": [], "suppressed": {}}
    return CameraReport.model_validate(values | changes)


def test_one_source_that_delivered_makes_the_run_a_success() -> None:
    """A camera down does not make the others a failure."""
    good = report(frames_decoded=5)
    bad = report(is_failed=True)
    assert runner._exit_code([good, bad]) == 0
    assert runner._exit_code([bad, bad]) == 2
    assert runner._exit_code([report(is_failed=True, frames_decoded=3, frames_used=3)]) == 0


def test_pictures_of_which_none_could_be_used_are_no_success() -> None:
    """A file whose every picture is damaged is said to be, not passed over."""
    assert runner._exit_code([report(is_failed=True, frames_decoded=3)]) == 2
