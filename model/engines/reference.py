"""The unfused network as judge: what any engine must agree with before its scores are believed.

In: a bundle and small clips. Out: reference outputs in float32, and one number that says how far an
engine is from them. Invariant: probes are random pixels, never a constant picture, which would hide
errors at the borders and in time.
"""

from __future__ import annotations

import numpy as np

from model import spec
from model.bundle import Bundle, golden_clip
from model.classifier import Clips, Embeddings, Scores
from model.golden import activate

PROBE_PX = 64
"""Verification runs at this size: the graph is fully convolutional, and the unfused network at 256
px would cost 16 times the time and 600 MB."""


def probe_clips(bundle: Bundle) -> Clips:
    """Two small clips for verification: random pixels and a golden one."""
    frames, size = bundle.manifest.frames, min(bundle.manifest.size_px, PROBE_PX)
    random = np.random.default_rng(7).integers(
        0, 256, (frames, size, size, spec.CHANNELS), np.uint8
    )
    return np.stack([random, golden_clip(frames, size)])


def reference_outputs(bundle: Bundle, clips: Clips) -> tuple[Scores, Embeddings]:
    """Run the unfused Keras network in float32 on any picture size; slow, for verification."""
    # TensorFlow costs seconds, and a start that remembers its choice needs no judge.
    from model.bresnet import BResNet162Plus1DD

    facts = bundle.manifest
    network = BResNet162Plus1DD(
        facts.units, facts.frames, temporal_padding=facts.temporal_padding, dtype="float32"
    )
    network.build(network.default_shape)
    network.set_named_weights(bundle.weights)
    pixels = clips.astype(np.float32) * np.float32(facts.pixel_scale)
    embeddings = np.array(network(pixels, training=False))
    logits = embeddings @ bundle.score_kernel + bundle.score_bias
    return activate(logits, facts.activation), embeddings


def disagreement(
    reference: tuple[Scores, Embeddings], found: tuple[Scores, Embeddings], tolerance: float
) -> float:
    """Compare outputs on the same clips.

    Returns:
        Largest difference of embeddings relative to their largest component; infinite where it is
        not a number, or where another label is on top by more than the tolerance (closer labels are
        a tie).
    """
    scores, embeddings = found
    top = np.argmax(reference[0], axis=1)
    behind = scores.max(axis=1) - scores[np.arange(len(scores)), top]
    difference = float(np.abs(embeddings - reference[1]).max() / np.abs(reference[1]).max())
    return difference if np.isfinite(difference) and (behind <= tolerance).all() else float("inf")
