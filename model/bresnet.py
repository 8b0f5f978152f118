"""BResNet16-2Plus1DD: a clip in, an embedding out.

In: float (N, T, H, W, 3), RGB in [0, 1], oldest frame first. Out: float (N, units), linear. Stages
and widths come from `model.spec`. Invariants: `build` creates every weight, so that counts and
saved files are complete before the first call; weight names are those of `spec.weight_shapes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from model import spec
from model.blocks import BottleneckResidual2Plus1DD
from model.layers import Conv2Plus1DLayer, Shape, positive

Weights = dict[str, npt.NDArray[np.float32]]


@keras.saving.register_keras_serializable(package="bresnet")
class BResNet162Plus1DD(keras.Model):
    """ResNet-16 with (2+1)D convolutions and averaged shortcuts.

    Trains, saves and loads as any Keras model; call it on any T, H, W, not only those it was built
    with.

    Args:
        units: length of the embedding.
        frames: T of `default_shape`.
        size: H = W of `default_shape`, px.
        temporal_padding: `causal` gives another network without look-ahead in time, to be trained
            as such.
        kwargs: of `keras.Model`.
    """

    def __init__(
        self,
        units: int = spec.UNITS,
        frames: int = spec.FRAMES,
        size: int = spec.SIZE_PX,
        temporal_padding: spec.TemporalPadding = "same",
        **kwargs: Any,
    ) -> None:
        for name, value in (("units", units), ("frames", frames), ("size", size)):
            positive(name, value)
        super().__init__(**kwargs)
        self.units, self.frames, self.size = units, frames, size
        self.temporal_padding = temporal_padding
        dtype = self.dtype_policy
        for stage in spec.STEM:
            layer = Conv2Plus1DLayer(
                stage.filters,
                stage.kernel,
                stage.strides,
                temporal_padding,
                normalization="batch_norm",
                activation="relu",
                dtype=dtype,
                name=stage.name,
            )
            setattr(self, stage.name, layer)
        # Pairs of positions, so that it never looks ahead: the same in both forms.
        self.pool = keras.layers.MaxPooling3D(spec.POOL, padding="same", dtype=dtype, name="pool")
        for block in spec.BLOCKS:
            setattr(
                self,
                block.name,
                BottleneckResidual2Plus1DD(
                    block.filters, block.strides, temporal_padding, dtype=dtype, name=block.name
                ),
            )
        self.global_pool = keras.layers.GlobalAveragePooling3D(dtype=dtype, name="global_pool")
        self.head = keras.layers.Dense(units, dtype=dtype, name="head")

    @property
    def stages(self) -> list[Any]:
        """All layers in the order of the data."""
        names = [s.name for s in spec.STEM] + ["pool"] + [b.name for b in spec.BLOCKS]
        return [getattr(self, name) for name in [*names, "global_pool", "head"]]

    @property
    def default_shape(self) -> Shape:
        """(None, frames, size, size, 3): what to give to `build` unless clips differ."""
        return None, self.frames, self.size, self.size, spec.CHANNELS

    def build(self, input_shape: Shape) -> None:
        """Create every weight.

        Args:
            input_shape: (N, T, H, W, 3); N may be None.
        """
        shape = input_shape
        if len(shape) != 5:
            raise ValueError(f"input shape must be (N, T, H, W, C), got {shape}")
        for layer in self.stages:
            if not (layer.built and layer.weights):
                layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Embed clips.

        Args:
            inputs: float (N, T, H, W, 3), [0, 1], RGB, oldest frame first.
            training: True lets BatchNorm use and update batch statistics.

        Returns:
            float (N, units).
        """
        outputs = inputs
        for layer in self.stages:
            has_statistics = isinstance(layer, (Conv2Plus1DLayer, BottleneckResidual2Plus1DD))
            outputs = layer(outputs, training=training) if has_statistics else layer(outputs)
        return outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, units)."""
        return input_shape[0], self.units

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {
            **super().get_config(),
            "units": self.units,
            "frames": self.frames,
            "size": self.size,
            "temporal_padding": self.temporal_padding,
        }

    def named_weights(self) -> Weights:
        """Copy all weights out of the built network, by the names of `spec.weight_shapes`."""
        return {
            name: np.array(variable.numpy(), np.float32)
            for name, variable in self._variables_by_name().items()
        }

    def set_named_weights(self, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Replace all weights of the built network.

        Raises:
            ValueError: a name is missing or unknown, or a shape differs.
        """
        variables = self._variables_by_name()
        if differing := sorted(variables.keys() ^ weights.keys()):
            raise ValueError(
                f"weights do not match the network, first differing name: {differing[0]}"
            )
        for name, variable in variables.items():
            variable.assign(weights[name])

    def _variables_by_name(self) -> dict[str, Any]:
        """Weights by path, without the model's own name: Keras numbers that anew every time."""
        return {variable.path.split("/", 1)[1]: variable for variable in self.weights}
