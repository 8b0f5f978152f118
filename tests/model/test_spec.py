"""The layer table against the published one, and against the built network."""

from __future__ import annotations

import math
from typing import Any

import pytest

from model import spec

PUBLISHED = {
    "stem": ((16, 128, 128, 32), 2_706, 0.865),
    "stem1": ((16, 128, 128, 32), 27_648, 7.248),
    "stem2": ((16, 128, 128, 64), 55_680, 14.596),
    "pool": ((8, 64, 64, 64), 0, 0.0),
    "block0": ((8, 64, 64, 256), 28_944, 0.948),
    "block1": ((8, 32, 32, 512), 184_192, 1.714),
    "block2": ((8, 16, 16, 1024), 735_104, 1.707),
    "block3": ((8, 8, 8, 2048), 2_935_168, 1.705),
    "head": ((256,), 524_544, 0.001),
}


def gmacs(*args: Any) -> float:
    return sum(row.macs for row in spec.layer_table(*args)) / 1e9


def test_rows_are_the_published_ones() -> None:
    """Output shape, weights before BatchNorm and GMACs of every stage."""
    rows = spec.layer_table()
    assert [row.name for row in rows] == list(PUBLISHED)
    found = {row.name: (row.output, row.conv_params, round(row.macs / 1e9, 3)) for row in rows}
    assert found == PUBLISHED


def test_both_totals_are_pinned() -> None:
    """The published count, and the true one with BatchNorm, half of which trains."""
    rows = spec.layer_table()
    conv, norm = sum(r.conv_params for r in rows), sum(r.norm_params for r in rows)
    assert conv == spec.CONV_PARAMS == 4_493_986
    assert conv + norm == spec.TOTAL_PARAMS == 4_527_138
    assert conv + norm // 2 == spec.TRAINABLE_PARAMS == 4_510_562
    assert sum(math.prod(shape) for shape in spec.weight_shapes().values()) == spec.TOTAL_PARAMS


@pytest.mark.parametrize(
    ("frames", "size", "expected"),
    [
        (32, 256, 28.784),
        (32, 224, 22.0),
        (32, 160, 11.2),
        (32, 128, 7.2),
        (32, 112, 5.6),
        (16, 112, 2.8),
    ],
)
def test_cost_by_size_is_the_published_one(frames: int, size: int, expected: float) -> None:
    """GMACs of one window."""
    assert gmacs(frames, size) == pytest.approx(expected, rel=0.005)


def test_units_and_picture_shape_are_free() -> None:
    """Other units change the head alone; a picture need not be square."""
    rows = spec.layer_table(32, (64, 96), 10)
    assert rows[-1].output == (10,)
    assert rows[-1].conv_params == 2048 * 10 + 10
    assert rows[-2].output == (8, 2, 3, 2048)


@pytest.mark.parametrize(
    ("frames", "size", "units", "padding"),
    [(0, 256, 256, "same"), (32, 0, 256, "same"), (32, 256, 0, "same"), (1, 256, 256, "causal")],
)
def test_impossible_sizes_are_refused(frames: int, size: int, units: int, padding: Any) -> None:
    """The message names all three values."""
    with pytest.raises(ValueError, match=f"frames={frames}, size={size}x{size}, units={units}"):
        spec.layer_table(frames, size, units, padding)


def test_middle_filters_round_up() -> None:
    """The pair never has fewer weights than the full kernel would ask for."""
    assert spec.middle_filters((3, 3, 3), 3, 32) == 22
    assert spec.middle_filters((3, 3, 3), 32, 32) == 72
    assert spec.middle_filters((1, 1, 1), 64, 64) == 32


def convolutions(layer: Any) -> list[Any]:
    """All Conv3D layers below a layer."""
    import keras

    return [part for part in layer._flatten_layers() if isinstance(part, keras.layers.Conv3D)]


def test_counts_are_those_of_the_keras_model() -> None:
    """Every row's weights, and both totals, equal what Keras counts after `build`."""
    from model import BResNet162Plus1DD

    network = BResNet162Plus1DD()
    network.build((None, 32, 256, 256, 3))
    shape: Any = (None, 32, 256, 256, 3)
    for row in spec.layer_table():
        layer = getattr(network, row.name)
        assert layer.count_params() == row.conv_params + row.norm_params, row.name
        if row.name != "head":
            shape = layer.compute_output_shape(shape)
            assert shape[1:] == row.output, row.name
    assert network.count_params() == spec.TOTAL_PARAMS
    trainable = sum(math.prod(v.shape) for v in network.trainable_variables)
    assert trainable == spec.TRAINABLE_PARAMS
    assert {k: v.shape for k, v in network.named_weights().items()} == spec.weight_shapes()


@pytest.mark.parametrize(("frames", "padding"), [(8, "same"), (7, "same"), (8, "causal")])
def test_cost_is_that_of_the_built_convolutions(frames: int, padding: Any) -> None:
    """MACs are outputs times kernel, summed over the convolutions Keras really has."""
    import keras

    from model import BResNet162Plus1DD

    size = (40, 33)
    network = BResNet162Plus1DD(16, temporal_padding=padding)
    inputs = keras.Input((frames, *size, 3))
    layers = [layer for layer in network.stages if layer.name != "global_pool"]
    for row, layer in zip(spec.layer_table(frames, size, 16, padding), layers, strict=True):
        inputs = layer(network.global_pool(inputs) if row.name == "head" else inputs)
        assert tuple(inputs.shape[1:]) == row.output, row.name
        macs = 16 * 2048 if row.name == "head" else sum(map(_macs, convolutions(layer)))
        assert macs == row.macs, row.name


def _macs(conv: Any) -> int:
    """Cost on the input shape the convolution was built for."""
    output = conv.compute_output_shape(conv.get_build_config()["input_shape"])
    return int(math.prod(output[1:]) * math.prod(conv.kernel.shape[:4]))
