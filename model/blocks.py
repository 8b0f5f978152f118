"""The bottleneck residual block: squeeze, convolve, expand, add to an averaged shortcut.

In: float (N, T, H, W, C). Out: float (N, T', H', W', 4 x filters), non-negative. The shortcut
averages over 2x2x2 positions before its 1x1x1 convolution (the "D" of the name), padding never
counts in a mean. Invariant: in the causal form the average looks at the position and the one before
it, never ahead.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from model.layers import Conv2Plus1DLayer, Shape, strided_shape
from model.spec import BlockStage, TemporalPadding, Triple, block_convs


@keras.saving.register_keras_serializable(package="bresnet")
class CausalAveragePool(keras.layers.Layer):
    """Average over 2x2x2 positions that looks one position back in time instead of one ahead.

    Args:
        strides: (1, h, w); the block never strides in time.
        kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, strides: Triple, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.strides = strides
        if self.strides[0] != 1:
            raise ValueError(f"a causal pool has no stride in time, got {strides}")
        self.spatial = keras.layers.AveragePooling3D(
            (1, 2, 2), self.strides, padding="same", dtype=self.dtype_policy, name="spatial"
        )

    def build(self, input_shape: Shape) -> None:
        """Nothing to create; the pool has no weights."""
        self.spatial.build(input_shape)

    def call(self, inputs: Any) -> Any:
        """Average (N, T, H, W, C) to (N, T, H', W', C)."""
        now = self.spatial(inputs)
        # The first position has no predecessor; paired with itself it is the mean without padding.
        before = ops.concatenate([now[:, :1], now[:, :-1]], axis=1)
        return (now + before) / 2

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, T, H', W', C)."""
        shape: Shape = self.spatial.compute_output_shape(input_shape)
        return shape

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "strides": self.strides}


@keras.saving.register_keras_serializable(package="bresnet")
class BottleneckResidual2Plus1DD(keras.layers.Layer):
    """relu(project(feature(bottleneck(x))) + shortcut(average(x))).

    Args:
        filters: the block works on filters // 4 channels and puts out 4 x filters.
        strides: (1, h, w) of the feature convolution and the average.
        temporal_padding: `same` or `causal`.
        kwargs: of `keras.layers.Layer`.

    References:
        Bag of Tricks (ResNet-D), arXiv:1812.01187.
    """

    def __init__(
        self,
        filters: int,
        strides: Triple,
        temporal_padding: TemporalPadding = "same",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters, self.strides = filters, strides
        self.temporal_padding = temporal_padding
        stage = BlockStage(self.name, filters, strides)
        convs = {name: (width, kernel) for name, _, width, kernel in block_convs(stage, 1)}

        def conv(name: str, strides: Triple = (1, 1, 1), activation: str | None = None) -> Any:
            width, kernel = convs[name]
            return Conv2Plus1DLayer(
                width,
                kernel,
                strides,
                temporal_padding,
                normalization="batch_norm",
                activation=activation,
                dtype=self.dtype_policy,
                name=name,
            )

        self.bottleneck = conv("bottleneck", activation="relu")
        self.feature = conv("feature", strides, activation="relu")
        self.project = conv("project")
        if temporal_padding == "causal":
            self.average: Any = CausalAveragePool(strides, dtype=self.dtype_policy, name="average")
        else:
            self.average = keras.layers.AveragePooling3D(
                (2, 2, 2), strides, padding="same", dtype=self.dtype_policy, name="average"
            )
        self.shortcut = conv("shortcut")
        self.activate = keras.layers.ReLU(dtype=self.dtype_policy, name="activate")

    def build(self, input_shape: Shape) -> None:
        """Create all weights for (N, T, H, W, C)."""
        shape = input_shape
        for layer in (self.bottleneck, self.feature, self.project):
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.average.build(input_shape)
        self.shortcut.build(self.average.compute_output_shape(input_shape))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Map (N, T, H, W, C) to (N, T', H', W', 4 x filters)."""
        main = self.bottleneck(inputs, training=training)
        main = self.feature(main, training=training)
        main = self.project(main, training=training)
        shortcut = self.shortcut(self.average(inputs), training=training)
        return self.activate(main + shortcut)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, T', H', W', 4 x filters)."""
        t, h, w = strided_shape(input_shape[1:4], self.strides, self.temporal_padding)
        return input_shape[0], t, h, w, 4 * self.filters

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "temporal_padding": self.temporal_padding,
        }
