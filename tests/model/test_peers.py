"""Claims about model.peers: the converted network is the same one, or the reason is told."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from model.comparison import Absent
from model.peers import _way, peer_ways
from model.ways import Subject, Way

SUBJECT = Subject(size_px=32, frames=12, hops=())


@pytest.mark.filterwarnings("default::DeprecationWarning")
def test_converted_networks_agree_with_the_original() -> None:
    """Each peer that is installed, in float32 to its rounding and in bfloat16 to its own."""
    ways = list(peer_ways(SUBJECT))
    assert [way.engine for way in ways][:2] == ["onnxruntime", "openvino"]
    for way in ways:
        if isinstance(way, Absent):
            assert "not installed: pip install" in way.reason, way
            continue
        assert way.difference is not None
        assert way.difference <= (1e-5 if way.precision == "float32" else 3e-2)
        way.run()


def test_the_packages_for_development_are_there() -> None:
    """CI installs them: the comparison above must not be empty there."""
    assert find_spec("onnxruntime") is not None
    assert find_spec("tf2onnx") is not None


def test_what_is_not_installed_is_named() -> None:
    """Only what is missing."""
    way = _way(SUBJECT, "some", "float32", ("numpy", "no_such_package"), lambda _: lambda _: None)
    assert isinstance(way, Absent)
    assert way.reason == "not installed: pip install no_such_package"


def test_a_peer_that_fails_says_so_in_one_line() -> None:
    """A foreign error does not end the comparison."""

    def build(subject: Subject) -> object:
        raise RuntimeError("cannot\nconvert")

    way = _way(SUBJECT, "some", "float32", ("numpy",), build)
    assert isinstance(way, Absent)
    assert way.reason == "RuntimeError: cannot convert"


def test_a_peer_is_timed_with_the_pictures_ready() -> None:
    """Scaling them is not part of it; its cost is that of the layers as defined."""
    seen = []
    way = _way(
        SUBJECT, "some", "float32", ("numpy",), lambda s: lambda x: seen.append(x) or s.eager()
    )
    assert isinstance(way, Way)
    way.run()
    assert seen[0] is seen[1]
    assert way.difference == 0.0
    assert way.macs == SUBJECT.layer_macs()
