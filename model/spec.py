"""The network on paper: stages, shapes, parameter counts and cost, in plain Python.

In go frames, picture size and units; out come one `LayerRow` a stage and the names and shapes of
all weights. `bresnet.py` builds from the same stage constants, `fuse.py` and `bundle.py` check
against the same weight shapes, and `bresnet summary` prints this table. Invariant: nothing here
imports TensorFlow or Keras, and the counts equal those of the built Keras model (a test compares
them).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

TemporalPadding = Literal["same", "causal"]
"""`same`: windows are padded on both ends. `causal`: only before the first frame, no look-ahead."""

Triple = tuple[int, int, int]
"""(time, height, width)."""

FRAMES, SIZE_PX, CHANNELS, UNITS = 32, 256, 3, 256
"""The published input (T, H = W, C) and the length of the embedding."""

NORM_EPSILON = 1e-3
"""Added to the variance by every BatchNorm; the Keras default, part of the function the weights
were trained for."""

PIXEL_SCALE = 1.0 / 255.0
"""Preprocessing of every bundle: uint8 RGB times this, nothing else. Without an offset it folds
into the first kernel, and zero padding stays black."""

CONV_PARAMS = 4_493_986
"""Weights of convolutions and head at 256 units: the published count, taken before BatchNorm was
built."""
TOTAL_PARAMS = 4_527_138
"""All weights, with 33,152 of BatchNorm."""
TRAINABLE_PARAMS = 4_510_562
"""Weights that train: all but the moving means and variances."""


@dataclass(frozen=True, slots=True)
class ConvStage:
    """One (2+1)D convolution with BatchNorm and ReLU."""

    name: str
    filters: int
    kernel: Triple
    strides: Triple


@dataclass(frozen=True, slots=True)
class BlockStage:
    """One bottleneck block; its output has 4 x filters channels."""

    name: str
    filters: int
    strides: Triple

    @property
    def inner(self) -> int:
        """Channels inside the bottleneck."""
        return self.filters // 4 or 1

    @property
    def outer(self) -> int:
        """Channels that leave the block."""
        return 4 * self.filters


STEM = (
    ConvStage("stem", 32, (3, 3, 3), (2, 2, 2)),
    ConvStage("stem1", 32, (3, 3, 3), (1, 1, 1)),
    ConvStage("stem2", 64, (3, 3, 3), (1, 1, 1)),
)
POOL: Triple = (2, 2, 2)
BLOCKS = (
    BlockStage("block0", 64, (1, 1, 1)),
    BlockStage("block1", 128, (1, 2, 2)),
    BlockStage("block2", 256, (1, 2, 2)),
    BlockStage("block3", 512, (1, 2, 2)),
)
EMBEDDING_CHANNELS = BLOCKS[-1].outer


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One line of the layer table.

    Attributes:
        name: the stage.
        definition: what it does, for people.
        output: shape without the batch axis, (T, H, W, C) or (units,).
        conv_params: weights of convolutions or the head.
        norm_params: weights of BatchNorm, half of which train.
        macs: multiply-accumulates for one window.
    """

    name: str
    definition: str
    output: tuple[int, ...]
    conv_params: int
    norm_params: int
    macs: int


