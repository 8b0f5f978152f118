"""What a user may say about the model."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from model.bundle import bundle_names
from model.config import DEFAULT_BUNDLE, ModelConfig


def test_nothing_needs_to_be_said() -> None:
    """The defaults are the built-in bundle on TensorFlow, precision measured."""
    config = ModelConfig()
    assert (config.bundle, config.engine) == (DEFAULT_BUNDLE, "tensorflow")
    assert config.precision == "auto"
    assert DEFAULT_BUNDLE in bundle_names()
    assert config.threads is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("engine", "abacus"),
        ("precision", "int4"),
        ("threads", 0),
        ("threads", "all"),
        ("bundel", "x"),
    ],
)
def test_a_wrong_value_is_refused_by_key(key: str, value: Any) -> None:
    """Unknown keys and values alike."""
    with pytest.raises(ValidationError) as refused:
        ModelConfig.model_validate({key: value})
    assert refused.value.errors()[0]["loc"] == (key,)


def test_a_config_crosses_the_process_border_as_json() -> None:
    """The worker gets what was configured."""
    config = ModelConfig(bundle="x", precision="float32", threads=3)
    assert ModelConfig.model_validate_json(config.model_dump_json()) == config


def test_every_key_explains_itself() -> None:
    """The JSON Schema carries the docstring of each."""
    for name, field in ModelConfig.model_fields.items():
        assert field.description, name
