"""The bricks of the network: (2+1)D convolution, plain and with norm and activation; activations.

In and out: float (N, T, H, W, C), oldest frame first. Written with Keras layers and `keras.ops`
only, so that one source runs on every Keras backend. Invariants: all weights exist after `build`, a
layer's dtype policy is also that of its sublayers, and with `temporal_padding="causal"` no output
looks at a frame after its own stride step.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from model.spec import NORM_EPSILON, TemporalPadding, Triple, middle_filters

NORMALIZATIONS = ("batch_norm", "layer_norm")
ACTIVATIONS = ("relu", "leaky_relu", "hard_swish", "mish")
Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable(package="bresnet")
class HardSwish(keras.layers.Layer):
    """x * relu6(x + 3) / 6, element by element.

    References:
        MobileNetV3, arXiv:1905.02244.
    """

    def call(self, inputs: Any) -> Any:
        """Return the activation of `inputs`, same shape and dtype."""
        return inputs * ops.relu6(inputs + 3.0) / 6.0

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Same as the input's."""
        return input_shape


@keras.saving.register_keras_serializable(package="bresnet")
class Mish(keras.layers.Layer):
    """x * tanh(softplus(x)), element by element.

    References:
        Mish, arXiv:1908.08681.
    """

    def call(self, inputs: Any) -> Any:
        """Return the activation of `inputs`, same shape and dtype."""
        return inputs * ops.tanh(ops.softplus(inputs))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Same as the input's."""
        return input_shape


@keras.saving.register_keras_serializable(package="bresnet")
class Conv2Plus1D(keras.layers.Layer):
    """A 3D convolution in two linear halves, (1, h, w) then (t, 1, 1), nothing between.

    Args:
        filters: channels out.
        kernel_size: (t, h, w).
        strides: (t, h, w).
        temporal_padding: `same`, or `causal` to pad before the first frame only (by t - stride zero
            frames).
        use_bias: one bias a channel, after the temporal half.
        kernel_initializer: of both halves.
        kwargs: of `keras.layers.Layer`.

    References:
        R(2+1)D, arXiv:1711.11248.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Triple,
        strides: Triple = (1, 1, 1),
        temporal_padding: TemporalPadding = "same",
        use_bias: bool = False,
        kernel_initializer: Any = "he_normal",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = positive("filters", filters)
        self.kernel_size = _triple("kernel_size", kernel_size)
        self.strides = _triple("strides", strides)
        self.temporal_padding = _one_of("temporal_padding", temporal_padding, ("same", "causal"))
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self._past = max(self.kernel_size[0] - self.strides[0], 0)

    def build(self, input_shape: Shape) -> None:
        """Create both halves for (N, T, H, W, C); only C must be known."""
        if len(input_shape) != 5 or input_shape[-1] is None:
            raise ValueError(f"{self.name}: needs (N, T, H, W, C) with C known, got {input_shape}")
        t, h, w = self.kernel_size
        self.spatial = keras.layers.Conv3D(
            middle_filters(self.kernel_size, input_shape[-1], self.filters),
            (1, h, w),
            strides=(1, *self.strides[1:]),
            padding="same",
            use_bias=False,
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="spatial",
        )
        self.temporal = keras.layers.Conv3D(
            self.filters,
            (t, 1, 1),
            strides=(self.strides[0], 1, 1),
            padding="same" if self.temporal_padding == "same" else "valid",
            use_bias=self.use_bias,
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="temporal",
        )
        self.spatial.build(input_shape)
        middle = self.spatial.compute_output_shape(input_shape)
        self.temporal.build(self._padded(middle))

    def call(self, inputs: Any) -> Any:
        """Convolve (N, T, H, W, C) to (N, T', H', W', filters)."""
        middle = self.spatial(inputs)
        if self.temporal_padding == "causal" and self._past:
            middle = ops.pad(middle, ((0, 0), (self._past, 0), (0, 0), (0, 0), (0, 0)))
        return self.temporal(middle)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, T', H', W', filters)."""
        t, h, w = strided_shape(input_shape[1:4], self.strides, self.temporal_padding)
        return input_shape[0], t, h, w, self.filters

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "temporal_padding": self.temporal_padding,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }

    def _padded(self, shape: Shape) -> Shape:
        if self.temporal_padding == "same" or shape[1] is None:
            return shape
        return (shape[0], shape[1] + self._past, *shape[2:])


