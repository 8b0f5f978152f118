"""Claims about pipeline.capacity: real runs with more and more cameras, until one is too many."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.bundle import load_manifest
from pipeline.capacity import (
    Demand,
    _bundle,
    _config,
    _lost,
    _model_config,
    _render,
    bench_capacity,
)
from pipeline.errors import ConfigError
from pipeline.report import Summary
from streamer.config import FileSource, RtspSource
from tests.clip_file import write_clip
from tests.product import READER


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Two seconds of a small camera."""
    return write_clip(tmp_path / "small.mp4", 50, fps=25.0, size=(64, 48))


def test_only_losses_in_the_span_count() -> None:
    """Not those before it, not what became of other windows, not frames left out by rate."""

    def summary(**changes: dict[str, int]) -> Summary:
        nothing: dict[str, int] = {}
        return Summary(
            duration_s=1.0,
            frames_decoded=1,
            frames_used=1,
            frames_dropped=changes.get("dropped", nothing),
            windows=changes.get("windows", nothing),
            inferred=changes.get("inferred", nothing),
            events={},
            stages=[],
            cameras=[],
        )

    before = summary(inferred={"ok": 5, "rejected": 3}, dropped={"corrupt": 1})
    after = summary(
        inferred={"ok": 50, "rejected": 4, "expired": 2},
        windows={"submitted": 50, "incomplete": 8, "overload": 1},
        dropped={"corrupt": 1, "rate_limit": 70},
    )
    assert _lost(before, after) == {"rejected": 1, "expired": 2, "overload": 1}


def test_cameras_run_at_their_own_speed_without_gate() -> None:
    """Files loop; addresses are used in turns; nothing is served or logged."""
    demand = Demand(fps=12.5, hop=8)
    config = _config(
        demand, ["a.mp4", "b.mp4", "a.mp4"], _model_config(demand, "full", "untrained")
    )
    assert [camera.id for camera in config.cameras] == ["a", "b", "a-2"]
    sources = [camera.source for camera in config.cameras]
    assert all(isinstance(s, FileSource) and s.loop and s.pace == "realtime" for s in sources)
    assert (config.analysis.gate, config.analysis.fps, config.analysis.hop) == ("off", 12.5, 8)
    assert (config.model.mode, config.http.enabled, config.sinks.log) == ("full", False, False)
    live = _config(demand, ["rtsp://h/x"], _model_config(demand, "exact", "untrained"))
    assert isinstance(live.cameras[0].source, RtspSource)
    assert live.model.mode == "auto"


def test_an_engine_or_precision_that_does_not_exist_is_one_sentence() -> None:
    """With the option's name and what is allowed."""
    with pytest.raises(ConfigError, match=r"--engine 'steam'.*tensorflow"):
        _model_config(Demand(engine="steam"), "exact", "untrained")
    with pytest.raises(ConfigError, match=r"--precision 'double'.*float32"):
        _model_config(Demand(precision="double"), "exact", "untrained")


def test_another_size_is_another_bundle(tmp_path: Path) -> None:
    """Like the built-in one otherwise; that one is used where its size is asked for."""
    assert _bundle(tmp_path / "x", None) == "untrained"
    assert _bundle(tmp_path / "x", 256) == "untrained"
    manifest = load_manifest(_bundle(tmp_path / "x", 64))
    assert (manifest.size_px, manifest.frames, manifest.is_trained) == (64, 32, False)


def test_a_clip_is_rendered_where_there_is_no_source(tmp_path: Path) -> None:
    """640x360 H.264 at the rate that is analysed."""
    import av

    with av.open(str(_render(tmp_path / "clip.mp4", 2.0)), timeout=(5, 5)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (640, 360, 2)
        assert stream.frames == 40


def test_the_search_ends_at_the_largest_number(clip: Path, tmp_path: Path) -> None:
    """A model that answers at once serves all that are tried; the JSON has every try."""
    path, told = tmp_path / "capacity.json", []
    demand = Demand(
        slo_s=20.0,
        size_px=32,
        sources=(str(clip),),
        seconds=1.5,
        settle_s=0.2,
        max_cameras=2,
    )
    text = bench_capacity(demand, ("exact",), json_path=path, factory=READER, tell=told.append)
    assert "**2 cameras** with exact incremental windows (code reader, float32)" in text
    values = json.loads(path.read_text())
    (result,) = values["results"]
    assert (result["mode"], result["n_cameras"]) == ("exact", 2)
    assert [probe["n_cameras"] for probe in result["probes"]] == [1, 2]
    assert {s["stage"] for s in result["probes"][0]["stages"]} >= {"infer", "total"}
    assert values["settings"]["sources"] == 1
    assert str(clip) not in path.read_text(), "sources may hold passwords"
    assert len(told) == 2


def test_one_camera_can_be_too_many(clip: Path) -> None:
    """No window is scored within a microsecond: the answer is 0, after one try."""
    demand = Demand(
        slo_s=1e-6, size_px=32, sources=(str(clip),), seconds=1.0, settle_s=0.2, max_cameras=8
    )
    text = bench_capacity(demand, ("full",), factory=READER)
    assert "**0 cameras** with full windows" in text
    assert "| too late |" in text


def test_what_is_malformed_is_refused_before_anything_runs() -> None:
    """The last of several sources too, and an engine although there is a clip to render first."""
    told: list[str] = []
    for demand, sentence in (
        (Demand(sources=("a.mp4", "gopher://h/x")), "source 'gopher://h/x' has scheme"),
        (Demand(engine="steam"), "--engine 'steam'"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            bench_capacity(demand, factory=READER, tell=told.append)
    assert told == []


def test_a_source_that_cannot_be_read_is_named() -> None:
    """As its camera's state tells it."""
    with pytest.raises(ConfigError, match=r"no-such\.mp4"):
        bench_capacity(Demand(sources=("no-such.mp4",), size_px=32), ("exact",), factory=READER)
