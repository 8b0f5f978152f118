"""Files and arguments to configuration, and back."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.cli import DEMO_SOURCES
from pipeline.config import PipelineConfig
from pipeline.configfile import (
    RunOptions,
    check_config,
    from_sources,
    load_config,
    schema,
    show,
)
from pipeline.errors import ConfigError
from streamer.config import FileSource, RtspSource, SyntheticSource, WebcamSource

CONFIGS = Path(__file__).parents[2] / "configs"
PIPELINES = sorted(CONFIGS.glob("*.yaml"))


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.name)
def test_every_configuration_we_ship_is_good(path: Path) -> None:
    """It loads without any environment variable, and an editor with our schema agrees."""
    assert check_config(path, environment={}) == ()
    config = load_config(path, environment={})
    plain = yaml.safe_load(show(config))
    jsonschema.validate(plain, json.loads(schema()))
    raw = yaml.safe_load(path.read_text())
    jsonschema.validate(raw, json.loads(schema()))


def test_all_promised_configurations_are_there() -> None:
    """demo, webcam, rtsp, files and many-cameras."""
    names = {path.stem for path in PIPELINES}
    assert names >= {"demo", "webcam", "rtsp", "files", "many-cameras"}


def test_the_schema_on_disk_is_the_schema_of_the_program() -> None:
    """`bresnet config schema > configs/schema.json` has been run, and its output is stable."""
    assert (CONFIGS / "schema.json").read_text() == schema() == schema()
    assert schema().endswith("}\n")
    jsonschema.Draft202012Validator.check_schema(json.loads(schema()))


def test_the_demo_file_is_the_built_in_demo() -> None:
    """`bresnet demo` works without the configs folder and shows the same."""
    assert load_config(CONFIGS / "demo.yaml") == from_sources(DEMO_SOURCES)


def test_what_show_prints_can_be_fed_back(tmp_path: Path) -> None:
    """A configuration without credentials survives the round trip unchanged."""
    first = load_config(CONFIGS / "many-cameras.yaml")
    path = tmp_path / "again.yaml"
    path.write_text(show(first))
    assert load_config(path) == first


def test_show_hides_credentials_and_the_program_keeps_them() -> None:
    """The password reaches the camera, and only the camera."""
    environment = {"CAMERA_PASSWORD": "sh0w-me-not@", "CAMERA_HOST": "10.9.8.7"}
    config = load_config(CONFIGS / "rtsp.yaml", environment=environment)
    assert "sh0w-me-not" not in show(config) + repr(config) + config.model_dump_json()
    source = config.cameras[0].source
    assert isinstance(source, RtspSource)
    assert source.url.reveal() == "rtsp://viewer:sh0w-me-not%40@10.9.8.7:554/stream1"


def test_options_override_a_file() -> None:
    """What the command line says wins over the file; the rest stays."""
    options = RunOptions(gate="off", fps=5.0, hop=8, precision="float32", host="::1", port=0)
    config = load_config(CONFIGS / "many-cameras.yaml", options)
    assert config.analysis.gate == "off"
    assert (config.analysis.fps, config.analysis.hop) == (5.0, 8)
    assert config.model.precision == "float32"
    assert (config.http.host, config.http.port) == ("::1", 0)
    assert config.batching.max_batch == 8
    assert load_config(CONFIGS / "rtsp.yaml", RunOptions(bundle="my")).model.bundle == "my"


def test_a_bad_option_on_a_bad_section_reports_the_section(tmp_path: Path) -> None:
    """An override never hides that the file is wrong."""
    path = tmp_path / "x.yaml"
    path.write_text("cameras: [{id: a, source: 'synthetic:street'}]\nhttp: 3\n")
    with pytest.raises(ConfigError, match=r"x\.yaml:2: http: must be a mapping"):
        load_config(path, RunOptions(port=80))


def test_every_source_of_the_command_line_becomes_a_camera() -> None:
    """Kinds are recognised, and ids come from what people would call the source."""
    sources = [
        "rtsp://h/1",
        "http://h/2.m3u8",
        "clips/One Person.mp4",
        "webcam:2",
        "/dev/video0",
        "synthetic:street",
    ]
    config = from_sources(sources)
    assert [camera.id for camera in config.cameras] == [
        "cam0",
        "cam1",
        "One-Person",
        "video2",
        "video0",
        "street",
    ]
    kinds = [camera.source.kind for camera in config.cameras]
    assert kinds == ["rtsp", "http", "file", "webcam", "webcam", "synthetic"]
    webcam = config.cameras[3].source
    assert isinstance(webcam, WebcamSource)
    assert webcam.device == "/dev/video2"


def test_camera_ids_are_unique_and_legal_whatever_the_files_are_called() -> None:
    """The same name, names of blanks only and very long names all get an id of their own."""
    sources = ["a/x.mp4", "b/x.mp4", "c/x.mp4", "é/äö.mp4", ".mp4", "y" * 60, "y" * 60, "-_-.avi"]
    ids = [camera.id for camera in from_sources(sources).cameras]
    assert len(set(ids)) == len(ids)
    assert ids[:3] == ["x", "x-2", "x-3"]
    assert max(len(name) for name in ids) == 32


def test_loop_and_pace_reach_files_and_scenes() -> None:
    """--loop and --fast are for files; scenes are endless and take the pace alone."""
    options = RunOptions(loop=True, pace="fast")
    file, scene = (
        camera.source for camera in from_sources(["a.mp4", "synthetic:x"], options).cameras
    )
    assert isinstance(file, FileSource)
    assert (file.loop, file.pace) == (True, "fast")
    assert isinstance(scene, SyntheticSource)
    assert scene.pace == "fast"


def test_one_live_source_among_files_is_the_one_that_is_named() -> None:
    """--loop with a camera among files says which source it does not fit."""
    with pytest.raises(
        ConfigError, match=r"--loop is for files, source 'rtsp://\*\*\*@h/' is live"
    ):
        from_sources(["a.mp4", "rtsp://viewer:l00p-secret@h/"], RunOptions(loop=True))


def test_no_source_at_all_is_refused() -> None:
    """An empty list is the caller's mistake and still one sentence."""
    with pytest.raises(ConfigError, match="cameras: must be a list of at least 1"):
        from_sources([])


