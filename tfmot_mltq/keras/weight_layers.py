"""Keras layers whose kernel is quantized when they are called.

They are the plain layers with another ``call``: arguments, weights and their order, ``kernel`` (the
trained float32 variable) and all else stay Keras'.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import ops

from tfmot_mltq import decomposition as mathematics
from tfmot_mltq import int8_simulation
from tfmot_mltq.decomposition import Decomposition
from tfmot_mltq.keras.array_namespace import array_namespace
from tfmot_mltq.keras.eager_value import eager_value
from tfmot_mltq.keras.saved_layer import SavedLayer
from tfmot_mltq.layout.layer_kinds import KERNEL_LAYERS
from tfmot_mltq.saved_config import unversioned
from tfmot_mltq.simulation_mode import SimulationMode, current_mode


class QuantizedKernel(SavedLayer):
    """Mixin: a float32 kernel that is quantized in the forward pass, with straight-through
    gradients. Stands before the plain layer class, which is the last base.
    """

    plain_class: type

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.plain_class = cls.__bases__[-1]

    def plain(self) -> Any:
        """The unbuilt layer that this one was made of."""
        config = unversioned(super().get_config(), self.name)
        return self.plain_class.from_config(config)

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        """Keras' hook; keeps the kernel out of mixed precision's casts, as planes and scales are
        found in float32.
        """
        if kwargs.get("name") == "kernel":
            kwargs["autocast"] = False
        return super().add_weight(*args, **kwargs)

    def simulated(self, kernel: Any, xp: Any) -> Any:
        """The quantized kernel, in the NumPy-like namespace ``xp``."""
        raise NotImplementedError

    def baked(self, kernel: np.ndarray) -> np.ndarray:
        """The quantized kernel in NumPy: the same on every backend."""
        return self.simulated(kernel, np)

    def quantized_kernel(self) -> Any:
        """The kernel for a call, in the layer's compute dtype."""
        if current_mode() is SimulationMode.EXPORT:
            return ops.convert_to_tensor(self.exported(eager_value(self.kernel)))
        kernel = ops.cast(self.kernel, "float32")
        quantized = self.simulated(ops.stop_gradient(kernel), array_namespace())
        kernel = mathematics.straight_through(kernel, quantized, ops.stop_gradient)
        return ops.cast(kernel, self.compute_dtype)

    def exported(self, kernel: np.ndarray) -> np.ndarray:
        """The kernel as TensorFlow's converter is to find it."""
        return self.baked(kernel)


class MultiLevelKernel(QuantizedKernel):
    """Mixin: multi-level ternary (or binary) weights.

    Args:
      decomposition: How to decompose, a ``Decomposition`` or its fields as a dict.
    """

    def __init__(
        self, *args: Any, decomposition: Decomposition | dict[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.decomposition = mathematics.as_decomposition(decomposition)

    def simulated(self, kernel: Any, xp: Any) -> Any:
        """The multi-level kernel."""
        axes = KERNEL_LAYERS[self.plain_class.__name__].channel_axes
        return mathematics.quantize(kernel, self.decomposition, axes, xp)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "decomposition": dataclasses.asdict(self.decomposition)}


class Int8Kernel(QuantizedKernel):
    """Mixin: symmetric int8 weights, as TFLite stores them."""

    def simulated(self, kernel: Any, xp: Any) -> Any:
        """The kernel, rounded."""
        axes = KERNEL_LAYERS[self.plain_class.__name__].int8_channel_axes
        return int8_simulation.int8_kernel(kernel, axes, xp)

    def exported(self, kernel: np.ndarray) -> np.ndarray:
        """As it is: the converter rounds it the same way."""
        return kernel


class _ConvolutionCall:
    def call(self, inputs: Any) -> Any:
        kernel = self.quantized_kernel()
        padding = self.padding
        if padding == "causal":  # of Conv1D
            inputs = ops.pad(inputs, self._compute_causal_padding())
            padding = "valid"
        outputs = ops.conv(
            inputs,
            kernel,
            strides=list(self.strides),
            padding=padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return _with_bias_and_activation(self, outputs)


class _DepthwiseConvolutionCall:
    def call(self, inputs: Any) -> Any:
        outputs = ops.depthwise_conv(
            inputs,
            self.quantized_kernel(),
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return _with_bias_and_activation(self, outputs)


class _DenseCall:
    data_format = "channels_last"

    def call(self, inputs: Any) -> Any:
        return _with_bias_and_activation(self, ops.matmul(inputs, self.quantized_kernel()))


def _with_bias_and_activation(layer: Any, outputs: Any) -> Any:
    if layer.use_bias:
        bias = layer.bias
        if layer.data_format == "channels_first":
            bias = ops.reshape(bias, (1, -1, *[1] * layer.rank))
        outputs = ops.add(outputs, bias)
    return outputs if layer.activation is None else layer.activation(outputs)


class MultiLevelConv2D(MultiLevelKernel, _ConvolutionCall, keras.layers.Conv2D):
    """Conv2D with multi-level weights: kernel (height, width, input channels, output channels)."""


class MultiLevelConv1D(MultiLevelKernel, _ConvolutionCall, keras.layers.Conv1D):
    """Conv1D with multi-level weights: kernel (width, input channels, output channels)."""


class MultiLevelDense(MultiLevelKernel, _DenseCall, keras.layers.Dense):
    """Dense with multi-level weights: kernel (inputs, outputs)."""


class MultiLevelDepthwiseConv2D(
    MultiLevelKernel, _DepthwiseConvolutionCall, keras.layers.DepthwiseConv2D
):
    """DepthwiseConv2D with multi-level weights: kernel (height, width, channels, multiplier)."""


class Int8Conv2D(Int8Kernel, _ConvolutionCall, keras.layers.Conv2D):
    """Conv2D with stock int8 weights, one scale per output channel."""


class Int8Conv1D(Int8Kernel, _ConvolutionCall, keras.layers.Conv1D):
    """Conv1D with stock int8 weights, one scale per output channel."""


class Int8Dense(Int8Kernel, _DenseCall, keras.layers.Dense):
    """Dense with stock int8 weights, one scale for all of them."""


class Int8DepthwiseConv2D(Int8Kernel, _DepthwiseConvolutionCall, keras.layers.DepthwiseConv2D):
    """DepthwiseConv2D with stock int8 weights, one scale per output channel."""


MULTI_LEVEL_CLASSES = {
    cls.plain_class.__name__: cls
    for cls in (MultiLevelConv2D, MultiLevelConv1D, MultiLevelDense, MultiLevelDepthwiseConv2D)
}
INT8_CLASSES = {
    cls.plain_class.__name__: cls
    for cls in (Int8Conv2D, Int8Conv1D, Int8Dense, Int8DepthwiseConv2D)
}
