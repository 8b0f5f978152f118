"""What int8 needs to know about a network, found by running it on rendered scenes.

In: layers in floating point and clips with motion. Out: `Ranges`, as NNCF's post-training
quantization finds them for the full window; the same ranges serve the graphs of sliding windows, so
that a step computes what the full window would. Invariant: calibration depends on the bundle alone,
and never sees the clips of `held_out_clips`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
from typing import Any

import numpy as np

from model.bundle import Manifest
from model.classifier import Clips
from model.engines.openvino_graph import BIAS, PIXEL_STEP, Layers, Ranges, frames_shape, full_model

SIDE_PX = 128
"""Calibration runs on pictures of this size at most: ranges are those of values, not of places."""
_SCENE_PX = 64
"""Smallest scene there is; of smaller pictures the middle is taken."""
_HELD_OUT_SEED = 100


def calibration_clips(manifest: Manifest) -> Clips:
    """One clip of every rendered scene, street to lights: uint8 (N, T, S, S, 3)."""
    return _rendered(manifest, min(manifest.size_px, SIDE_PX), 0)


def held_out_clips(manifest: Manifest, side: int) -> Clips:
    """The same kinds of places, drawn anew, at other times and with other visitors, to judge int8.

    Args:
        manifest: length and rate.
        side: of the pictures, px.
    """
    return _rendered(manifest, side, _HELD_OUT_SEED)


def calibrate(layers: Layers, clips: Clips) -> Ranges:
    """Find the ranges of all activations, and biases that make up for rounding.

    Args:
        layers: of the network, in floating point.
        clips: uint8 (N, T, S, S, 3), with motion.
    """
    # It sends telemetry unless it believes to be in a CI.
    os.environ.setdefault("NNCF_CI", "1")
    # Costs half a second, and only int8 needs it.
    import nncf

    shape = frames_shape(1, clips.shape[1], (clips.shape[2], clips.shape[3]))
    model = full_model(layers, clips.shape[1], (clips.shape[2], clips.shape[3]), 1)
    logging.getLogger("nncf").setLevel(logging.ERROR)
    # It draws progress bars on stdout, which may carry events for another program.
    with contextlib.redirect_stdout(io.StringIO()):
        quantized = nncf.quantize(
            model,
            nncf.Dataset(list(clips), lambda clip: clip.reshape(shape)),
            target_device=nncf.TargetDevice.CPU,
            subset_size=len(clips),
        )
    activations, biases = {}, {}
    for node in quantized.get_ordered_ops():
        name = node.get_friendly_name()
        if name.endswith(BIAS):
            biases[name.removesuffix(BIAS)] = _value(node, 1).ravel().astype(np.float32)
        elif node.get_type_name() == "FakeQuantize":
            source = node.input_value(0).get_node()
            if source.get_type_name() != "Constant":
                low, high = (_value(node, n).item() for n in (1, 2))
                activations[source.get_friendly_name()] = (low, high)
    # Bytes are already whole numbers of 256: with their own range nothing is rounded or cut.
    activations["pixels"] = (0.0, 255 * PIXEL_STEP)
    return Ranges(activations, biases)


def encoded(ranges: Ranges) -> bytes:
    """Ranges as bytes, for the cache."""
    file = io.BytesIO()
    arrays: dict[str, Any] = {f"bias:{name}": bias for name, bias in ranges.biases.items()}
    arrays |= {f"range:{name}": np.array(ends) for name, ends in ranges.activations.items()}
    np.savez(file, **arrays)
    return file.getvalue()


def decoded(content: bytes) -> Ranges:
    """Ranges from the bytes of `encoded`."""
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    parts = {kind: _named(arrays, f"{kind}:") for kind in ("range", "bias")}
    ranges = {name: (float(low), float(high)) for name, (low, high) in parts["range"].items()}
    return Ranges(ranges, parts["bias"])


def _named(arrays: dict[str, Any], kind: str) -> dict[str, Any]:
    return {key.removeprefix(kind): a for key, a in arrays.items() if key.startswith(kind)}


def _value(node: Any, n: int) -> Any:
    """The constant at an input."""
    return np.array(node.input_value(n).get_node().data)


def _rendered(manifest: Manifest, side: int, seed: int) -> Clips:
    # Brings OpenCV, which a worker that classifies does not need.
    from streamer.scenes import scene, scene_names

    drawn = max(side, _SCENE_PX)
    middle = slice((drawn - side) // 2, (drawn + side) // 2)
    clips = []
    for n, name in enumerate(scene_names()):
        place = scene(name, seed + n, drawn, drawn)
        # A visitor is on its way two seconds after the beginning.
        times = (2.0 + n + i / manifest.analysis_fps for i in range(manifest.frames))
        clips.append(np.stack([place.render(t_s)[middle, middle] for t_s in times]))
    return np.stack(clips)