def test_defaults_are_complete() -> None:
    """One camera is all that a file must name."""
    config = PipelineConfig.model_validate({"cameras": [{"id": "a", "source": "synthetic:street"}]})
    assert config == from_sources(["synthetic:street"]).model_copy(
        update={"cameras": config.cameras}
    )


WORDS = [
    *"abc[]{}:,-#&*!|>%@`'\"?\t\n\r\0\x85\u2028~=<$\\",
    "\n  ",
    "\n  - ",
    ": ",
    "<<: *c",
    "&c ",
    "*c",
    "!!int ",
    "!!python/object:x ",
    "${HOME}",
    "${X:-",
    "rtsp://u:fuzz-secret@h:1/",
    "cameras:\n  - id: a\n    source: synthetic:x\n",
    "cameras",
    "source",
    "kind: rtsp",
    "url: ",
    "drain_s: ",
    "http: {port: ",
    "detector:\n  motion_on: ",
    "1e999",
    "9" * 5000,
    "0x",
    "null",
    "true",
    "---\n",
    "...\n",
    "\ufeff",
]


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(words=st.lists(st.sampled_from(WORDS), max_size=30))
def test_whatever_a_file_holds_there_is_an_answer_in_sentences(
    words: list[str], tmp_path: Path
) -> None:
    """No content makes anything but a configuration or printable lines without the secret."""
    path = tmp_path / "fuzz.yaml"
    path.write_bytes("".join(words).encode())
    for sentence in check_config(path, environment={"HOME": "/h"}):
        assert sentence.isprintable()
        assert sentence.startswith(str(path))
        assert "fuzz-secret" not in sentence


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cut=st.integers(0, 600), noise=st.binary(max_size=6), at=st.integers(0, 600))
def test_a_damaged_file_has_an_answer_too(cut: int, noise: bytes, at: int, tmp_path: Path) -> None:
    """A good file that is cut off and overwritten with any bytes never ends in a traceback."""
    raw = (CONFIGS / "rtsp.yaml").read_bytes()[-600:]
    path = tmp_path / "damaged.yaml"
    path.write_bytes((raw[:at] + noise + raw[at + len(noise) :])[: 600 - cut])
    for sentence in check_config(path, environment={}):
        assert sentence.isprintable()
