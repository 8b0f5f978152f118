"""Compiled models are kept, believed only when whole, and made anew otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.cache import Cache
from model.errors import EngineFailedError

pytest.importorskip("openvino", reason="the extra openvino is not installed")

import openvino as ov
from openvino import opset13 as op

from model.engines.openvino_device import Device, translated

KEY = {"weights": "abc"}


class Doubler:
    """Writes a model that doubles four numbers, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> Any:
        self.asked += 1
        numbers = op.parameter([1, 4], np.float32)
        return ov.Model([op.multiply(numbers, op.constant(np.float32(2)))], [numbers], "double")


def doubled(device: Device, write: Any, **options: Any) -> list[float]:
    request = device.request("double 4", write, **options)
    request.inputs[0][:] = [[1, 2, 3, 4]]
    return [float(number) for number in request.run()[0].ravel()]


def test_a_second_start_compiles_nothing(tmp_path: Path) -> None:
    """The model is not even written down."""
    write = Doubler()
    for _ in range(2):
        device = Device("float32", 1, Cache(tmp_path), KEY)
        assert doubled(device, write) == [2, 4, 6, 8]
    assert write.asked == 1


def test_what_is_of_no_use_later_is_not_kept(tmp_path: Path) -> None:
    """Graphs for verification alone."""
    assert doubled(Device("float32", 1, Cache(tmp_path), KEY), Doubler(), is_kept=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("harm", ["cut", "flipped", "emptied", "no model"])
def test_a_damaged_entry_is_made_anew(harm: str, tmp_path: Path) -> None:
    """The results are right, and the entry is whole again."""
    write = Doubler()
    cache = Cache(tmp_path)
    doubled(Device("float32", 1, cache, KEY), write)
    [path] = tmp_path.iterdir()
    whole = path.read_bytes()
    if harm == "cut":
        path.write_bytes(whole[:-100])
    elif harm == "flipped":
        middle = len(whole) // 2
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    elif harm == "emptied":
        path.write_bytes(b"")
    else:
        key = Device("float32", 1, cache, KEY)._key | {"graph": "double 4"}
        cache.write("openvino", key, b"no model at all")
    assert doubled(Device("float32", 1, cache, KEY), write) == [2, 4, 6, 8]
    assert write.asked == 2
    assert doubled(Device("float32", 1, cache, KEY), write) == [2, 4, 6, 8]
    assert write.asked == 2


def test_other_weights_precision_or_threads_are_other_entries(tmp_path: Path) -> None:
    """Nothing is taken for what it is not."""
    cache, write = Cache(tmp_path), Doubler()
    for device in (
        Device("float32", 1, cache, KEY),
        Device("float32", 1, cache, {"weights": "other"}),
        Device("bfloat16", 1, cache, KEY),
        Device("float32", 2, cache, KEY),
    ):
        doubled(device, write)
    assert write.asked == len(list(tmp_path.iterdir())) == 4


def test_results_belong_to_the_caller() -> None:
    """A later run does not change them."""
    request = Device("float32", 1, Cache(None), KEY).request("double 4", Doubler())
    request.inputs[0][:] = 1
    first = request.run()[0]
    request.inputs[0][:] = 5
    second = request.run()[0]
    assert (first == 2).all()
    assert (second == 10).all()


def test_errors_are_ours() -> None:
    """Named by what was going on."""
    with (
        pytest.raises(EngineFailedError, match="OpenVINO failed at compiling x: broken"),
        translated("compiling x"),
    ):
        raise RuntimeError("broken")
