"""The classes of failure of the control plane."""

from __future__ import annotations

import pytest

from model.errors import ModelError
from pipeline.errors import ConfigError, PipelineError, SinkError, WorkerError
from streamer.errors import StreamerError


@pytest.mark.parametrize("error", [ConfigError, WorkerError, SinkError])
def test_everything_raised_on_purpose_has_one_base(error: type[Exception]) -> None:
    """`except PipelineError` at a door catches this package's failures and nobody else's."""
    assert issubclass(error, PipelineError)
    assert not issubclass(error, StreamerError | ModelError)


def test_classes_of_failure_are_told_apart() -> None:
    """The operator's mistake is never taken for a sick worker, nor the other way round."""
    kinds = (ConfigError, WorkerError, SinkError)
    assert not [(a, b) for a in kinds for b in kinds if a is not b and issubclass(a, b)]


def test_a_message_is_kept_as_it_is() -> None:
    """What the operator reads is the sentence that was raised."""
    assert str(ConfigError("x.yaml:3: http.port: must be at most 65535")).startswith("x.yaml:3")
