"""The errors of the streamer package: one family, each loss with its class of failure."""

from __future__ import annotations

import inspect
from typing import get_args

import pytest

from streamer import errors
from streamer.errors import LossKind, SourceLostError, SourceOpenError, StreamerError


def test_every_error_of_the_package_is_a_streamer_error() -> None:
    """One except clause at a border catches them all."""
    classes = [
        c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__
    ]
    assert len(classes) > 5
    assert all(issubclass(c, StreamerError) for c in classes)


@pytest.mark.parametrize("error_class", [SourceOpenError, SourceLostError])
def test_an_open_or_lost_error_carries_kind_and_sentence(
    error_class: type[SourceOpenError | SourceLostError],
) -> None:
    """The kind is for machines, the sentence for people."""
    error = error_class("dns", "camera door has no address")
    assert error.kind == "dns"
    assert str(error) == "camera door has no address"


def test_the_kinds_are_few_and_fit_a_metric_label() -> None:
    """They become a label value: bounded and in small letters."""
    kinds = get_args(LossKind)
    assert len(kinds) == len(set(kinds)) <= 20
    assert all(kind.replace("_", "").isalpha() and kind.islower() for kind in kinds)
