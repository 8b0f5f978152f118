"""The composed configuration model."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from pipeline.config import CameraConfig, CapturePlan, DetectorConfig, PipelineConfig

CAMERA = {"id": "a", "source": "synthetic:street"}


def all_models(model: type[BaseModel]) -> set[type[BaseModel]]:
    """Return `model` and every model its fields lead to."""
    found = {model}
    for field in model.model_fields.values():
        for inner in inner_models(field.annotation):
            found |= all_models(inner)
    return found


def inner_models(annotation: Any) -> list[type[BaseModel]]:
    """Return the models inside an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for part in getattr(annotation, "__args__", ()) for m in inner_models(part)]


MODELS = sorted(all_models(PipelineConfig), key=lambda model: model.__name__)


@pytest.mark.parametrize("model", MODELS)
def test_every_section_is_strict_frozen_and_described(model: type[BaseModel]) -> None:
    """Unknown keys are errors, values cannot change, and each field says what it does."""
    assert model.model_config.get("extra") == "forbid"
    assert model.model_config.get("frozen") is True
    undescribed = [
        name
        for name, field in model.model_fields.items()
        if not field.description and name != "kind"
    ]
    assert undescribed == []


def test_no_source_kind_is_left_out_of_the_walk() -> None:
    """The test above looks at all sections, sources included."""
    names = {model.__name__ for model in MODELS}
    assert names >= {"RtspSource", "FileSource", "WebcamSource", "MotionConfig", "ModelConfig"}


def test_one_camera_is_a_complete_configuration() -> None:
    """Every other key has a default that validates."""
    config = PipelineConfig.model_validate({"cameras": [CAMERA]})
    again = PipelineConfig.model_validate(config.model_dump())
    assert again == config


def test_a_camera_id_is_used_once() -> None:
    """The sentence names the second use."""
    with pytest.raises(ValidationError, match=r"cameras\[1\]\.id 'a' is used twice"):
        PipelineConfig.model_validate({"cameras": [CAMERA, CAMERA]})


@pytest.mark.parametrize("camera_id", ["", "-a", "_a", "a b", "a/b", "a" * 33, "é", "a\n", "<img>"])
def test_a_camera_id_is_safe_as_label_and_file_name(camera_id: str) -> None:
    """Ids go into metrics, shared memory names and pages."""
    with pytest.raises(ValidationError):
        CameraConfig.model_validate({**CAMERA, "id": camera_id})


@pytest.mark.parametrize("name", ["motion", "score"])
def test_an_event_ends_below_where_it_begins(name: str) -> None:
    """Hysteresis needs off <= on; equal is the border."""
    DetectorConfig.model_validate({f"{name}_on": 0.5, f"{name}_off": 0.5})
    with pytest.raises(ValidationError, match=f"{name}_off"):
        DetectorConfig.model_validate({f"{name}_on": 0.5, f"{name}_off": 0.51})


def test_the_http_server_is_for_this_machine_unless_told() -> None:
    """Pages without a password are not given to the network by default."""
    assert PipelineConfig.model_validate({"cameras": [CAMERA]}).http.host == "127.0.0.1"


def test_reconnecting_waits_as_promised() -> None:
    """Cap 15 s, reset after 30 s healthy, slower for refused passwords, 32 opens in flight."""
    plan = CapturePlan()
    assert (plan.reconnect.cap_s, plan.reconnect.healthy_s) == (15.0, 30.0)
    assert plan.reconnect.auth_initial_s > plan.reconnect.initial_s
    assert plan.max_opens == 32


def test_no_dump_shows_a_credential() -> None:
    """repr, str and JSON of the whole configuration hide what the address holds."""
    config = PipelineConfig.model_validate(
        {"cameras": [{"id": "a", "source": "rtsp://viewer:dump-secret@h/x"}]}
    )
    assert "dump-secret" not in repr(config) + str(config) + config.model_dump_json()
