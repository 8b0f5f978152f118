"""The golden clip: what a bundle's weights make of it is written beside them.

In: a manifest with weights, or the scores of an engine. Out: nothing, or `BundleError` that names
both sides. The clip is drawn, not stored. At 32 px the weights themselves are judged, in NumPy,
whenever a bundle is loaded; at the bundle's own size the engine that will run is. Invariant: golden
logits are those of the weights as stored, after rounding and calibration.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from model.errors import BundleError
from model.judge import embed
from model.manifest import GOLDEN_PX, Activation, Golden, Manifest

Array = npt.NDArray[np.float32]

LOGIT_TOLERANCE = 1e-3
"""Relative to the largest logit (at least to 1): sums in another order differ by 1e-6, a wrong
array by tenths."""


def golden_clip(frames: int, size: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Draw a clip that is the same everywhere: a bright square crosses a noisy picture.

    Returns:
        uint8 (frames, size, size, 3).
    """
    rng = np.random.default_rng(seed)
    clip = np.broadcast_to(rng.integers(0, 160, (size, size, 3)), (frames, size, size, 3)).astype(
        np.uint8
    )
    side, (top, left) = max(size // 4, 1), rng.integers(0, size // 2, 2)
    for index in range(frames):
        shift = left + index * (size // 2) // frames
        clip[index, top : top + side, shift : shift + side] = rng.integers(192, 256, 3)
    return clip


def activate(logits: Array, activation: Activation) -> Array:
    """Turn calibrated logits (..., K) into scores, float32."""
    if activation == "softmax":
        powers = np.exp(logits - logits.max(-1, keepdims=True))
        return np.asarray(powers / powers.sum(-1, keepdims=True), np.float32)
    # No overflow in the exponential; where it underflows, 0 and 1 are the right answers.
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)), np.float32)


def check_engine(manifest: Manifest, scores: Array, precision: str) -> None:
    """Compare what an engine makes of the golden clip at the bundle's own size.

    Args:
        manifest: of the bundle.
        scores: float32 (K,), of `golden_clip(frames, size_px, golden.seed)`.
        precision: of the engine.

    Raises:
        BundleError: they differ by more than the bundle allows.
    """
    golden = manifest.golden
    if golden is None:
        return
    tolerance = golden.tolerance.get(precision, max(golden.tolerance.values()))
    difference = np.abs(np.asarray(golden.scores) - scores)
    if not (difference <= tolerance).all():
        worst = _worst(difference)
        raise BundleError(
            f"bundle {manifest.name}: this engine in {precision} scores"
            f" {manifest.labels[worst]} {scores[worst]:.4g} on the golden clip, the manifest says"
            f" {golden.scores[worst]:.4g} (within {tolerance:g}); choose another model.precision"
        )


def golden_of(
    manifest: Manifest, weights: Mapping[str, Array], score_kernel: Array, score_bias: Array
) -> Golden:
    """Compute what a manifest says of these weights; seconds and 300 MB at 256 px.

    Args:
        manifest: geometry and activation.
        weights: of the network.
        score_kernel: float32 (E, K), calibrated.
        score_bias: float32 (K,), calibrated.

    Raises:
        BundleError: the weights give no number.
    """
    small, full = (
        _embedding(manifest, weights, size, 0) @ score_kernel + score_bias
        for size in (GOLDEN_PX, manifest.size_px)
    )
    if not (np.isfinite(small).all() and np.isfinite(full).all()):
        raise BundleError(f"bundle {manifest.name}: its scores of the golden clip are not finite")
    scores = activate(full, manifest.activation)
    return Golden(logits=tuple(small.tolist()), scores=tuple(scores.tolist()))


def check_weights(
    manifest: Manifest, weights: Mapping[str, Array], score_kernel: Array, score_bias: Array
) -> None:
    """Compare weights with what the manifest says of them; see `golden_of`.

    Raises:
        BundleError: they differ.
    """
    golden = manifest.golden
    if golden is None:
        return
    found = _embedding(manifest, weights, GOLDEN_PX, golden.seed) @ score_kernel + score_bias
    expected = np.array(golden.logits)
    difference = np.abs(found - expected) / max(1.0, float(np.abs(expected).max()))
    # Not-a-number is in no relation to anything, so it does not pass for equal.
    if not (difference <= LOGIT_TOLERANCE).all():
        worst = _worst(difference)
        raise BundleError(
            f"bundle {manifest.name}: its weights give {manifest.labels[worst]} the logit"
            f" {found[worst]:.4g} on the golden clip, the manifest says {expected[worst]:.4g};"
            " they do not belong together"
        )


def _embedding(manifest: Manifest, weights: Mapping[str, Array], size_px: int, seed: int) -> Array:
    """Embedding of the golden clip."""
    clip = golden_clip(manifest.frames, size_px, seed)
    return embed(weights, clip, manifest.temporal_padding, manifest.pixel_scale)


def _worst(difference: Array) -> int:
    return int(np.argmax(np.nan_to_num(difference, nan=np.inf)))