@keras.saving.register_keras_serializable(package="bresnet")
class Conv2Plus1DLayer(keras.layers.Layer):
    """`Conv2Plus1D`, then an optional normalisation, then an optional activation.

    Args:
        filters: channels out.
        kernel_size: (t, h, w).
        strides: (t, h, w).
        temporal_padding: `same` or `causal`.
        use_bias: one bias a channel; superfluous before a normalisation.
        normalization: `batch_norm`, `layer_norm` (over channels) or None.
        activation: `relu`, `leaky_relu`, `hard_swish`, `mish` or None.
        kwargs: of `keras.layers.Layer`.
    """

    def __init__(  # noqa: PLR0913 - the options of a layer that users build by hand, all with defaults
        self,
        filters: int,
        kernel_size: Triple,
        strides: Triple = (1, 1, 1),
        temporal_padding: TemporalPadding = "same",
        use_bias: bool = False,
        normalization: str | None = None,
        activation: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.normalization = _one_of("normalization", normalization, (None, *NORMALIZATIONS))
        self.activation = _one_of("activation", activation, (None, *ACTIVATIONS))
        self.conv = Conv2Plus1D(
            filters,
            kernel_size,
            strides,
            temporal_padding,
            use_bias,
            dtype=self.dtype_policy,
            name="conv",
        )
        self.norm = _normalization(self.normalization, self.dtype_policy)
        self.activate = _activation(self.activation, self.dtype_policy)

    def build(self, input_shape: Shape) -> None:
        """Create the weights of the convolution and of the normalisation."""
        self.conv.build(input_shape)
        if self.norm is not None:
            self.norm.build(self.conv.compute_output_shape(input_shape))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Map (N, T, H, W, C) to (N, T', H', W', filters).

        `training` decides which statistics BatchNorm uses.
        """
        outputs = self.conv(inputs)
        if self.norm is not None:
            outputs = self.norm(outputs, training=training)
        return outputs if self.activate is None else self.activate(outputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, T', H', W', filters)."""
        return self.conv.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        conv = self.conv
        return {
            **super().get_config(),
            "filters": conv.filters,
            "kernel_size": conv.kernel_size,
            "strides": conv.strides,
            "temporal_padding": conv.temporal_padding,
            "use_bias": conv.use_bias,
            "normalization": self.normalization,
            "activation": self.activation,
        }


def strided_shape(shape: Shape, strides: Triple, temporal_padding: str) -> Shape:
    """(T, H, W) after strides: rounded up, but down in time where only the past is padded."""
    t, h, w = (None if n is None else -(-n // s) for n, s in zip(shape, strides, strict=True))
    if temporal_padding == "causal" and shape[0] is not None:
        t = shape[0] // strides[0]
    return t, h, w


def _normalization(name: str | None, dtype: Any) -> Any:
    if name == "batch_norm":
        return keras.layers.BatchNormalization(epsilon=NORM_EPSILON, dtype=dtype, name="norm")
    if name == "layer_norm":
        return keras.layers.LayerNormalization(
            axis=-1, epsilon=NORM_EPSILON, dtype=dtype, name="norm"
        )
    return None


def _activation(name: str | None, dtype: Any) -> Any:
    kinds = {
        "relu": keras.layers.ReLU,
        "leaky_relu": keras.layers.LeakyReLU,
        "hard_swish": HardSwish,
        "mish": Mish,
    }
    return kinds[name](dtype=dtype, name="activate") if name else None


def positive(name: str, value: Any) -> int:
    """Return a whole number above 0, or raise ValueError with its name."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a positive whole number, got {value!r}")
    return value


def _triple(name: str, value: Any) -> Triple:
    if len(value) != 3:
        raise ValueError(f"{name} must be three whole numbers (t, h, w), got {value!r}")
    t, h, w = (positive(name, part) for part in value)
    return t, h, w


def _one_of(name: str, value: Any, known: tuple[Any, ...]) -> Any:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(str, known))}, got {value!r}")
    return value
