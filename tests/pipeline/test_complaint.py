"""Validation errors as sentences."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.complaint import Place, Places, complaints, one_line, shown
from pipeline.config import PipelineConfig
from streamer.redact import redact

CAMERA = {"id": "a", "source": "synthetic:street"}


def sentences(data: dict[str, Any], places: Places | None = None) -> tuple[str, ...]:
    """Validate `data` and return what is wrong."""
    with pytest.raises(ValidationError) as caught:
        PipelineConfig.model_validate(data)
    return complaints(caught.value, PipelineConfig, data, places or {})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"drain_s": "x"}, "drain_s: must be a number, not 'x'"),
        ({"drain_s": 0}, "drain_s: must be greater than 0, not 0"),
        ({"drain_s": 61}, "drain_s: must be at most 60, not 61"),
        ({"drain_s": None}, "drain_s: must be a number, not nothing"),
        ({"drain_s": [1]}, "drain_s: must be a number, not a list"),
        ({"drain_s": float("inf")}, "drain_s: must be a finite number, not inf"),
        ({"http": {"port": 1.5}}, "http.port: must be a whole number, not 1.5"),
        ({"http": {"enabled": 3}}, "http.enabled: must be true or false, not 3"),
        ({"http": {"host": True}}, "http.host: must be text, not true; put it in quotes"),
        ({"http": {"allowed_hosts": "h"}}, "http.allowed_hosts: must be a list (- item), not 'h'"),
        ({"sinks": {"jsonl": {"path": 3}}}, "sinks.jsonl.path: must be a file path, not 3"),
        ({"sinks": {"jsonl": {}}}, "sinks.jsonl.path: is required; add it"),
        ({"model": 3}, "model: must be a mapping (key: value), not 3"),
        ({"analysis": {"gate": "on"}}, "analysis.gate: must be 'off' or 'skip', not 'on'"),
        ({"cameras": ()}, "cameras: must be a list of at least 1, not a list"),
        (
            {"cameras": [{**CAMERA, "motion": {"sise_px": 3}}]},
            "cameras[0].motion.sise_px: is not a known key; did you mean 'size_px'? known keys are "
            "size_px, min_area_ratio, lightning_ratio, warm_up_s",
        ),
        (
            {"capture": {"reconnect": {"zzz": 1}}},
            "capture.reconnect.zzz: is not a known key; known keys are initial_s, cap_s, "
            "auth_initial_s, auth_cap_s, healthy_s",
        ),
    ],
)
def test_each_kind_of_problem_names_key_expectation_and_value(
    change: dict[str, Any], expected: str
) -> None:
    """What the operator reads needs no knowledge of the program."""
    assert sentences({"cameras": [CAMERA], **change}) == (expected,)


def test_a_value_is_placed_at_its_line_or_its_nearest_parent() -> None:
    """A missing key takes the line of the mapping it is missing in."""
    places: Places = {
        (): Place("f:1"),
        ("sinks", "jsonl"): Place("f:7"),
        ("drain_s",): Place("f:9"),
    }
    found = sentences({"cameras": [CAMERA], "drain_s": -1, "sinks": {"jsonl": {}}}, places)
    assert found == (
        "f:7: sinks.jsonl.path: is required; add it",
        "f:9: drain_s: must be greater than 0, not -1",
    )


def test_an_option_speaks_for_its_key() -> None:
    """From the command line the option is named, not the key it sets."""
    places: Places = {("http", "port"): Place("--port", is_option=True)}
    found = sentences({"cameras": [CAMERA], "http": {"port": -1}}, places)
    assert found == ("--port: must be at least 0, not -1",)


def test_the_key_that_a_cross_check_names_decides_the_line() -> None:
    """A check of a whole section still leads to the key that must change."""
    places: Places = {("detector",): Place("f:3"), ("detector", "score_off"): Place("f:5")}
    found = sentences(
        {"cameras": [CAMERA], "detector": {"score_on": 0.6, "score_off": 0.9}}, places
    )
    assert found == ("f:5: detector.score_off: (0.9) must not be above score_on (0.6)",)


def test_values_are_shown_short_redacted_and_on_one_line() -> None:
    """Long, secret or terminal-controlling values cannot harm who reads them."""
    redact.remember(["s3cret-of-complaint"])
    assert shown("x" * 1000) == "'" + "x" * 59 + "..."
    assert shown("s3cret-of-complaint" + "x" * 1000).startswith("'***xxx")
    assert shown(10**5000) == "a huge number"
    assert one_line("a\nb\x1b[31m\u202ec s3cret-of-complaint") == r"a\nb\x1b[31m\u202ec ***"
