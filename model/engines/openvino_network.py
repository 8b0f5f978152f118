"""A bundle in one precision on OpenVINO: its full windows, and the steppers of its hops.

In: a bundle, a precision, a cache. Out: things that classify, for any picture size. Weights are
fused, and int8 is calibrated, only when a graph is not in the cache. Invariant: full windows and
steps are written from the same layers, so they compute the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from model.bundle import Bundle
from model.causal import CausalStepper
from model.classifier import Clips, Embeddings, Maps, Scores, Stepper
from model.engines.memory import Memory
from model.engines.openvino_causal import OpenVinoCausalGraphs
from model.engines.openvino_device import Device, Request
from model.engines.openvino_graph import Head, Layers, Ranges, full_model
from model.engines.openvino_incremental import PooledStepper
from model.engines.openvino_int8 import calibrate, calibration_clips, decoded, encoded
from model.errors import EngineUnavailableError
from model.fuse import fuse
from model.pooled import PooledPlan

_RANGES = "int8-ranges"


class FullWindow:
    """Classifies whole windows, one at a time: a batch of four at 256 px takes four times as long.

    Args:
        request: of the full graph.
        head: behind it.
    """

    def __init__(self, request: Request, head: Head) -> None:
        self._request = request
        self._head = head

    def __call__(self, clips: Clips) -> tuple[Scores, Embeddings]:
        """Classify uint8 (N, T, H, W, 3) of the shape the graph was made for."""
        return self._head(np.concatenate([features for features, _ in self._outputs(clips)]))

    def maps(self, clips: Clips) -> Maps:
        """Say what each place of clips of that shape adds to the logits."""
        return np.concatenate([maps for _, maps in self._outputs(clips)])

    def _outputs(self, clips: Clips) -> Iterator[tuple[Maps, Maps]]:
        for clip in clips:
            self._request.inputs[0][:] = clip.reshape(self._request.inputs[0].shape)
            features, maps = self._request.run()
            yield features, maps


class Network:
    """A bundle in one precision.

    Args:
        bundle: weights and facts.
        precision: float32, bfloat16 or int8.
        threads: of the engine; all cores where None.
        memory: where graphs and ranges are kept, and under what.
    """

    def __init__(self, bundle: Bundle, precision: str, threads: int | None, memory: Memory) -> None:
        self._bundle = bundle
        self._memory = memory
        self.precision = precision
        # Not what was asked for: the same graph serves every hop and batch.
        self._key = {name: memory.key[name] for name in ("weights", "form", "runtime", "processor")}
        self._device = Device(precision, threads, memory.cache, self._key)
        weights = bundle.weights
        self._head = Head(
            weights["head/kernel"],
            weights["head/bias"],
            bundle.score_kernel,
            bundle.score_bias,
            bundle.manifest.activation,
        )

    def full(self, side: int, *, frames: int | None = None, is_kept: bool = True) -> FullWindow:
        """Make the graph of full windows for pictures of this side, px.

        Args:
            side: of the pictures, px.
            frames: of the clips; the bundle's own where absent.
            is_kept: worth keeping for the next start.

        Raises:
            EngineFailedError: the runtime failed.
            EngineUnavailableError: int8 is asked for and cannot be calibrated here.
        """
        frames = frames or self._bundle.manifest.frames
        request = self._device.request(
            f"full {frames}x{side}x{side}",
            lambda: full_model(self._layers, frames, (side, side), 1, self._head.places),
            is_kept=is_kept,
        )
        return FullWindow(request, self._head)

    def stepper(self, hop: int, side: int | None = None) -> Stepper | None:
        """Make the stepper of a hop; None where the network's geometry has none.

        Args:
            hop: frames between windows.
            side: of the pictures, px; the bundle's own where absent.

        Raises:
            EngineFailedError: the runtime failed.
        """
        facts = self._bundle.manifest
        size = (side or facts.size_px,) * 2
        if facts.temporal_padding == "causal":
            return self._causal_stepper(hop, size)
        try:
            plan = PooledPlan(hop, facts.frames)
        except ValueError:
            return None
        return PooledStepper(
            plan, lambda: self._layers, self._head, size, self.precision, self._device.request
        )

    def _causal_stepper(self, hop: int, size: tuple[int, int]) -> Stepper | None:
        frames = self._bundle.manifest.frames
        graphs = OpenVinoCausalGraphs(
            self._layers, self._head, size, self.precision, self._device.compiled, frames
        )
        try:
            return CausalStepper(hop, frames, graphs, size)
        except ValueError:
            return None

    @cached_property
    def _layers(self) -> Layers:
        facts = self._bundle.manifest
        # Blocks as pairs: their collapsed kernels multiply more and gain nothing (DECISIONS), but
        # with one kernel a convolution less is kept between causal steps.
        network = fuse(
            self._bundle.weights,
            facts.temporal_padding,
            blocks="collapsed" if facts.temporal_padding == "causal" else "pairs",
            pixel_scale=facts.pixel_scale,
            activation=facts.activation,
        )
        layers = Layers(network)
        return layers if self.precision != "int8" else Layers(network, self._ranges(layers))

    def _ranges(self, layers: Layers) -> Ranges:
        cache = self._memory.cache
        content = cache.read(_RANGES, self._key)
        if content is not None:
            return decoded(content)
        try:
            ranges = calibrate(layers, calibration_clips(self._bundle.manifest))
        except ImportError as err:
            raise EngineUnavailableError(
                f"model.precision 'int8' needs {err.name}; install bresnet-stream[openvino]"
            ) from err
        cache.write(_RANGES, self._key, encoded(ranges))
        return ranges
