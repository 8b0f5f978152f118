"""The network in plain NumPy: slow, without any engine, the same everywhere.

In: named weights and one small clip. Out: its embedding. A bundle is checked with it whenever it is
loaded: 0.1 s at 32 px, where an engine would take seconds to import. Invariant: the same function
as the Keras network, layer by layer and unfused; a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

from model import spec

Array = npt.NDArray[np.float32]


def embed(
    weights: Mapping[str, Array],
    clip: npt.NDArray[np.uint8],
    temporal_padding: spec.TemporalPadding,
    pixel_scale: float,
) -> Array:
    """Run the network on one clip.

    Args:
        weights: by the names of `spec.weight_shapes`; not modified.
        clip: uint8 (T, H, W, 3).
        temporal_padding: of the network the weights belong to.
        pixel_scale: bytes times this go in.

    Returns:
        float32 (E,); not finite where the weights make it so.
    """
    is_causal = temporal_padding == "causal"
    outputs = clip.astype(np.float32) * np.float32(pixel_scale)
    with np.errstate(over="ignore", invalid="ignore"):
        for stage in spec.STEM:
            outputs = _layer(weights, stage.name, outputs, stage.strides, is_causal)
            np.maximum(outputs, 0, out=outputs)
        outputs = _max_pool(outputs)
        for block in spec.BLOCKS:
            outputs = _block(weights, block, outputs, is_causal)
        pooled = outputs.mean((0, 1, 2), dtype=np.float32)
        embedding: Array = pooled @ weights["head/kernel"] + weights["head/bias"]
    return embedding


def _block(
    weights: Mapping[str, Array], block: spec.BlockStage, inputs: Array, is_causal: bool
) -> Array:
    one = (1, 1, 1)
    main = _layer(weights, f"{block.name}/bottleneck", inputs, one, is_causal)
    np.maximum(main, 0, out=main)
    main = _layer(weights, f"{block.name}/feature", main, block.strides, is_causal)
    np.maximum(main, 0, out=main)
    main = _layer(weights, f"{block.name}/project", main, one, is_causal)
    average = _average(inputs, block.strides, is_causal)
    main += _layer(weights, f"{block.name}/shortcut", average, one, is_causal)
    outputs: Array = np.maximum(main, 0, out=main)
    return outputs


def _layer(
    weights: Mapping[str, Array], name: str, inputs: Array, strides: spec.Triple, is_causal: bool
) -> Array:
    """A (2+1)D pair and its BatchNorm."""
    t, h, w = strides
    middle = _convolve(inputs, weights[f"{name}/conv/spatial/kernel"], (1, h, w), is_causal)
    outputs = _convolve(middle, weights[f"{name}/conv/temporal/kernel"], (t, 1, 1), is_causal)
    gamma, beta, mean, variance = (
        weights[f"{name}/norm/{part}"]
        for part in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    scale = gamma / np.sqrt(variance + np.float32(spec.NORM_EPSILON))
    outputs *= scale
    outputs += beta - mean * scale
    return outputs


def _convolve(inputs: Array, kernel: Array, strides: spec.Triple, is_causal: bool) -> Array:
    """Convolve (T, H, W, C): one product a tap of the kernel."""
    taps = kernel.shape[:3]
    pads = [_same(n, k, s) for n, k, s in zip(inputs.shape, taps, strides, strict=False)]
    if is_causal:
        pads[0] = max(taps[0] - strides[0], 0), 0
    padded = np.pad(inputs, [*pads, (0, 0)]) if any(map(any, pads)) else inputs
    lengths = [(n - k) // s + 1 for n, k, s in zip(padded.shape, taps, strides, strict=False)]
    outputs = np.zeros((*lengths, kernel.shape[4]), np.float32)
    for tap in product(*map(range, taps)):
        outputs += _shifted(padded, tap, strides, lengths) @ kernel[tap]
    return outputs


def _max_pool(inputs: Array) -> Array:
    """2x2x2 of values that are not negative, so that a zero is no maximum."""
    padded = np.pad(inputs, [*((0, n % 2) for n in inputs.shape[:3]), (0, 0)])
    t, h, w = (n // 2 for n in padded.shape[:3])
    outputs: Array = padded.reshape(t, 2, h, 2, w, 2, -1).max((1, 3, 5))
    return outputs


def _average(inputs: Array, strides: spec.Triple, is_causal: bool) -> Array:
    """Mean of 2x2x2 positions, of those that exist; causal: the position and the one before."""
    if not is_causal:
        return _mean(inputs, (2, 2, 2), strides)
    now = _mean(inputs, (1, 2, 2), strides)
    mean: Array = (now + np.concatenate([now[:1], now[:-1]])) / np.float32(2)
    return mean


def _mean(inputs: Array, taps: spec.Triple, strides: spec.Triple) -> Array:
    pads = [_same(n, k, s) for n, k, s in zip(inputs.shape, taps, strides, strict=False)]
    padded = np.pad(inputs, [*pads, (0, 0)])
    exists = np.pad(np.ones((*inputs.shape[:3], 1), np.float32), [*pads, (0, 0)])
    lengths = [(n - k) // s + 1 for n, k, s in zip(padded.shape, taps, strides, strict=False)]
    total = sum(_shifted(padded, tap, strides, lengths) for tap in product(*map(range, taps)))
    count = sum(_shifted(exists, tap, strides, lengths) for tap in product(*map(range, taps)))
    mean: Array = np.asarray(total / count)
    return mean


def _shifted(
    padded: Array, tap: Sequence[int], strides: spec.Triple, lengths: Sequence[int]
) -> Array:
    """What one tap of a kernel sees."""
    return padded[
        tuple(
            slice(at, at + (n - 1) * s + 1, s)
            for at, s, n in zip(tap, strides, lengths, strict=True)
        )
    ]


def _same(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after that leave ceil(length / stride) outputs."""
    total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
    return total // 2, total - total // 2