def middle_filters(kernel: Triple, channels: int, filters: int) -> int:
    """Channels between the spatial and the temporal convolution.

    Chosen so that the pair has as many weights as one full 3D kernel, rounded up.

    References:
        R(2+1)D, arXiv:1711.11248, section 3.5.
    """
    t, h, w = kernel
    return -(-(t * h * w * channels * filters) // (h * w * channels + t * filters))


def layer_table(
    frames: int = FRAMES,
    size: int | tuple[int, int] = SIZE_PX,
    units: int = UNITS,
    temporal_padding: TemporalPadding = "same",
) -> list[LayerRow]:
    """Describe every stage of the network.

    Args:
        frames: length of a window.
        size: picture side or (height, width), px.
        units: length of the embedding.
        temporal_padding: `causal` leaves out the last frame of an odd count instead of padding it.

    Returns:
        Rows stem, stem1, stem2, pool, block0 to block3, head.

    Raises:
        ValueError: an argument is too small for the strides of the network.
    """
    height, width = (size, size) if isinstance(size, int) else size
    smallest = 1 if temporal_padding == "same" else STEM[0].strides[0]
    if frames < smallest or min(height, width, units) < 1:
        raise ValueError(
            f"frames={frames}, size={height}x{width}, units={units}:"
            f" needs at least {smallest} frames and 1 of the others"
        )
    shape = (frames, height, width, CHANNELS)
    rows = []
    for stage in STEM:
        row = _conv_row(stage, shape, temporal_padding)
        rows.append(row)
        shape = _video(row)
    shape = (*_strided(shape[:3], POOL, "same"), shape[3])
    rows.append(LayerRow("pool", "max pool 2x2x2", shape, 0, 0, 0))
    for block in BLOCKS:
        row = _block_row(block, shape, temporal_padding)
        rows.append(row)
        shape = _video(row)
    dense = shape[3] * units
    rows.append(LayerRow("head", "global average pool, dense", (units,), dense + units, 0, dense))
    return rows


def weight_shapes(units: int = UNITS) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight of the network, in layer order.

    Names are paths such as `block1/project/temporal/kernel`; they are the same in Keras and in a
    bundle.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    channels = CHANNELS
    for stage in STEM:
        shapes |= _conv_shapes(stage.name, channels, stage.filters, stage.kernel)
        channels = stage.filters
    for block in BLOCKS:
        for name, channels_in, filters, kernel in block_convs(block, channels):
            shapes |= _conv_shapes(f"{block.name}/{name}", channels_in, filters, kernel)
        channels = block.outer
    return shapes | {"head/kernel": (channels, units), "head/bias": (units,)}


def block_convs(block: BlockStage, channels: int) -> Iterator[tuple[str, int, int, Triple]]:
    """Yield (name, channels in, filters, kernel) of the four (2+1)D convolutions of a block."""
    yield "bottleneck", channels, block.inner, (1, 1, 1)
    yield "feature", block.inner, block.inner, (3, 3, 3)
    yield "project", block.inner, block.outer, (1, 1, 1)
    yield "shortcut", channels, block.outer, (1, 1, 1)


def _conv_shapes(
    name: str, channels: int, filters: int, kernel: Triple
) -> dict[str, tuple[int, ...]]:
    t, h, w = kernel
    middle = middle_filters(kernel, channels, filters)
    return {
        f"{name}/conv/spatial/kernel": (1, h, w, channels, middle),
        f"{name}/conv/temporal/kernel": (t, 1, 1, middle, filters),
    } | {
        f"{name}/norm/{part}": (filters,)
        for part in ("gamma", "beta", "moving_mean", "moving_variance")
    }


def _strided(shape: Triple, strides: Triple, padding: TemporalPadding) -> Triple:
    """(T, H, W) after a stride: rounded up where the end is padded, down where it is not."""
    t, h, w = (-(-n // s) for n, s in zip(shape, strides, strict=True))
    return (shape[0] // strides[0] if padding == "causal" else t), h, w


def _conv_cost(
    shape: tuple[int, int, int, int], kernel: Triple, out: tuple[int, int, int, int]
) -> tuple[int, int]:
    """Weights and MACs of a (2+1)D pair; the spatial half runs on all frames that come in."""
    t, h, w = kernel
    middle = middle_filters(kernel, shape[3], out[3])
    spatial, temporal = h * w * shape[3] * middle, t * middle * out[3]
    area = out[1] * out[2]
    return spatial + temporal, area * (shape[0] * spatial + out[0] * temporal)


def _conv_row(
    stage: ConvStage, shape: tuple[int, int, int, int], padding: TemporalPadding
) -> LayerRow:
    out = (*_strided(shape[:3], stage.strides, padding), stage.filters)
    params, macs = _conv_cost(shape, stage.kernel, out)
    definition = f"conv {_by(stage.kernel)} to {stage.filters}, strides {_by(stage.strides)}"
    return LayerRow(stage.name, definition, out, params, 4 * stage.filters, macs)


def _block_row(
    block: BlockStage, shape: tuple[int, int, int, int], padding: TemporalPadding
) -> LayerRow:
    space_in, space_out = shape[:3], _strided(shape[:3], block.strides, padding)
    params = macs = norm = 0
    for name, channels, filters, kernel in block_convs(block, shape[3]):
        before = space_in if name in ("bottleneck", "feature") else space_out
        after = space_in if name == "bottleneck" else space_out
        conv_params, conv_macs = _conv_cost((*before, channels), kernel, (*after, filters))
        params, macs, norm = params + conv_params, macs + conv_macs, norm + 4 * filters
    definition = f"bottleneck {block.filters}, strides {_by(block.strides)}"
    return LayerRow(block.name, definition, (*space_out, block.outer), params, norm, macs)


def _video(row: LayerRow) -> tuple[int, int, int, int]:
    t, h, w, c = row.output
    return t, h, w, c


def _by(numbers: Triple) -> str:
    return "x".join(str(n) for n in numbers)
